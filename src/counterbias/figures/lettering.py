"""Names of any length, made to fit the place they have in a figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

#: Characters after which a name is rather broken than elsewhere.
BREAKS = " _-.,:;/+|]"
#: No character of the font is narrower than this part of its size; room for hinting, as a factor.
NARROWEST, ROOM = 0.25, 1.05


@cache
def _character(character: str, bold: bool) -> float:
    """Return a character's width as a part of the font's size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(
        family="DejaVu Sans",  # type: ignore[arg-type]
        size=100,
        weight="bold" if bold else "normal",
    )
    # The end of the text is not its last glyph's, but where the next one would begin.
    text = f"|{character}|"
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    frame, _, _ = text_to_path.get_text_width_height_descent("||", font, False)
    return float(width - frame) / 100


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of one line of text, inches; ``size`` is in points."""
    return sum(_character(one, bold) for one in text) * size / 72 * ROOM


def fit(text: str, inches: float, size: float, *, lines: int = 2, bold: bool = False) -> str:
    """Break a text into lines that fit a width; one that is too long loses its middle.

    Args:
        text: the text, without line breaks.
        inches: the width.
        size: the font's size, points.
        lines: how many lines there may be.
        bold: whether the text is bold.
    """
    most = int(lines * inches * 72 / (size * NARROWEST)) + 1
    for kept in range(min(len(text), most), 0, -1):
        head = (kept + 1) // 2
        short = text if kept == len(text) else f"{text[:head]}…{text[len(text) - kept + head :]}"
        broken = _broken(short, inches, size, bold)
        if len(broken) <= lines:
            return "\n".join(broken)
    return text and "…"


def _broken(text: str, inches: float, size: float, bold: bool) -> list[str]:
    """Break a text greedily, after a character of :data:`BREAKS` if there is one in the line."""
    lines = []
    while text:
        end = len(text)
        if width_of(text, size, bold=bold) > inches:
            end = _longest(text, inches, size, bold)
            mark = max(text.rfind(one, 0, end) for one in BREAKS) + 1
            end = mark if mark > end // 3 else end
        lines.append(text[:end].strip())
        text = text[end:].lstrip()
    return lines


def _longest(text: str, inches: float, size: float, bold: bool) -> int:
    """Return how many of the first characters fit, at least one."""
    width = 0.0
    for number, character in enumerate(text):
        width += width_of(character, size, bold=bold)
        if width > inches:
            return max(number, 1)
    return len(text)


def fit_names(names: Sequence[str], inches: float, size: float, *, lines: int = 2) -> list[str]:
    """Fit names as :func:`fit` does; those that look alike then get their numbers in front."""
    fitted = [fit(name, inches, size, lines=lines) for name in names]
    times = Counter(fitted)
    return [
        fit(f"{number}: {name}", inches, size, lines=lines) if times[short] > 1 else short
        for number, (name, short) in enumerate(zip(names, fitted, strict=True), start=1)
    ]
