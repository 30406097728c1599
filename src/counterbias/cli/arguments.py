"""The options of ``counterbias count``: htseq-count's own, then ``--bias-…``.

htseq-count's options keep their names, choices, defaults and repeat semantics. argparse lets users abbreviate long
options, so every new option starts with ``--bias-``, a prefix that no htseq-count option shares: what was unambiguous in a
script stays so.
Hardly more than argparse is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from counterbias.cli.parser import QUIET, Parser
from counterbias.errors import InputError
from counterbias.options import CONTEXTS, DEVICES, SAMPLING_SCHEMES, WEIGHED_ENDS

if TYPE_CHECKING:
    from counterbias.options import AnnotationOptions, BiasOptions, CountingOptions, RunOptions

#: What ``--bias-counts`` may put into the main table.
MAIN_TABLES = ("raw", "weighted", "corrected", "rounded")


class CollectUnique(argparse.Action):
    """Collect the values of a repeated option, each once; the first value given displaces the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Take one value (see argparse)."""
        current = getattr(namespace, self.dest)
        known = [] if current is self.default else list(current)
        if values not in known:
            known.append(values)
        setattr(namespace, self.dest, known)


class ShowVersion(argparse.Action):
    """Print the bare version and stop, whether or not files are named."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Print it (see argparse)."""
        from counterbias import __version__
        from counterbias.writers.standard_output import write_standard_output

        write_standard_output(f"{__version__}\n")
        parser.exit()


def _window(text: str) -> str:
    """Check the form ``UPSTREAM,DOWNSTREAM``; the records' own Window is built later, at no cost to ``--help``."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) <= 127 for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not two numbers from 0 to 127, as in 10,10")
    return text


def _positive(text: str) -> int:
    """Read an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 1")
    return int(text)


def _seed(text: str) -> int:
    """Read an integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 0")
    return int(text)


def _cap(text: str) -> float:
    """Read a number of at least 1, or ``none``, which is infinity."""
    if text == "none":
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of at least 1 nor 'none'")
    return value


def _mean_and_sd(text: str) -> tuple[float, float]:
    """Read two numbers; which ones make sense is known to :class:`~counterbias.records.AssumedLengths`."""
    try:
        mean, sd = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not two numbers, as in 200,80") from None
    return mean, sd


def _setting(text: str) -> str:
    """Check the form ``key=value``."""
    key, equals, _ = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form key=value")
    return text


def build_count_parser(prog: str = "counterbias count") -> Parser:
    """Build the parser; usage errors end the program with status 2, as argparse does."""
    parser = Parser(
        prog=prog,
        description="Count reads per feature with htseq-count's options and output. With --bias-model, a table of counts "
        "corrected for sequence-specific bias is written as well.",
    )
    parser.add_argument(
        "--version",
        action=ShowVersion,
        nargs=0,
        default=argparse.SUPPRESS,
        help="print the version and stop",
    )
    add_files(parser)
    add_reads(parser.add_argument_group("reads"))
    add_features(parser.add_argument_group("features"))
    add_assignment(parser.add_argument_group("assignment"))
    add_output(parser.add_argument_group("output"))
    add_bias(parser.add_argument_group("bias"))
    return parser


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the alignment files and the annotation."""
    parser.add_argument(
        "samfilenames",
        metavar="alignments",
        nargs="+",
        help="SAM, BAM or CRAM files, one sample each; '-' reads from standard input",
    )
    parser.add_argument(
        "featuresfilename", metavar="annotation", help="GTF or GFF3 file, plain or gzipped"
    )


