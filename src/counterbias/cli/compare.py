"""``counterbias compare``: bias models side by side on one's own data."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterbias.cli import bias_arguments
from counterbias.cli.arguments import (
    ASSIGNMENT,
    FEATURES,
    FILES,
    READS,
)
from counterbias.cli.compare_arguments import (
    CACHE,
    COMPARISON,
    TRUTH,
    compare_options,
    model_labels,
    one_per_window,
)
from counterbias.cli.compare_summary import summary
from counterbias.cli.idle_options import idle_in_compare
from counterbias.cli.naming import distinct_sample_names
from counterbias.cli.parser import VERSION, Parser
from counterbias.cli.progress import ProgressBar, progress_display
from counterbias.cli.run_arguments import (
    check_standard_input,
    input_files,
    named_inputs,
    run_options,
)
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import write_line
from counterbias.errors import InputError
from counterbias.inputs import check_inputs
from counterbias.writers.standard_output import is_closed, write_standard_output

if TYPE_CHECKING:
    from counterbias.options import CompareOptions, RunOptions
    from counterbias.pipeline.compare import Comparison
    from counterbias.pipeline.compare.profiles import GeneProfiles

#: The exit status where all outputs were written but a model failed.
SOME_FAILED = 3
#: Names in the output folder.
TABLE, DOCUMENT = "comparison.tsv", "comparison.json"
GENES, BETWEEN, FIGURES = "per_gene.tsv", "between_models.tsv", "figures"
ALONG = "along_genes.tsv"


def build_compare_parser(prog: str = "counterbias compare") -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog=prog,
        description="Fit bias models to your own data and compare them on genomic blocks that they "
        "did not learn from, with each other, between replicates and against a truth.",
    )
    parser.add_options((VERSION, *FILES))
    parser.add_options(COMPARISON, "comparison")
    parser.add_options(TRUTH, "truth")
    parser.add_options(READS, "reads")
    parser.add_options(FEATURES, "features")
    parser.add_options(ASSIGNMENT, "assignment")
    # Models and windows are given with --models and --windows.
    parser.add_options(
        (
            bias_arguments.GENOME,
            bias_arguments.ASSIGNED_TAG,
            bias_arguments.THREADS,
            bias_arguments.DEVICE,
            bias_arguments.SEED,
            bias_arguments.SAMPLING,
            bias_arguments.CAP,
            bias_arguments.ENDS,
            bias_arguments.FRAGMENT_LENGTH,
            bias_arguments.CONTEXT,
            bias_arguments.CONTIG_ALIAS,
        ),
        "bias",
    )
    return parser


def main(argv: list[str]) -> int:
    """Run the command; return its exit status: 3 where a model failed, with all outputs written."""
    arguments = build_compare_parser().parse_args(one_per_window(argv))
    samples = _check(arguments)
    quiet = arguments.quiet
    with progress_display(quiet=quiet) as display, compiled_loops(display.write, quiet=quiet):
        options = compare_options(arguments, samples)
        there = Path(arguments.output).exists()
        folder = _make_folder(arguments)
        for line in idle_in_compare(arguments, options.models):
            display.write(f"Warning: {line}")
        try:
            run = run_options(arguments, ["compare", *argv], samples=samples, model="")
            result = _compare(run, options, display)
            document = _write(result, run, folder)
            profiles = _write_along(result, folder)
            if arguments.no_figures:
                _tell_of_earlier(folder)
            else:
                _draw(result, document, profiles, folder)
        except (InputError, KeyboardInterrupt):
            if not there:
                _remove_if_empty(folder)
            raise
    if not is_closed():
        write_standard_output(summary(document, folder))
    failed = _failed_models(document)
    if failed:
        write_line(f"counterbias: these models failed, see {TABLE} for why: {', '.join(failed)}")
    return SOME_FAILED if failed else 0


def _check(arguments: Namespace) -> list[str]:
    """Refuse inputs that cannot be read together; return the samples' names."""
    check_standard_input(arguments.samfilenames)
    names = distinct_sample_names(arguments.samfilenames)
    if arguments.bias_genome is None:
        raise InputError("a comparison needs the genome", remedy="give it with --bias-genome FASTA")
    check_inputs(
        [
            *named_inputs(arguments),
            *(("a model of --models", label) for label in model_labels(arguments)),
            ("--truth", arguments.truth),
            ("--groups", arguments.groups),
        ]
    )
    return names


def _failed_models(document: Mapping[str, Any]) -> list[str]:
    """List the models that failed, each with the sample in which it did, in order."""
    return sorted(
        {
            f"{model['model']} ({sample['sample']})"
            for sample in document["samples"]
            for model in sample["models"]
            if model["status"] == "failed"
        }
    )


