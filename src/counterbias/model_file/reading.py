"""A model file → fitted models; nothing in the file is trusted, and no code from it runs."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.inputs import is_input
from counterbias.model import BiasModel
from counterbias.model_file.container import read_array, read_members
from counterbias.model_file.contents import EndModel, ModelFile, Prior, Training
from counterbias.model_file.layout import (
    ARRAY_NAME,
    BLENDED,
    DESCRIPTION,
    END_KEYS,
    END_PRIOR_KEYS,
    KEYS,
    LENGTH_SLOPE,
    MAX_ARRAYS,
    MAX_JSON,
    MAX_SAMPLES,
    NO_MODEL,
    PRIOR,
    PRIOR_KEYS,
    SCHEMA,
    TAG,
    TRAINING_KEYS,
    WEIGHTING_KEYS,
)
from counterbias.no_model import NoModel
from counterbias.plugins import Manager, load_plugins, missing_modules
from counterbias.records import Window

#: Limits on the numbers of a file, far beyond those of any fitted model: slopes and shares, offsets
#: (nats), gains (bits), and the ratio of a cap or factor to 1, or of 1 to it.
MOST_SLOPE, MOST_OFFSET, MOST_GAIN, MOST_SCALE = 100.0, 1e4, 1e6, 1e100
#: Most read starts that a model has learnt from.
MOST_STARTS = 1 << 62
#: Windows that a model must score when it is loaded.
PROBES = 64
#: Largest absolute value of their calibrated scores, nats: more than a window of bases that were
#: never seen, with the smallest pseudocount, could have.
MOST_PROBED = 1e5


def is_model_file(name: str) -> bool:
    """Whether a name is that of a model file, existing or not, rather than of a backend."""
    return is_input(name) or os.sep in name.partition(":")[0] or name.endswith(".model")


def load_models(
    path: str | os.PathLike[str], manager: Manager, *, window: Window | None = None
) -> ModelFile:
    """Read a model file.

    Args:
        path: the file.
        manager: the plug-ins, among them the backend that the file names.
        window: the window that the models must have; None accepts any.

    Raises:
        InputError: the file is missing, damaged, of a newer schema, holds anything unknown, has
            another window, or needs a backend that is not installed.
    """
    try:
        return _Reader(str(path), manager).read(window)
    except InputError as problem:
        if problem.file:
            raise
        raise InputError(
            problem.problem, file=str(path), place=problem.place, remedy=problem.remedy
        ) from None


def load_model(
    path: str | os.PathLike[str], *, manager: Manager | None = None, window: Window | None = None
) -> ModelFile:
    """Read a model file with the installed plug-ins, for scripts.

    Args:
        path, window: as for :func:`load_models`.
        manager: plug-ins that are already loaded; None to load those installed.

    Raises:
        InputError: as :func:`load_models` does.
    """
    return load_models(path, load_plugins() if manager is None else manager, window=window)


@dataclass(frozen=True)
class _Unfitted:
    """A model's class and the arguments of its constructor; the arrays are still to come."""

    model_class: type[BiasModel]
    options: Any
    window: Window


def _with_prior(keys: set[str], has_prior: bool) -> set[str]:
    return keys | {PRIOR} if has_prior else keys


