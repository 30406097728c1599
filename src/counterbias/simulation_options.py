"""The options of ``counterbias simulate``: names, defaults, choices and limits.

Each is defined here once, for the command line and for Python alike. Nothing heavy is imported, so
that ``counterbias simulate --help`` answers at once. :mod:`counterbias.simulation`, which draws
what is designed here, exports the designs as well.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from counterbias import options
from counterbias.errors import InputError

#: Which ends of a fragment can be biased.
BIASED_ENDS = ("both", "read1")
#: How the BAM files are sorted; ``both`` makes two of each sample.
ORDERS = (*options.ORDERS, "both")
#: Bases of the shortest and the longest read that can be simulated.
SHORTEST_READ, LONGEST_READ = 20, 1000
#: Bases of a read that trimming must leave.
SHORTEST_TRIMMED = 10
#: Most fragments of a library: they are numbered in 32 bits.
MOST_FRAGMENTS = 2**31 - 1
#: Largest mean and standard deviation of fragment lengths, bases.
LARGEST_FRAGMENT_LENGTH = 1e5
#: Largest share of duplicates; above it, few distinct fragments would be left.
LARGEST_DUPLICATES = 0.9
#: Largest log factor, up or down, per 10 percentage points of GC content.
LARGEST_GC_BIAS = 10.0
#: Largest standard deviation of abundances (nats) and of fold changes (log2).
LARGEST_SPREAD = 10.0
#: Standard deviation of the log abundance of genes, nats.
ABUNDANCE_SPREAD = 1.5
#: Largest factor on a log bias.
LARGEST_STRENGTH = 100.0
#: Bases of the shortest contig that is simulated.
SHORTEST_CONTIG = 100
#: Most contigs of a simulated genome.
MOST_CONTIGS = 10_000
#: Bases of the largest genome that can be simulated.
LARGEST_GENOME = 10**11
#: Bases per gene of a simulated genome whose size is not given, and of its shortest contig.
BASES_PER_GENE, SHORTEST_DEFAULT_CONTIG = 10_000, 60_000


@dataclass(frozen=True, slots=True)
class Library:
    """How a library was made and sequenced.

    Args:
        fragments: number of read pairs or single reads (primary alignments).
        read_length: bases per read before trimming.
        paired: whether both ends of a fragment are sequenced.
        stranded: as for htseq-count: ``yes`` (read 1 on the gene's strand), ``reverse`` or ``no``.
        fragment_mean, fragment_sd: of the normal distribution of fragment lengths, truncated at
            ``read_length`` + ``trimmed``.
        biased_ends: whether ``both`` ends of a fragment are biased or only that of ``read1``.
        spliced_context: whether windows follow the transcript across splice sites, as primers do,
            or the genome.
        multi_mapped: share of the fragments that also have secondary alignments.
        unmapped_mate, unmapped: shares of the fragments with one unmapped read and with no mapped
            read.
        error_rate: substitutions per base.
        gc_bias: log factor (nats) on a fragment's probability per 10 percentage points of its GC
            content above one half.
        duplicates: share of the fragments that are copies of another one, 0 to 0.9: same
            transcript, ends and orientation.
        trimmed: bases cut off the 5' end of each read after sequencing; reads then start that many
            bases inside the fragment.
    """

    fragments: int
    read_length: int = 50
    paired: bool = True
    stranded: str = "no"
    fragment_mean: float = 220.0
    fragment_sd: float = 40.0
    biased_ends: str = "both"
    spliced_context: bool = True
    multi_mapped: float = 0.0
    unmapped_mate: float = 0.0
    unmapped: float = 0.0
    error_rate: float = 0.0
    gc_bias: float = 0.0
    duplicates: float = 0.0
    trimmed: int = 0

    def __post_init__(self) -> None:
        if self.stranded not in options.STRANDEDNESS or self.biased_ends not in BIASED_ENDS:
            raise InputError(
                "a library is stranded 'yes', 'no' or 'reverse',"
                " and its biased ends are 'both' or 'read1'"
            )
        if self.biased_ends == "read1" and self.stranded == "no":
            raise InputError("only a stranded library can have a bias of read 1 alone")
        if not SHORTEST_READ <= self.read_length <= LONGEST_READ:
            raise InputError(
                f"reads of {SHORTEST_READ} to {LONGEST_READ} bases can be simulated,"
                f" not of {self.read_length}"
            )
        if not 0 <= self.fragments <= MOST_FRAGMENTS:
            raise InputError(
                f"0 to {MOST_FRAGMENTS:,} fragments can be simulated, not {self.fragments:,}"
            )
        if not 0 <= self.trimmed <= self.read_length - SHORTEST_TRIMMED:
            raise InputError(
                f"{self.trimmed} bases cannot be cut off reads of {self.read_length}",
                remedy=f"leave at least {SHORTEST_TRIMMED} bases of each read",
            )
        self._check_rates()
        self._check_fragment_lengths()

    def _check_fragment_lengths(self) -> None:
        """Refuse fragments too short for the reads."""
        lengths = f"{self.fragment_mean:g} ± {self.fragment_sd:g} bases"
        largest = LARGEST_FRAGMENT_LENGTH
        if not (0.0 < self.fragment_sd <= largest and abs(self.fragment_mean) <= largest):
            raise InputError(
                f"fragments of {lengths} cannot be simulated",
                remedy=f"give a mean of at most {largest:g} and a standard deviation above 0",
            )
        longest = self.fragment_mean + 4 * self.fragment_sd
        if longest < self.shortest or not self._largest_density() > 0.0:
            raise InputError(
                f"fragments of {lengths} are shorter than reads of {self.read_length}",
                remedy="simulate longer fragments or shorter reads",
            )

    def _check_rates(self) -> None:
        """Refuse rates and effects out of range."""
        rates = {
            "multi-mapped": self.multi_mapped,
            "unmapped mates": self.unmapped_mate,
            "unmapped": self.unmapped,
            "errors": self.error_rate,
        }
        for name, rate in rates.items():
            if not 0.0 <= rate <= 1.0:
                raise InputError(
                    f"the rate of {name} is {rate:g}", remedy="give a number from 0 to 1"
                )
        if not 0.0 <= self.duplicates <= LARGEST_DUPLICATES:
            raise InputError(
                f"the rate of duplicates is {self.duplicates:g}",
                remedy=f"give a number from 0 to {LARGEST_DUPLICATES:g}",
            )
        if self.multi_mapped + self.unmapped + self.unmapped_mate > 1.0:
            raise InputError(
                "the rates of multi-mapped and of unmapped fragments add up to more than 1"
            )
        if not (abs(self.gc_bias) <= LARGEST_GC_BIAS):
            raise InputError(
                f"a GC bias of {self.gc_bias} cannot be simulated",
                remedy=f"give a number from {-LARGEST_GC_BIAS:g} to {LARGEST_GC_BIAS:g}",
            )

    def _largest_density(self) -> float:
        """Return the density of the likeliest fragment length, relative to that at the mean.

        It is 0 if it is too small for a double: then no length can be drawn.
        """
        likeliest = min(max(round(self.fragment_mean), self.shortest), self.longest)
        deviations = (likeliest - self.fragment_mean) / self.fragment_sd
        return math.exp(-0.5 * deviations * deviations)

    @property
    def aligned_length(self) -> int:
        """Bases per read after trimming."""
        return self.read_length - self.trimmed

    @property
    def shortest(self) -> int:
        """Bases of the shortest fragment; trimmed mates do not extend past each other's start."""
        return self.read_length + self.trimmed

    @property
    def longest(self) -> int:
        """Bases of the longest fragment."""
        return max(self.shortest, int(self.fragment_mean + 4 * self.fragment_sd))


@dataclass(frozen=True, slots=True)
class StudyDesign:
    """How the samples of a study differ.

    Args:
        samples: number of samples; the first samples belong to the first group.
        groups: number of groups.
        spread: standard deviation of the log abundance of genes, nats.
        variation: standard deviation of a gene's log abundance between samples of a group, nats.
        changed: share of the genes whose abundance differs between the first and another group.
        fold_change: standard deviation of their log2 fold change.
        switched: share of the genes with several transcripts whose transcripts have other shares in
            another group than in the first; the molecules of these genes do not change by it.
    """

    samples: int = 1
    groups: int = 1
    spread: float = ABUNDANCE_SPREAD
    variation: float = 0.2
    changed: float = 0.2
    fold_change: float = 1.0
    switched: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.groups <= self.samples:
            raise InputError(
                f"{self.samples} samples cannot be divided into {self.groups} groups",
                remedy="give each group at least one sample",
            )
        for name, share in (("changed", self.changed), ("switched", self.switched)):
            if not 0.0 <= share <= 1.0:
                raise InputError(
                    f"the share of {name} genes is {share:g}", remedy="give a number from 0 to 1"
                )
        for name, value in (
            ("spread", self.spread),
            ("variation", self.variation),
            ("fold change", self.fold_change),
        ):
            if not 0.0 <= value <= LARGEST_SPREAD:
                raise InputError(
                    f"the {name} is {value:g}",
                    remedy=f"give a number from 0 to {LARGEST_SPREAD:g}",
                )


@dataclass(frozen=True, slots=True)
class AnnotationDesign:
    """What simulated genes look like; lengths, in bases, are medians of log-normal distributions.

    Args:
        mean_exons: mean number of exons per gene (1 + a mixture of Poisson distributions).
        exon_length, last_exon_length: of inner and of last (3') exons.
        intron_length: of introns.
        second_isoform: share of the genes that have several transcripts.
        overlapping: share of the genes that start within the preceding gene.
        further_isoforms: mean number of transcripts that such a gene has beyond two (Poisson).
    """

    mean_exons: float = 5.0
    exon_length: float = 140.0
    last_exon_length: float = 600.0
    intron_length: float = 600.0
    second_isoform: float = 0.3
    overlapping: float = 0.08
    further_isoforms: float = 0.0


@dataclass(frozen=True, slots=True)
class GroupBias:
    """The bias of read starts in one group of samples.

    Args:
        model: ``builtin``, ``none`` or a model file.
        strength: factor on the log bias, from 0 to 100; 0 is no bias.

    Raises:
        InputError: for an empty name or a strength out of range.
    """

    model: str = "builtin"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not self.model:
            raise InputError(
                "--bias-model holds a bias without a name",
                remedy="give builtin, none or a model file for each group",
            )
        if not 0.0 <= self.strength <= LARGEST_STRENGTH:
            raise InputError(
                f"--strength is {self.strength:g}",
                remedy=f"give a number from 0 to {LARGEST_STRENGTH:g}",
            )

    @property
    def name(self) -> str:
        """The model's name in reports: a file without its folder."""
        return os.path.basename(self.model)


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """What ``counterbias simulate`` makes.

    Args:
        folder: where all files go; new or empty, unless ``force``.
        library, study, design: the design of reads, samples and simulated genes.
        genes, contigs: numbers of simulated genes and contigs.
        bases: size of the simulated genome, or None for one that fits the genes.
        genome, annotation: FASTA and GTF files to use instead of simulated ones.
        biases: of read starts, one per group; a single one applies to all groups.
        order: how BAM files are sorted: ``pos``, ``name`` or ``both``.
        fastq: whether reads and transcripts are also written as FASTQ and FASTA.
        seed: start of every random choice.
        threads: number of threads; the output does not depend on it.
        force: whether to write into a folder that is not empty.

    Raises:
        InputError: for values out of range or that exclude each other.
    """

    folder: Path
    library: Library
    study: StudyDesign = field(default_factory=StudyDesign)
    design: AnnotationDesign = field(default_factory=AnnotationDesign)
    genes: int = 400
    contigs: int = 4
    bases: int | None = None
    genome: str | None = None
    annotation: str | None = None
    biases: tuple[GroupBias, ...] = (GroupBias(),)
    order: str = "pos"
    fastq: bool = False
    seed: int = 1
    threads: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        if (self.genome is None) != (self.annotation is None):
            raise InputError("--genome and --annotation must be given together or not at all")
        if (
            self.genes < 1
            or not 1 <= self.contigs <= MOST_CONTIGS
            or self.seed < 0
            or self.threads < 1
        ):
            raise InputError(
                "genes, contigs and threads must be at least 1, and the seed at least 0"
            )
        if self.bases is not None:
            smallest = SHORTEST_CONTIG * self.contigs
            if not smallest <= self.bases <= LARGEST_GENOME:
                raise InputError(
                    f"a genome of {self.bases} bases cannot be simulated",
                    remedy=f"give at least {SHORTEST_CONTIG} for each contig",
                )
        if self.order not in ORDERS:
            raise InputError(
                f"reads cannot be sorted by '{self.order}'", remedy=f"choose {', '.join(ORDERS)}"
            )
        for name, share in (
            ("--isoforms", self.design.second_isoform),
            ("--overlapping", self.design.overlapping),
        ):
            if not 0.0 <= share <= 1.0:
                raise InputError(f"{name} is {share:g}", remedy="give a number from 0 to 1")
        self._check_biases()

    def _check_biases(self) -> None:
        """Refuse several biases unless there is one per group."""
        biases, groups = len(self.biases), self.study.groups
        if biases not in (1, groups):
            group = "group" if groups == 1 else "groups"
            raise InputError(
                f"--bias-model and --strength describe {biases} biases for {groups} {group}",
                remedy="give one bias for each group, in their order, or a single one for all",
            )

    @property
    def group_biases(self) -> tuple[GroupBias, ...]:
        """The bias of each group; a single one applies to all."""
        return self.biases * self.study.groups if len(self.biases) == 1 else self.biases

    @property
    def groups_differ_in_bias(self) -> bool:
        """Whether each group was given a bias; reports then name that of each."""
        return len(self.biases) > 1

    @property
    def contig_lengths(self) -> dict[str, int]:
        """Length of each contig of a simulated genome."""
        if self.bases is None:
            each = max(SHORTEST_DEFAULT_CONTIG, self.genes * BASES_PER_GENE // self.contigs)
        else:
            each = self.bases // self.contigs
        return {f"chr{number}": each for number in range(1, self.contigs + 1)}
