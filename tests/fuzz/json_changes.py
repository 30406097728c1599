"""Change values of a JSON tree, also into ones that JSON cannot express."""

from __future__ import annotations

import copy
import random
from typing import Any

#: Replacements for a value. Texts that begin with ``!`` are written without quotes.
VALUES = (
    None, True, False, 0, 1, -1, 2, 255, 1 << 31, 1 << 63, 1 << 70, 0.0, -0.0, 0.5, -0.5, 1e308,
    -1e308, 5e-324, 1e-9, "", "x", "both", "read1", "read2", "pwm", "vlmm", "cnn", "../x",
    "a" * 5000, "\0", "\x1b[2J", "\ud800", "<b>", [], [0], [1, 2], [[]], {}, {"x": 1}, "!NaN",
    "!Infinity", "!-Infinity", "!1e999", "!1" + "0" * 5000,
)  # fmt: skip


class Placeholders:
    """Placeholders for what is written without quotes."""

    def __init__(self) -> None:
        self._raw: dict[str, str] = {}

    def value(self, rng: random.Random) -> Any:
        """Draw one of :data:`VALUES`."""
        value = copy.deepcopy(rng.choice(VALUES))
        if isinstance(value, str) and value.startswith("!"):
            placeholder = f"@{len(self._raw)}@"
            self._raw[placeholder] = value[1:]
            return placeholder
        return value

    def fill(self, text: str) -> bytes:
        """Return a JSON text with the placeholders replaced."""
        for placeholder, raw in self._raw.items():
            text = text.replace(f'"{placeholder}"', raw)
        return text.encode("utf-8", "surrogatepass")


def random_place(rng: random.Random, tree: Any) -> tuple[Any, Any]:
    """Descend into a tree at random. Return an object or a list, and one of its keys."""
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
