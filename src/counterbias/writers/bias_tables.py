"""Write ``PREFIX.counts.tsv``: the bias-weighted counts, one row per feature.

The header begins with ``feature``; no line looks like htseq-count's two columns, so that no report
mistakes one for the other. Decimals have up to nine significant digits, integers all of theirs; the
same numbers always give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_text


def write_bias_table(
    path: str | os.PathLike[str],
    ids: Sequence[str],
    columns: Mapping[str, NDArray[np.int64] | NDArray[np.float64]],
    *,
    attributes: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write the table whole or not at all.

    Args:
        path: file to write.
        ids: n identifiers of features.
        columns: name → n numbers, in the order of the columns.
        attributes: name → n texts, additional attributes, written after the identifier.

    Raises:
        InputError: the file cannot be written.
    """
    texts = [ids, *(attributes or {}).values()]
    numbers = [np.asarray(values) for values in columns.values()]
    cells = ["%s"] * len(texts) + [
        "%.9g" if values.dtype.kind == "f" else "%s" for values in numbers
    ]
    row = "\t".join(cells) + "\n"
    header = ["feature", *(attributes or {}), *columns]
    with whole_text(path) as file:
        file.write("\t".join(header) + "\n")
        file.writelines(
            map(row.__mod__, zip(*texts, *(values.tolist() for values in numbers), strict=True))
        )
