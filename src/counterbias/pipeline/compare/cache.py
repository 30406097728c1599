"""Keep what a comparison has computed, so that a second run fits nothing twice.

Every result lies in a file named after a digest of all that it depends on: read starts, exons, genome, model, options, code, window, fold,
seed and version. Files hold JSON and plain arrays; nothing is run on loading, and what cannot be read is computed anew. The folder may be
deleted at any time.
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
FORMAT = 3
#: What a damaged file makes the standard library and numpy raise.
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
    """Results by key.

    Args:
        folder: where they lie; it is made when the first one is stored.
        fresh: whether what lies there is left aside.
    """

    def __init__(self, folder: str | os.PathLike[str], *, fresh: bool = False) -> None:
        self.folder, self.fresh = Path(folder), fresh
        self.found = self.stored = 0

    def path(self, key: Mapping[str, Any]) -> Path:
        """Name the file of a key."""
        # A plug-in has a version of its own, but its results depend on ours as well.
        text = json.dumps(
            {"format": FORMAT, "counterbias": version("counterbias"), **key},
            sort_keys=True,
            default=str,
        )
        return self.folder / f"{hashlib.blake2b(text.encode(), digest_size=20).hexdigest()}.npz"

    def load(self, key: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
        """Give the JSON and the arrays of a key; None where there are none, or they are damaged."""
        if self.fresh:
            return None
        try:
            # From memory: numpy would leave a damaged file open.
            with np.load(io.BytesIO(self.path(key).read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            described = json.loads(arrays.pop("json").tobytes().decode())
            if described["key"] != json.loads(json.dumps(dict(key), default=str)):
                return None
            told = dict(described["result"])
        except _DAMAGE:
            return None
        self.found += 1
        return told, arrays

    def store(
        self,
        key: Mapping[str, Any],
        told: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write a result, whole or not at all. Raises InputError where the folder cannot be written."""
        text = json.dumps({"key": dict(key), "result": dict(told)}, default=str)
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
    """Digest all that a sample's results depend on, but for the genome."""
    mill = hashlib.blake2b(digest_size=20)
    mill.update(
        json.dumps(
            [sites.contigs, [int(length) for length in sites.contig_lengths], len(sites)]
        ).encode()
    )
    arrays = [sites.feature, sites.share, counts]
    for end in sites.ends:
        arrays += [end.contig, end.position, end.bits]
    for one in (features, edges):
        mill.update(json.dumps([one.ids, one.contigs]).encode())
        arrays += [
            one.block_offsets,
            one.block_contig,
            one.block_strand,
            one.block_start,
            one.block_end,
        ]
    for array in arrays:
        if array is None:
            mill.update(b"none")
        else:
            mill.update(np.ascontiguousarray(array).data)  # in place: these are the large ones
            mill.update(str(array.dtype).encode())
    return mill.hexdigest()


def digest_of_genome(genome: Genome) -> str:
    """Digest the FASTA file, and what the alignments call its contigs. Raises InputError."""
    mill = hashlib.blake2b(json.dumps(sorted(genome.aliases.items())).encode(), digest_size=20)
    _digest_file(mill, genome.path)
    return mill.hexdigest()


def describe_model(choice: ModelChoice) -> dict[str, Any]:
    """Tell a model apart from every other, its code included: a plug-in's author need not raise its version to see a change."""
    told: dict[str, Any] = {
        "backend": choice.backend,
        "distribution": choice.distribution,
        "version": choice.version,
        "options": dataclasses.asdict(choice.options),
        "window": str(choice.window),
        "code": "".join(dict.fromkeys(_digest_of_code(one) for one in _classes(choice))),
        "file": None,
    }
    if choice.path is not None:
        mill = hashlib.blake2b(digest_size=20)
        _digest_file(mill, choice.path)
        told["file"] = mill.hexdigest()
    return told


def _classes(choice: ModelChoice) -> list[Any]:
    """List the classes whose code a model runs: for a blend those of its parts."""
    ends = [] if choice.fitted is None else [end.model for end in choice.fitted.ends]
    parts = [
        part for model in ends if isinstance(model, Blend) for part in (model.own, model.prior)
    ]
    return [choice.model, *(type(part) for part in parts)]


def _digest_file(mill: Any, path: str) -> None:
    try:
        with open_input(path) as file:
            while block := file.read(1 << 22):
                mill.update(block)
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror or problem}", file=path) from None


@functools.cache  # once per run: what is loaded does not change with the files
def _digest_of_code(model: type[Any]) -> str:
    """Digest the sources of the package (or single module) that a class comes from; empty where there are none."""
    package = sys.modules.get(model.__module__.partition(".")[0])
    try:
        source = inspect.getsourcefile(package if package is not None else model)
    except (TypeError, OSError):
        source = None
    if source is None:
        return ""
    path = Path(source)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    mill = hashlib.blake2b(digest_size=20)
    for one in files:
        mill.update(str(one.relative_to(path.parent)).encode())
        _digest_file(mill, str(one))
    return mill.hexdigest()
