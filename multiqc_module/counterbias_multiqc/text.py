"""Text that comes from files, made safe for HTML, markdown and plots; colours that stay with a sample."""

from __future__ import annotations

import colorsys
import re
import zlib
from collections.abc import Iterable

from counterbias_multiqc.values import as_text

#: Characters that mean something in HTML or markdown. Plots, tables and alerts all show entities as the characters they stand for.
_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_MARKDOWN = {ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]()!|~"}
#: What cannot become an element however often it is unescaped.
_LOOK_ALIKES = str.maketrans({"<": "‹", ">": "›", "&": "&amp;"})

#: Colours that differ in hue and lightness; after these, hues by the golden angle.
_PALETTE = (
    "#1f77b4", "#e6772e", "#2a9d5c", "#c0392b", "#8256c8", "#8c6d31", "#d6569f", "#17a2b8", "#6b8e23", "#34495e", "#f0a818", "#7f7f7f",
)  # fmt: skip


def escape(text: str) -> str:
    """Make a text safe wherever MultiQC puts it into HTML; it looks the same there."""
    return text.translate(_ENTITIES)


def logged(text: str) -> str:
    """Make a text safe in a line of the log, which ends on a terminal."""
    return as_text(text) or "?"


def column_text(text: str) -> str:
    """Make a text safe as the title or the description of a table's column.

    MultiQC's page reads these back as text and puts them into a dialogue or a tooltip as HTML, so that escaping does not last: angle
    brackets are replaced by characters that look like them, and entities are shown as they are written.
    """
    return escape(text.translate(_LOOK_ALIKES))


def column_key(name: str) -> str:
    """Make a name safe as the key of a table's column, of which MultiQC makes ids, classes and selectors."""
    key = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return key if key == name else f"{key}_{zlib.crc32(name.encode()):08x}"


def plain(text: str) -> str:
    """Make a text safe inside markdown: no emphasis, no link, no tag."""
    return plain_name(escape(text))


def plain_name(name: str) -> str:
    """Make a name that is safe for HTML already safe inside markdown, too."""
    return name.translate(_MARKDOWN)


def colours(names: Iterable[str], known: dict[str, str] | None = None) -> dict[str, str]:
    """Give each name a colour of its own; names in ``known`` keep theirs."""
    taken = dict(known or {})
    found: dict[str, str] = {}
    number = len(taken)
    for name in names:
        if name not in taken:
            taken[name] = _PALETTE[number] if number < len(_PALETTE) else _hue(number)
            number += 1
        found[name] = taken[name]
    return found


def _hue(number: int) -> str:
    red, green, blue = colorsys.hls_to_rgb(
        (number * 0.618034) % 1.0, 0.40 + 0.08 * (number % 3), 0.55
    )
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
