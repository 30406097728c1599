"""``counterbias collect``: the tables of many samples as matrices of a cohort."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from counterbias.cli.parser import QUIET, VERSION, Option, Parser
from counterbias.cli.progress import progress_display
from counterbias.cli.streams import write_line
from counterbias.errors import InputError
from counterbias.inputs import check_inputs
from counterbias.options import ALIGNMENTS, SAMPLE_NAMES
from counterbias.writers.endings import REPORT, TABLE

OPTIONS = (
    Option(
        "tables",
        metavar="TABLE",
        nargs="+",
        help=f"PREFIX{TABLE} of each sample, with PREFIX{REPORT} next to it",
    ),
    Option(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="folder for the matrices; made if needed",
    ),
    Option(
        "--names",
        choices=SAMPLE_NAMES,
        default=ALIGNMENTS,
        help="what names the samples: their alignment files, or the last part of each PREFIX "
        f"(default: {ALIGNMENTS})",
    ),
    Option(
        "--h5ad",
        action="store_true",
        help="write cohort.h5ad (AnnData) as well, with all matrices as layers",
    ),
    QUIET,
)


def build_collect_parser(prog: str = "counterbias collect") -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog=prog,
        description="Join the tables of samples that `counterbias count` wrote with --bias-model "
        "or --bias-lengths to matrices of features × samples: raw counts, corrected counts and "
        "effective lengths. Samples counted with other annotations or options are refused.",
    )
    parser.add_options((VERSION, *OPTIONS))
    return parser


def main(argv: list[str]) -> int:
    """Run the command; return its exit status."""
    arguments = build_collect_parser().parse_args(argv)
    folder = Path(arguments.output)
    _check(arguments, folder)
    with progress_display(quiet=arguments.quiet) as display:
        from counterbias.pipeline.collect import collect_tables

        samples, features = collect_tables(
            arguments.tables,
            folder,
            display.messages,
            names=arguments.names,
            h5ad=arguments.h5ad,
        )
    if not arguments.quiet:
        write_line(f"{samples:,} samples × {features:,} features are in {arguments.output}")
    return 0


def _check(arguments: Namespace, folder: Path) -> None:
    """Refuse before any table is read what cannot be read or written."""
    from counterbias.files.checks import check_outputs
    from counterbias.writers.cohort import H5AD, text_files

    if not arguments.output:
        raise InputError("-o needs the name of a folder")
    if folder.exists() and not folder.is_dir():
        raise InputError("-o names a file, not a folder", file=str(folder), remedy="name a folder")
    check_inputs([("a table", name) for name in arguments.tables])
    names = text_files()
    if arguments.h5ad:
        from counterbias.writers.cohort_h5ad import require_anndata

        require_anndata()
        names = (*names, H5AD)
    if folder.is_dir():
        check_outputs([("-o", str(folder / name)) for name in names], inputs=arguments.tables)
