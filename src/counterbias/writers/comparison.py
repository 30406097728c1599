"""Write the results of ``counterbias compare``.

They are ``comparison.json``, ``comparison.tsv``, ``per_gene.tsv`` and ``between_models.tsv``. The
first holds the document, a nested dict, of which the second is a view. Missing numbers are null in
JSON and ``NA`` in tables. Files appear whole or not at all.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_text
from counterbias.writers.comparison_schema import (
    COSTS,
    DIFFERENCES,
    ESTIMATES,
    MODEL_MEASURES,
    RAW_MEASURES,
    TAG,
    TRUTH_MEASURES,
    VERSION,
    columns,
)
from counterbias.writers.qc import plain

#: What tables hold where there is no number.
MISSING = "NA"


def build_document(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Build the document of comparison.json, with numbers that JSON can hold.

    Args:
        parts: ``version``, ``command_line``, ``options``, ``recommendation`` and ``samples``.
    """
    measures = [measure._asdict() for measure in (*RAW_MEASURES, *MODEL_MEASURES)]
    document = {
        TAG: list(VERSION),
        "version": parts["version"],
        "command_line": parts["command_line"],
        "options": parts["options"],
        "measures": measures,
        "recommendation": parts["recommendation"],
        "samples": parts["samples"],
    }
    return {name: plain(value) for name, value in document.items()}


def write_document(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write comparison.json, with its tag and version in one line, where reports look for them.

    Raises InputError where the file cannot be written.
    """
    text = json.dumps(document, indent=1, allow_nan=False)
    major, minor = document[TAG]
    text = text.replace(f'"{TAG}": [\n  {major},\n  {minor}\n ]', f'"{TAG}": [{major}, {minor}]', 1)
    _write(path, [text])


def write_comparison(
    path: str | os.PathLike[str], document: Mapping[str, Any], groups: Mapping[str, str]
) -> None:
    """Write comparison.tsv: one row per sample, model and window.

    Args:
        path: file to write.
        document: the content of comparison.json.
        groups: sample → group, for samples that have one.

    Raises:
        InputError: the file cannot be written.
    """
    names = [name for name, _ in columns()]
    lines = ["\t".join(names)]
    for sample in document["samples"]:
        for model in sample["models"]:
            cells = _row(sample, model, groups.get(sample["sample"]))
            lines.append("\t".join(_cell(cells.get(name)) for name in names))
    _write(path, lines)


def _row(sample: Mapping[str, Any], model: Mapping[str, Any], group: str | None) -> dict[str, Any]:
    """Return the cells of a row, by column."""
    cells: dict[str, Any] = {"sample": sample["sample"], "group": group, "starts": sample["starts"]}
    cells |= {name: model[name] for name in ("model", "window", "status", "reason", "used")}
    for measures in (sample["raw"], model["measures"]):
        for name, found in measures.items():
            cells |= {name: found["value"], f"{name}_se": found["error"]}
    cells |= {name: model["cost"][name] for name, _ in COSTS}
    truth = model["truth"]
    if truth is not None:
        cells |= {"truth_column": truth["column"], "truth_features": truth["features"]}
        for estimate in (*ESTIMATES, *DIFFERENCES):
            for name, _ in TRUTH_MEASURES:
                found = truth[estimate][name]
                cells[f"truth_{estimate}_{name}"] = found["value"]
                cells |= {
                    f"truth_{estimate}_{name}_{side}": found[side] for side in ("low", "high")
                }
    return cells


def write_per_gene(
    path: str | os.PathLike[str],
    ids: Sequence[str],
    lengths: NDArray[np.int64],
    attributes: Mapping[str, Sequence[str]],
    samples: Mapping[str, Mapping[str, NDArray[Any] | None]],
) -> None:
    """Write per_gene.tsv: one row per sample and feature.

    Raw counts come first, then the weighted and corrected ones of every model.

    Args:
        path: file to write.
        ids, lengths, attributes: the features.
        samples: sample → column → numbers of all features, None where a model has none. They are
            formatted as ``counterbias count`` does.
    """
    first = next(iter(samples.values()), {})
    lines = ["\t".join(["sample", "feature", *attributes, "length", *first])]
    sizes = [str(length) for length in lengths.tolist()]
    texts = [list(ids), *(list(values) for values in attributes.values()), sizes]
    for sample, found in samples.items():
        cells = [_numbers(values, len(ids)) for values in found.values()]
        lines += ["\t".join((sample, *row)) for row in zip(*texts, *cells, strict=True)]
    _write(path, lines)


def write_between(
    path: str | os.PathLike[str], rows: Iterable[tuple[str, str, str, str, str, str, float]]
) -> None:
    """Write between_models.tsv: how far two models agree in a sample.

    A row has the sample, the column, two models with their windows, and the correlation of log2
    FPKM.
    """
    lines = [
        "\t".join(("sample", "column", "model", "window", "other_model", "other_window", "pearson"))
    ]
    lines += ["\t".join(_cell(cell) for cell in row) for row in rows]
    _write(path, lines)


def _write(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    with whole_text(path) as file:
        file.writelines(line + "\n" for line in lines)


def _numbers(values: NDArray[Any] | None, size: int) -> list[str]:
    """Format a column as ``counterbias count`` does."""
    if values is None:
        return [MISSING] * size
    if values.dtype.kind in "iub":
        return [str(value) for value in values.tolist()]
    return [f"{value:.9g}" for value in values.tolist()]


def _cell(value: Any) -> str:
    """Format one cell of comparison.tsv or between_models.tsv."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else MISSING
    return " ".join(str(value).split())
