"""Text from files, made safe for HTML, markdown, tables and the log."""

from __future__ import annotations

import re
import zlib

from counterbias_multiqc.values import as_text

#: Characters that mean something in HTML or in markdown. Plots, tables and alerts all show an
#: entity as the character that it stands for.
_HTML = str.maketrans({"<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_MARKDOWN = {ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]()!|~"}
#: Replacements that do not become an HTML element however often they are unescaped.
_LOOK_ALIKES = str.maketrans({"<": "‹", ">": "›", "&": "&amp;"})


def escape_html(text: str) -> str:
    """Escape a text for all places where MultiQC puts it into HTML."""
    return text.translate(_HTML)


def escape_markdown(html: str) -> str:
    """Escape for markdown what is already safe as HTML, such as a sample's name in the report."""
    return html.translate(_MARKDOWN)


def escape(text: str) -> str:
    """Escape a text for markdown that becomes HTML: no emphasis, no link, no element."""
    return escape_markdown(escape_html(text))


def badge(text: str, background: str, colour: str) -> str:
    """Return HTML of a short text that is safe as HTML on a coloured background."""
    return f'<span class="badge" style="background-color:{background};color:{colour}">{text}</span>'


def column_text(text: str) -> str:
    """Make a text safe as the title or the description of a table column.

    MultiQC's page reads these texts back and puts them into a dialogue or a tooltip as HTML, which
    undoes any escaping. So angle brackets are replaced by characters that look like them.
    """
    return escape_html(text.translate(_LOOK_ALIKES))


def column_key(name: str) -> str:
    """Make a name safe as the key of a table column, from which MultiQC makes ids and selectors."""
    key = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return key if key == name else f"{key}_{zlib.crc32(name.encode()):08x}"


def printable(text: str) -> str:
    """Make a text safe for the log, which is shown in a terminal."""
    return as_text(text) or "?"
