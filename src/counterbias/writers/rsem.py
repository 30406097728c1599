"""Write ``PREFIX.genes.results`` and ``PREFIX.isoforms.results``: RSEM's tables, one row each.

Columns have RSEM's names and units, so that what reads RSEM's files (tximport with
``type = "rsem"``) reads these; in the table of isoforms, two columns of standard errors follow.
There is no line but the header and the rows. Decimals have up to nine significant digits, as in the
table of counts; the same numbers always give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_text
from counterbias.records import Isoforms

#: The columns, in the order of each file.
GENE_COLUMNS = (
    "gene_id",
    "transcript_id(s)",
    "length",
    "effective_length",
    "expected_count",
    "TPM",
    "FPKM",
)
ISOFORM_COLUMNS = (
    "transcript_id",
    "gene_id",
    "length",
    "effective_length",
    "expected_count",
    "TPM",
    "FPKM",
    "IsoPct",
    "expected_count_se",
    "IsoPct_se",
)


def write_genes(
    path: str | os.PathLike[str],
    features: Sequence[str],
    columns: Mapping[str, NDArray[Any]],
    isoforms: Isoforms | None,
) -> None:
    """Write the table of features whole or not at all.

    ``expected_count`` is the raw count and ``effective_length`` that of the table of counts, so
    that tximport's offsets contain the correction; FPKM is on the scale of the isoforms', whose sum
    it is.

    Args:
        path: file to write.
        features: n identifiers.
        columns: ``length``, ``raw``, ``effective_length`` and ``tpm_corrected`` of the table of
            counts, each (n,).
        isoforms: the isoforms, where transcripts are told apart.

    Raises:
        InputError: the file cannot be written.
    """
    raw = np.asarray(columns["raw"], np.float64)
    effective = columns["effective_length"]
    rate = np.divide(raw, effective, out=np.zeros(len(raw)), where=effective > 0)
    numbers = (
        columns["length"],
        effective,
        raw,
        columns["tpm_corrected"],
        rate * (1e9 / raw.sum() if raw.sum() > 0 else 0.0),
    )
    _write(path, GENE_COLUMNS, (features, _transcripts(len(features), isoforms)), numbers)


def write_isoforms(
    path: str | os.PathLike[str], features: Sequence[str], isoforms: Isoforms
) -> None:
    """Write the table of isoforms whole or not at all.

    Args:
        path: file to write.
        features: identifiers of the features that ``isoforms.feature`` counts from 0.
        isoforms: the isoforms.

    Raises:
        InputError: the file cannot be written.
    """
    numbers = (
        isoforms.length,
        isoforms.effective_length,
        isoforms.expected_count,
        isoforms.tpm,
        isoforms.fpkm,
        isoforms.iso_pct,
        isoforms.expected_count_se,
        isoforms.iso_pct_se,
    )
    names = (features[number] for number in isoforms.feature.tolist())
    _write(path, ISOFORM_COLUMNS, (isoforms.ids, names), numbers)


def _transcripts(features: int, isoforms: Isoforms | None) -> list[str]:
    """Return each feature's transcripts, separated by commas; empty where they are not known."""
    found: list[list[str]] = [[] for _ in range(features)]
    if isoforms is not None:
        for name, feature in zip(isoforms.ids, isoforms.feature.tolist(), strict=True):
            found[feature].append(name)
    return [",".join(names) for names in found]


def _write(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    names: tuple[Iterable[str], Iterable[str]],
    numbers: Sequence[NDArray[Any]],
) -> None:
    """Write two columns of names, then lengths, which are integers, and the other numbers."""
    row = "\t".join(("%s", "%s", "%d", *("%.9g" for _ in columns[3:]))) + "\n"
    cells = zip(*names, *(values.tolist() for values in numbers), strict=True)
    with whole_text(path) as file:
        file.write("\t".join(columns) + "\n")
        file.writelines(map(row.__mod__, cells))
