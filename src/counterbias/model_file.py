"""Save fitted models and load them again: one zip file of JSON and plain arrays.

Loading runs no code from the file: ``model.json`` is data, arrays are ``.npy`` read without pickle, and the class comes from the
plug-in that the user has installed. Whatever is not known is refused. The same model gives the same bytes: members are sorted,
stored without compression, and bear a fixed time. ``docs/reference/model-file.md`` describes the format.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import os
import re
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.model import BiasModel
from counterbias.plugins import Manager, load_plugins
from counterbias.records import Window

#: The newest schema that is read; files without a prior are written as :data:`PLAIN`, which older programs read.
TAG, SCHEMA, PLAIN = "counterbias_model", (1, 1), (1, 0)
#: End labels that a file may hold, in this order.
POOLED, PER_END = ("both",), ("read1", "read2")
#: Limits on what is read, far above what any model needs: bytes of the file and of model.json, arrays per end.
MAX_BYTES, MAX_JSON, MAX_ARRAYS = 256 << 20, 4 << 20, 1000

_DESCRIPTION = "model.json"
_ARRAY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_KEYS = {
    "backend",
    "counterbias_model",
    "distribution",
    "ends",
    "options",
    "schema",
    "training",
    "version",
    "weighting",
    "window",
}
_END_KEYS = {"arrays", "held_out_gain", "label", "offset", "slope", "starts"}
_PRIOR, _PRIOR_KEYS, _END_PRIOR_KEYS = (
    "prior",
    {"backend", "distribution", "options", "training", "version"},
    {"arrays", "own_share", "prior_share"},
)
_WEIGHTING_KEYS = {"cap", "factor"}
_TRAINING_KEYS = {"counterbias_version", "samples", "scheme", "seed"}
#: What a damaged or hostile file makes the standard library raise.
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    struct.error,
    SyntaxError,
)


@dataclass(frozen=True)
class EndModel:
    """One fitted model, its calibration, and what it learnt from.

    Calibrated log_bias = ``slope × model.log_bias(contexts) + offset``, nats.

    Args:
        label: ``both`` (reads 1 and 2 pooled, or single-end), ``read1`` or ``read2``.
        model: the fitted model.
        offset, slope: calibration on held-out windows; both 0 where the model gains nothing there: every weight is then 1.
        starts: unique read starts that it learnt from.
        held_out_gain: gain in telling held-out read starts from their surroundings, bits per start; None where not measured.
    """

    label: str
    model: BiasModel
    offset: float = 0.0
    slope: float = 1.0
    starts: int = 0
    held_out_gain: float | None = None

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Give the calibrated log_bias of windows: uint8 (n, width) → float64 (n,)."""
        return np.asarray(self.slope * self.model.log_bias(contexts) + self.offset, dtype=np.float64)


@dataclass(frozen=True)
class Training:
    """Say where a model comes from.

    Args:
        samples: names of the samples it learnt from.
        seed: seed of sampling and fitting.
        scheme: name of the sampling scheme.
        counterbias_version: version that fitted it.
    """

    samples: tuple[str, ...] = ()
    seed: int = 0
    scheme: str = ""
    counterbias_version: str = ""


@dataclass(frozen=True)
class Prior:
    """Say what the models of a file were blended with.

    Args:
        backend, distribution, version: as in :class:`ModelFile`.
        training: where it came from.
    """

    backend: str
    distribution: str
    version: str
    training: Training


