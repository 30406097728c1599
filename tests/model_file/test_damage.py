"""Damaged and doctored model files of every backend: one clear line, or finite numbers."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias import (
    BiasModel,
    EndModel,
    InputError,
    ModelFile,
    Training,
    Window,
    load_models,
    parse_options,
    save_models,
)
from counterbias.plugins import load_plugins
from counterbias.testing import planted_sample

WINDOW = Window(2, 8)
#: Options with which networks are small and quickly fitted.
QUICK = {
    "cnn": [
        "members=2",
        "units=16",
        "channels=16",
        "min_steps=20",
        "max_steps=20",
        "distil_steps=20",
    ],
    "gru": ["hidden=2", "min_steps=10", "epochs=1"],
    "lstm": ["hidden=2", "min_steps=10", "epochs=1", "objective=ratio", "head=position"],
}
MANAGER = load_plugins()
BACKENDS = sorted(MANAGER.backends)


@cache
def fitted(backend: str) -> BiasModel:
    kind = MANAGER.backends[backend].backend.load()
    model = kind(WINDOW, parse_options(kind, QUICK.get(backend, [])))
    model.fit(planted_sample(WINDOW, starts=200, seed=1), np.random.default_rng(1))
    return model


@pytest.fixture(params=BACKENDS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    end = EndModel("both", fitted(request.param), 0.1, 0.9, 100, 0.2, 0.7)
    path = tmp_path / "sample.model"
    save_models(
        path,
        ModelFile(
            request.param,
            "counterbias",
            "0.1.0",
            WINDOW,
            (end,),
            Training(("a",), 1, "local", "0.1.0"),
            5.0,
            0.9,
        ),
    )
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes]) -> bytes:
    """Return an archive with checksums that fit."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def scores(models: ModelFile) -> np.ndarray:
    rng = np.random.default_rng(9)
    contexts = rng.integers(0, 4, (500, models.window.width), dtype=np.uint8)
    end = models.ends[0]
    return np.concatenate(
        [end.log_bias(contexts), end.model.along(rng.integers(0, 4, 500, dtype=np.uint8))]
    )


def read(path: Path, content: bytes) -> np.ndarray | str:
    """Read doctored bytes; return the model's scores, or the one line that refuses it."""
    doctored = path.with_name("doctored.model")
    doctored.write_bytes(content)
    try:
        models = load_models(doctored, MANAGER)
    except InputError as problem:
        line = problem.line()
        assert line.startswith(str(doctored)[:20])
        assert "\n" not in line
        assert len(line) < 300
        return line
    found = scores(models)
    assert np.isfinite(found).all()
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(models.weights(found)).all()
    return found


