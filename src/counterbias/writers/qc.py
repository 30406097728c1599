"""Write ``PREFIX.counterbias.json``, the quality report of one sample.

Plain dicts and numpy numbers become a document that always has all keys (null where they do not
apply), only finite numbers, and the same bytes for the same content. The first line holds the tag
that reports look for. What the document says is decided in :mod:`counterbias.pipeline.bias.report`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from counterbias.files import readable, whole_text
from counterbias.writers.qc_schema import KEYS, TAG, VERSION

#: A tree of keys: name → type (text), subtree (dict) or subtree of each object of a list ([dict]).
Tree = dict[str, Any]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
    "integers": lambda value: (
        isinstance(value, list) and all(one is None or _is_integer(one) for one in value)
    ),
    "numbers": lambda value: (
        isinstance(value, list) and all(one is None or _is_number(one) for one in value)
    ),
    "texts": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "object": lambda value: isinstance(value, dict),
}


def build_qc(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Build a complete document of what is known.

    numpy numbers and arrays become plain ones, NaN and infinity null; decimals get eight
    significant digits.

    Args:
        parts: nested dicts with keys of :data:`counterbias.writers.qc_schema.KEYS`; a missing value
            becomes null, a missing list of objects an empty list.

    Raises:
        ValueError: the schema lacks a key, or a value has another type.
    """
    document = _fill(schema_tree(), {TAG: list(VERSION), **parts}, "")
    check_qc(document)
    return document


def check_qc(document: Mapping[str, Any]) -> None:
    """Raise ValueError unless a document fits the schema.

    It has all keys and no others, values of their types, and this major version.
    """
    _check(schema_tree(), document, "")
    if document[TAG][0] != VERSION[0]:
        raise ValueError(f"{TAG} {document[TAG]} is not of major version {VERSION[0]}")
    if not document["sample"]:
        raise ValueError("sample: a name is needed")


def check_known(document: Mapping[str, Any]) -> None:
    """Raise ValueError unless what a document has of the schema fits it.

    Keys may be missing, and there may be others, as in documents of other minor versions; only the
    sample's name must be there.
    """
    _check_known(schema_tree(), document, "")
    if not document.get("sample"):
        raise ValueError("sample: a name is needed")


def write_qc(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write a document of :func:`build_qc`, one line per top-level key, whole or not at all.

    Raises InputError where the file cannot be written.
    """
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
        for key, value in document.items()
    ]
    with whole_text(path) as file:
        file.write("{" + ",\n ".join(lines) + "}\n")


def schema_tree() -> Tree:
    """Return the keys as a tree, in the order of the file."""
    tree: Tree = {}
    for key in KEYS:
        *parents, last = key.path.split(".")
        node = tree
        for name in parents:
            if name.endswith("[]"):
                node = node.setdefault(name[:-2], [{}])[0]
            else:
                node = node.setdefault(name, {})
        node[last] = key.type
    return tree


def _fill(tree: Tree, given: Any, path: str) -> dict[str, Any]:
    """Build the object at ``path`` with all keys of its tree."""
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{path or 'the document'}: an object is needed, not {type(given).__name__}"
        )
    unknown = sorted(set(given) - set(tree))
    if unknown:
        raise ValueError(f"{path}{unknown[0]}: no such key in the schema")
    filled: dict[str, Any] = {}
    for name, node in tree.items():
        value = given.get(name)
        if isinstance(node, dict):
            filled[name] = _fill(node, value, f"{path}{name}.")
        elif isinstance(node, list):
            filled[name] = [_fill(node[0], entry, f"{path}{name}[].") for entry in value or ()]
        else:
            filled[name] = plain(value)
    return filled


def _check(tree: Tree, value: Any, path: str) -> None:
    """Raise ValueError unless the object at ``path`` fits its tree."""
    if not isinstance(value, Mapping) or list(value) != list(tree):
        differing = sorted(set(value) ^ set(tree)) if isinstance(value, Mapping) else []
        raise ValueError(
            f"{path or 'the document'}: keys or their order differ from the schema {differing}"
        )
    for name, node in tree.items():
        entry, place = value[name], f"{path}{name}"
        if isinstance(node, dict):
            _check(node, entry, f"{place}.")
        elif isinstance(node, list):
            if not isinstance(entry, list):
                raise ValueError(f"{place}: a list is needed")
            for one in entry:
                _check(node[0], one, f"{place}[].")
        elif entry is not None and not _FITS[node](entry):
            raise ValueError(f"{place}: {str(entry)[:60]!r} is not of type {node}")


def _check_known(tree: Tree, value: Any, path: str) -> None:
    """Raise ValueError unless what the object at ``path`` has of its tree fits it."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{path.removesuffix('.') or 'the document'}: an object is needed")
    for name, node in tree.items():
        entry, place = value.get(name), f"{path}{name}"
        if isinstance(node, dict):
            if name in value:
                _check_known(node, entry, f"{place}.")
        elif isinstance(node, list):
            if not isinstance(entry, list | None):
                raise ValueError(f"{place}: a list is needed")
            for one in entry or ():
                _check_known(node[0], one, f"{place}[].")
        elif entry is not None and not _FITS[node](entry):
            raise ValueError(f"{place}: {str(entry)[:60]!r} is not of type {node}")


def plain(value: Any) -> Any:
    """Convert numpy values, tuples and mappings to JSON types.

    Non-finite numbers become None, and bytes of a text that are not UTF-8 are escaped.
    """
    if isinstance(value, str):
        return readable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {readable(str(name)): plain(entry) for name, entry in value.items()}
    if isinstance(value, Sequence):
        return [plain(entry) for entry in value]
    raise ValueError(f"a {type(value).__name__} cannot be written as JSON")
