"""The models of trials, as the cache keeps them, so that they can score other places later."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from counterbias.model import BiasModel
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.weights import Calibration


def model_arrays(candidate: Candidate, model: BiasModel) -> dict[str, NDArray[Any]]:
    """Return the arrays of a trial's model; none for a model file, which is not fitted here."""
    if _is_from_file(candidate):
        return {}
    return {f"model.{name}": array for name, array in model.to_arrays().items()}


def restore_model(
    candidate: Candidate, choice: ModelChoice, arrays: Mapping[str, NDArray[Any]]
) -> BiasModel:
    """Return the model of a trial.

    Args:
        candidate: what was compared.
        choice: the same, guarded.
        arrays: what :func:`model_arrays` returned.
    """
    model = choice.model(choice.window, choice.options)
    if not _is_from_file(candidate):
        model.from_arrays({name.removeprefix("model."): one for name, one in arrays.items()})
    return model


def keep_calibration(calibration: Calibration) -> dict[str, Any]:
    """Return what :func:`restore_calibration` needs, as JSON can hold it."""
    return {
        "applied": bool(calibration.applied),
        "slope": float(calibration.slope),
        "constant": float(calibration.constant),
    }


def restore_calibration(kept: Mapping[str, Any]) -> Calibration:
    """Return the calibration of reads that :func:`keep_calibration` kept."""
    return Calibration(kept["applied"], kept["slope"], kept["constant"], math.nan, math.nan, 0)


def _is_from_file(candidate: Candidate) -> bool:
    return candidate.choice is not None and candidate.choice.fitted is not None
