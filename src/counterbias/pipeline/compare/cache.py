"""The results of comparisons on disk, so that nothing is computed twice.

Each result is in a file named after a digest of everything it depends on: read starts, exons,
genome, model, options, code, window, fold, seed and version. Files hold JSON and arrays; loading
one runs no code, and what cannot be read is computed again. The folder may be deleted at any time.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.files import remove_leftovers_in, whole_stream, writing_errors
from counterbias.genome import Genome
from counterbias.inputs import open_input
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.records import Features, StartSites

#: Changes whenever the meaning of cached results does.
FORMAT = 4
#: What the standard library and numpy raise for a damaged file.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
    RecursionError,
    NotImplementedError,
)


class Cache:
    """Results by key, as files in a folder.

    Args:
        folder: the folder; it is made when the first result is stored.
        fresh: whether to ignore the results that are there.

    Attributes:
        found, stored: number of results loaded and stored.
    """

    def __init__(self, folder: str | os.PathLike[str], *, fresh: bool = False) -> None:
        self.folder, self.fresh = Path(folder), fresh
        self.found = self.stored = 0

    def path(self, key: Mapping[str, Any]) -> Path:
        """Return the file of a key."""
        # A plug-in has its own version, but its results depend on ours as well.
        text = json.dumps(
            {"format": FORMAT, "counterbias": version("counterbias"), **key},
            sort_keys=True,
            default=str,
        )
        return self.folder / f"{hashlib.blake2b(text.encode(), digest_size=20).hexdigest()}.npz"

    def load(self, key: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
        """Return the JSON and the arrays of a key, or None if they are missing or damaged."""
        if self.fresh:
            return None
        try:
            # From memory, because numpy would leave a damaged file open.
            with np.load(io.BytesIO(self.path(key).read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            stored = json.loads(arrays.pop("json").tobytes().decode())
            if stored["key"] != json.loads(json.dumps(dict(key), default=str)):
                return None
            result = dict(stored["result"])
        except _DAMAGE:
            return None
        self.found += 1
        return result, arrays

    def store(
        self,
        key: Mapping[str, Any],
        result: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write a result completely or not at all.

        Raises:
            InputError: the folder cannot be written to.
        """
        text = json.dumps({"key": dict(key), "result": dict(result)}, default=str)
        buffer = io.BytesIO()
        members: dict[str, Any] = dict(arrays or {})
        np.savez(buffer, json=np.frombuffer(text.encode(), np.uint8), **members)
        path = self.path(key)
        with writing_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if not self.stored:
            remove_leftovers_in(self.folder)
        with whole_stream(path) as file:
            file.write(buffer.getvalue())
        self.stored += 1


def digest_of_sample(
    sites: StartSites, features: Features, edges: Features, counts: NDArray[Any]
) -> str:
    """Digest everything that a sample's results depend on, except for the genome."""
    hasher = hashlib.blake2b(digest_size=20)
    hasher.update(
        json.dumps(
            [sites.contigs, [int(length) for length in sites.contig_lengths], len(sites)]
        ).encode()
    )
    arrays = [sites.feature, sites.share, counts]
    for end in sites.ends:
        arrays += [end.contig, end.position, end.bits]
    for one in (features, edges):
        hasher.update(json.dumps([one.ids, one.contigs]).encode())
        arrays += [
            one.block_offsets,
            one.block_contig,
            one.block_strand,
            one.block_start,
            one.block_end,
        ]
    for array in arrays:
        if array is None:
            hasher.update(b"none")
        else:
            hasher.update(np.ascontiguousarray(array).data)  # no copy: these are large
            hasher.update(str(array.dtype).encode())
    return hasher.hexdigest()


def digest_of_genome(genome: Genome) -> str:
    """Digest the FASTA file and the aliases of its contigs. Raises InputError."""
    hasher = hashlib.blake2b(json.dumps(sorted(genome.aliases.items())).encode(), digest_size=20)
    _digest_file(hasher, genome.path)
    return hasher.hexdigest()


def describe_model(choice: ModelChoice) -> dict[str, Any]:
    """Return what distinguishes a model from every other, in JSON.

    That includes its code, so that the author of a plug-in need not raise its version for every
    change.
    """
    described: dict[str, Any] = {
        "backend": choice.backend,
        "distribution": choice.distribution,
        "version": choice.version,
        "options": dataclasses.asdict(choice.options),
        "window": str(choice.window),
        "code": "".join(dict.fromkeys(_digest_of_code(one) for one in _classes(choice))),
        "file": None,
    }
    if choice.path is not None:
        hasher = hashlib.blake2b(digest_size=20)
        _digest_file(hasher, choice.path)
        described["file"] = hasher.hexdigest()
    return described


def _classes(choice: ModelChoice) -> list[Any]:
    """Return the classes whose code a model runs; for a blend, those of its parts too."""
    ends = [] if choice.fitted is None else [end.model for end in choice.fitted.ends]
    parts = [
        part for model in ends if isinstance(model, Blend) for part in (model.own, model.prior)
    ]
    return [choice.model, *(type(part) for part in parts)]


def _digest_file(hasher: hashlib.blake2b, path: str) -> None:
    """Add a file's content to a digest. Raises InputError."""
    try:
        with open_input(path) as file:
            while block := file.read(1 << 22):
                hasher.update(block)
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror or problem}", file=path) from None


@functools.cache  # once per run: what is loaded does not change with the files
def _digest_of_code(model: type[Any]) -> str:
    """Digest the source files of the package, or module, of a class; empty if there are none."""
    package = sys.modules.get(model.__module__.partition(".")[0])
    try:
        source = inspect.getsourcefile(package if package is not None else model)
    except (TypeError, OSError):
        source = None
    if source is None:
        return ""
    path = Path(source)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    hasher = hashlib.blake2b(digest_size=20)
    for one in files:
        hasher.update(str(one.relative_to(path.parent)).encode())
        _digest_file(hasher, str(one))
    return hasher.hexdigest()
