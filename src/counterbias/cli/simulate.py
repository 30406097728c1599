"""``counterbias simulate``: reads with a known bias and a known abundance, and their truth."""

from __future__ import annotations

import argparse
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from counterbias.cli.idle_options import idle_in_simulate
from counterbias.cli.parser import QUIET, VERSION, Option, Parser
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import write_line
from counterbias.errors import InputError
from counterbias.inputs import check_inputs
from counterbias.messages import Messages
from counterbias.options import STRANDEDNESS
from counterbias.simulation_options import (
    BASES_PER_GENE,
    BIASED_ENDS,
    LARGEST_DUPLICATES,
    ORDERS,
    GroupBias,
    Library,
    SimulationOptions,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Dataclass = TypeVar("_Dataclass", bound="DataclassInstance")

#: The defaults of all options. A Library has no size and no imperfections unless it is given them,
#: so that tests and benchmarks add only what they examine. That of the command is as large as a
#: small real one, and some of its reads are multi-mapped, unmapped or wrong, as real ones are.
_DEFAULTS = SimulationOptions(
    Path(),
    Library(
        fragments=1_000_000,
        multi_mapped=0.03,
        unmapped_mate=0.02,
        unmapped=0.02,
        error_rate=0.002,
    ),
)
_LIBRARY, _STUDY, _GENES = _DEFAULTS.library, _DEFAULTS.study, _DEFAULTS.design
_BIAS = GroupBias()
#: ``Library.paired`` → choice of ``--library``.
_LAYOUTS = {True: "paired", False: "single"}
#: Options on a simulated genome, which are refused for a genome of one's own.
_ON_SIMULATED = ("genes", "contigs", "bases", "isoforms", "overlapping")
#: Options that are passed on as they are.
_PASSED_ON = (
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
        default=_DEFAULTS.seed,
        metavar="N",
        help="seed of every random choice (default: %(default)s)",
    ),
    Option(
        "--threads",
        type=int,
        default=_DEFAULTS.threads,
        metavar="N",
        help="threads; the output does not depend on it (default: %(default)s)",
    ),
    QUIET,
)

GENES = (
    Option(
        "--genes",
        type=int,
        metavar="N",
        help=f"genes of a simulated genome (default: {_DEFAULTS.genes})",
    ),
    Option(
        "--contigs",
        type=int,
        metavar="N",
        help=f"contigs of a simulated genome (default: {_DEFAULTS.contigs})",
    ),
    Option(
        "--bases",
        type=int,
        metavar="N",
        help=f"size of a simulated genome (default: {BASES_PER_GENE} for each gene)",
    ),
    Option(
        "--isoforms",
        type=float,
        metavar="SHARE",
        help=f"simulated genes with two transcripts (default: {_GENES.second_isoform})",
    ),
    Option(
        "--overlapping",
        type=float,
        metavar="SHARE",
        help="simulated genes that begin within the preceding gene "
        f"(default: {_GENES.overlapping})",
    ),
    Option("--genome", metavar="FASTA", help="a genome of your own, with --annotation"),
    Option("--annotation", metavar="GTF", help="an annotation of your own, with --genome"),
)

BIAS = (
    Option(
        "--bias-model",
        default=_BIAS.model,
        metavar="builtin|none|FILE[,…]",
        help="bias of read starts: that of random hexamers, none, or that of a model file; one for "
        "all groups, or one per group, separated by commas (default: %(default)s)",
    ),
    Option(
        "--strength",
        type=_numbers,
        metavar="X[,…]",
        help="factor on the log bias, for all groups or one per group "
        f"(default: {_BIAS.strength:g})",
    ),
    Option(
        "--biased-ends",
        choices=BIASED_ENDS,
        help=f"ends of a fragment that are biased (default: {_LIBRARY.biased_ends})",
    ),
    Option(
        "--gc-bias",
        type=float,
        default=_LIBRARY.gc_bias,
        metavar="X",
        help="log factor per 10 points of a fragment's GC content (default: %(default)g)",
    ),
)

LIBRARY = (
    Option(
        "--pairs",
        type=int,
        default=_LIBRARY.fragments,
        metavar="N",
        help="pairs, or single reads, per sample (default: %(default)s)",
    ),
    Option(
        "--library",
        choices=tuple(_LAYOUTS.values()),
        default=_LAYOUTS[_LIBRARY.paired],
        help="paired-end or single-end reads (default: %(default)s)",
    ),
    Option(
        "--stranded",
        choices=STRANDEDNESS,
        default=_LIBRARY.stranded,
        help="strand of read 1, as for `counterbias count --stranded` (default: %(default)s)",
    ),
    Option(
        "--read-length",
        type=int,
        default=_LIBRARY.read_length,
        metavar="N",
        help="bases per read (default: %(default)s)",
    ),
    Option(
        "--fragment-mean",
        type=float,
        default=_LIBRARY.fragment_mean,
        metavar="X",
        help="mean fragment length (default: %(default)g)",
    ),
    Option(
        "--fragment-sd",
        type=float,
        default=_LIBRARY.fragment_sd,
        metavar="X",
        help="standard deviation of fragment lengths (default: %(default)g)",
    ),
    Option(
        "--errors",
        type=float,
        default=_LIBRARY.error_rate,
        metavar="RATE",
        help="substitutions per base (default: %(default)g)",
    ),
    Option(
        "--multimapped",
        type=float,
        default=_LIBRARY.multi_mapped,
        metavar="SHARE",
        help="fragments with several alignments (default: %(default)g)",
    ),
    Option(
        "--unmapped",
        type=float,
        default=_LIBRARY.unmapped,
        metavar="SHARE",
        help="fragments that are not aligned (default: %(default)g)",
    ),
    Option(
        "--unmapped-mates",
        type=float,
        metavar="SHARE",
        help="pairs with one read unmapped "
        f"(default: {_LIBRARY.unmapped_mate}; single reads have none)",
    ),
    Option(
        "--duplicates",
        type=float,
        default=_LIBRARY.duplicates,
        metavar="RATE",
        help=f"fragments that are copies, 0 to {LARGEST_DUPLICATES:g} (default: %(default)g)",
    ),
    Option(
        "--trim",
        type=int,
        default=_LIBRARY.trimmed,
        metavar="N",
        help="bases trimmed from each read's 5' end (default: %(default)s)",
    ),
)

