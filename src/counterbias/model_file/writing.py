"""Fitted models → the bytes of a model file; the same models give the same bytes."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.files import whole_stream
from counterbias.model import BiasModel
from counterbias.model_file.contents import EndModel, ModelFile
from counterbias.model_file.layout import (
    ARRAY_NAME,
    BLENDED,
    DESCRIPTION,
    LENGTH_SLOPE,
    NO_MODEL,
    PLAIN,
    PRIOR,
    SCHEMA,
    TAG,
)
from counterbias.no_model import NoModel


def save_models(path: str | os.PathLike[str], models: ModelFile) -> None:
    """Write fitted models to a file, which appears whole or not at all.

    The same models give the same bytes.

    Args:
        path: the file; what it holds is replaced.
        models: the contents.

    Raises:
        InputError: the file cannot be written, or the backend fails, or returns arrays that are
            not of plain numbers.
        ValueError: the calibration is not finite.
    """
    content = _pack(models)
    with whole_stream(path) as stream:
        stream.write(content)


def _pack(models: ModelFile) -> bytes:
    """Return the bytes of a file."""
    members: dict[str, bytes] = {}
    description = {
        **_describe(models),
        "ends": [_add_end(end, models, members) for end in models.ends],
    }
    members[DESCRIPTION] = (
        json.dumps(description, indent=1, sort_keys=True, allow_nan=False) + "\n"
    ).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=lambda member: (member != DESCRIPTION, member)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            # The same on every operating system.
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, members[name])
    return buffer.getvalue()


def _describe(models: ModelFile) -> dict[str, Any]:
    """Return the part of model.json that concerns all ends."""
    description = {
        TAG: True,
        "schema": list(_schema(models)),
        "backend": models.backend,
        "distribution": models.distribution,
        "version": models.version,
        "window": [models.window.upstream, models.window.downstream],
        "options": dataclasses.asdict(models.options),
        "training": dataclasses.asdict(models.training),
        "weighting": {"cap": _or_none(models.cap), "factor": _finite(models.factor)},
    }
    blends = [end.model for end in models.ends if isinstance(end.model, Blend)]
    if models.prior is not None and blends:
        description[PRIOR] = {
            **dataclasses.asdict(models.prior),
            "options": dataclasses.asdict(blends[0].prior.options),
        }
    return description


def _schema(models: ModelFile) -> tuple[int, int]:
    """Return the oldest schema that can express the contents."""
    if any(isinstance(end.model, NoModel) for end in models.ends):
        return SCHEMA
    return PLAIN if models.prior is None else BLENDED


def _add_end(end: EndModel, models: ModelFile, members: dict[str, bytes]) -> dict[str, Any]:
    """Add the arrays of an end to the members and return its entry in model.json."""
    entry: dict[str, Any] = {
        "arrays": _add_arrays(end.label, models.backend, end.model, members),
        "held_out_gain": _or_none(end.held_out_gain),
        "label": end.label,
        "offset": _finite(end.offset),
        "slope": _finite(end.slope),
        "starts": int(end.starts),
    }
    if end.length_slope is not None:
        entry[LENGTH_SLOPE] = _finite(end.length_slope)
    if isinstance(end.model, NoModel):
        entry[NO_MODEL] = end.model.reason
    if models.prior is not None and isinstance(end.model, Blend):
        entry[PRIOR] = {
            "arrays": _add_arrays(
                f"{end.label}.{PRIOR}", models.prior.backend, end.model.prior, members
            ),
            "own_share": _finite(end.model.own_share),
            "prior_share": _finite(end.model.prior_share),
        }
    return entry


def _add_arrays(
    folder: str, backend: str, model: BiasModel, members: dict[str, bytes]
) -> list[str]:
    try:
        arrays = model.to_arrays()
    except (InputError, MemoryError):
        raise
    except Exception as problem:  # a plug-in may raise anything
        raise InputError(
            f"backend '{backend}' failed while its model was saved: "
            f"{type(problem).__name__}: {problem}"
        ) from problem
    members.update(
        {
            f"{folder}/{name}.npy": _array_bytes(backend, name, array)
            for name, array in arrays.items()
        }
    )
    return sorted(arrays)


def _array_bytes(backend: str, name: str, array: NDArray[Any]) -> bytes:
    """Return an array as .npy bytes.

    They are little-endian and C-contiguous, so that equal arrays give equal bytes.
    """
    if not ARRAY_NAME.fullmatch(name) or array.dtype.kind not in "biuf":
        raise InputError(
            f"backend '{backend}' returned array '{name}' of type {array.dtype}, which cannot be "
            "saved"
        )
    plain = np.require(array, array.dtype.newbyteorder("<"), "C")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, plain, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"calibration of {value} cannot be saved")
    return float(value)


def _or_none(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