def add_reads(group: argparse._ArgumentGroup) -> None:
    """Add htseq-count's options on reads."""
    group.add_argument(
        "-f",
        "--format",
        dest="samtype",
        choices=("sam", "bam", "auto"),
        default="auto",
        help="accepted for old scripts; the format is always detected",
    )
    group.add_argument(
        "-r",
        "--order",
        choices=("pos", "name"),
        default="name",
        help="how paired-end files are sorted (default: name)",
    )
    group.add_argument(
        "--max-reads-in-buffer",
        dest="max_buffer_size",
        metavar="N",
        type=int,
        default=30000000,
        help="accepted for old scripts; mates are found in bounded memory whatever their distance",
    )
    group.add_argument(
        "-a",
        "--minaqual",
        metavar="MAPQ",
        type=int,
        default=10,
        help="leave out alignments whose mapping quality lies below this (default: 10)",
    )
    group.add_argument(
        "--secondary-alignments",
        choices=("score", "ignore"),
        default="ignore",
        help="what to do with alignments flagged 0x100 (default: ignore)",
    )
    group.add_argument(
        "--supplementary-alignments",
        choices=("score", "ignore"),
        default="ignore",
        help="what to do with alignments flagged 0x800 (default: ignore)",
    )


def add_features(group: argparse._ArgumentGroup) -> None:
    """Add htseq-count's options on features."""
    group.add_argument(
        "-t",
        "--type",
        dest="feature_type",
        metavar="TYPE",
        action=CollectUnique,
        default=["exon"],
        help="feature type (third column) to count; may be repeated (default: exon)",
    )
    group.add_argument(
        "-i",
        "--idattr",
        metavar="ATTRIBUTE",
        action=CollectUnique,
        default=["gene_id"],
        help="attribute that names the feature counted; when repeated, the values are joined by ':' (default: gene_id)",
    )
    group.add_argument(
        "--additional-attr",
        dest="additional_attributes",
        metavar="ATTRIBUTE",
        action="append",
        default=[],
        help="attribute to write in a column of its own beside the name; may be repeated",
    )
    group.add_argument(
        "--add-chromosome-info",
        action="store_true",
        help="write the feature's chromosome in a column of its own, after the additional attributes",
    )
    group.add_argument(
        "--feature-query",
        metavar="QUERY",
        default=None,
        help="keep only features with an attribute of this value, as in 'gene_name == \"ACTB\"'",
    )


def add_assignment(group: argparse._ArgumentGroup) -> None:
    """Add htseq-count's options on assignment."""
    group.add_argument(
        "-s",
        "--stranded",
        choices=("yes", "no", "reverse"),
        default="yes",
        help="whether reads tell the strand of their gene, and which: the same, none, or the opposite one (default: yes)",
    )
    group.add_argument(
        "-m",
        "--mode",
        choices=("union", "intersection-strict", "intersection-nonempty"),
        default="union",
        help="how the features under the bases of a read are combined (default: union)",
    )
    group.add_argument(
        "--nonunique",
        choices=("none", "all", "fraction", "random"),
        default="none",
        help="what reads with several alignments or several features add: nothing, one to each feature, equal shares, or one to "
        "a feature drawn at random (default: none)",
    )


def add_output(group: argparse._ArgumentGroup) -> None:
    """Add htseq-count's options on output."""
    group.add_argument(
        "-o",
        "--samout",
        dest="samouts",
        metavar="FILE",
        action="append",
        default=[],
        help="write every alignment with its feature in the tag XF; once per input file",
    )
    group.add_argument(
        "-p",
        "--samout-format",
        choices=("SAM", "BAM", "sam", "bam"),
        default="SAM",
        help="format of the files of -o (default: SAM)",
    )
    group.add_argument(
        "-d",
        "--delimiter",
        dest="output_delimiter",
        metavar="TEXT",
        default="\t",
        help="what stands between the columns of the table (default: a tab)",
    )
    group.add_argument(
        "-c",
        "--counts_output",
        dest="output_filename",
        metavar="FILE",
        default="",
        help="write the table to this file, not to standard output: .tsv, .csv, .mtx, .h5ad or .loom",
    )
    group.add_argument(
        "--counts-output-sparse",
        action="store_true",
        help="write a sparse matrix (.mtx, .h5ad, .loom)",
    )
    group.add_argument(
        "--append-output",
        dest="output_append",
        action="store_true",
        help="add the table to the end of a .tsv or .csv file that exists",
    )
    group.add_argument(
        "--with-header",
        action="store_true",
        help="start the table with a line that names the alignment files (.tsv, .csv, standard output)",
    )
    group.add_argument(
        "-n",
        "--nprocesses",
        metavar="N",
        type=int,
        default=1,
        help="number of alignment files to count at the same time (default: 1); see --bias-threads for one large file",
    )
    group.add_argument("-q", "--quiet", action="store_true", help=QUIET)


