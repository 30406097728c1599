"""Take single values from a JSON tree.

A value of the wrong type, a number that is not finite or too large, and an empty text all count as
absent; long texts and lists are cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

MAX_LIST_LENGTH = 2000
MAX_TEXT_LENGTH = 300
#: No count, time or score comes near this. Sums and percentages of such numbers stay finite, as
#: MultiQC needs them to be.
LARGEST_NUMBER = 1e18

Item = TypeVar("Item")


def as_number(value: Any) -> float | None:
    """Return a finite number of sensible size as a float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) <= LARGEST_NUMBER else None


def as_integer(value: Any) -> int | None:
    """Return a whole number, None for anything else."""
    number = as_number(value)
    return int(number) if number is not None and number == int(number) else None


def as_text(value: Any, *, max_length: int = MAX_TEXT_LENGTH) -> str | None:
    """Return a text without control characters, None for an empty text and anything else."""
    if not isinstance(value, str):
        return None
    printable = "".join(
        character if character.isprintable() else " " for character in value[: max_length + 1]
    ).strip()
    if len(printable) > max_length:
        printable = printable[: max_length - 1] + "…"
    return printable or None


def as_flag(value: Any) -> bool | None:
    """Return a boolean, None for anything else."""
    return value if isinstance(value, bool) else None


def object_at(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object under a key, an empty one for anything else."""
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def objects_at(tree: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Iterate over the objects in the list under a key; other entries are skipped."""
    value = tree.get(key)
    if isinstance(value, list):
        yield from (entry for entry in value[:MAX_LIST_LENGTH] if isinstance(entry, dict))


def length(value: Any) -> int:
    """Return the number of entries of a list, 0 for anything else."""
    return len(value) if isinstance(value, list) else 0


def convert_list(value: Any, convert: Callable[[Any], Item]) -> tuple[Item, ...]:
    """Convert each entry of a list; anything else is an empty list."""
    if not isinstance(value, list):
        return ()
    return tuple(convert(entry) for entry in value[:MAX_LIST_LENGTH])


def numbers(value: Any) -> tuple[float | None, ...]:
    """Return the entries of a list as numbers, None for an entry that is not a number."""
    return convert_list(value, as_number)


def finite_numbers(value: Any) -> tuple[float, ...]:
    """Return a list of numbers; a list with any other entry is empty."""
    return _complete(convert_list(value, as_number))


def integers(value: Any) -> tuple[int, ...]:
    """Return a list of whole numbers, or an empty one if it has any other entry."""
    return _complete(convert_list(value, as_integer))


def _complete(entries: tuple[Item | None, ...]) -> tuple[Item, ...]:
    present = tuple(entry for entry in entries if entry is not None)
    return present if len(present) == len(entries) else ()


def texts(value: Any) -> tuple[str, ...]:
    """Return the texts in a list."""
    return tuple(text for text in convert_list(value, as_text) if text)


def scalars(tree: Any, *, minimum: float = -math.inf) -> dict[str, float]:
    """Return the numbers in an object, by name; other entries and smaller numbers are dropped."""
    if not isinstance(tree, dict):
        return {}
    entries = {
        as_text(name): as_number(value) for name, value in list(tree.items())[:MAX_LIST_LENGTH]
    }
    return {
        name: number
        for name, number in entries.items()
        if name and number is not None and number >= minimum
    }
