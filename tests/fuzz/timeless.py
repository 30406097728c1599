"""What commands write, without what differs between equal runs: seconds, memory, ``--force``."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Where these words stand in the name of a number or of a column, it may differ.
VOLATILE = re.compile(r"second|memory_mb|^train s$|^command$")


def timeless(path: Path) -> bytes:
    """Return the content of a file that a command wrote, or of its standard output."""
    content = path.read_bytes()
    if path.suffix == ".json":
        return _timeless_json(content)
    if path.suffix == ".npz":
        return _timeless_cache(content)
    if path.name == "comparison.tsv":
        return _timeless_table(content.decode(), "\t")
    if path.name == "stdout":
        return _timeless_table(content.decode("utf-8", "surrogateescape"), "  +")
    return content


def _timeless_json(content: bytes) -> bytes:
    return json.dumps(_without_times(json.loads(content))).encode()


def _without_times(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {
            key: _without_times(value) for key, value in tree.items() if not VOLATILE.search(key)
        }
    return [_without_times(value) for value in tree] if isinstance(tree, list) else tree


def _timeless_cache(content: bytes) -> bytes:
    """Return the members of a file that ``compare`` keeps results in."""
    parts = []
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        for name in members.namelist():
            member = members.read(name)
            # An array of the bytes of a JSON text, after a header in one line.
            parts += [
                name.encode(),
                _timeless_json(member.partition(b"\n")[2]) if name == "json.npy" else member,
            ]
    return b"\n".join(parts)


def _timeless_table(text: str, separator: str) -> bytes:
    """Leave out the columns of a table whose names say that they differ, and any spaces at ends."""
    rows = [re.split(separator, line.strip(" ")) for line in text.split("\n")]
    named = next((row for row in rows if any(VOLATILE.search(name) for name in row)), [])
    kept = [number for number, name in enumerate(named) if not VOLATILE.search(name)]
    lines = ["\t".join(_at(row, kept) if named and len(row) == len(named) else row) for row in rows]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _at(row: Sequence[str], columns: Sequence[int]) -> list[str]:
    return [row[column] for column in columns]
