"""The options of all commands that read alignments: names, defaults, choices and limits.

Each is defined here once, for the command line and for Python alike. Nothing heavy is imported, so
that ``counterbias count --help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from counterbias.errors import InputError
from counterbias.window import Window

#: The devices on which models are fitted: processor, GPU, or a GPU if there is one that helps.
Device = Literal["cpu", "cuda", "auto"]
DEVICES: tuple[Device, ...] = get_args(Device)

#: What stands for a backend chosen by the number of read starts, and for no bias model.
AUTO, NONE = "auto", "none"

#: htseq-count's choices, in its order.
ORDERS = ("pos", "name")
STRANDEDNESS = ("yes", "no", "reverse")
MODES = ("union", "intersection-strict", "intersection-nonempty")
NONUNIQUE = ("none", "all", "fraction", "random")
#: Those of htseq-count-barcodes.
NONUNIQUE_BY_CELL = ("none", "all")
#: The treatment of secondary or supplementary alignments.
NOT_PRIMARY = ("score", "ignore")
#: The tags from which assignments may be taken: those in which a counter has written what became of
#: each alignment (featureCounts, htseq-count), and those that name the genes of a read and no more.
VERDICTS = XT, XF = ("XT", "XF")
GENES = ("GX", "GN")
ASSIGNED = (*VERDICTS, *GENES)

#: The Hamming distances within which UMIs can be merged; 0 merges none.
UMI_DISTANCES = (0, 1, 2)

#: How foreground and background windows are drawn: our scheme, that of the paper, of seqbias.
SAMPLING_SCHEMES = ("local", "paper", "seqbias")
#: Which reads of a pair determine its weight and its feature's effective length.
WEIGHED_ENDS = ("both", "first")
#: What a feature's effective length is that of: its merged blocks, or its transcripts.
LENGTHS = UNION, TRANSCRIPTS = ("union", "transcripts")
#: The type of the lines whose features have their transcripts' lengths unless other ones are named.
EXON = "exon"
#: What a window follows beyond the edge of an exon.
CONTEXTS = ("genome", "transcript")
#: How samples are weighted in a pooled model: equally, or by their reads.
POOLS = ("samples", "reads")
#: What names the samples of a cohort: their alignment files, or their tables.
SAMPLE_NAMES = ALIGNMENTS, TABLES = ("alignments", "tables")
#: The scale of true values: abundances, compared with FPKM, or counts.
TRUTH_SCALES = ("abundance", "counts")
#: Folds of a sample when models are compared, each held out in turn.
FOLDS = 5


@dataclass(frozen=True, slots=True)
class AnnotationOptions:
    """htseq-count's options that define the features and their attributes.

    Args:
        path: GTF or GFF3 file.
        feature_types: types (third column) that are counted.
        id_attributes: attributes whose values, joined by ``:``, name a feature.
        additional_attributes: attributes written next to the name, in this order, '' where a
            feature has none; one may be repeated. The last line of a feature counts.
        chromosome: whether a column ``Chromosome`` follows them.
        query: htseq-count's ``--feature-query``, or None.
    """

    path: str
    feature_types: tuple[str, ...] = (EXON,)
    id_attributes: tuple[str, ...] = ("gene_id",)
    additional_attributes: tuple[str, ...] = ()
    chromosome: bool = False
    query: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns between a feature's name and its counts."""
        extra = ("Chromosome",) if self.chromosome else ()
        return (*self.additional_attributes, *extra)


@dataclass(frozen=True, slots=True)
class CountingOptions:
    """htseq-count's options that decide which feature a fragment is counted for.

    Names and defaults are htseq-count's. ``seed`` matters to ``nonunique="random"`` only.

    Args:
        assigned: one of :data:`ASSIGNED`, the tag from which a fragment's features are taken; None
            for those that it overlaps.
    """

    order: str = "name"
    stranded: str = "yes"
    mode: str = "union"
    nonunique: str = "none"
    minaqual: int = 10
    secondary_alignments: str = "ignore"
    supplementary_alignments: str = "ignore"
    seed: int = 1
    assigned: str | None = None

    @property
    def by_verdicts(self) -> bool:
        """Whether a tag says what became of each alignment, so that nothing is left to decide."""
        return self.assigned in VERDICTS

    @property
    def primary_only(self) -> bool:
        """Whether only primary alignments are looked at."""
        return not self.by_verdicts and (
            self.secondary_alignments == self.supplementary_alignments == "ignore"
        )


@dataclass(frozen=True, slots=True)
class BarcodeOptions:
    """htseq-count-barcodes' options on cells and UMIs, with its defaults.

    Args:
        cell_tag: tag of the cell's barcode in the alignments.
        umi_tag: tag of the UMI.
        umi_distance: Hamming distance up to which a UMI is merged into one with more reads, one of
            :data:`UMI_DISTANCES`.
    """

    cell_tag: str = "CB"
    umi_tag: str = "UB"
    umi_distance: int = 0

    def __post_init__(self) -> None:
        """Refuse one tag for both.

        Raises:
            InputError: the tags are the same.
        """
        if self.cell_tag == self.umi_tag:
            raise InputError(
                f"cell and UMI cannot both be in the tag {self.cell_tag}",
                remedy="name two tags with --cell-barcode and --UMI",
            )


@dataclass(frozen=True, slots=True)
class AssumedLengths:
    """A normal distribution of fragment lengths, assumed where pairs do not show them.

    Args:
        mean: bases, 20 to 10,000.
        sd: standard deviation, bases, above 0 and at most ``mean``.

    Raises:
        InputError: the numbers are not finite, or lie beyond these limits.
    """

    mean: float = 200.0
    sd: float = 80.0

    def __post_init__(self) -> None:
        if not (20 <= self.mean <= 10_000 and 0 < self.sd <= self.mean):  # NaN is refused as well
            raise InputError(
                f"fragments of {self.mean:g} ± {self.sd:g} bases cannot be assumed",
                remedy="give a mean from 20 to 10000 and a standard deviation above 0 and at most "
                "the mean, as in 200,80",
            )


