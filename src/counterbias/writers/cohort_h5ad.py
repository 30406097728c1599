"""Write ``cohort.h5ad``, the AnnData file of a cohort: samples × features, as scanpy expects.

X holds the raw counts, layers the corrected and weighted ones and the effective lengths, ``var``
the features' lengths and attributes, ``obs`` the samples' rows of ``samples.tsv``. The same cohort
gives the same bytes.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import folder_with_room, readable, writing_errors
from counterbias.writers.cohort import CohortTables, is_whole
from counterbias.writers.tables import FLOAT32_INTEGERS

if TYPE_CHECKING:
    import pandas

#: The main matrix.
_MAIN = "raw"
#: Columns of the features that are no attributes.
_INDEX, _LENGTH = "feature", "length"


def require_anndata() -> None:
    """Raise InputError unless AnnData files can be written."""
    if find_spec("anndata") is None:
        raise InputError(
            "writing .h5ad files needs anndata", remedy="run: pip install 'counterbias[h5ad]'"
        )


def write_h5ad(tables: CohortTables, path: Path) -> None:
    """Write the file; one that fails may be left half-written.

    ``uns["counterbias"]`` holds ``version``, that of this program, and, as JSON, ``options``, those
    that all samples have in common, and ``versions``, package → versions that they were counted by.

    Raises:
        InputError: the file cannot be written.
    """
    from importlib.metadata import version

    import anndata

    data = anndata.AnnData(
        X=_narrow(tables.matrices[_MAIN]),
        obs=_samples(tables),
        var=_features(tables),
        layers={name: values for name, values in tables.matrices.items() if name != _MAIN},
        uns={
            "counterbias": {
                "version": version("counterbias"),
                "options": json.dumps(dict(tables.options)),
                "versions": json.dumps(dict(tables.versions)),
            }
        },
    )
    with writing_errors(path):
        folder_with_room(_room(tables), [str(path.parent)])
        data.write_h5ad(path)


def _narrow(matrix: NDArray[np.float64]) -> NDArray[Any]:
    """Return raw counts as float32, as scanpy keeps them, unless that would round one."""
    most = max(float(values.max(initial=0)) for values in matrix)
    return matrix.astype(np.float32) if most <= FLOAT32_INTEGERS and is_whole(matrix) else matrix


def _features(tables: CohortTables) -> pandas.DataFrame:
    import pandas

    columns = {
        _attribute(name): list(map(readable, texts)) for name, texts in tables.attributes.items()
    }
    names = pandas.Index(list(map(readable, tables.features)), name=_INDEX)
    return pandas.DataFrame({**columns, _LENGTH: tables.lengths}, index=names)


def _attribute(name: str) -> str:
    """Return the column of an attribute, whose name may be that of another column."""
    column = readable(name).replace("/", "_")  # which HDF5 takes for a folder
    return f"{column}_attribute" if column in (_INDEX, _LENGTH) else column


def _samples(tables: CohortTables) -> pandas.DataFrame:
    """Return the samples' rows; a number that is missing is NaN."""
    import pandas

    names = pandas.Index(list(tables.samples), name="sample")
    columns: dict[str, Any] = {}
    for column in tables.summary[0]:
        values = [row[column] for row in tables.summary]
        if column == names.name:
            continue
        if all(isinstance(value, str) for value in values):
            columns[column] = values
        else:
            numbers = [np.nan if value is None else value for value in values]
            columns[column] = np.array(numbers)
    return pandas.DataFrame(columns, index=names)


def _room(tables: CohortTables) -> int:
    """Return the bytes that the file certainly fits in."""
    texts = [*tables.features, *(text for texts in tables.attributes.values() for text in texts)]
    texts += [str(value) for row in tables.summary for value in row.values()]
    numbers = sum(matrix.size for matrix in tables.matrices.values()) + len(tables.features)
    return 8 * numbers + sum(4 * len(text) + 64 for text in texts) + (4 << 20)
