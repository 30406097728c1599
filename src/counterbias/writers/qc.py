"""Write ``PREFIX.counterbias.json``, the quality report of one sample.

In come plain dicts and numpy numbers; out goes a document that always has all keys (null where they do not apply), only
finite numbers, and the same bytes for the same content. The first line holds the tag that reports look for.
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

#: A tree of keys: name → kind (text), subtree (dict) or subtree of each object of a list ([dict]).
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
        isinstance(value, list) and all(v is None or _is_integer(v) for v in value)
    ),
    "numbers": lambda value: (
        isinstance(value, list) and all(v is None or _is_number(v) for v in value)
    ),
    "texts": lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
    "object": lambda value: isinstance(value, dict),
}


def build_qc(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Make a complete document of what is known.

    ``parts`` are nested dicts with the keys of :data:`counterbias.writers.qc_schema.KEYS`; what is missing becomes null, an
    absent list of objects an empty list. numpy numbers and arrays become plain ones, NaN and infinity null, decimals eight
    significant digits.
    Raises ValueError for a key that the schema lacks or a value of another kind.
    """
    document = _fill(schema_tree(), {TAG: list(VERSION), **parts}, "")
    check_qc(document)
    return document


def check_qc(document: Mapping[str, Any]) -> None:
    """Raise ValueError unless the document has all keys of the schema, no others, values of their kinds, and this major
    version.
    """
    _check(schema_tree(), document, "")
    if document[TAG][0] != VERSION[0]:
        raise ValueError(f"{TAG} {document[TAG]} is not of major version {VERSION[0]}")
    if not document["sample"]:
        raise ValueError("sample: a name is needed")


def write_qc(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write a document of :func:`build_qc`, one line per top-level key, whole or not at all. Raises InputError."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
        for key, value in document.items()
    ]
    with whole_text(path) as file:
        file.write("{" + ",\n ".join(lines) + "}\n")


def schema_tree() -> Tree:
    """Give the keys as a tree, in the order of the file."""
    tree: Tree = {}
    for key in KEYS:
        *parents, last = key.path.split(".")
        node = tree
        for name in parents:
            if name.endswith("[]"):
                node = node.setdefault(name[:-2], [{}])[0]
            else:
                node = node.setdefault(name, {})
        node[last] = key.kind
    return tree


def _fill(tree: Tree, given: Any, path: str) -> dict[str, Any]:
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{path or 'the document'}: an object is needed, not {type(given).__name__}"
        )
    unknown = sorted(set(given) - set(tree))
    if unknown:
        raise ValueError(f"{path}{unknown[0]}: no such key in the schema")
    filled: dict[str, Any] = {}
    for name, kind in tree.items():
        value = given.get(name)
        if isinstance(kind, dict):
            filled[name] = _fill(kind, value, f"{path}{name}.")
        elif isinstance(kind, list):
            filled[name] = [_fill(kind[0], entry, f"{path}{name}[].") for entry in value or ()]
        else:
            filled[name] = plain(value)
    return filled


def _check(tree: Tree, value: Any, path: str) -> None:
    if not isinstance(value, Mapping) or list(value) != list(tree):
        have = sorted(set(value) ^ set(tree)) if isinstance(value, Mapping) else []
        raise ValueError(
            f"{path or 'the document'}: keys or their order differ from the schema {have}"
        )
    for name, kind in tree.items():
        entry, place = value[name], f"{path}{name}"
        if isinstance(kind, dict):
            _check(kind, entry, f"{place}.")
        elif isinstance(kind, list):
            if not isinstance(entry, list):
                raise ValueError(f"{place}: a list is needed")
            for one in entry:
                _check(kind[0], one, f"{place}[].")
        elif entry is not None and not _FITS[kind](entry):
            raise ValueError(f"{place}: {str(entry)[:60]!r} is not of kind {kind}")


def plain(value: Any) -> Any:
    """Turn numpy values, tuples and mappings into what JSON knows; non-finite numbers become None, texts such as UTF-8 holds."""
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
