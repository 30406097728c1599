"""``counterbias simulate``: reads with a known bias and a known abundance, and their truth."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from counterbias.cli.idle_options import idle_in_simulate
from counterbias.cli.parser import QUIET, Option, Parser
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import write_line
from counterbias.errors import InputError
from counterbias.inputs import check_inputs
from counterbias.messages import Messages
from counterbias.options import STRANDEDNESS

if TYPE_CHECKING:
    from counterbias.pipeline.simulate import SimulationOptions
    from counterbias.simulation import Library

#: Defaults of the options on a simulated genome, which are refused for a genome of one's own.
SIMULATED = {"genes": 400, "contigs": 4, "bases": None, "isoforms": 0.3, "overlapping": 0.08}
#: Factor on the log bias.
STRENGTH = 1.0
#: Defaults of other options of which it matters whether they are given.
ASSUMED = {
    "strength": (STRENGTH,),
    "biased_ends": "both",
    "variation": 0.2,
    "changed": 0.2,
    "fold_changes": 1.0,
}
#: Share of pairs with one read unmapped; single reads have none.
UNMAPPED_MATES = 0.02
#: Options that are passed on as they are.
PASSED_ON = (
    "genes",
    "contigs",
    "bases",
    "genome",
    "annotation",
    "order",
    "fastq",
    "seed",
    "threads",
    "force",
)


def _numbers(text: str) -> tuple[float, ...]:
    """Read numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}': give a number, or one for each group, separated by commas"
        ) from None


RUN = (
    Option(
        "-o", "--output", required=True, metavar="DIR", help="folder for all files; new or empty"
    ),
    Option("--force", action="store_true", help="replace files in a folder that is not empty"),
    Option(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="seed of every random choice (default: %(default)s)",
    ),
    Option(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="threads; no byte depends on it (default: %(default)s)",
    ),
    QUIET,
)

GENES = (
    Option(
        "--genes",
        type=int,
        metavar="N",
        help=f"genes of a simulated genome (default: {SIMULATED['genes']})",
    ),
    Option(
        "--contigs",
        type=int,
        metavar="N",
        help=f"contigs of a simulated genome (default: {SIMULATED['contigs']})",
    ),
    Option(
        "--bases",
        type=int,
        metavar="N",
        help="size of a simulated genome (default: 10000 for each gene)",
    ),
    Option(
        "--isoforms",
        type=float,
        metavar="SHARE",
        help=f"simulated genes with two transcripts (default: {SIMULATED['isoforms']})",
    ),
    Option(
        "--overlapping",
        type=float,
        metavar="SHARE",
        help="simulated genes that begin within the one before "
        f"(default: {SIMULATED['overlapping']})",
    ),
    Option("--genome", metavar="FASTA", help="a genome of your own, with --annotation"),
    Option("--annotation", metavar="GTF", help="an annotation of your own, with --genome"),
)

BIAS = (
    Option(
        "--bias-model",
        default="builtin",
        metavar="builtin|none|FILE[,…]",
        help="bias of read starts: that of random hexamers, none, or that of a model file; one for "
        "all groups, or one per group, separated by commas (default: %(default)s)",
    ),
    Option(
        "--strength",
        type=_numbers,
        metavar="X[,…]",
        help=f"factor on the log bias, for all groups or one per group (default: {STRENGTH:g})",
    ),
    Option(
        "--biased-ends",
        choices=("both", "read1"),
        help=f"ends of a fragment that are biased (default: {ASSUMED['biased_ends']})",
    ),
    Option(
        "--gc-bias",
        type=float,
        default=0.0,
        metavar="X",
        help="log factor per 10 points of a fragment's GC content (default: %(default)g)",
    ),
)

LIBRARY = (
    Option(
        "--pairs",
        type=int,
        default=1_000_000,
        metavar="N",
        help="pairs, or single reads, per sample (default: %(default)s)",
    ),
    Option(
        "--library",
        choices=("paired", "single"),
        default="paired",
        help="paired-end or single-end reads (default: %(default)s)",
    ),
    Option(
        "--stranded",
        choices=STRANDEDNESS,
        default="no",
        help="strand of read 1, as --stranded of `counterbias count` (default: %(default)s)",
    ),
    Option(
        "--read-length",
        type=int,
        default=50,
        metavar="N",
        help="bases per read (default: %(default)s)",
    ),
    Option(
        "--fragment-mean",
        type=float,
        default=220.0,
        metavar="X",
        help="mean fragment length (default: %(default)g)",
    ),
    Option(
        "--fragment-sd",
        type=float,
        default=40.0,
        metavar="X",
        help="its standard deviation (default: %(default)g)",
    ),
    Option(
        "--errors",
        type=float,
        default=0.002,
        metavar="RATE",
        help="substitutions per base (default: %(default)g)",
    ),
    Option(
        "--multimapped",
        type=float,
        default=0.03,
        metavar="SHARE",
        help="fragments with several alignments (default: %(default)g)",
    ),
    Option(
        "--unmapped",
        type=float,
        default=0.02,
        metavar="SHARE",
        help="fragments without alignment (default: %(default)g)",
    ),
    Option(
        "--unmapped-mates",
        type=float,
        metavar="SHARE",
        help=f"pairs with one read unmapped (default: {UNMAPPED_MATES}; single reads have none)",
    ),
    Option(
        "--duplicates",
        type=float,
        default=0.0,
        metavar="RATE",
        help="fragments that are copies, 0 to 0.9 (default: %(default)g)",
    ),
    Option(
        "--trim",
        type=int,
        default=0,
        metavar="N",
        help="bases trimmed from each read's 5' end (default: %(default)s)",
    ),
)

