"""The options ``--bias-…``: the bias model, how it is fitted, and how reads are weighted.

Most are None unless given, so that a command knows which were; :class:`~counterbias.options.\
BiasOptions` holds the defaults.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

from counterbias.cli.parser import Option
from counterbias.options import (
    ASSIGNED,
    CONTEXTS,
    DEVICES,
    EXON,
    LENGTHS,
    NONE,
    SAMPLING_SCHEMES,
    WEIGHED_ENDS,
    AssumedLengths,
    BiasOptions,
)
from counterbias.window import WIDEST, Window

#: What ``--bias-counts`` may put into the main table.
MAIN_TABLES = ("raw", "weighted", "corrected", "rounded")

_BIAS = BiasOptions("")
_ASSUMED = AssumedLengths()
#: Most bases on either side of a read start.
_MOST_BASES = WIDEST // 2


def _window(text: str) -> Window:
    """Read ``UPSTREAM,DOWNSTREAM``."""
    parts = text.split(",")
    if len(parts) != 2 or not all(
        part.strip().isdecimal() and int(part) <= _MOST_BASES for part in parts
    ):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not two numbers from 0 to {_MOST_BASES}, as in {Window()}"
        )
    return Window(int(parts[0]), int(parts[1]))


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
    if not 1 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of at least 1 nor 'none'")
    return value


def _mean_and_sd(text: str) -> tuple[float, float]:
    """Read two numbers; which are plausible, :class:`~counterbias.options.AssumedLengths` knows."""
    try:
        mean, sd = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not two numbers, as in {_ASSUMED.mean:g},{_ASSUMED.sd:g}"
        ) from None
    return mean, sd


def _setting(text: str) -> str:
    """Check the form ``key=value``."""
    key, equals, _ = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form key=value")
    return text


MODEL = Option(
    "--bias-model",
    metavar="NAME|FILE",
    default=None,
    help="the bias model: a backend to fit (`counterbias models` lists them; `auto` chooses one "
    f"by the number of read starts), the file of a saved model, or {NONE} (default: auto with "
    f"--bias-output, --bias-bigwig, --bias-prior or --bias-counts, otherwise {NONE})",
)
PRIOR = Option(
    "--bias-prior",
    metavar="FILE",
    default=None,
    help="a saved model of other samples (`counterbias train`) to blend the fitted one with, in "
    "proportions chosen on held-out parts of the genome; for samples with few reads",
)
GENOME = Option(
    "--bias-genome",
    metavar="FASTA",
    default=None,
    help="the genome; needed by bias models and CRAM files",
)
PREFIX = Option(
    "--bias-output",
    metavar="PREFIX",
    default=None,
    help="start of the names of the weighted table, the model, the isoforms and the quality report "
    "(default: the sample's name)",
)
BIGWIG = Option(
    "--bias-bigwig",
    metavar="PREFIX",
    default=None,
    help="write the bias of read starts along the exons as bigWig files for a genome browser: log2 "
    "of it, by the strand of the read (PREFIX.forward.bw and PREFIX.reverse.bw, or "
    "PREFIX.read1.forward.bw and so on where reads 1 and 2 have a model each)",
)
WINDOW = Option(
    "--bias-window",
    metavar="UP,DOWN",
    type=_window,
    default=None,
    help=f"bases before and after a read's first base that a model sees (default: {Window()})",
)
MODEL_OPTION = Option(
    "--bias-option",
    metavar="KEY=VALUE",
    type=_setting,
    action="append",
    default=[],
    help="an option of the bias model; may be repeated",
)
COUNTS = Option(
    "--bias-counts",
    choices=MAIN_TABLES,
    default=MAIN_TABLES[0],
    help="which counts the main table holds "
    f"(default: {MAIN_TABLES[0]}, as htseq-count writes them)",
)
THREADS = Option(
    "--bias-threads",
    metavar="N",
    type=_positive,
    default=_BIAS.threads,
    help=f"threads within one file; results do not depend on it (default: {_BIAS.threads})",
)
DEVICE = Option(
    "--bias-device",
    choices=DEVICES,
    default=None,
    help="where networks are trained; auto is the processor for cnn, gru and lstm, and a GPU, if "
    f"there is one, for networks that need torch anyway (default: {_BIAS.device})",
)
SEED = Option(
    "--bias-seed",
    metavar="N",
    type=_seed,
    default=None,
    help=f"seed of every random choice (default: {_BIAS.seed})",
)
SAMPLING = Option(
    "--bias-sampling",
    choices=SAMPLING_SCHEMES,
    default=None,
    help="how windows are drawn for training: our own scheme, that of the paper, or seqbias's "
    f"(default: {_BIAS.sampling})",
)
CAP = Option(
    "--bias-cap",
    metavar="X",
    type=_cap,
    default=None,
    help="a read weighs at most X times the median read; 'none' for no limit "
    f"(default: {_BIAS.cap or math.inf:g})",
)
ENDS = Option(
    "--bias-ends",
    choices=WEIGHED_ENDS,
    default=None,
    help="which reads of a pair determine its weight and its feature's effective length: both, or "
    f"the first alone (default: {_BIAS.ends})",
)
FRAGMENT_LENGTH = Option(
    "--bias-fragment-length",
    metavar="MEAN,SD",
    type=_mean_and_sd,
    default=None,
    help="mean and standard deviation, in bases, of the fragment lengths assumed where pairs do "
    f"not show them, as in single-end data (default: {_ASSUMED.mean:g},{_ASSUMED.sd:g})",
)
LENGTH_METHOD = Option(
    "--bias-lengths",
    choices=LENGTHS,
    default=None,
    help="what a feature's effective length is that of: the union of its exons, or its "
    "transcripts, whose shares are estimated from the reads counted for it; without a bias model, "
    "lengths alone are measured (default: transcripts where each lies whole in one feature of type "
    f"{EXON}, and union elsewhere)",
)
CONTEXT = Option(
    "--bias-context",
    choices=CONTEXTS,
    default=None,
    help="what a window follows beyond the edge of an exon: the genome, or the transcript's next "
    f"exon (default: {_BIAS.context})",
)
ASSIGNED_TAG = Option(
    "--bias-assigned",
    choices=ASSIGNED,
    default=None,
    help="count what another program has assigned the alignments to, as it stands in their tags, "
    "instead of what they overlap: XT (and XS) of featureCounts -R BAM, XF of htseq-count -o, GX "
    "or GN of STARsolo and Cell Ranger; the annotation must be that program's",
)
CONTIG_ALIAS = Option(
    "--bias-contig-alias",
    metavar="FILE",
    default=None,
    help="two columns: a contig's name in the alignments, and its name in annotation and genome",
)

#: The options on bias of the commands that count.
BIAS = (
    MODEL,
    PRIOR,
    GENOME,
    PREFIX,
    BIGWIG,
    WINDOW,
    MODEL_OPTION,
    COUNTS,
    ASSIGNED_TAG,
    THREADS,
    DEVICE,
    SEED,
    SAMPLING,
    CAP,
    ENDS,
    LENGTH_METHOD,
    FRAGMENT_LENGTH,
    CONTEXT,
    CONTIG_ALIAS,
)

#: Options that are fields of :class:`~counterbias.options.BiasOptions` of the same name.
_FIELDS = (
    "window",
    "sampling",
    "cap",
    "ends",
    "context",
    "seed",
    "threads",
    "device",
    "prior",
    "fragment_length",
    "lengths",
)


def bias_options(arguments: argparse.Namespace, model: str) -> BiasOptions:
    """Return the options on the bias model ``model``. Raises InputError.

    What was not given, or is no option of the command, has its default.
    """
    given: dict[str, Any] = {
        name: value
        for name in _FIELDS
        if (value := getattr(arguments, f"bias_{name}", None)) is not None
    }
    if given.get("cap") == math.inf:
        given["cap"] = None
    if "fragment_length" in given:
        given["fragment_length"] = AssumedLengths(*given["fragment_length"])
    return BiasOptions(
        model=model,
        genome="" if model == NONE else arguments.bias_genome,
        model_options=tuple(getattr(arguments, "bias_option", ())),
        **given,
    )
