"""The design of a simulated library: how its fragments are made and how they are sequenced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.options import STRANDEDNESS

#: Which ends of a fragment can be biased.
BIASED_ENDS = ("both", "read1")
#: Bases of the shortest and the longest read that can be simulated.
SHORTEST_READ, LONGEST_READ = 20, 1000
#: Bases of a read that trimming must leave.
SHORTEST_TRIMMED = 10
#: Largest share of duplicates; above it, few distinct fragments would be left.
LARGEST_DUPLICATES = 0.9
#: Steps of a fragment's GC content in which its effect is tabulated.
GC_STEPS = 1000


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
        if self.stranded not in STRANDEDNESS or self.biased_ends not in BIASED_ENDS:
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
        if not 0 <= self.fragments < 2**31:
            raise InputError(
                f"0 to {2**31 - 1:,} fragments can be simulated, not {self.fragments:,}"
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
        if not (0.0 < self.fragment_sd <= 1e5 and abs(self.fragment_mean) <= 1e5):
            raise InputError(
                f"fragments of {lengths} cannot be simulated",
                remedy="give a mean of at most 100000 and a standard deviation above 0",
            )
        longest = self.fragment_mean + 4 * self.fragment_sd
        if longest < self.shortest or not self._density().sum() > 0.0:
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
        if not (abs(self.gc_bias) <= 10.0):
            raise InputError(
                f"a GC bias of {self.gc_bias} cannot be simulated",
                remedy="give a number from -10 to 10",
            )

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

    def _density(self) -> NDArray[np.float64]:
        """Return the probabilities of fragment lengths up to a factor."""
        lengths = np.arange(self.longest + 1)
        density = np.exp(-0.5 * ((lengths - self.fragment_mean) / self.fragment_sd) ** 2)
        density[: self.shortest] = 0.0
        return np.asarray(density, dtype=np.float64)

    def length_probabilities(self) -> NDArray[np.float64]:
        """Return the probability of each fragment length, float64 (:attr:`longest` + 1,)."""
        density = self._density()
        return np.asarray(density / density.sum(), dtype=np.float64)

    def gc_factors(self) -> NDArray[np.float64]:
        """Return the factor on a fragment's probability for each GC content.

        Returns:
            float64 (GC_STEPS + 1,); empty without a GC bias.
        """
        if self.gc_bias == 0.0:
            return np.empty(0)
        return np.asarray(
            np.exp(self.gc_bias * (np.linspace(0.0, 1.0, GC_STEPS + 1) - 0.5) / 0.1),
            dtype=np.float64,
        )