STUDY = (
    Option(
        "--samples",
        type=int,
        default=1,
        metavar="N",
        help="samples of one genome (default: %(default)s)",
    ),
    Option(
        "--groups",
        type=int,
        default=1,
        metavar="N",
        help="groups that the samples are split into (default: %(default)s)",
    ),
    Option(
        "--spread",
        type=float,
        default=1.5,
        metavar="X",
        help="SD of genes' log abundance, nats (default: %(default)g)",
    ),
    Option(
        "--variation",
        type=float,
        metavar="X",
        help=f"its SD between samples of a group (default: {ASSUMED['variation']})",
    ),
    Option(
        "--changed",
        type=float,
        metavar="SHARE",
        help=f"genes that differ between groups (default: {ASSUMED['changed']})",
    ),
    Option(
        "--fold-changes",
        type=float,
        metavar="X",
        help=f"SD of their log2 fold changes (default: {ASSUMED['fold_changes']:g})",
    ),
)

FILES = (
    Option(
        "--order",
        choices=("pos", "name", "both"),
        default="pos",
        help="how BAM files are sorted (default: %(default)s)",
    ),
    Option(
        "--fastq",
        action="store_true",
        help="write FASTQ files and the transcripts' sequences as well",
    ),
)


def build_simulate_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog="counterbias simulate",
        description="Simulate RNA-seq reads with a known bias and a known abundance; write them "
        "and the truth to a folder.",
        allow_abbrev=False,
    )
    parser.add_options(RUN)
    parser.add_options(GENES, "genome and genes")
    parser.add_options(BIAS, "bias")
    parser.add_options(LIBRARY, "library and sequencing")
    parser.add_options(STUDY, "samples")
    parser.add_options(FILES, "files")
    return parser


def main(argv: list[str]) -> int:
    """Run the command; return its exit status."""
    arguments = build_simulate_parser().parse_args(argv)
    with compiled_loops(write_line, quiet=arguments.quiet):
        idle = idle_in_simulate(arguments)
        options = _options(arguments)
        for line in idle:
            write_line(f"Warning: {line}")
        from counterbias.pipeline.simulate import simulate

        run = simulate(options, Messages(write_line, quiet=arguments.quiet))
    if not arguments.quiet:
        write_line(f"{len(run.files)} files are in {arguments.output}")
    return 0


def _options(arguments: Namespace) -> SimulationOptions:
    """Check the arguments and return what is simulated. Raises InputError."""
    from counterbias.pipeline.simulate import SimulationOptions
    from counterbias.pipeline.simulate.biases import read_biases
    from counterbias.simulation import AnnotationDesign, StudyDesign

    if not arguments.output:
        raise InputError("-o needs the name of a folder")
    models = [
        ("--bias-model", name)
        for name in dict.fromkeys([arguments.bias_model, *arguments.bias_model.split(",")])
    ]
    check_inputs([("--genome", arguments.genome), ("--annotation", arguments.annotation), *models])
    for name, default in SIMULATED.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
        elif arguments.genome or arguments.annotation:
            raise InputError(
                f"--{name} is for simulated genomes",
                remedy="leave it out, or leave --genome and --annotation out",
            )
    for name, value in ASSUMED.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    study = StudyDesign(
        samples=arguments.samples,
        groups=arguments.groups,
        spread=arguments.spread,
        variation=arguments.variation,
        changed=arguments.changed,
        fold_change=arguments.fold_changes,
    )
    return SimulationOptions(
        folder=Path(arguments.output),
        library=_library(arguments),
        study=study,
        design=AnnotationDesign(
            second_isoform=arguments.isoforms, overlapping=arguments.overlapping
        ),
        biases=read_biases(arguments.bias_model, arguments.strength),
        **{name: getattr(arguments, name) for name in PASSED_ON},
    )


def _library(arguments: Namespace) -> Library:
    """Return how the library is made and sequenced. Raises InputError."""
    from counterbias.simulation import Library

    paired = arguments.library == "paired"
    if not paired and arguments.unmapped_mates:
        raise InputError("--unmapped-mates needs a library of pairs")
    unmapped_mates = (
        UNMAPPED_MATES if arguments.unmapped_mates is None else arguments.unmapped_mates
    )
    return Library(
        fragments=arguments.pairs,
        read_length=arguments.read_length,
        paired=paired,
        stranded=arguments.stranded,
        fragment_mean=arguments.fragment_mean,
        fragment_sd=arguments.fragment_sd,
        biased_ends=arguments.biased_ends,
        multi_mapped=arguments.multimapped,
        unmapped_mate=unmapped_mates if paired else 0.0,
        unmapped=arguments.unmapped,
        error_rate=arguments.errors,
        gc_bias=arguments.gc_bias,
        duplicates=arguments.duplicates,
        trimmed=arguments.trim,
    )