STUDY = (
    Option(
        "--samples",
        type=int,
        default=_STUDY.samples,
        metavar="N",
        help="samples of one genome (default: %(default)s)",
    ),
    Option(
        "--groups",
        type=int,
        default=_STUDY.groups,
        metavar="N",
        help="groups that the samples are split into (default: %(default)s)",
    ),
    Option(
        "--spread",
        type=float,
        default=_STUDY.spread,
        metavar="X",
        help="SD of genes' log abundance, nats (default: %(default)g)",
    ),
    Option(
        "--variation",
        type=float,
        metavar="X",
        help="SD of a gene's log abundance between samples of a group "
        f"(default: {_STUDY.variation})",
    ),
    Option(
        "--changed",
        type=float,
        metavar="SHARE",
        help=f"genes that differ between groups (default: {_STUDY.changed})",
    ),
    Option(
        "--fold-changes",
        type=float,
        metavar="X",
        help=f"SD of the log2 fold changes of these genes (default: {_STUDY.fold_change:g})",
    ),
    Option(
        "--switched",
        type=float,
        metavar="SHARE",
        help="genes with several transcripts whose transcripts' shares differ between groups "
        f"(default: {_STUDY.switched:g})",
    ),
)

FILES = (
    Option(
        "--order",
        choices=ORDERS,
        default=_DEFAULTS.order,
        help="how BAM files are sorted (default: %(default)s)",
    ),
    Option(
        "--fastq",
        action="store_true",
        help="write FASTQ files and the transcripts' sequences as well",
    ),
)


def build_simulate_parser(prog: str = "counterbias simulate") -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog=prog,
        description="Simulate RNA-seq reads with a known bias and a known abundance; write them "
        "and the truth to a folder.",
        allow_abbrev=False,
    )
    parser.add_options((VERSION, *RUN))
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
    from counterbias.pipeline.simulate.biases import read_biases

    if not arguments.output:
        raise InputError("-o needs the name of a folder")
    models = [
        ("--bias-model", name)
        for name in dict.fromkeys([arguments.bias_model, *arguments.bias_model.split(",")])
    ]
    check_inputs([("--genome", arguments.genome), ("--annotation", arguments.annotation), *models])
    if arguments.genome or arguments.annotation:
        for name in _ON_SIMULATED:
            if getattr(arguments, name) is not None:
                raise InputError(
                    f"--{name} is for simulated genomes",
                    remedy="leave it out, or leave --genome and --annotation out",
                )
    study = _with_given(
        _STUDY,
        samples=arguments.samples,
        groups=arguments.groups,
        spread=arguments.spread,
        variation=arguments.variation,
        changed=arguments.changed,
        fold_change=arguments.fold_changes,
        switched=arguments.switched,
    )
    strengths = (_BIAS.strength,) if arguments.strength is None else arguments.strength
    return _with_given(
        _DEFAULTS,
        folder=Path(arguments.output),
        library=_library(arguments),
        study=study,
        design=_with_given(
            _GENES, second_isoform=arguments.isoforms, overlapping=arguments.overlapping
        ),
        biases=read_biases(arguments.bias_model, strengths),
        **{name: getattr(arguments, name) for name in _PASSED_ON},
    )


def _library(arguments: Namespace) -> Library:
    """Return how the library is made and sequenced. Raises InputError."""
    paired = arguments.library == _LAYOUTS[True]
    if not paired and arguments.unmapped_mates:
        raise InputError("--unmapped-mates needs a library of pairs")
    return _with_given(
        _LIBRARY,
        fragments=arguments.pairs,
        read_length=arguments.read_length,
        paired=paired,
        stranded=arguments.stranded,
        fragment_mean=arguments.fragment_mean,
        fragment_sd=arguments.fragment_sd,
        biased_ends=arguments.biased_ends,
        multi_mapped=arguments.multimapped,
        unmapped_mate=arguments.unmapped_mates if paired else 0.0,
        unmapped=arguments.unmapped,
        error_rate=arguments.errors,
        gc_bias=arguments.gc_bias,
        duplicates=arguments.duplicates,
        trimmed=arguments.trim,
    )


def _with_given(defaults: _Dataclass, **values: Any) -> _Dataclass:
    """Return a copy of ``defaults`` that holds those values that are not None."""
    return replace(defaults, **{name: value for name, value in values.items() if value is not None})