class _Reader:
    """Reads one file, trusting nothing in it."""

    def __init__(self, path: str, manager: Manager) -> None:
        self.path = path
        self.manager = manager

    def refuse(self, problem: str, *, place: str = "", remedy: str = "") -> InputError:
        return InputError(problem, file=self.path, place=place, remedy=remedy)

    def read(self, window: Window | None) -> ModelFile:
        members = read_members(self.path)
        description = self._description(members.pop(DESCRIPTION, None))
        found = self._window(description["window"])
        if window is not None and found != window:
            remedy = f"use --bias-window {found} or train the model again"
            raise self.refuse(f"the model has the window {found}, not {window}", remedy=remedy)
        backend, distribution, version = (
            self._text(description, key) for key in ("backend", "distribution", "version")
        )
        model_class = self._model_class(backend, distribution)
        own = _Unfitted(model_class, self._options(model_class, description["options"]), found)
        prior, other = self._prior(description, found)
        ends = [
            self._end(entry, members, own, other)
            for entry in self._list(description["ends"], "ends")
        ]
        if members:
            raise self.refuse(
                f"the file holds '{sorted(members)[0]}', which model.json does not list"
            )
        try:
            training = self._training(description["training"])
            weighting = self._keys(description["weighting"], WEIGHTING_KEYS, "weighting")
            scale = (1 / MOST_SCALE, MOST_SCALE)
            cap = math.inf if weighting["cap"] is None else self._number(weighting, "cap", *scale)
            factor = self._number(weighting, "factor", *scale)
            return ModelFile(
                backend, distribution, version, found, tuple(ends), training, cap, factor, prior
            )
        except ValueError as problem:
            raise self.refuse(str(problem), place=DESCRIPTION) from None

    def _description(self, text: bytes | None) -> dict[str, Any]:
        """Parse and check the top level of model.json."""
        if text is None or len(text) > MAX_JSON:
            raise self.refuse("not a model file: it has no usable model.json")
        try:
            description = json.loads(
                text.decode(),
                object_pairs_hook=_unique_keys,
                parse_float=_finite,
                parse_constant=_no_constant,
            )
            # Fails for a lone surrogate, which could not be written anywhere.
            json.dumps(description, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as problem:
            raise self.refuse(f"not valid JSON ({problem})", place=DESCRIPTION) from None
        if not isinstance(description, dict) or description.get(TAG) is not True:
            raise self.refuse(f"not a model file: it has no tag '{TAG}'", place=DESCRIPTION)
        schema = description.get("schema")
        if (
            not isinstance(schema, list)
            or len(schema) != 2
            or any(type(part) is not int for part in schema)
        ):
            raise self.refuse("the schema is not [major, minor]", place=DESCRIPTION)
        if schema[0] != SCHEMA[0]:
            newer = schema[0] > SCHEMA[0]
            age, remedy = (
                ("newer", "install a newer counterbias")
                if newer
                else ("older", "train the model again")
            )
            versions = f"schema {schema[0]}.{schema[1]} is {age} than {SCHEMA[0]}.{SCHEMA[1]}"
            raise self.refuse(
                f"{versions}, which this program reads", place=DESCRIPTION, remedy=remedy
            )
        self._keys(
            description,
            _with_prior(KEYS, schema[1] >= BLENDED[1] and PRIOR in description),
            f"schema {schema[0]}.{schema[1]}",
        )
        return description

    def _prior(
        self, description: dict[str, Any], window: Window
    ) -> tuple[Prior | None, _Unfitted | None]:
        """Read the prior; None where the models are not blends."""
        if PRIOR not in description:
            return None, None
        found = self._keys(description[PRIOR], PRIOR_KEYS, PRIOR)
        backend, distribution, version = (
            self._text(found, key) for key in ("backend", "distribution", "version")
        )
        model_class = self._model_class(backend, distribution)
        prior = Prior(backend, distribution, version, self._training(found["training"]))
        options = self._options(model_class, found["options"])
        return prior, _Unfitted(model_class, options, window)

    def _keys(self, found: object, expected: set[str], place: str) -> dict[str, Any]:
        """Check that an object has exactly the known keys.

        So a newer minor version is accepted only without additions.
        """
        if not isinstance(found, dict):
            raise self.refuse("expected an object", place=f"{DESCRIPTION}, {place}")
        for key in sorted(set(found) ^ expected):
            state = "unknown" if key in found else "missing"
            where = f"{DESCRIPTION}, {place}"
            raise self.refuse(
                f"key '{key}' is {state}", place=where, remedy="a newer counterbias may know it"
            )
        return found

    def _text(self, owner: dict[str, Any], key: str) -> str:
        if not isinstance(owner[key], str):
            raise self.refuse(f"'{key}' is not a string", place=DESCRIPTION)
        return str(owner[key])

    def _number(self, owner: dict[str, Any], key: str, least: float, most: float) -> float:
        value = owner[key]
        if type(value) not in (int, float) or not least <= value <= most:
            raise self.refuse(
                f"'{key}' is not a number from {least:g} to {most:g}", place=DESCRIPTION
            )
        return float(value)

    def _whole(self, owner: dict[str, Any], key: str, most: float = math.inf) -> int:
        if type(owner[key]) is not int or not 0 <= owner[key] <= most:
            raise self.refuse(f"'{key}' is not a whole number", place=DESCRIPTION)
        return int(owner[key])

    def _list(self, value: object, key: str, most: int = MAX_ARRAYS) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise self.refuse(f"'{key}' is not a list of usable length", place=DESCRIPTION)
        return value

    def _window(self, value: object) -> Window:
        if (
            not isinstance(value, list)
            or len(value) != 2
            or any(type(part) is not int for part in value)
        ):
            raise self.refuse("'window' is not [upstream, downstream]", place=DESCRIPTION)
        return Window(*value)

    def _model_class(self, backend: str, distribution: str) -> type[BiasModel]:
        """Load the class; refuse a backend of the same name from another distribution."""
        found = self.manager.registration(backend)
        installed = found.plugin.distribution
        if distribution and installed and distribution != installed:
            raise self.refuse(
                f"the model was made by backend '{backend}' of {distribution}, "
                f"but the one installed is of {installed}"
            )
        try:
            return self.manager.load(backend)
        except ImportError as problem:
            lacking = " ".join(missing_modules(found.backend))
            raise self.refuse(
                f"backend '{backend}' cannot be loaded: {problem}",
                remedy=f"run: pip install {lacking}" if lacking else "",
            ) from None

    def _options(self, model_class: type[BiasModel], values: object) -> Any:
        """Build the options; those that a newer plug-in added have their defaults."""
        fields = {field.name: field.default for field in dataclasses.fields(model_class.Options)}
        if not isinstance(values, dict) or not set(values) <= set(fields):
            raise self.refuse(
                "the model has options that the installed backend does not know", place=DESCRIPTION
            )
        try:
            return model_class.Options(
                **{name: _as_type_of(fields[name], name, value) for name, value in values.items()}
            )
        except (TypeError, ValueError, OverflowError) as problem:
            raise self.refuse(f"unusable option: {problem}", place=DESCRIPTION) from None

    def _end(
        self,
        entry: object,
        members: dict[str, bytes],
        own: _Unfitted,
        prior: _Unfitted | None,
    ) -> EndModel:
        """Build the model of one end, removing its arrays from the members."""
        if isinstance(entry, dict) and NO_MODEL in entry:
            return self._end_without(entry, own)
        sloped = isinstance(entry, dict) and LENGTH_SLOPE in entry
        keys = END_KEYS | {LENGTH_SLOPE} if sloped else END_KEYS
        found = self._keys(entry, _with_prior(keys, prior is not None), "ends")
        label = self._text(found, "label")
        model = self._model(label, found["arrays"], members, own)
        if prior is not None:
            part = self._keys(found[PRIOR], END_PRIOR_KEYS, f"ends, {PRIOR}")
            other = self._model(f"{label}.{PRIOR}", part["arrays"], members, prior)
            model = Blend(
                model,
                other,
                *(self._number(part, key, 0.0, MOST_SLOPE) for key in ("own_share", "prior_share")),
            )
        end = EndModel(
            label,
            model,
            offset=self._number(found, "offset", -MOST_OFFSET, MOST_OFFSET),
            slope=self._number(found, "slope", 0.0, MOST_SLOPE),
            starts=self._whole(found, "starts", MOST_STARTS),
            held_out_gain=None
            if found["held_out_gain"] is None
            else self._number(found, "held_out_gain", -MOST_GAIN, MOST_GAIN),
            length_slope=self._number(found, LENGTH_SLOPE, 0.0, MOST_SLOPE) if sloped else None,
        )
        self._check_scores(end)
        return end

    def _check_scores(self, end: EndModel) -> None:
        """Score some windows: numbers that are each acceptable may give absurd or no scores."""
        width = end.model.window.width
        random = np.random.default_rng(0).integers(0, 4, (PROBES - 4, width), dtype=np.uint8)
        contexts = np.concatenate(
            [random, np.repeat(np.arange(4, dtype=np.uint8)[:, None], width, axis=1)]
        )
        try:
            with np.errstate(all="ignore"):
                scores = np.asarray(end.model.log_bias(contexts), np.float64)
                slope = max(end.slope, end.length_slope or 0.0)
                found = slope * scores + end.offset
        except Exception as problem:  # a plug-in that accepts arrays which it cannot use
            raise self.refuse(
                f"the model of end '{end.label}' cannot be used ({type(problem).__name__})"
            ) from None
        if (
            scores.shape != (PROBES,)
            or not np.isfinite(scores).all()
            or np.abs(found).max() > MOST_PROBED
        ):
            raise self.refuse(
                f"the model of end '{end.label}' gives windows an impossible bias",
                remedy="train the model again",
            )

    def _end_without(self, entry: dict[str, Any], own: _Unfitted) -> EndModel:
        """Build an end that has no model, hence no arrays, calibration or gain."""
        found = self._keys(entry, END_KEYS | {NO_MODEL}, "ends")
        if [found["arrays"], found["offset"], found["slope"], found["held_out_gain"]] != [
            [],
            0.0,
            0.0,
            None,
        ]:
            raise self.refuse(
                "an end without a model has arrays, a calibration or a gain", place=DESCRIPTION
            )
        model = NoModel(own.window, own.options, " ".join(self._text(found, NO_MODEL).split()))
        return EndModel(self._text(found, "label"), model, 0.0, 0.0, self._whole(found, "starts"))

    def _model(
        self, folder: str, names: object, members: dict[str, bytes], unfitted: _Unfitted
    ) -> BiasModel:
        """Build one model from the arrays of a folder."""
        arrays = {}
        for name in self._list(names, "arrays"):
            member = f"{folder}/{name}.npy"
            if not isinstance(name, str) or not ARRAY_NAME.fullmatch(name) or member not in members:
                raise self.refuse(f"array '{name}' of end '{folder}' is missing")
            arrays[name] = read_array(members.pop(member), member)
        try:
            with np.errstate(all="ignore"):
                model = unfitted.model_class(unfitted.window, unfitted.options)
                model.from_arrays(arrays)
        except InputError:
            raise
        except Exception as problem:  # a plug-in that checks less than it should
            raise self.refuse(
                f"the backend refuses the arrays of end '{folder}' ({type(problem).__name__})"
            ) from None
        return model

    def _training(self, value: object) -> Training:
        found = self._keys(value, TRAINING_KEYS, "training")
        samples = self._list(found["samples"], "samples", MAX_SAMPLES)
        if not all(isinstance(name, str) for name in samples):
            raise self.refuse("'samples' are not strings", place=DESCRIPTION)
        return Training(
            tuple(samples),
            self._whole(found, "seed"),
            self._text(found, "scheme"),
            self._text(found, "counterbias_version"),
        )


def _as_type_of(default: object, name: str, value: object) -> object:
    """Check the type of an option's value; JSON has no tuples and may write 1.0 as 1."""
    if isinstance(default, tuple) and isinstance(value, list):
        part_types = {type(part) for part in default} or {str, int, float, bool}
        if len(value) > MAX_ARRAYS:
            raise ValueError(f"{name} has {len(value)} parts")
        if all(type(part) in part_types for part in value):
            return tuple(value)
    elif isinstance(default, float) and type(value) is int:
        return float(value)
    elif type(value) is type(default):
        return value
    raise ValueError(f"{name} is not of type {type(default).__name__}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value
