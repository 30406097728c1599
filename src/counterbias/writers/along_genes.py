"""Write along_genes.tsv: observed and expected read starts, place by place along genes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_text
from counterbias.writers.comparison import MISSING

#: The columns before those of models, which are called ``MODEL.expected``.
COLUMNS = (
    "sample",
    "gene",
    "transcript",
    "read_end",
    "strand",
    "position",
    "contig",
    "genomic_position",
    "exon",
    "fold",
    "observed",
    "even",
)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one read end on one strand of one gene, in one sample.

    Args:
        names: the cells ``sample``, ``gene``, ``transcript`` (empty for none), ``read_end`` and
            ``strand``.
        contig: the contig's name.
        positions: int64 (places,), 0-based genome positions in the direction of transcription.
        exon, fold: int64 (places,).
        observed, even: float64 (places,); NaN for unknown.
        expected: model → float64 (places,); NaN for unknown.
    """

    names: tuple[str, str, str, str, str]
    contig: str
    positions: NDArray[np.int64]
    exon: NDArray[np.int64]
    fold: NDArray[np.int64]
    observed: NDArray[np.float64]
    even: NDArray[np.float64]
    expected: Mapping[str, NDArray[np.float64]]


def write_along_genes(
    path: str | os.PathLike[str], models: Sequence[str], parts: Iterable[Rows]
) -> None:
    """Write the table.

    Args:
        path: file to write.
        models: the models, in the order of their columns.
        parts: the rows.

    Raises:
        InputError: the file cannot be written.
    """
    with whole_text(path) as file:
        file.write("\t".join((*COLUMNS, *(f"{model}.expected" for model in models))) + "\n")
        for part in parts:
            file.writelines(_lines(part, models))


def _lines(part: Rows, models: Sequence[str]) -> list[str]:
    """Format the rows of one part, one line per place."""
    size = len(part.positions)
    names = "\t".join(name or MISSING for name in part.names)
    columns = [
        [str(place) for place in range(1, size + 1)],
        [part.contig] * size,
        [str(position + 1) for position in part.positions.tolist()],
        [str(number) for number in part.exon.tolist()],
        [str(number) for number in part.fold.tolist()],
        [str(round(value)) for value in part.observed.tolist()],
        _numbers(part.even, size),
        *(_numbers(part.expected.get(model), size) for model in models),
    ]
    return ["\t".join((names, *cells)) + "\n" for cells in zip(*columns, strict=True)]


def _numbers(values: NDArray[np.float64] | None, size: int) -> list[str]:
    if values is None:
        return [MISSING] * size
    return [f"{value:.9g}" if math.isfinite(value) else MISSING for value in values.tolist()]
