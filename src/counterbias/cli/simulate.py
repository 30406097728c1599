"""``counterbias simulate``: reads with a known bias and a known abundance, and the truth beside them."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from counterbias.cli.idle_options import idle_in_simulate
from counterbias.cli.parser import QUIET, Parser
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import say_line
from counterbias.errors import InputError
from counterbias.inputs import check_inputs
from counterbias.messages import Messages

if TYPE_CHECKING:
    from counterbias.pipeline.simulate import SimulationOptions
    from counterbias.simulation import Library

#: Defaults of the options that only a simulated genome has.
SIMULATED = {"genes": 400, "contigs": 4, "bases": None, "isoforms": 0.3, "overlapping": 0.08}
#: Defaults of other options of which it matters whether they are given.
ASSUMED = {
    "strength": (1.0,),
    "biased_ends": "both",
    "variation": 0.2,
    "changed": 0.2,
    "fold_changes": 1.0,
}
#: Options that go on as they are.
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


def build_simulate_parser() -> Parser:
    """Make the parser of ``counterbias simulate``."""
    parser = Parser(
        prog="counterbias simulate",
        description="Simulate RNA-seq reads with a known bias and a known abundance; write them and the truth to a folder.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder for all files; new or empty"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files in a folder that is not empty"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="start of every random choice (default: 1)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="threads; no byte depends on it (default: 1)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help=QUIET)
    _add_genes(parser.add_argument_group("genome and genes"))
    _add_bias(parser.add_argument_group("bias"))
    _add_library(parser.add_argument_group("library and sequencing"))
    _add_study(parser.add_argument_group("samples"))
    output = parser.add_argument_group("files")
    output.add_argument(
        "--order",
        choices=("pos", "name", "both"),
        default="pos",
        help="how BAM files are sorted (default: pos)",
    )
    output.add_argument(
        "--fastq",
        action="store_true",
        help="write FASTQ files and the transcripts' sequences as well",
    )
    return parser


def _add_genes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--genes", type=int, metavar="N", help="genes of a simulated genome (default: 400)"
    )
    group.add_argument(
        "--contigs", type=int, metavar="N", help="contigs of a simulated genome (default: 4)"
    )
    group.add_argument(
        "--bases",
        type=int,
        metavar="N",
        help="size of a simulated genome (default: 10000 for each gene)",
    )
    group.add_argument(
        "--isoforms",
        type=float,
        metavar="SHARE",
        help="simulated genes with two transcripts (default: 0.3)",
    )
    group.add_argument(
        "--overlapping",
        type=float,
        metavar="SHARE",
        help="simulated genes that begin within the one before (default: 0.08)",
    )
    group.add_argument("--genome", metavar="FASTA", help="a genome of your own, with --annotation")
    group.add_argument(
        "--annotation", metavar="GTF", help="an annotation of your own, with --genome"
    )


def _add_bias(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--bias-model",
        default="builtin",
        metavar="builtin|none|FILE[,…]",
        help="bias of read starts: as of random hexamers, none, or a model file's; separated by commas, one per group (default: builtin)",
    )
    group.add_argument(
        "--strength",
        type=_numbers,
        metavar="X[,…]",
        help="factor on the log bias, or one per group (default: 1)",
    )
    group.add_argument(
        "--biased-ends",
        choices=("both", "read1"),
        help="ends of a fragment that are biased (default: both)",
    )
    group.add_argument(
        "--gc-bias",
        type=float,
        default=0.0,
        metavar="X",
        help="log factor per 10 points of a fragment's GC content (default: 0)",
    )


def _add_library(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--pairs",
        type=int,
        default=1_000_000,
        metavar="N",
        help="pairs, or single reads, per sample (default: 1000000)",
    )
    group.add_argument(
        "--library",
        choices=("paired", "single"),
        default="paired",
        help="reads per fragment (default: paired)",
    )
    group.add_argument(
        "--stranded",
        choices=("no", "yes", "reverse"),
        default="no",
        help="strand of read 1 (default: no)",
    )
    group.add_argument(
        "--read-length", type=int, default=50, metavar="N", help="bases per read (default: 50)"
    )
    group.add_argument(
        "--fragment-mean",
        type=float,
        default=220.0,
        metavar="X",
        help="mean fragment length (default: 220)",
    )
    group.add_argument(
        "--fragment-sd",
        type=float,
        default=40.0,
        metavar="X",
        help="its standard deviation (default: 40)",
    )
    group.add_argument(
        "--errors",
        type=float,
        default=0.002,
        metavar="RATE",
        help="substitutions per base (default: 0.002)",
    )
    group.add_argument(
        "--multimapped",
        type=float,
        default=0.03,
        metavar="SHARE",
        help="fragments of several alignments (default: 0.03)",
    )
    group.add_argument(
        "--unmapped",
        type=float,
        default=0.02,
        metavar="SHARE",
        help="fragments without alignment (default: 0.02)",
    )
    group.add_argument(
        "--unmapped-mates",
        type=float,
        metavar="SHARE",
        help="pairs with one read unmapped (default: 0.02; single reads have none)",
    )
    group.add_argument(
        "--duplicates",
        type=float,
        default=0.0,
        metavar="RATE",
        help="fragments that are copies, 0 to 0.9 (default: 0)",
    )
    group.add_argument(
        "--trim",
        type=int,
        default=0,
        metavar="N",
        help="bases cut off each read's 5' end (default: 0)",
    )


def _add_study(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--samples", type=int, default=1, metavar="N", help="samples of one genome (default: 1)"
    )
    group.add_argument(
        "--groups",
        type=int,
        default=1,
        metavar="N",
        help="groups that the samples are dealt out to (default: 1)",
    )
    group.add_argument(
        "--spread",
        type=float,
        default=1.5,
        metavar="X",
        help="SD of genes' log abundance, nats (default: 1.5)",
    )
    group.add_argument(
        "--variation",
        type=float,
        metavar="X",
        help="its SD between samples of a group (default: 0.2)",
    )
    group.add_argument(
        "--changed",
        type=float,
        metavar="SHARE",
        help="genes that differ between groups (default: 0.2)",
    )
    group.add_argument(
        "--fold-changes", type=float, metavar="X", help="SD of their log2 fold changes (default: 1)"
    )


def _numbers(text: str) -> tuple[float, ...]:
    """Read numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}': give a number, or one for each group, separated by commas"
        ) from None


def main(argv: list[str]) -> int:
    """Run the command; give its exit status."""
    arguments = build_simulate_parser().parse_args(argv)
    with compiled_loops(say_line, quiet=arguments.quiet):
        idle = idle_in_simulate(arguments)
        options = _options(arguments)
        for line in idle:
            say_line(f"Warning: {line}")
        from counterbias.pipeline.simulate import simulate

        run = simulate(options, Messages(say_line, quiet=arguments.quiet))
    if not arguments.quiet:
        say_line(f"{len(run.files)} files are in {arguments.output}")
    return 0


def _options(arguments: Namespace) -> SimulationOptions:
    """Hand the arguments on, checked."""
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
        arguments.samples,
        arguments.groups,
        arguments.spread,
        arguments.variation,
        arguments.changed,
        arguments.fold_changes,
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
    """Describe the library."""
    from counterbias.simulation import Library

    paired = arguments.library == "paired"
    if not paired and arguments.unmapped_mates:
        raise InputError("--unmapped-mates needs a library of pairs")
    unmapped_mates = arguments.unmapped_mates if arguments.unmapped_mates is not None else 0.02
    return Library(
        arguments.pairs,
        arguments.read_length,
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
