"""Text from files, made safe for HTML, markdown and the log."""

from __future__ import annotations

from counterbias_multiqc.values import as_text

#: Characters that mean something in HTML or in markdown. Plots, tables and alerts all show these
#: entities as the characters that they stand for; plots do not know ``&quot;``.
_HTML = str.maketrans({"<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})
_MARKDOWN = {ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]()!|~"}


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


def number_of_samples(number: int) -> str:
    """Return "1 sample", "2 samples" …."""
    return f"{number} sample{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Make a text safe for the log, which is shown in a terminal."""
    return as_text(text) or "?"
