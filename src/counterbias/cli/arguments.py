"""htseq-count's options, for every command that counts reads.

They keep htseq-count's names, choices, defaults and repeat semantics. argparse lets users
abbreviate long options, so every option of our own starts with ``--bias-``, a prefix that no
htseq-count option shares: what was unambiguous in a script stays so. Hardly more than argparse is
imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from counterbias.cli.parser import QUIET, Option
from counterbias.options import (
    MODES,
    NONUNIQUE,
    NOT_PRIMARY,
    ORDERS,
    STRANDEDNESS,
    AnnotationOptions,
    CountingOptions,
)

_COUNTING = CountingOptions()
_ANNOTATION = AnnotationOptions("")


class CollectUnique(argparse._AppendAction):
    """Collect the values of a repeated option, each once; the first one replaces the default.

    As a kind of argparse's own action ``append``, it tells completion that it may be repeated.
    """

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


FILES = (
    Option(
        "samfilenames",
        metavar="alignments",
        nargs="+",
        help="SAM, BAM or CRAM files, one sample each; '-' reads from standard input",
    ),
    Option("featuresfilename", metavar="annotation", help="GTF or GFF3 file, plain or gzipped"),
)

READS = (
    Option(
        "-f",
        "--format",
        dest="samtype",
        choices=("sam", "bam", "auto"),
        default="auto",
        help="accepted for old scripts; the format is always detected",
    ),
    Option(
        "-r",
        "--order",
        choices=ORDERS,
        default=_COUNTING.order,
        help=f"how paired-end files are sorted (default: {_COUNTING.order})",
    ),
    Option(
        "--max-reads-in-buffer",
        dest="max_buffer_size",
        metavar="N",
        type=int,
        default=30000000,
        help="accepted for old scripts; mates are found in bounded memory, however far apart",
    ),
    Option(
        "-a",
        "--minaqual",
        metavar="MAPQ",
        type=int,
        default=_COUNTING.minaqual,
        help="leave out alignments whose mapping quality is below this "
        f"(default: {_COUNTING.minaqual})",
    ),
    Option(
        "--secondary-alignments",
        choices=NOT_PRIMARY,
        default=_COUNTING.secondary_alignments,
        help="what to do with alignments flagged 0x100 "
        f"(default: {_COUNTING.secondary_alignments})",
    ),
    Option(
        "--supplementary-alignments",
        choices=NOT_PRIMARY,
        default=_COUNTING.supplementary_alignments,
        help="what to do with alignments flagged 0x800 "
        f"(default: {_COUNTING.supplementary_alignments})",
    ),
)

FEATURE_TYPE = Option(
    "-t",
    "--type",
    dest="feature_type",
    metavar="TYPE",
    action=CollectUnique,
    default=list(_ANNOTATION.feature_types),
    help="feature type (third column) to count; may be repeated "
    f"(default: {', '.join(_ANNOTATION.feature_types)})",
)
ID_ATTRIBUTE = Option(
    "-i",
    "--idattr",
    metavar="ATTRIBUTE",
    action=CollectUnique,
    default=list(_ANNOTATION.id_attributes),
    help="attribute that names the feature counted; when repeated, the values are joined by ':' "
    f"(default: {', '.join(_ANNOTATION.id_attributes)})",
)
ADDITIONAL_ATTRIBUTE = Option(
    "--additional-attr",
    dest="additional_attributes",
    metavar="ATTRIBUTE",
    action="append",
    default=list(_ANNOTATION.additional_attributes),
    help="attribute to write in a further column, after the feature's name; may be repeated",
)
CHROMOSOME = Option(
    "--add-chromosome-info",
    action="store_true",
    help="write the feature's chromosome in a further column, after the additional attributes",
)
FEATURE_QUERY = Option(
    "--feature-query",
    metavar="QUERY",
    default=_ANNOTATION.query,
    help="keep only features with an attribute of this value, as in 'gene_name == \"ACTB\"'",
)
FEATURES = (FEATURE_TYPE, ID_ATTRIBUTE, ADDITIONAL_ATTRIBUTE, CHROMOSOME, FEATURE_QUERY)

ASSIGNMENT = (
    Option(
        "-s",
        "--stranded",
        choices=STRANDEDNESS,
        default=_COUNTING.stranded,
        help="whether the library is strand-specific: a read lies on the strand of its gene, on "
        f"either strand, or on the opposite strand (default: {_COUNTING.stranded})",
    ),
    Option(
        "-m",
        "--mode",
        choices=MODES,
        default=_COUNTING.mode,
        help="how the features that overlap the bases of a read are combined "
        f"(default: {_COUNTING.mode})",
    ),
    Option(
        "--nonunique",
        choices=NONUNIQUE,
        default=_COUNTING.nonunique,
        help="what a read with several alignments or several features adds: nothing, one to each "
        "feature, an equal share to each, or one to a feature drawn at random "
        f"(default: {_COUNTING.nonunique})",
    ),
)

OUTPUT = (
    Option(
        "-o",
        "--samout",
        dest="samouts",
        metavar="FILE",
        action="append",
        default=[],
        help="write every alignment with its feature in the tag XF; once per input file",
    ),
    Option(
        "-p",
        "--samout-format",
        choices=("SAM", "BAM", "sam", "bam"),
        default="SAM",
        help="format of the files of -o (default: SAM)",
    ),
    Option(
        "-d",
        "--delimiter",
        dest="output_delimiter",
        metavar="TEXT",
        default="\t",
        help="what separates the columns of the table (default: a tab)",
    ),
    Option(
        "-c",
        "--counts_output",
        dest="output_filename",
        metavar="FILE",
        default="",
        help="write the table to this file instead of standard output: .tsv, .csv, .mtx, .h5ad or "
        ".loom",
    ),
    Option(
        "--counts-output-sparse",
        action="store_true",
        help="write a sparse matrix (.mtx, .h5ad, .loom)",
    ),
    Option(
        "--append-output",
        dest="output_append",
        action="store_true",
        help="append the table to an existing .tsv or .csv file",
    ),
    Option(
        "--with-header",
        action="store_true",
        help="start the table with a line that names the alignment files (.tsv, .csv, standard "
        "output)",
    ),
    Option(
        "-n",
        "--nprocesses",
        metavar="N",
        type=int,
        default=1,
        help="number of alignment files to count at the same time (default: 1); for one large "
        "file, see --bias-threads",
    ),
    QUIET,
)


def annotation_options(arguments: argparse.Namespace) -> AnnotationOptions:
    """Return which lines of the annotation are features."""
    return AnnotationOptions(
        path=arguments.featuresfilename,
        feature_types=tuple(arguments.feature_type),
        id_attributes=tuple(arguments.idattr),
        additional_attributes=tuple(arguments.additional_attributes),
        chromosome=arguments.add_chromosome_info,
        query=arguments.feature_query,
    )


def counting_options(arguments: argparse.Namespace) -> CountingOptions:
    """Return how the feature of a fragment is decided."""
    return CountingOptions(
        order=arguments.order,
        stranded=arguments.stranded,
        mode=arguments.mode,
        nonunique=arguments.nonunique,
        minaqual=arguments.minaqual,
        secondary_alignments=arguments.secondary_alignments,
        supplementary_alignments=arguments.supplementary_alignments,
        seed=_COUNTING.seed if arguments.bias_seed is None else arguments.bias_seed,
        assigned=arguments.bias_assigned,
    )
