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
GREY = "#999999"

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

#: Colours that differ in hue and lightness. Further ones are spaced by the golden ratio.
_PALETTE = (
    "#1f77b4",
    "#e6772e",
    "#2a9d5c",
    "#c0392b",
    "#8256c8",
    "#8c6d31",
    "#d6569f",
    "#17a2b8",
    "#6b8e23",
    "#34495e",
    "#f0a818",
    "#7f7f7f",
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
