"""Change one value of a JSON tree, into things that JSON has no way to write too."""

from __future__ import annotations

import copy
import random
from typing import Any

#: What takes the place of a value; texts that begin with ``!`` are written as they are, without quotes.
VALUES = (
    None, True, False, 0, 1, -1, 2, 255, 1 << 31, 1 << 63, 1 << 70, 0.0, -0.0, 0.5, -0.5, 1e308, -1e308, 5e-324, 1e-9, "", "x", "both",
    "read1", "read2", "pwm", "vlmm", "cnn", "../x", "a" * 5000, "\0", "\x1b[2J", "\ud800", "<b>", [], [0], [1, 2], [[]], {}, {"x": 1},
    "!NaN", "!Infinity", "!-Infinity", "!1e999", "!1" + "0" * 5000,
)  # fmt: skip


class Marks:
    """Texts that stand for what has to be written without quotes."""

    def __init__(self) -> None:
        self._raw: dict[str, str] = {}

    def value(self, rng: random.Random) -> Any:
        """Draw one of :data:`VALUES`."""
        value = copy.deepcopy(rng.choice(VALUES))
        if isinstance(value, str) and value.startswith("!"):
            mark = f"@{len(self._raw)}@"
            self._raw[mark] = value[1:]
            return mark
        return value

    def written(self, text: str) -> bytes:
        """Give JSON that holds marks as it is to be."""
        for mark, raw in self._raw.items():
            text = text.replace(f'"{mark}"', raw)
        return text.encode("utf-8", "surrogatepass")


def random_place(rng: random.Random, tree: Any) -> tuple[Any, Any]:
    """Go down a tree at random; gives an object or a list, and one of its keys."""
    owner, key = tree, next(iter(tree), None)
    while True:
        keys = list(owner) if isinstance(owner, dict) else range(len(owner))
        if not keys:
            return tree, next(iter(tree), None)
        key = rng.choice(keys)
        below = owner[key]
        if not isinstance(below, dict | list) or not below or rng.random() < 0.15:
            return owner, key
        owner = below
