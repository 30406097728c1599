"""Model files of all shipped backends: they are refused in one line, or all scores are finite.

Bytes, descriptions and arrays are changed. After changes to descriptions and arrays, the checksums
of the file are computed anew, so that they do not detect the change.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import warnings
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from counterbias.errors import InputError
from counterbias.model_file import load_models
from counterbias.plugins import Manager, load_plugins
from tests.fuzz import make_models, scratch
from tests.fuzz.case import Case
from tests.fuzz.json_changes import Placeholders, random_place
from tests.fuzz.judging import refusal_wording

NUMBERS = (
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    -1.0,
    1.0,
    1e308,
    -1e308,
    1e38,
    -1e38,
    5e-324,
    1e-30,
    0.5,
    709.0,
    1e5,
)


def _folder() -> Path:
    return scratch.folder("models")


@lru_cache(maxsize=1)
def _manager() -> Manager:
    return load_plugins()


@lru_cache(maxsize=1)
def _sound() -> list[bytes]:
    """Return the contents of sound files, that of ``heptamer`` last."""
    content = [path.read_bytes() for path in sorted(make_models.FOLDER.glob("*.model"))]
    path = _folder() / "heptamer.model"
    make_models.save(path, "heptamer")
    return [*content, path.read_bytes()]


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return target.getvalue()


def mutate(rng: random.Random) -> Case:
    """Draw a file."""
    sound = _sound()
    # The last file is large, so it is drawn less often.
    content = sound[-1] if rng.random() < 0.03 else rng.choice(sound[:-1])
    chance = rng.random()
    if chance < 0.15:
        return Case([_changed_bytes(rng, content)])
    members = _members(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        chance = rng.random()
        arrays = [name for name in members if name.endswith(".npy")]
        if chance < 0.45:
            members["model.json"] = _changed_json(rng, members["model.json"])
        elif chance < 0.93 and arrays:
            name = rng.choice(arrays)
            members[name] = _changed_array(rng, members[name])
        else:
            return Case([_changed_members(rng, members)])
    return Case([_packed(list(members.items()))])


def _changed_bytes(rng: random.Random, content: bytes) -> bytes:
    item = bytearray(content)
    chance = rng.random()
    if chance < 0.2:
        return content[: rng.randrange(len(content))]
    if chance < 0.3:
        at = rng.randrange(len(item))
        del item[at : at + rng.choice((1, 4, 100))]
        return bytes(item)
    # Half of the changes hit the directory at the end.
    for _ in range(rng.choice((1, 1, 2, 5))):
        item[
            rng.randrange(len(item))
            if rng.random() < 0.5
            else -1 - rng.randrange(min(len(item), 400))
        ] = rng.randrange(256)
    return bytes(item)


def _changed_members(rng: random.Random, members: dict[str, bytes]) -> bytes:
    items = list(members.items())
    which = rng.randrange(5)
    at = rng.randrange(len(items))
    if which == 0:
        del items[at]
    elif which == 1:
        items.append((rng.choice(("x", "../x", "both/x.npy", "model.json2", "")), b"x"))
    elif which == 2:
        items[at] = (items[at][0] + "x", items[at][1])
    elif which == 3:
        return _packed(items, zipfile.ZIP_DEFLATED)
    else:
        rng.shuffle(items)
        other = items[rng.randrange(len(items))][1]
        items[at] = (items[at][0], other)
    return _packed(items)


def _changed_json(rng: random.Random, content: bytes) -> bytes:
    chance = rng.random()
    if chance < 0.06:
        item = bytearray(content)
        item[rng.randrange(len(item))] = rng.randrange(256)
        return bytes(item)
    try:
        tree = json.loads(content)
    except ValueError:
        return content
    if not isinstance(tree, dict) or not tree:
        return content
    placeholders = Placeholders()
    owner, last = random_place(rng, tree)
    value, old = placeholders.value(rng), owner[last]
    if chance < 0.14 and isinstance(owner, dict):
        del owner[last]
    elif chance < 0.22 and isinstance(owner, dict):
        owner[rng.choice(("x", "prior", "length_slope", "schema", ""))] = value
    elif chance < 0.5 and isinstance(old, int | float) and not isinstance(old, bool):
        try:
            owner[last] = (
                old + rng.choice((-1, 1))
                if rng.random() < 0.5
                else old * rng.choice((-1, 2, 1e6, 1e300, 1e-300))
            )
        except OverflowError:
            owner[last] = value
    else:
        owner[last] = value
    return placeholders.fill(json.dumps(tree))


def _changed_array(rng: random.Random, content: bytes) -> bytes:
    try:
        array = np.lib.format.read_array(io.BytesIO(content))
    except Exception:
        return content
    chance = rng.random()
    if chance < 0.55 and array.size:
        array = array.copy()
        flat = array.reshape(-1)
        for _ in range(rng.choice((1, 1, 1, 3, 50))):
            value = rng.choice(NUMBERS)
            at = rng.randrange(flat.size)
            if array.dtype.kind in "iu":
                limits = np.iinfo(array.dtype)
                flat[at] = rng.choice((limits.min, limits.max, 0, 1, 4, max(limits.min, -1)))
            elif array.dtype.kind == "f":
                with np.errstate(all="ignore"):
                    flat[at] = value
        if rng.random() < 0.15:
            flat[:] = flat[rng.randrange(flat.size)]
    elif chance < 0.7:
        # An earlier change may have made texts of the numbers.
        with np.errstate(all="ignore"), warnings.catch_warnings(), contextlib.suppress(ValueError):
            warnings.simplefilter("ignore")
            array = array.astype(
                rng.choice(("<f4", "<f8", "<f2", "<i8", "u1", "?", ">f8", "<c16", "<U4"))
            )
    elif chance < 0.85:
        sizes = list(array.shape)
        which = rng.randrange(4)
        if which == 0:
            array = array.reshape(-1)
        elif which == 1:
            array = array[None]
        elif which == 2 and sizes:
            array = array[: rng.choice((0, 1, max(sizes[0] - 1, 0)))]
        else:
            array = np.concatenate((array, array)) if sizes else array
    else:
        item = bytearray(content)
        which = rng.randrange(3)
        if which == 0:
            item[rng.randrange(min(len(item), 128))] = rng.randrange(256)
        elif which == 1:
            item = item[: rng.randrange(len(item))]
        else:
            struct.pack_into("<H", item, 8, rng.choice((0, 1, 10, 117, 119, 65535)))
        return bytes(item)
    target = io.BytesIO()
    np.lib.format.write_array(target, np.asarray(array), version=(1, 0), allow_pickle=False)
    return target.getvalue()


@lru_cache(maxsize=8)
def _windows(width: int) -> Any:
    rng = np.random.default_rng(width)
    windows = rng.integers(0, 4, (16, width), dtype=np.uint8)
    windows[:4] = np.arange(4, dtype=np.uint8)[:, None]
    return windows


def check(case: Case) -> str:
    """Load the file and score some windows."""
    path = _folder() / "changed.model"
    path.write_bytes(case.parts[0] if case.parts else b"")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            models = load_models(path, _manager())
    except InputError as error:
        return f"refused: {refusal_wording(error, (str(path),))}"
    # A warning would show up as two lines on the user's stderr.
    assert not caught, f"warns: {caught[0].message}"
    for end in models.ends:
        width = models.window.width
        assert width < 1 << 16, f"a window of {width} bases"
        with np.errstate(all="ignore"):
            scores = end.log_bias(_windows(width))
            weights = models.weights(scores)
        assert scores.shape == (16,)
        assert np.isfinite(scores).all(), f"scores of {models.backend} are not finite"
        assert (weights >= 0).all(), f"weights of {models.backend} below 0"
        assert np.isfinite(weights).all() or not np.isfinite(models.cap), (
            f"weights of {models.backend} are not finite"
        )
    return "loaded"