def _make_folder(arguments: Namespace) -> Path:
    """Make the output folder; refuse one where not everything can be written."""
    from counterbias.files import writing_errors
    from counterbias.files.checks import check_outputs

    folder = Path(arguments.output)
    if folder.exists() and not folder.is_dir():
        raise InputError("-o names a file, not a folder", file=str(folder), remedy="name a folder")
    if (folder / FIGURES).exists() and not (folder / FIGURES).is_dir():
        raise InputError(
            "this file is where the folder of the figures should be",
            file=str(folder / FIGURES),
            remedy="move it, or name another folder with -o",
        )
    with writing_errors(folder):
        (folder / FIGURES if not arguments.no_figures else folder).mkdir(
            parents=True, exist_ok=True
        )
    names = [TABLE, DOCUMENT, GENES, BETWEEN, ALONG]
    if not arguments.no_figures:
        names.append(f"{FIGURES}/composition.svg")  # any will do: it is the folder that matters
    inputs = input_files(arguments)
    if arguments.truth:
        inputs.append(arguments.truth)
    check_outputs(
        [("-o", str(folder / name)) for name in names],
        inputs=inputs,
    )
    return folder


def _remove_if_empty(folder: Path) -> None:
    """Remove the folder made for a run that failed, unless its cache holds finished fits."""
    for empty in (folder / FIGURES, folder / CACHE, folder):
        with contextlib.suppress(OSError):
            empty.rmdir()


def _compare(run: RunOptions, options: CompareOptions, display: ProgressBar) -> Comparison:
    """Fit and compare the models, with progress on stderr."""
    from counterbias.pipeline.compare import compare_models

    messages = display.messages
    result = compare_models(run, options, messages)
    messages.info(
        f"{result.fitted} fits were computed, {result.cached} taken from {options.cache} "
        "(safe to delete)."
    )
    return result


def _write(result: Comparison, run: RunOptions, folder: Path) -> dict[str, Any]:
    """Write all tables and report remarks; return the document."""
    from counterbias import __version__
    from counterbias.pipeline.compare.remarks import remarks
    from counterbias.pipeline.compare.report import report
    from counterbias.pipeline.compare.tables import between_models, per_gene
    from counterbias.writers import comparison as writer

    document = report(result, run.counting, version=__version__, command_line=run.command_line)
    groups = {sample.name: sample.group for sample in result.samples if sample.group is not None}
    features = result.features
    writer.write_per_gene(
        folder / GENES,
        features.ids,
        features.lengths,
        features.attributes,
        per_gene(result),
    )
    writer.write_between(folder / BETWEEN, between_models(result))
    writer.write_comparison(folder / TABLE, document, groups)
    writer.write_document(folder / DOCUMENT, document)
    for line in remarks(result):
        write_line(f"Warning: {line}")
    return document


def _write_along(result: Comparison, folder: Path) -> list[GeneProfiles]:
    """Write the table of read starts along genes; return what the figures show.

    Without genes, the table of an earlier run is removed: it is not of this comparison.
    """
    from counterbias.files import writing_errors
    from counterbias.pipeline.compare.along_outputs import table_models, table_rows
    from counterbias.pipeline.compare.profiles import gaps, profiles_of
    from counterbias.writers.along_genes import write_along_genes

    if not result.genes:
        with writing_errors(folder / ALONG):
            (folder / ALONG).unlink(missing_ok=True)
        return []
    profiles = profiles_of(result)
    write_along_genes(folder / ALONG, table_models(result), table_rows(profiles))
    for line in gaps(result, profiles):
        write_line(f"Warning: {line}")
    return profiles


def _draw(
    result: Comparison,
    document: dict[str, Any],
    profiles: Sequence[GeneProfiles],
    folder: Path,
) -> None:
    """Draw the figures, unless matplotlib is missing."""
    from counterbias import figures
    from counterbias.pipeline.compare.along_outputs import figures_along
    from counterbias.pipeline.compare.figures import figures_of

    if not figures.is_available():
        write_line(f"Warning: {figures.MISSING}")
        _tell_of_earlier(folder)
        return
    figures.draw(figures_of(result, document), folder / FIGURES, figures_along(profiles))


def _tell_of_earlier(folder: Path) -> None:
    """Warn of figures of an earlier run, where none are drawn that would replace them."""
    from counterbias.figures import is_figure

    with contextlib.suppress(OSError):
        if any(is_figure(path.name) for path in (folder / FIGURES).iterdir()):
            write_line(
                f"Warning: {folder / FIGURES} holds figures of an earlier run, which may show "
                "other numbers than the tables: none are drawn in this one"
            )