def test_a_flipped_byte_is_refused_or_means_nothing(path: Path) -> None:
    content = path.read_bytes()
    whole = scores(load_models(path, MANAGER))
    rng = np.random.default_rng(5)
    # The archive's own records are at both ends; everything between has a checksum.
    places = {
        *range(40),
        *range(len(content) - 90, len(content)),
        *rng.integers(0, len(content), 30).tolist(),
    }
    refused = 0
    for place in sorted(places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        found = read(path, bytes(damaged))
        refused += isinstance(found, str)
        if not isinstance(found, str):
            np.testing.assert_array_equal(found, whole)
    assert refused > len(places) // 2


def test_doctored_members_give_finite_numbers_or_one_line(path: Path) -> None:
    content = members(path)
    rng = np.random.default_rng(6)
    for _ in range(40):
        name = sorted(content)[int(rng.integers(len(content)))]
        data = bytearray(content[name])
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
        read(path, packed({**content, name: bytes(data)}))


ODD = (
    1e299,
    -1e299,
    10**400,
    -1,
    0,
    True,
    None,
    "x",
    "\ud800",
    [],
    {},
    1.5,
    2**63,
    1e4,
    "\x1b[31m",
    float("inf"),
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    pairs = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in pairs:
        yield from places(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: object) -> bytes:
    """Return the JSON with one value replaced; infinity becomes a number that is too large."""
    tree = copy.deepcopy(tree)
    at = tree
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(tree).replace("Infinity", "1e999").encode()


def test_doctored_numbers_and_texts_give_finite_numbers_or_one_line(path: Path) -> None:
    content = members(path)
    tree = json.loads(content["model.json"])
    for number, place in enumerate(places(tree)):
        for odd in ODD[number % 3 :: 3]:
            read(path, packed({**content, "model.json": changed(tree, place, odd)}))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("weighting", "cap"), 0),
        (("weighting", "cap"), -1.0),
        (("weighting", "cap"), 1e299),
        (("weighting", "factor"), 0.0),
        (("weighting", "factor"), float("inf")),
        (("weighting", "factor"), None),
        (("ends", 0, "slope"), 1e299),
        (("ends", 0, "slope"), -1.0),
        (("ends", 0, "offset"), 1e299),
        (("ends", 0, "offset"), -50000),
        (("ends", 0, "length_slope"), 1e6),
        (("ends", 0, "held_out_gain"), 1e299),
        (("ends", 0, "starts"), 10**400),
        (("training", "seed"), -1),
        (("options", "pseudocount"), float("inf")),
        (("backend",), "\ud800"),
    ],
)
def test_absurd_numbers_are_refused(place: tuple[Any, ...], value: object, tmp_path: Path) -> None:
    path = tmp_path / "sample.model"
    end = EndModel("both", fitted("pwm"), 0.1, 0.9, 100, 0.2, 0.7)
    save_models(path, ModelFile("pwm", "", "", WINDOW, (end,), cap=5.0))
    content = members(path)
    assert isinstance(read(path, packed(content)), np.ndarray)
    seed = changed(json.loads(content["model.json"]), ("training", "seed"), 10**40)
    assert isinstance(read(path, packed({**content, "model.json": seed})), np.ndarray)
    found = read(
        path,
        packed({**content, "model.json": changed(json.loads(content["model.json"]), place, value)}),
    )
    assert isinstance(found, str)


def array(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content)).copy()


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, values, version=(1, 0))
    return buffer.getvalue()


def test_doctored_arrays_give_finite_numbers_or_one_line(path: Path) -> None:
    content = members(path)
    rng = np.random.default_rng(7)
    for name in (name for name in sorted(content) if name.endswith(".npy")):
        values = array(content[name])
        for odd in (np.nan, np.inf, 1e300, -1e300, 1e38, 1e5, 9e3, -9e3, -740.0):
            one, every = values.astype(float), np.full_like(values, odd, dtype=float)
            one.reshape(-1)[int(rng.integers(one.size))] = odd
            for doctored in (one, every):
                found = read(path, packed({**content, name: npy(doctored)}))
                assert isinstance(found, str) or abs(odd) < 1e4
        for doctored in (
            values[:-1],
            values[None],
            values.astype("?"),
            values.astype(float) * -1e4,
        ):
            read(path, packed({**content, name: npy(doctored)}))


def test_members_that_overlap_or_are_too_many_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_in_vain(*_: object) -> None:
        raise AssertionError("what was to be refused was read")

    end = EndModel("both", fitted("pwm"))
    path = tmp_path / "sample.model"
    save_models(path, ModelFile("pwm", "", "", WINDOW, (end,)))
    whole = path.read_bytes()
    # Something after the end, a comment, a directory of 20,000 entries, and two names for one
    # stretch of bytes.
    assert isinstance(read(path, whole + b"x"), str)
    assert isinstance(read(path, whole[:-2] + b"\x01\x00x"), str)
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(20_000):
            archive.writestr(zipfile.ZipInfo(f"{number:060d}"), b"")
    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "__init__", read_in_vain)
        assert "directory" in str(read(path, many.getvalue()))
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a"), bytes(1 << 20))
        archive.start_dir = archive.fp.tell()  # type: ignore[union-attr]
        for number in range(50):
            twin = copy.copy(archive.filelist[0])
            twin.filename = twin.orig_filename = f"b{number}"
            archive.filelist.append(twin)
        archive._didModify = True
    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "read", read_in_vain)
        assert "larger than the file, or too many" in str(read(path, large.getvalue()))
    options = json.loads(members(path)["model.json"])
    options |= {"backend": "ensemble", "options": {"members": ["pwm"] * 300_000}}
    assert "300000 parts" in str(
        read(path, packed({**members(path), "model.json": json.dumps(options).encode()}))
    )