def add_bias(group: argparse._ArgumentGroup) -> None:
    """Add the options on the bias model. None stands for the default of :class:`~counterbias.pipeline.count.BiasOptions`."""
    group.add_argument(
        "--bias-model",
        metavar="NAME|FILE",
        default=None,
        help="learn a bias model of this kind (`counterbias models` lists them; `auto` chooses by the number of read starts), or use "
        "one that was saved (default: auto with --bias-output or --bias-counts, else none)",
    )
    group.add_argument(
        "--bias-prior",
        metavar="FILE",
        default=None,
        help="a saved model of other samples (`counterbias train`) to blend the fitted one with, in shares that held-out parts of the "
        "genome tell; for samples with few reads",
    )
    group.add_argument(
        "--bias-genome",
        metavar="FASTA",
        default=None,
        help="the genome; needed by bias models and CRAM files",
    )
    group.add_argument(
        "--bias-output",
        metavar="PREFIX",
        default=None,
        help="start of the names of the weighted table, the model and the quality report (default: the sample's name)",
    )
    group.add_argument(
        "--bias-window",
        metavar="UP,DOWN",
        type=_window,
        default=None,
        help="bases before and after a read's first base that a model sees (default: 10,10)",
    )
    group.add_argument(
        "--bias-option",
        metavar="KEY=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="an option of the bias model; may be repeated",
    )
    group.add_argument(
        "--bias-counts",
        choices=MAIN_TABLES,
        default="raw",
        help="which counts the main table holds (default: raw, as htseq-count writes them)",
    )
    group.add_argument(
        "--bias-threads",
        metavar="N",
        type=_positive,
        default=1,
        help="threads within one file; results do not depend on it (default: 1)",
    )
    group.add_argument(
        "--bias-device",
        choices=DEVICES,
        default=None,
        help="what the networks (cnn, gru, lstm) are trained on; auto is the processor unless a GPU is there and pays (default: auto)",
    )
    group.add_argument(
        "--bias-seed",
        metavar="N",
        type=_seed,
        default=None,
        help="start of every random choice (default: 1)",
    )
    group.add_argument(
        "--bias-sampling",
        choices=SAMPLING_SCHEMES,
        default=None,
        help="how windows are drawn for learning: the default scheme, that of the paper, or seqbias's (default: local)",
    )
    group.add_argument(
        "--bias-cap",
        metavar="X",
        type=_cap,
        default=None,
        help="a read weighs at most X times the median read; 'none' for no limit (default: 10)",
    )
    group.add_argument(
        "--bias-ends",
        choices=WEIGHED_ENDS,
        default=None,
        help="whether both reads of a pair give its weight and its feature's effective length, or the first alone (default: both)",
    )
    group.add_argument(
        "--bias-fragment-length",
        metavar="MEAN,SD",
        type=_mean_and_sd,
        default=None,
        help="mean and standard deviation of fragment lengths, bases, assumed where pairs do not show them, as for single-end reads "
        "(default: 200,80)",
    )
    group.add_argument(
        "--bias-context",
        choices=CONTEXTS,
        default=None,
        help="what a window holds beyond the edge of an exon: the genome, or the transcript's next exon (default: genome)",
    )
    group.add_argument(
        "--bias-contig-alias",
        metavar="FILE",
        default=None,
        help="two columns: a contig's name in the alignments, and its name in annotation and genome",
    )


