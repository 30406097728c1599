"""The table of corrected counts: per feature its counts, lengths and abundances.

Units: ``raw``, ``weighted`` and ``corrected`` are in fragments (reads for single-end data);
``length`` and ``effective_length`` in bases; ``fpkm_*`` in fragments per kilobase of feature and
million assigned fragments; ``tpm_corrected`` in transcripts per million.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from counterbias.records.cells import CellCounts

#: Columns after ``feature`` and any additional attributes.
COLUMNS = (
    "length",
    "raw",
    "weighted",
    "effective_length",
    "corrected",
    "fpkm_raw",
    "fpkm_weighted",
    "fpkm_corrected",
    "tpm_corrected",
)


def bias_columns(
    lengths: NDArray[np.int64],
    raw: NDArray[np.int64] | NDArray[np.float64],
    weighted: NDArray[np.float64],
    effective_length: NDArray[np.float64],
) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    """Compute the columns of the table, each (n,).

    - ``weighted``: Σ of fragment weights, the numerator of Zhang et al. 2017.
    - ``corrected``: raw × length / effective_length, scaled to the sum of ``raw``.
    - ``fpkm_x``: 1e9 · x / (length · N), N = Σ raw; ``fpkm_weighted`` is the paper's equation.
    - ``tpm_corrected``: 1e6 · (raw / effective_length) / Σ (raw / effective_length).

    A feature without reads is 0 throughout, as is a library without reads.
    """
    total = float(raw.sum())
    rate = np.divide(raw, effective_length, out=np.zeros(len(lengths)), where=effective_length > 0)
    corrected = rate * lengths
    corrected = corrected * (total / corrected.sum()) if corrected.sum() > 0 else corrected
    if np.array_equal(effective_length, lengths):
        corrected = np.asarray(raw, np.float64)  # which it is but for rounding
    per_fpkm = np.divide(
        1e9, lengths * total, out=np.zeros(len(lengths)), where=(lengths > 0) & (total > 0)
    )
    return {
        "length": lengths,
        "raw": raw,
        "weighted": weighted,
        "effective_length": effective_length,
        "corrected": corrected,
        "fpkm_raw": raw * per_fpkm,
        "fpkm_weighted": weighted * per_fpkm,
        "fpkm_corrected": corrected * per_fpkm,
        "tpm_corrected": rate * (1e6 / rate.sum()) if rate.sum() > 0 else rate,
    }


def corrected_by_cell(
    cells: CellCounts, columns: Mapping[str, NDArray[np.int64] | NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Correct the UMIs of cells for the lengths of features, (entries,).

    As in ``corrected``, they are multiplied by length / effective_length, and those of each cell
    are scaled to the cell's total. Classes stay as they were counted.

    Args:
        cells: the UMIs.
        columns: ``length`` and ``effective_length`` of each feature, from the reads of all cells.
    """
    length, effective = columns["length"], columns["effective_length"]
    umis = cells.umis.astype(np.float64)
    if np.array_equal(length, effective):
        return umis
    factor = np.divide(length, effective, out=np.zeros(len(length)), where=effective > 0)
    of_feature = cells.columns < len(length)
    corrected = umis.copy()
    corrected[of_feature] *= factor[cells.columns[of_feature]]
    cell_of = np.repeat(np.arange(len(cells.barcodes)), np.diff(cells.offsets))[of_feature]
    before, after = (
        np.bincount(cell_of, weights=values[of_feature], minlength=len(cells.barcodes))
        for values in (umis, corrected)
    )
    scale = np.divide(before, after, out=np.zeros(len(before)), where=after > 0)
    corrected[of_feature] *= scale[cell_of]
    return corrected


def fold_changes(
    raw: NDArray[np.int64] | NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    bins: int = 10,
    fewest: float = 1.0,
    quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95),
) -> list[dict[str, float | int | list[float]]]:
    """Summarise log2(other / raw) by expression, in bins of about equally many features.

    Features with fewer than ``fewest`` fragments, or without any left, are ignored.

    Returns:
        one entry per bin: its number of ``features``, the bounds ``raw_min`` and ``raw_max``, and
        ``quantiles`` of the log2 fold change.
    """
    rows = np.flatnonzero((raw >= fewest) & (other > 0))
    if not len(rows):
        return []
    rows = rows[np.argsort(raw[rows], kind="stable")]
    change = np.log2(other[rows] / raw[rows])
    entries: list[dict[str, float | int | list[float]]] = []
    for part in np.array_split(np.arange(len(rows)), min(bins, max(1, len(rows) // 5))):
        entries.append(
            {
                "features": len(part),
                "raw_min": float(raw[rows[part[0]]]),
                "raw_max": float(raw[rows[part[-1]]]),
                "quantiles": [float(x) for x in np.quantile(change[part], quantiles)],
            }
        )
    return entries
