"""How colours look to people with red-green blindness, and how far apart they then are.

Sources: Machado, Oliveira and Fernandes (2009), doi:10.1109/TVCG.2009.113, matrices of severity 1;
CIE 1976 colour difference; relative luminance and contrast as in WCAG 2.
"""

from __future__ import annotations

import math

#: What linear red, green and blue become.
MACHADO = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}
_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)

Triple = tuple[float, float, float]


def linear(colour: str) -> Triple:
    """Return linear red, green and blue, 0 to 1, of a colour such as ``#ff8000``."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return red, green, blue


def multiplied(matrix: tuple[Triple, ...], values: Triple) -> Triple:
    first, second, third = (
        sum(factor * value for factor, value in zip(row, values, strict=True)) for row in matrix
    )
    return first, second, third


def seen(colour: str, vision: str) -> Triple:
    """Return linear red, green and blue of a colour as a person of that vision sees it."""
    red, green, blue = (
        min(max(value, 0.0), 1.0) for value in multiplied(MACHADO[vision], linear(colour))
    )
    return red, green, blue


def lab(values: Triple) -> Triple:
    """Convert linear red, green and blue to CIELAB (D65)."""

    def compressed(share: float) -> float:
        return share ** (1 / 3) if share > (6 / 29) ** 3 else share / (3 * (6 / 29) ** 2) + 4 / 29

    x, y, z = (
        compressed(value / white)
        for value, white in zip(multiplied(_TO_XYZ, values), _WHITE, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, vision: str) -> float:
    """Return ΔE (CIE 1976) between two colours as a person of that vision sees them."""
    return math.dist(lab(seen(one, vision)), lab(seen(other, vision)))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    dark, light = sorted(multiplied(_TO_XYZ, linear(colour))[1] for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)