def take_options(
    group: argparse._ArgumentGroup,
    add: Callable[[argparse._ArgumentGroup], None],
    *,
    only: Collection[str] = (),
    leave: Collection[str] = (),
) -> None:
    """Take over some of the options that a function of this module adds, as they are, for another command."""
    source = argparse.ArgumentParser(add_help=False).add_argument_group()
    add(source)
    for action in source._group_actions:
        names = set(action.option_strings)
        if names & set(only) or (not only and not names & set(leave)):
            group._add_action(action)


def check_standard_input(names: Sequence[str]) -> None:
    """Refuse alignments from a standard input that is closed, or asked for twice; raises InputError."""
    if names.count("-") > 1:
        raise InputError("standard input can be read only once", remedy="give '-' once")
    if "-" in names and sys.stdin is None:
        raise InputError(
            "standard input is closed", file="-", remedy="send the alignments there, or name a file"
        )


def annotation_arguments(arguments: argparse.Namespace) -> AnnotationOptions:
    """Gather what concerns the annotation."""
    from counterbias.options import AnnotationOptions

    return AnnotationOptions(
        path=arguments.featuresfilename,
        feature_types=tuple(arguments.feature_type),
        id_attributes=tuple(arguments.idattr),
        additional_attributes=tuple(arguments.additional_attributes),
        chromosome=arguments.add_chromosome_info,
        query=arguments.feature_query,
    )


def named_inputs(arguments: argparse.Namespace) -> list[tuple[str, str | None]]:
    """List the inputs that all commands on alignments have, each with what the user calls it, for ``check_inputs``."""
    inputs: list[tuple[str, str | None]] = [
        ("the alignments", name) for name in arguments.samfilenames
    ]
    inputs += [
        ("the annotation", arguments.featuresfilename),
        ("--bias-genome", arguments.bias_genome),
    ]
    return [*inputs, ("--bias-contig-alias", arguments.bias_contig_alias)]


def counting_options(arguments: argparse.Namespace) -> CountingOptions:
    """Gather what decides the feature of a fragment."""
    from counterbias.options import CountingOptions

    return CountingOptions(
        order=arguments.order,
        stranded=arguments.stranded,
        mode=arguments.mode,
        nonunique=arguments.nonunique,
        minaqual=arguments.minaqual,
        secondary_alignments=arguments.secondary_alignments,
        supplementary_alignments=arguments.supplementary_alignments,
        **({} if arguments.bias_seed is None else {"seed": arguments.bias_seed}),
    )


def bias_options(arguments: argparse.Namespace, model: str) -> BiasOptions:
    """Gather what concerns the bias model; what was not given, or is no option of the command, has its default."""
    from counterbias.options import AssumedLengths, BiasOptions
    from counterbias.records import Window

    names = (
        "prior",
        "sampling",
        "cap",
        "ends",
        "context",
        "seed",
        "threads",
        "device",
        "window",
        "fragment_length",
        "option",
    )
    given = {name: getattr(arguments, f"bias_{name}", None) for name in names}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    options = tuple(chosen.pop("option", ()))
    if "cap" in chosen and math.isinf(chosen["cap"]):
        chosen["cap"] = None
    if "window" in chosen:
        chosen["window"] = Window.parse(chosen["window"])
    if "fragment_length" in chosen:
        chosen["fragment_length"] = AssumedLengths(*chosen["fragment_length"])
    return BiasOptions(model=model, genome=arguments.bias_genome, model_options=options, **chosen)


def run_options(
    arguments: argparse.Namespace,
    command: Sequence[str],
    *,
    samples: Sequence[str],
    model: str | None,
) -> RunOptions:
    """Gather everything that a command on alignments is asked to do; ``model`` is the bias model.

    ``command`` is the command line, as it is recorded in reports.
    """
    from counterbias.options import RunOptions

    return RunOptions(
        alignments=tuple(arguments.samfilenames),
        samples=tuple(samples),
        annotation=annotation_arguments(arguments),
        counting=counting_options(arguments),
        bias=None if model is None else bias_options(arguments, model),
        reference=arguments.bias_genome,
        alias_file=arguments.bias_contig_alias,
        threads=arguments.bias_threads,
        command_line=shlex.join(["counterbias", *command]),
    )
