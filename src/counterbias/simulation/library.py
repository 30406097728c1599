"""How a simulated library was made and sequenced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError

_STRANDED = ("yes", "no", "reverse")
#: The shortest reads that are left when their first bases are cut off.
SHORTEST = 10
#: The largest part of the fragments that may be copies: beyond, few originals are left to tell a library by.
MOST_DUPLICATES = 0.9
#: Steps of a fragment's GC content, in which its effect is tabulated.
GC_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Library:
    """How a library was made and sequenced.

    Args:
        fragments: read pairs or single reads drawn (primary alignments).
        read_length: bases per read.
        paired: two reads per fragment.
        stranded: htseq-count's word: ``yes`` (read 1 on the gene's strand), ``reverse``, ``no``.
        fragment_mean, fragment_sd: of the normal distribution of fragment lengths, cut off at ``read_length`` + ``trimmed``.
        biased_ends: ``both`` ends of a fragment are biased, or only that of ``read1``.
        spliced_context: the bias sees the transcript's sequence across splice sites, as primers do; otherwise the genome's.
        multi_mapped: part of the fragments that have other (secondary) alignments as well.
        unmapped_mate, unmapped: parts of the fragments with one and with no mapped read.
        error_rate: substitutions per base.
        gc_bias: log factor (nats), per 10 percentage points of a fragment's GC content above one half, of its chance to be drawn.
        duplicates: part of the fragments that are copies of another one, 0 to 0.9: same transcript, ends and orientation.
        trimmed: bases cut off the 5' end of each read after sequencing; reads then begin so many bases inside the fragment.
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
        if self.stranded not in _STRANDED or self.biased_ends not in ("both", "read1"):
            raise InputError(
                "a library is stranded 'yes', 'no' or 'reverse', and its biased ends are 'both' or 'read1'"
            )
        if self.biased_ends == "read1" and self.stranded == "no":
            raise InputError("only a stranded library can have a bias of read 1 alone")
        if not 20 <= self.read_length <= 1000 or not 0 <= self.fragments < 2**31:
            raise InputError(
                "reads of 20 to 1000 bases can be simulated, and from no fragment to 2,147,483,647 of them"
            )
        if not 0 <= self.trimmed <= self.read_length - SHORTEST:
            problem = f"{self.trimmed} bases cannot be cut off reads of {self.read_length}"
            raise InputError(problem, remedy=f"leave at least {SHORTEST} bases of each read")
        self._check_rates()
        if not (abs(self.gc_bias) <= 10.0):
            raise InputError(
                f"a GC bias of {self.gc_bias} cannot be simulated",
                remedy="give a number from -10 to 10",
            )
        if not (0.0 < self.fragment_sd <= 1e5 and abs(self.fragment_mean) <= 1e5):
            problem = f"fragments of {self.fragment_mean:g} ± {self.fragment_sd:g} bases cannot be simulated"
            raise InputError(
                problem, remedy="give a mean of at most 100000 and a standard deviation above 0"
            )
        if (
            self.fragment_mean + 4 * self.fragment_sd < self.shortest
            or not self._density().sum() > 0.0
        ):
            problem = f"fragments of {self.fragment_mean:g} ± {self.fragment_sd:g} bases are shorter than reads of {self.read_length}"
            raise InputError(problem, remedy="simulate longer fragments or shorter reads")

    def _check_rates(self) -> None:
        """Refuse parts that are none."""
        rates = {
            "multi-mapped": self.multi_mapped, "unmapped mates": self.unmapped_mate, "unmapped": self.unmapped,
            "errors": self.error_rate,
        }  # fmt: skip
        for name, rate in rates.items():
            if not 0.0 <= rate <= 1.0:
                raise InputError(
                    f"the rate of {name} is {rate:g}", remedy="give a number from 0 to 1"
                )
        if not 0.0 <= self.duplicates <= MOST_DUPLICATES:
            raise InputError(
                f"the rate of duplicates is {self.duplicates:g}",
                remedy=f"give a number from 0 to {MOST_DUPLICATES:g}",
            )
        if self.multi_mapped + self.unmapped + self.unmapped_mate > 1.0:
            raise InputError(
                "the rates of multi-mapped and of unmapped fragments exceed 1 together"
            )

    @property
    def aligned_length(self) -> int:
        """Bases per read that are left after trimming."""
        return self.read_length - self.trimmed

    @property
    def shortest(self) -> int:
        """Give the shortest fragment that is drawn: trimmed mates must not reach past each other's start."""
        return self.read_length + self.trimmed

    @property
    def longest(self) -> int:
        """Give the longest fragment that is drawn."""
        return max(self.shortest, int(self.fragment_mean + 4 * self.fragment_sd))

    def _density(self) -> NDArray[np.float64]:
        lengths = np.arange(self.longest + 1)
        density = np.exp(-0.5 * ((lengths - self.fragment_mean) / self.fragment_sd) ** 2)
        density[: self.shortest] = 0.0
        return np.asarray(density, dtype=np.float64)

    def length_probabilities(self) -> NDArray[np.float64]:
        """Give the probability of fragment lengths 0 … :attr:`longest`, float64."""
        density = self._density()
        return np.asarray(density / density.sum(), dtype=np.float64)

    def gc_factors(self) -> NDArray[np.float64]:
        """Give the factor on a fragment's chance for each GC content, float64 (GC_STEPS + 1,); empty without a GC bias."""
        if self.gc_bias == 0.0:
            return np.empty(0)
        return np.asarray(
            np.exp(self.gc_bias * (np.linspace(0.0, 1.0, GC_STEPS + 1) - 0.5) / 0.1),
            dtype=np.float64,
        )
