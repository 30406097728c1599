"""Counts by cell: molecules, told apart by their UMIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CellCounts:
    """The UMIs of each cell, by feature: a sparse matrix of cells × (features and classes).

    Cell ``c`` has the entries ``offsets[c]:offsets[c + 1]``, ascending by column.

    Args:
        barcodes: those of the cells, sorted as Python sorts strings (HTSeq's order).
        offsets: int64 (cells + 1,).
        columns: int32 (entries,), a feature's index or, behind them, that of a class.
        umis: int64 (entries,), UMIs counted.
        fragments: reads or pairs seen.
        missing: those of them that lack the barcode of cell or UMI, which are counted nowhere.
        merged: UMIs merged into others with more reads.
        tied: UMIs counted nowhere because two features or classes have equally many of their reads.
        reads_per_umi: mean number of reads of the UMIs that are counted for features, for these; 0
            without such UMIs.
        layers: name → float64 (entries,), further values of the same entries.
    """

    barcodes: tuple[str, ...]
    offsets: NDArray[np.int64]
    columns: NDArray[np.int32]
    umis: NDArray[np.int64]
    fragments: int
    missing: int
    merged: int
    tied: int
    reads_per_umi: float
    layers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def summary(self, *, paired: bool) -> str:
        """Return one line: how many cells and UMIs there are, and what was counted nowhere."""
        parts = [f"{_number(len(self.barcodes), 'cell')} with {_number(self.umis.sum(), 'UMI')}"]
        if self.reads_per_umi:
            parts.append(f"{self.reads_per_umi:.2f} reads per UMI of a feature")
        if self.merged:
            parts.append(f"{_number(self.merged, 'UMI')} merged into others")
        if self.tied:
            parts.append(
                f"{_number(self.tied, 'UMI')} not counted, since two features or classes have "
                f"equally many of {'its' if self.tied == 1 else 'their'} reads"
            )
        if self.missing:
            of = f"{self.fragments:,} {alignments_or_pairs(paired)}"
            lack = "lacks" if self.missing == 1 else "lack"
            parts.append(f"{self.missing:,} of {of} {lack} a barcode")
        return "; ".join(parts) + "."


def alignments_or_pairs(paired: bool) -> str:
    """Return what htseq-count-barcodes calls the fragments of a file."""
    return "alignment pairs" if paired else "alignments"


def _number(count: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
