"""Take single values out of a JSON tree: what is of another kind, not finite, too large or too long is absent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

#: Longest list and longest text that is taken over.
MOST_VALUES, MOST_TEXT = 2000, 300

#: No count, time or score comes near; sums and percentages of such numbers are finite, which MultiQC needs.
LARGEST = 1e18

Number = float | None
Item = TypeVar("Item")


def as_number(value: Any) -> Number:
    """Give a finite number of sensible size as float; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) <= LARGEST else None


def as_integer(value: Any) -> int | None:
    """Give a whole number; anything else is None."""
    found = as_number(value)
    return int(found) if found is not None and found == int(found) else None


def as_text(value: Any, *, most: int = MOST_TEXT) -> str | None:
    """Give a text without control characters, cut at ``most`` characters; empty texts and anything else are None."""
    if not isinstance(value, str):
        return None
    clean = "".join(
        character if character.isprintable() else " " for character in value[: most + 1]
    ).strip()
    if len(clean) > most:
        clean = clean[: most - 1] + "…"
    return clean or None


def child(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Give the object under a key; anything else is an empty one."""
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def children(tree: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Give the objects of the list under a key."""
    value = tree.get(key)
    if isinstance(value, list):
        yield from (entry for entry in value[:MOST_VALUES] if isinstance(entry, dict))


def length(value: Any) -> int:
    """Count the entries of a list; anything else has none."""
    return len(value) if isinstance(value, list) else 0


def listed(value: Any, read: Callable[[Any], Item]) -> tuple[Item, ...]:
    """Read each entry of a list; anything else is empty."""
    return tuple(read(entry) for entry in value[:MOST_VALUES]) if isinstance(value, list) else ()


def numbers(value: Any) -> tuple[Number, ...]:
    """Give the entries of a list as numbers, None for what is none."""
    return listed(value, as_number)


def finite_numbers(value: Any) -> tuple[float, ...]:
    """Give the numbers of a list that holds nothing else; of any other list nothing."""
    found = listed(value, as_number)
    kept = tuple(number for number in found if number is not None)
    return kept if len(kept) == len(found) else ()


def integers(value: Any) -> tuple[int, ...]:
    """Give the whole numbers of a list that holds nothing else; of any other list nothing."""
    found = listed(value, as_integer)
    kept = tuple(number for number in found if number is not None)
    return kept if len(kept) == len(found) else ()


def texts(value: Any) -> tuple[str, ...]:
    """Give the texts of a list."""
    return tuple(text for text in listed(value, as_text) if text)


def as_flag(value: Any) -> bool | None:
    """Give a truth value; anything else is None."""
    return value if isinstance(value, bool) else None


def scalars(tree: Any, *, least: float = -math.inf) -> dict[str, float]:
    """Keep the numbers of an object; the names are texts."""
    if not isinstance(tree, dict):
        return {}
    found = {as_text(name): as_number(value) for name, value in list(tree.items())[:MOST_VALUES]}
    return {
        name: value
        for name, value in found.items()
        if name and value is not None and value >= least
    }
