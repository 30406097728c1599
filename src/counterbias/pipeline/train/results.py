"""The results of training on several samples: the pooled model, and its gains in each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterbias.model_file import ModelFile


@dataclass(frozen=True, slots=True)
class SampleGain:
    """Gains on one read end of one sample; models that judge a start saw its fold in no sample.

    Gains are bits per start, as in the quality report, of the models as they are (slope 1); NaN
    where not measured.

    Args:
        sample, end: names.
        starts, reads: distinct trainable starts (of a large sample those looked at), and trainable
            reads.
        held_out_starts: starts with background, over which gains are averaged.
        factor: what the weights of the sample's windows were multiplied by in the pool.
        own_model: backend of the sample's own model; None without one.
        own, own_error: gain of the own model and its standard error.
        pooled, pooled_error: of the pooled model.
        difference, difference_error: pooled − own, start by start, and its standard error.
    """

    sample: str
    end: str
    starts: int
    reads: int
    held_out_starts: int
    factor: float
    own_model: str | None
    own: float
    own_error: float
    pooled: float
    pooled_error: float
    difference: float
    difference_error: float

    @property
    def better(self) -> str | None:
        """The model that is better by two standard errors: ``pooled``, ``own`` or ``neither``.

        None where they were not compared.
        """
        if not math.isfinite(self.difference) or not math.isfinite(self.difference_error):
            return None
        if abs(self.difference) <= 2 * self.difference_error:
            return "neither"
        return "pooled" if self.difference > 0 else "own"


@dataclass(frozen=True, slots=True)
class Cohort:
    """A bias model of several samples.

    Args:
        model: the pooled model, for :func:`counterbias.save_models`.
        gains: one per sample and read end, sorted by sample.
        skipped: sample → why nothing was learnt from it.
        report: the JSON document.
        warnings: what the user should know, one line each.
    """

    model: ModelFile
    gains: tuple[SampleGain, ...]
    skipped: Mapping[str, str]
    report: dict[str, Any]
    warnings: tuple[str, ...]


def summarise(gains: Sequence[SampleGain]) -> dict[str, Any]:
    """Summarise pooled − own over samples and read ends.

    Returns:
        the mean difference, its standard error, and how many are better with which model.
    """
    compared = [row for row in gains if row.better is not None]
    differences = np.array([row.difference for row in compared])
    error = math.nan
    if len(differences) > 1:
        error = float(differences.std(ddof=1) / math.sqrt(len(differences)))
    return {
        "compared": len(compared),
        "difference": float(differences.mean()) if len(differences) else math.nan,
        "difference_error": error,
        **{
            which: sum(row.better == which for row in compared)
            for which in ("pooled", "own", "neither")
        },
    }
