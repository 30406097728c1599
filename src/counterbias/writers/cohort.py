"""Write the tables of a cohort: matrices of features × samples, its features and its samples.

Matrices have one column per sample and no others, so that R's ``read.delim(row.names = 1)`` and
pandas' ``read_csv(index_col=0)`` make a matrix of them. Decimals have up to nine significant
digits, as in each sample's table; what is missing is ``NA``. The same numbers give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import harmless
from counterbias.files import whole_text

#: The matrices that are written as text, by the column of the samples' tables, and the other files.
MATRICES = ("raw", "corrected", "effective_length")
FEATURES, SAMPLES, H5AD = "features.tsv", "samples.tsv", "cohort.h5ad"
#: What tables hold where there is no value.
MISSING = "NA"
#: Features whose rows are laid out together: a page of a file that holds a sample's numbers.
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class CohortTables:
    """The counts of s samples for the same n features.

    Args:
        features: n identifiers.
        attributes: additional attribute → n texts.
        lengths: int64 (n,), length of the union of each feature's intervals, bases.
        samples: s names.
        matrices: column of the samples' tables → float64 (s, n).
        summary: per sample its row in ``samples.tsv``: column → value, None where missing.
        options: the options that all samples were counted with.
        versions: package → the versions that samples were counted with.
    """

    features: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    lengths: NDArray[np.int64]
    samples: tuple[str, ...]
    matrices: Mapping[str, NDArray[np.float64]]
    summary: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]
    versions: Mapping[str, Sequence[str]]


def text_files() -> tuple[str, ...]:
    """List the names of the files of text."""
    return (*(f"{name}.tsv" for name in MATRICES), FEATURES, SAMPLES)


def write_cohort(tables: CohortTables, folder: Path) -> None:
    """Write the files of text to a folder. Raises InputError where one cannot be written."""
    for name in MATRICES:
        _write_matrix(tables, name, folder)
    with whole_text(folder / FEATURES) as file:
        columns = [tables.features, *tables.attributes.values(), map(str, tables.lengths.tolist())]
        file.write("\t".join(("feature", *tables.attributes, "length")) + "\n")
        file.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))
    with whole_text(folder / SAMPLES) as file:
        file.write("\t".join(tables.summary[0]) + "\n")
        file.writelines("\t".join(map(_cell, row.values())) + "\n" for row in tables.summary)


def is_whole(matrix: NDArray[np.float64]) -> bool:
    """Return whether all numbers of a matrix are whole, looking at one sample at a time."""
    return all(bool(np.all(values == np.floor(values))) for values in matrix)


def _write_matrix(tables: CohortTables, name: str, folder: Path) -> None:
    """Write one matrix."""
    matrix = tables.matrices[name]
    row = "\t".join(("%s", *["%d" if is_whole(matrix) else "%.9g"] * len(tables.samples))) + "\n"
    with whole_text(folder / f"{name}.tsv") as file:
        file.write("\t".join(("feature", *map(harmless, tables.samples))) + "\n")
        file.writelines(row % cells for cells in _rows(tables.features, matrix))


def _rows(features: Sequence[str], matrix: NDArray[np.float64]) -> Iterator[tuple[Any, ...]]:
    """Generate (feature, its number in each sample)."""
    for first in range(0, len(features), _BLOCK):
        block = matrix[:, first : first + _BLOCK].T.tolist()
        for feature, numbers in zip(features[first : first + _BLOCK], block, strict=True):
            yield (feature, *numbers)


def _cell(value: Any) -> str:
    """Format a value of a report."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else f"{value:.8g}"
    return harmless(str(value))
