"""Where the 5' ends of a feature's fragments lie along its line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import StartSites


@dataclass(frozen=True, slots=True)
class FragmentRows:
    """Rows of start sites by feature, and the columns by which compiled loops read them.

    Takes 4 bytes per row of the wanted features.

    Args:
        rows: int32 or int64 (n,), rows feature by feature, in their order.
        offsets: int64 (features + 1,), where those of each feature begin.
        share: float32 (rows of the start sites,), or empty: all 1.
        columns: contig, position and bits of read 1, then of read 2; for single-end data the latter
            are those of read 1, and ``paired`` is false.
        paired: whether there is a read 2.
    """

    rows: NDArray[np.int32] | NDArray[np.int64]
    offsets: NDArray[np.int64]
    share: NDArray[np.float32]
    columns: tuple[NDArray[np.int32] | NDArray[np.uint8], ...]
    paired: bool


def fragments_by_feature(sites: StartSites, wanted: NDArray[np.bool_]) -> FragmentRows:
    """Group the rows of start sites by feature, for the features wanted, bool (features,)."""
    offsets = np.cumsum(_first_rows(sites.feature, wanted))
    rows: NDArray[np.int32] | NDArray[np.int64] = np.empty(int(offsets[-1]), np.int32)
    if len(sites) >= 2**31:
        rows = rows.astype(np.int64)
    _group(sites.feature, wanted, offsets[:-1].copy(), rows)
    first, second = sites.ends[0], sites.ends[-1]
    return FragmentRows(
        rows,
        offsets,
        np.empty(0, np.float32) if sites.share is None else sites.share,
        tuple(column for end in (first, second) for column in (end.contig, end.position, end.bits)),
        len(sites.ends) > 1,
    )


@njit(cache=True, nogil=True)
def _first_rows(feature, wanted):  # type: ignore[no-untyped-def]
    """Return 0, then the number of rows of each wanted feature, int64 (features + 1,).

    ``np.bincount`` would copy the column to 8 bytes per row.
    """
    found = np.zeros(len(wanted) + 1, np.int64)
    for row in range(len(feature)):
        owner = feature[row]
        found[owner + 1] += wanted[owner]
    return found


@njit(cache=True, nogil=True)
def _group(feature, wanted, used, rows):  # type: ignore[no-untyped-def]
    """List the rows of each wanted feature; ``used`` holds where its next row goes."""
    for row in range(len(feature)):
        owner = feature[row]
        if wanted[owner]:
            rows[used[owner]] = row
            used[owner] += 1
