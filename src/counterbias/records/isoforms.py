"""The isoforms of the features: how the fragments counted for a feature divide among them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Isoforms:
    """One row per transcript of a feature, in the order of the features.

    They are a by-product of the features' effective lengths: only fragments that were counted for
    a feature are divided, and only where its transcripts are told apart.

    Args:
        ids: t identifiers.
        feature: int64 (t,), index of each one's feature in the features.
        length: int64 (t,), its bases.
        effective_length: float64 (t,), its places where a fragment fits times their mean bias.
        expected_count: float64 (t,), its share of the fragments counted for its feature.
        tpm, fpkm: float64 (t,), its feature's, divided by *iso_pct*; in proportion to
            *expected_count* over *effective_length* where transcripts are told apart.
        iso_pct: float64 (t,), its molecules, in percent of its feature's.
        expected_count_se, iso_pct_se: float64 (t,), standard errors, in the same units; large where
            a feature's fragments do not tell its transcripts apart.
    """

    ids: tuple[str, ...]
    feature: NDArray[np.int64]
    length: NDArray[np.int64]
    effective_length: NDArray[np.float64]
    expected_count: NDArray[np.float64]
    tpm: NDArray[np.float64]
    fpkm: NDArray[np.float64]
    iso_pct: NDArray[np.float64]
    expected_count_se: NDArray[np.float64]
    iso_pct_se: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class TranscriptsReport:
    """In how many features transcripts were told apart, and why not in the others.

    Args:
        transcripts: transcripts told apart.
        features: features whose length is that of their transcripts.
        unnamed, scattered, too_many: features with reads that fell back to the union of their
            exons: see :class:`~counterbias.records.FeatureTranscripts`.
        unexplained: the same, because their transcripts do not explain their fragments.
    """

    transcripts: int
    features: int
    unnamed: int = 0
    scattered: int = 0
    too_many: int = 0
    unexplained: int = 0