@dataclass(frozen=True, slots=True)
class BiasOptions:
    """The options ``--bias-…``: the model, how it is fitted, and how reads are weighted with it.

    Args:
        model: name of a backend, ``auto``, or a model file; ``none`` to measure lengths without
            one; empty in ``compare``, whose models are in :class:`CompareOptions`.
        genome: FASTA file; empty where the model is ``none``.
        window: the window; None for the default, or that of a model file.
        model_options: ``key=value`` texts for the backend.
        sampling: one of :data:`SAMPLING_SCHEMES`.
        cap: a weight is at most this many times the median weight; None for no limit.
        ends: one of :data:`WEIGHED_ENDS`.
        context: one of :data:`CONTEXTS`.
        seed: seed of every random choice.
        threads: threads for fitting and scoring.
        device: what networks are fitted on, one of :data:`DEVICES`.
        prior: model file of other samples to blend the fitted model with, or None.
        fragment_length: fragment lengths assumed where pairs do not show them; None for the
            default.
        lengths: one of :data:`LENGTHS`; None for ``transcripts`` where features are made of whole
            transcripts, whose exons the annotation names, and ``union`` elsewhere.
    """

    model: str
    genome: str = ""
    window: Window | None = None
    model_options: tuple[str, ...] = ()
    sampling: str = "local"
    cap: float | None = 10.0
    ends: str = "both"
    context: str = "genome"
    seed: int = 1
    threads: int = 1
    device: Device = "auto"
    prior: str | None = None
    fragment_length: AssumedLengths | None = None
    lengths: str | None = None

    @property
    def lengths_alone(self) -> bool:
        """Whether lengths are measured without a bias model."""
        return self.model == NONE


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options common to all commands that read alignments.

    Args:
        alignments: BAM, SAM or CRAM files, one sample each; ``-`` is standard input.
        samples: the samples' names, one per file.
        annotation: which features are counted.
        counting: how reads are counted for them.
        bias: the bias model and the lengths; None to count only.
        reference: FASTA file for CRAM, or None.
        alias_file: table of contig names in the alignments and in annotation and genome, or None.
        threads: threads within one file. No result depends on them.
        command_line: recorded in reports.
        barcodes: how cells and UMIs are told apart; None where fragments are counted.
    """

    alignments: tuple[str, ...]
    samples: tuple[str, ...]
    annotation: AnnotationOptions
    counting: CountingOptions = field(default_factory=CountingOptions)
    bias: BiasOptions | None = None
    reference: str | None = None
    alias_file: str | None = None
    threads: int = 1
    command_line: str = ""
    barcodes: BarcodeOptions | None = None

    @property
    def transcripts_wanted(self) -> bool:
        """Whether effective lengths are to be those of transcripts, if the annotation has them."""
        if self.bias is None or self.bias.lengths == UNION:
            return False
        return self.bias.lengths is not None or self.annotation.feature_types == (EXON,)

    def with_lengths(self, method: str) -> RunOptions:
        """Return the same with effective lengths by ``method``, one of :data:`LENGTHS`."""
        assert self.bias is not None
        return replace(self, bias=replace(self.bias, lengths=method))


@dataclass(frozen=True, slots=True)
class TaggedOutput:
    """A file to write alignments to with their features (``-o``): its path, and SAM or BAM."""

    path: str
    format: str = "SAM"


@dataclass(frozen=True, slots=True)
class BiasExtras:
    """What the bias stages of a sample make only where it is asked for.

    Args:
        read_weights: whether weights of single reads and fragments are needed (``-o``,
            ``count-barcodes``).
        tracks: start of the names of bigWig files of the expected bias; None for none.
    """

    read_weights: bool = False
    tracks: str | None = None


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How ``train`` pools samples.

    Args:
        pool: one of :data:`POOLS`.
        own: whether each sample's own model is fitted too, for comparison.
    """

    pool: str = "reads"
    own: bool = True


@dataclass(frozen=True, slots=True)
class TruthOptions:
    """A table of true values, and how it is joined with the features.

    Args:
        path: the table.
        columns: its column for each sample, or one for all.
        identifier: its column of identifiers; None for the first one.
        attribute: the features' attribute that the identifiers are; None for the features' names.
        scale: one of :data:`TRUTH_SCALES`.
    """

    path: str
    columns: tuple[str, ...]
    identifier: str | None = None
    attribute: str | None = None
    scale: str = "abundance"


#: Most genes along which ``compare`` draws read starts.
MOST_GENES = 20


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What ``compare`` compares, and how.

    Args:
        models: backends, with options or without, and model files; empty for every installed
            backend.
        windows: the windows to compare.
        folds, seeds: the trials: folds held out in turn, and seeds of each.
        groups: group of each sample; empty for none.
        truth: true values, or None.
        cache: folder of results.
        fresh: whether to ignore results found there and compute everything anew.
        genes: identifiers of features, or of transcripts, along which read starts are drawn; at
            most :data:`MOST_GENES`.
    """

    models: tuple[str, ...] = ()
    windows: tuple[Window, ...] = (Window(),)
    folds: tuple[int, ...] = tuple(range(FOLDS))
    seeds: tuple[int, ...] = (1, 2)
    groups: tuple[str, ...] = ()
    truth: TruthOptions | None = None
    cache: str = "cache"
    fresh: bool = False
    genes: tuple[str, ...] = ()