@dataclass(frozen=True)
class ModelFile:
    """All that a model file holds.

    Args:
        backend: name of the backend.
        distribution, version: the distribution that brought it, and its version; empty where registered by hand.
        window: the window of all its models.
        ends: one model labelled ``both``, or two, ``read1`` and ``read2``.
        training: where it comes from.
        cap: largest exp(-log_bias) before scaling, in the sample of the run that wrote the file; infinity without a cap.
        factor: what the weights of that sample were scaled by, so that they sum to the number of its fragments.
        prior: where the other part of the models comes from, if they are blends; ``backend`` is then that of the sample's own part.
    """

    backend: str
    distribution: str
    version: str
    window: Window
    ends: tuple[EndModel, ...]
    training: Training = Training()
    cap: float = math.inf
    factor: float = 1.0
    prior: Prior | None = None

    def __post_init__(self) -> None:
        labels = tuple(end.label for end in self.ends)
        if labels not in (POOLED, PER_END):
            raise ValueError(f"ends are {labels}, expected {POOLED} or {PER_END}")
        for end in self.ends:
            if end.model.window != self.window or end.model.options != self.options:
                raise ValueError("all ends must have the file's window and the same options")
            if isinstance(end.model, Blend) != (self.prior is not None):
                raise ValueError("a file with a prior has blended models, one without has none")

    @property
    def options(self) -> Any:
        """The options of the backend, an instance of its ``Options``."""
        return self.ends[0].model.options

    def weights(self, log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn calibrated log_bias, nats, into read weights as the run that wrote the file did: float64 (n,) → float64 (n,)."""
        return np.asarray(np.minimum(np.exp(-log_bias), self.cap) * self.factor, dtype=np.float64)

    def end(self, read: int) -> EndModel:
        """Give the model of read 1 (``read=0``, also single reads) or read 2 (``read=1``)."""
        return self.ends[0] if len(self.ends) == 1 else self.ends[read]


def save_models(path: str | os.PathLike[str], models: ModelFile) -> None:
    """Write fitted models to one file, atomically; the same models give the same bytes.

    Raises:
        InputError: the file cannot be written, or the backend gives arrays that are not plain numbers.
    """
    content = _pack(models)
    target = Path(path)
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes it private, which nobody asked for
        os.replace(temporary, target)
        temporary = ""
    except OSError as problem:
        raise InputError(f"cannot write the model: {problem.strerror or problem}", file=str(path)) from None
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def load_models(path: str | os.PathLike[str], manager: Manager, *, window: Window | None = None) -> ModelFile:
    """Read a model file.

    Args:
        path: the file.
        manager: has the backend that the file names.
        window: refuse a model of another window than this one; None takes any.

    Raises:
        InputError: the file is missing, damaged, of a newer schema, holds anything unknown, has another window, or needs a
            backend that is not installed.
    """
    try:
        return _Reader(str(path), manager).read(window)
    except InputError as problem:
        if problem.file:
            raise
        raise InputError(problem.problem, file=str(path), place=problem.place, remedy=problem.remedy) from None


def load_model(path: str | os.PathLike[str], *, manager: Manager | None = None, window: Window | None = None) -> ModelFile:
    """Read a model file with the plug-ins that are installed; for scripts. Raises InputError as :func:`load_models` does."""
    return load_models(path, load_plugins() if manager is None else manager, window=window)


# -- writing ---------------------------------------------------------------------------------------------------------


def _pack(models: ModelFile) -> bytes:
    """Give the bytes of a file."""
    members: dict[str, bytes] = {}
    ends = []

    def add(folder: str, backend: str, model: BiasModel) -> list[str]:
        arrays = model.to_arrays()
        for name, array in arrays.items():
            members[f"{folder}/{name}.npy"] = _array_bytes(backend, name, array)
        return sorted(arrays)

    for end in models.ends:
        told: dict[str, Any] = {
            "arrays": add(end.label, models.backend, end.model),
            "held_out_gain": _or_none(end.held_out_gain),
            "label": end.label,
            "offset": _finite(end.offset),
            "slope": _finite(end.slope),
            "starts": int(end.starts),
        }
        if models.prior is not None and isinstance(end.model, Blend):
            told[_PRIOR] = {
                "arrays": add(f"{end.label}.{_PRIOR}", models.prior.backend, end.model.prior),
                "own_share": _finite(end.model.own_share),
                "prior_share": _finite(end.model.prior_share),
            }
        ends.append(told)
    description = {
        TAG: True,
        "schema": list(PLAIN if models.prior is None else SCHEMA),
        "backend": models.backend,
        "distribution": models.distribution,
        "version": models.version,
        "window": [models.window.upstream, models.window.downstream],
        "options": dataclasses.asdict(models.options),
        "ends": ends,
        "training": dataclasses.asdict(models.training),
        "weighting": {"cap": _or_none(models.cap), "factor": _finite(models.factor)},
    }
    first = models.ends[0].model
    if models.prior is not None and isinstance(first, Blend):
        prior = models.prior
        description[_PRIOR] = {
            "backend": prior.backend,
            "distribution": prior.distribution,
            "version": prior.version,
            "options": dataclasses.asdict(first.prior.options),
            "training": dataclasses.asdict(prior.training),
        }
    text = json.dumps(description, indent=1, sort_keys=True, allow_nan=False) + "\n"
    members[_DESCRIPTION] = text.encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=lambda member: (member != _DESCRIPTION, member)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # whatever system it is written on
            archive.writestr(entry, members[name])
    return buffer.getvalue()


def _array_bytes(backend: str, name: str, array: NDArray[Any]) -> bytes:
    """Give an array as .npy bytes, little-endian and C-contiguous, so that equal arrays give equal bytes."""
    if not _ARRAY_NAME.fullmatch(name) or array.dtype.kind not in "biuf":
        raise InputError(f"backend '{backend}' gave an array '{name}' of type {array.dtype}, which cannot be saved")
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


# -- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """What a file says of a model besides its arrays."""

    model: type[BiasModel]
    options: Any
    window: Window


def _with_prior(keys: set[str], there: bool) -> set[str]:
    return keys | {_PRIOR} if there else keys


class _Reader:
    """Read one file, trusting nothing in it."""

    def __init__(self, path: str, manager: Manager) -> None:
        self.path = path
        self.manager = manager

    def refuse(self, problem: str, *, place: str = "", remedy: str = "") -> InputError:
        return InputError(problem, file=self.path, place=place, remedy=remedy)

    def read(self, window: Window | None) -> ModelFile:
        members = self._members()
        description = self._description(members.pop(_DESCRIPTION, None))
        found = self._window(description["window"])
        if window is not None and found != window:
            remedy = f"use --bias-window {found} or train anew"
            raise self.refuse(f"the model has the window {found}, not {window}", remedy=remedy)
        backend, distribution, version = (self._text(description, key) for key in ("backend", "distribution", "version"))
        kind = self._kind(backend, distribution)
        own = _Kind(kind, self._options(kind, description["options"]), found)
        prior, other = self._prior(description, found)
        ends = [self._end(entry, members, own, other) for entry in self._list(description["ends"], "ends")]
        if members:
            raise self.refuse(f"the file holds '{sorted(members)[0]}', which model.json does not name")
        try:
            training = self._training(description["training"])
            weighting = self._keys(description["weighting"], _WEIGHTING_KEYS, "weighting")
            cap = math.inf if weighting["cap"] is None else self._number(weighting, "cap")
            factor = self._number(weighting, "factor")
            return ModelFile(backend, distribution, version, found, tuple(ends), training, cap, factor, prior)
        except ValueError as problem:
            raise self.refuse(str(problem), place=_DESCRIPTION) from None

    def _members(self) -> dict[str, bytes]:
        """Give the members' bytes; refuses anything but stored members within the limits."""
        try:
            with open(self.path, "rb") as stream:
                content = stream.read(MAX_BYTES + 1)
        except OSError as problem:
            raise self.refuse(f"cannot read the model: {problem.strerror or problem}") from None
        if len(content) > MAX_BYTES:
            raise self.refuse(f"larger than {MAX_BYTES >> 20} MiB, no model is")
        members: dict[str, bytes] = {}
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                entries = archive.infolist()
                # Stored members alone cannot unfold to more than the file, unless they overlap.
                if sum(entry.file_size for entry in entries) > len(content) or len(entries) > 4 * MAX_ARRAYS + 1:
                    raise self.refuse("not a model file: its members do not fit into it")
                for entry in entries:
                    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.filename in members:
                        raise self.refuse(f"not a model file: member '{entry.filename}' is compressed, encrypted or doubled")
                    members[entry.filename] = archive.read(entry)
        except _DAMAGE as problem:
            remedy = "give a PREFIX.model that counterbias wrote"
            raise self.refuse(f"not a model file, or a damaged one ({problem})", remedy=remedy) from None
        return members

    def _description(self, text: bytes | None) -> dict[str, Any]:
        """Parse and check the top level of model.json."""
        if text is None or len(text) > MAX_JSON:
            raise self.refuse("not a model file: it has no usable model.json")
        try:
            description = json.loads(text.decode(), object_pairs_hook=_unique_keys, parse_constant=_no_constant)
        except (ValueError, RecursionError) as problem:
            raise self.refuse(f"not valid JSON ({problem})", place=_DESCRIPTION) from None
        if not isinstance(description, dict) or description.get(TAG) is not True:
            raise self.refuse(f"not a model file: it has no tag '{TAG}'", place=_DESCRIPTION)
        schema = description.get("schema")
        if not isinstance(schema, list) or len(schema) != 2 or any(type(part) is not int for part in schema):
            raise self.refuse("the schema is not [major, minor]", place=_DESCRIPTION)
        if schema[0] != SCHEMA[0]:
            newer = schema[0] > SCHEMA[0]
            age, remedy = ("newer", "install a newer counterbias") if newer else ("older", "train the model anew")
            versions = f"schema {schema[0]}.{schema[1]} is {age} than {SCHEMA[0]}.{SCHEMA[1]}"
            raise self.refuse(f"{versions}, which this program reads", place=_DESCRIPTION, remedy=remedy)
        self._keys(description, _with_prior(_KEYS, schema[1] >= SCHEMA[1] and _PRIOR in description), f"schema {schema[0]}.{schema[1]}")
        return description

    def _prior(self, description: dict[str, Any], window: Window) -> tuple[Prior | None, _Kind | None]:
        """Read what the models were blended with; None where with nothing."""
        if _PRIOR not in description:
            return None, None
        found = self._keys(description[_PRIOR], _PRIOR_KEYS, _PRIOR)
        backend, distribution, version = (self._text(found, key) for key in ("backend", "distribution", "version"))
        kind = self._kind(backend, distribution)
        prior = Prior(backend, distribution, version, self._training(found["training"]))
        return prior, _Kind(kind, self._options(kind, found["options"]), window)

    def _keys(self, found: object, expected: set[str], place: str) -> dict[str, Any]:
        """Insist on exactly the keys that are known: a newer minor version passes only without additions."""
        if not isinstance(found, dict):
            raise self.refuse("expected an object", place=f"{_DESCRIPTION}, {place}")
        for key in sorted(set(found) ^ expected):
            state = "unknown" if key in found else "missing"
            where = f"{_DESCRIPTION}, {place}"
            raise self.refuse(f"key '{key}' is {state}", place=where, remedy="a newer counterbias may know it")
        return found

    def _text(self, owner: dict[str, Any], key: str) -> str:
        if not isinstance(owner[key], str):
            raise self.refuse(f"'{key}' is not a text", place=_DESCRIPTION)
        return str(owner[key])

    def _number(self, owner: dict[str, Any], key: str) -> float:
        value = owner[key]
        # The bound keeps float() from overflowing on an integer of a thousand digits.
        if type(value) not in (int, float) or not abs(value) < 1e300:
            raise self.refuse(f"'{key}' is not a number", place=_DESCRIPTION)
        return float(value)

    def _whole(self, owner: dict[str, Any], key: str) -> int:
        if type(owner[key]) is not int or owner[key] < 0:
            raise self.refuse(f"'{key}' is not a whole number", place=_DESCRIPTION)
        return int(owner[key])

    def _list(self, value: object, key: str) -> list[Any]:
        if not isinstance(value, list) or len(value) > MAX_ARRAYS:
            raise self.refuse(f"'{key}' is not a list of usable length", place=_DESCRIPTION)
        return value

    def _window(self, value: object) -> Window:
        if not isinstance(value, list) or len(value) != 2 or any(type(part) is not int for part in value):
            raise self.refuse("'window' is not [upstream, downstream]", place=_DESCRIPTION)
        return Window(*value)

    def _kind(self, backend: str, distribution: str) -> type[BiasModel]:
        """Find the class; refuses a backend of the same name that another distribution brings."""
        found = self.manager.registration(backend)
        here = found.plugin.distribution
        if distribution and here and distribution != here:
            raise self.refuse(f"the model was made by backend '{backend}' of {distribution}, the one installed is of {here}")
        try:
            return found.backend.load()
        except ImportError as problem:
            raise self.refuse(f"backend '{backend}' cannot be loaded: {problem}") from None

    def _options(self, kind: type[BiasModel], values: object) -> Any:
        """Build the options; keys that a newer plug-in added keep their defaults, unknown ones are refused."""
        fields = {field.name: field.default for field in dataclasses.fields(kind.Options)}
        if not isinstance(values, dict) or not set(values) <= set(fields):
            raise self.refuse("the model has options that the installed backend does not know", place=_DESCRIPTION)
        try:
            return kind.Options(**{name: _as_type_of(fields[name], name, value) for name, value in values.items()})
        except (TypeError, ValueError, OverflowError) as problem:
            raise self.refuse(f"unusable option: {problem}", place=_DESCRIPTION) from None

    def _end(self, entry: object, members: dict[str, bytes], own: _Kind, prior: _Kind | None) -> EndModel:
        """Build one end's model, taking its arrays out of the members."""
        found = self._keys(entry, _with_prior(_END_KEYS, prior is not None), "ends")
        label = self._text(found, "label")
        model = self._model(label, found["arrays"], members, own)
        if prior is not None:
            part = self._keys(found[_PRIOR], _END_PRIOR_KEYS, f"ends, {_PRIOR}")
            other = self._model(f"{label}.{_PRIOR}", part["arrays"], members, prior)
            model = Blend(model, other, self._number(part, "own_share"), self._number(part, "prior_share"))
        gain = None if found["held_out_gain"] is None else self._number(found, "held_out_gain")
        return EndModel(
            label, model, self._number(found, "offset"), self._number(found, "slope"), self._whole(found, "starts"), gain
        )

    def _model(self, folder: str, names: object, members: dict[str, bytes], kind: _Kind) -> BiasModel:
        """Build one model from the arrays of a folder."""
        arrays = {}
        for name in self._list(names, "arrays"):
            member = f"{folder}/{name}.npy"
            if not isinstance(name, str) or not _ARRAY_NAME.fullmatch(name) or member not in members:
                raise self.refuse(f"array '{name}' of end '{folder}' is missing")
            arrays[name] = self._array(member, members.pop(member))
        model = kind.model(kind.window, kind.options)
        try:
            model.from_arrays(arrays)
        except InputError:
            raise
        except Exception as problem:  # a plug-in that checks less than it should
            raise self.refuse(f"the backend does not take the arrays of end '{folder}' ({type(problem).__name__})") from None
        return model

    def _array(self, member: str, content: bytes) -> NDArray[Any]:
        """Decode .npy bytes, plain numbers only; the header is believed only where it fits the bytes that are there."""
        stream = io.BytesIO(content)
        try:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError("of another .npy version")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            rest = content[stream.tell() :]
            if dtype.kind not in "biuf" or dtype.byteorder == ">" or fortran or any(length < 0 for length in shape):
                raise ValueError(f"of type {dtype}")
            if math.prod(shape) * dtype.itemsize != len(rest):
                raise ValueError(f"of shape {shape} with {len(rest)} bytes")
            return np.frombuffer(rest, dtype).reshape(shape).copy()
        except _DAMAGE as problem:
            raise self.refuse(f"not an array of plain numbers ({problem})", place=member) from None

    def _training(self, value: object) -> Training:
        found = self._keys(value, _TRAINING_KEYS, "training")
        samples = self._list(found["samples"], "samples")
        if not all(isinstance(name, str) for name in samples):
            raise self.refuse("'samples' are not texts", place=_DESCRIPTION)
        return Training(
            tuple(samples), self._whole(found, "seed"), self._text(found, "scheme"), self._text(found, "counterbias_version")
        )


def _as_type_of(default: object, name: str, value: object) -> object:
    """Check an option's value against its default's type; JSON has no tuples and may write 1.0 as 1."""
    if isinstance(default, tuple) and isinstance(value, list):
        kinds = {type(part) for part in default} or {str, int, float, bool}
        if all(type(part) in kinds for part in value):
            return tuple(value)
    elif isinstance(default, float) and type(value) is int:
        return float(value)
    elif type(value) is type(default):
        return value
    raise ValueError(f"{name} is not of type {type(default).__name__}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")
