"""htseq-count-barcodes' options where they are others than htseq-count's."""

from __future__ import annotations

import argparse
import re

from counterbias.cli import arguments as counting
from counterbias.cli.parser import QUIET, Option
from counterbias.options import (
    NONUNIQUE_BY_CELL,
    UMI_DISTANCES,
    BarcodeOptions,
    CountingOptions,
)

_BARCODES, _COUNTING = BarcodeOptions(), CountingOptions()
#: A tag's name (SAMv1, section 1.5).
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9]")
#: htseq-count's options that htseq-count-barcodes has with fewer choices, with other names, or not
#: at all.
_DIFFERENT = ("--nonunique", "--samout", "--counts-output-sparse", "--append-output",
              "--with-header", "--nprocesses", "--feature-query")  # fmt: skip


def _tag(text: str) -> str:
    """Check the name of a tag."""
    if not _TAG.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not the name of a tag: a letter, then a letter or digit, as in CB"
        )
    return text


def _same(options: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return those of htseq-count's options that are the same."""
    return tuple(option for option in options if not set(option.names) & set(_DIFFERENT))


FILES = (
    Option(
        "samfilenames",
        metavar="alignments",
        nargs=1,
        help="SAM, BAM or CRAM file of all cells; '-' reads from standard input",
    ),
    counting.FILES[1],
)
FEATURES = _same(counting.FEATURES)
ASSIGNMENT = (
    *_same(counting.ASSIGNMENT),
    Option(
        "--nonunique",
        choices=NONUNIQUE_BY_CELL,
        default=_COUNTING.nonunique,
        help="what a read with several alignments or several features adds: nothing, or one to "
        f"each feature (default: {_COUNTING.nonunique})",
    ),
)
BARCODES = (
    Option(
        "--cell-barcode",
        dest="cell_tag",
        metavar="TAG",
        type=_tag,
        default=_BARCODES.cell_tag,
        help=f"tag that holds the cell's barcode (default: {_BARCODES.cell_tag})",
    ),
    Option(
        "--UMI",
        dest="umi_tag",
        metavar="TAG",
        type=_tag,
        default=_BARCODES.umi_tag,
        help=f"tag that holds the UMI (default: {_BARCODES.umi_tag})",
    ),
    Option(
        "--correct-UMI-distance",
        dest="umi_distance",
        type=int,
        choices=UMI_DISTANCES,
        default=_BARCODES.umi_distance,
        help="merge a UMI into one of the same cell that has more reads and differs in at most so "
        f"many bases (default: {_BARCODES.umi_distance}, none is merged)",
    ),
)
OUTPUT = (
    Option(
        "-o",
        "--samout",
        dest="samouts",
        metavar="FILE",
        nargs=1,
        default=[],
        help="write every alignment with its feature in the tag XF",
    ),
    *(option for option in _same(counting.OUTPUT) if option is not QUIET),
    Option(
        "--counts_output_sparse",
        "--counts-output-sparse",
        action="store_true",
        help="write a sparse matrix (.mtx, .h5ad)",
    ),
    QUIET,
)
#: What other commands that count ask for, and this one does not have.
ABSENT = {"feature_query": None, "output_append": False, "with_header": True}


def barcode_options(arguments: argparse.Namespace) -> BarcodeOptions:
    """Return how cells and UMIs are told apart. Raises InputError."""
    return BarcodeOptions(arguments.cell_tag, arguments.umi_tag, arguments.umi_distance)
