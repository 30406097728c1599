"""What the tables per_gene.tsv and between_models.tsv hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.agreement import log_pearson
from counterbias.pipeline.compare.results import Comparison

#: Sample, column, label and window of one model, those of another, correlation.
Correlation = tuple[str, str, str, str, str, str, float]


def per_gene(result: Comparison) -> dict[str, dict[str, NDArray[Any] | None]]:
    """Return, per sample, the columns of per_gene.tsv; None for a model without a count."""
    tables: dict[str, dict[str, NDArray[Any] | None]] = {}
    for sample in result.samples:
        columns: dict[str, NDArray[Any] | None] = {"raw": np.asarray(sample.counts.counts)}
        for outcome in sample.outcomes:
            model = result.name_of(outcome.candidate)
            for column in ("weighted", "corrected"):
                columns[f"{model}.{column}"] = outcome.columns.get(column)
        tables[sample.name] = columns
    return tables


def between_models(result: Comparison) -> Iterator[Correlation]:
    """Correlate log2 FPKM between every two models of a sample."""
    for sample in result.samples:
        counted = [one for one in sample.outcomes if one.columns]
        for column in ("weighted", "corrected"):
            fpkm = f"fpkm_{column}"
            for number, one in enumerate(counted):
                for other in counted[number + 1 :]:
                    first, second = one.candidate, other.candidate
                    yield (
                        sample.name,
                        column,
                        first.label,
                        str(first.window),
                        second.label,
                        str(second.window),
                        log_pearson(one.columns[fpkm], other.columns[fpkm]),
                    )
