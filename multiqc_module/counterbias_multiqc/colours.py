"""Colours of samples and models, and colour scales of heat maps."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from typing import Any

#: Backgrounds of words. They differ in lightness, too, so that they can be told apart with
#: red-green blindness (ΔE above 30, whichever kind). NEUTRAL neither passes nor fails.
PASS, WARN, FAIL, NEUTRAL = "#0f766e", "#fbbf24", "#b91c1c", "#64748b"
#: Colour of the words on each of them.
WORDS = {PASS: "#ffffff", WARN: "#000000", FAIL: "#ffffff", NEUTRAL: "#ffffff"}
#: Axes and lines to compare with. Visible on a white and on a dark page, like all colours of lines.
GREY = "#999999"
#: Lines of samples that need no look, where there are too many for a colour each.
MUTED = "#a3a3a3"
#: Bases, told apart without red-green vision, too: CIE76 distances of at least 35 with simulated
#: protanopia and deuteranopia (Machado et al. 2009).
BASE_COLOURS = {"A": "#0072b2", "C": "#d89000", "G": "#44aa99", "T": "#a0522d"}

ColourScale = list[list[Any]]
#: From nothing to much.
INTENSITY: ColourScale = [[0, "#ffffff"], [0.25, "#fde0b5"], [0.6, "#f08a4b"], [1, "#8c2d04"]]
#: From worse (below zero) to better (above zero).
WORSE_BETTER: ColourScale = [
    [0, "#762a83"],
    [0.25, "#c2a5cf"],
    [0.5, "#f7f7f7"],
    [0.75, "#8cc99a"],
    [1, "#1b7837"],
]
#: From below zero to above zero, neither of which is better.
DIVERGING: ColourScale = [
    [0, "#2166ac"],
    [0.25, "#92c5de"],
    [0.5, "#f7f7f7"],
    [0.75, "#f4a582"],
    [1, "#b2182b"],
]

#: Colours in the order in which they are easiest to tell apart from each other and from grey,
#: without red-green vision, too. Further ones are spaced by the golden ratio.
_PALETTE = (
    "#6a5acd",
    "#d89000",
    "#4ba9e0",
    "#e0483e",
    "#aa4499",
    "#009e73",
    "#ee6677",
    "#d55e00",
)
_GOLDEN_RATIO = 0.618034


def assign_colours(names: Iterable[str]) -> dict[str, str]:
    """Assign each name a colour; the first names get those that differ most."""
    return {
        name: _PALETTE[number] if number < len(_PALETTE) else _colour_beyond_palette(number)
        for number, name in enumerate(dict.fromkeys(names))
    }


def _colour_beyond_palette(number: int) -> str:
    hue, lightness = (number * _GOLDEN_RATIO) % 1.0, 0.40 + 0.08 * (number % 3)
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.55)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
