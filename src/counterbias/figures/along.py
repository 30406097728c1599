"""Observed read starts along a gene against those that models expect."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.figures.layout import MODELS, RAW

Floats = NDArray[np.float64]

#: Colour of observed reads.
OBSERVED = "#222222"
#: Models that have a line.
MOST_MODELS = 5
#: Tracks that a figure has room for.
MOST_TRACKS = 12
#: Standard deviation of the smoothing kernel: at least this many bases, and this part of the line.
LEAST_SMOOTHING, SMOOTHING = 10, 1 / 150
#: Size of the figure in inches: its width, what a track takes, and the title and the axis.
WIDTH, TRACK, MARGIN = 11.0, 2.5, 1.25
#: The part of its width that panels take, and the most characters in a line of the legend beside.
_PANELS, _LETTERS = 0.77, 38
#: Width of the panels in points, about: a bar is as wide as a base, but can be seen.
_POINTS, _THINNEST = 560.0, 0.6


@dataclass(frozen=True, slots=True)
class AlongTrack:
    """The read starts of one read end on one strand.

    Args:
        title: sample, read end and strand.
        observed: float64 (places,), reads that start at each place.
        even: float64 (places,), an even spread of them; NaN where nothing is expected.
        expected: model → float64 (places,), NaN likewise; the first one is drawn place by place.
        notes: model → its numbers, in words.
        even_models: the models that expect an even spread, as they are not used.
    """

    title: str
    observed: Floats
    even: Floats
    expected: Mapping[str, Floats]
    notes: Mapping[str, str]
    even_models: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class AlongFigure:
    """One gene.

    Args:
        title: what is drawn.
        axis: what the horizontal axis is.
        caption: what a reader should know about what is expected.
        exon: int64 (places,), the number of each place's exon.
        tracks: at most :data:`MOST_TRACKS`.
    """

    title: str
    axis: str
    caption: str
    exon: NDArray[np.int64]
    tracks: Sequence[AlongTrack]


def along(figure: Any, drawn: AlongFigure) -> Any:
    """Draw each track twice: place by place, and smoothed.

    Place by place, observed reads go up and those that the first model expects go down; of the
    smoothed lines there is one per model.
    """
    number = len(drawn.tracks)
    page = figure(figsize=(WIDTH, TRACK * number + MARGIN), layout="constrained")
    page.get_layout_engine().set(rect=(0, 0, _PANELS, 1))  # legends are no part of the layout
    page.suptitle(drawn.title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    page.supxlabel(drawn.caption, x=0.01, ha="left", fontsize=8, color="#444444")
    panels = page.subplots(
        2 * number, 1, sharex=True, squeeze=False, height_ratios=[5, 4] * number
    )[:, 0]
    spread = max(LEAST_SMOOTHING, round(SMOOTHING * len(drawn.exon)))
    for track, raw, smooth in zip(drawn.tracks, panels[::2], panels[1::2], strict=True):
        _place_by_place(raw, track)
        _smoothed(smooth, track, spread)
        _legend(smooth)
        for panel in (raw, smooth):
            _mark(panel, track, drawn.exon)
            panel.grid(visible=False, axis="x")
    panels[-1].set_xlim(0.5, len(drawn.exon) + 0.5)
    panels[-1].set_xlabel(drawn.axis, fontsize=8.5)
    return page


def _place_by_place(panel: Any, track: AlongTrack) -> None:
    """Draw observed reads upwards and those of the first model downwards."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    place = np.arange(1, len(track.observed) + 1)
    width = max(_THINNEST, _POINTS / len(place))
    panel.set_title(track.title, fontsize=9)
    _bars(panel, place, track.observed, color=OBSERVED, linewidth=width)
    for expected in list(track.expected.values())[:1]:
        _bars(panel, place, -expected, color=MODELS[0], linewidth=width)
    _draw_even(panel, place, track.even)
    if track.expected:
        _draw_even(panel, place, -track.even)
    panel.axhline(0, color="#555555", linewidth=0.6)
    # Whole reads, upwards and downwards alike.
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    panel.set_ylabel("reads", fontsize=8)


def _smoothed(panel: Any, track: AlongTrack, spread: int) -> None:
    """Draw observed and expected reads as smoothed lines."""
    place = np.arange(1, len(track.observed) + 1)
    style = {"color": OBSERVED, "linewidth": 1.5, "label": "observed (bars upwards)"}
    panel.plot(place, smoothed(track.observed, spread), **style)
    even = ["even spread"]
    if track.even_models:
        even = ["even spread, as of models not used:", *track.even_models[:MOST_MODELS]]
    _draw_even(panel, place, track.even, label=_lines(*even))
    shown = list(track.expected.items())[:MOST_MODELS]
    for (model, expected), colour in zip(shown, MODELS, strict=False):
        name = model if colour != MODELS[0] else f"{model} (bars downwards)"
        style = {"color": colour, "linewidth": 1.1, "label": _lines(name, track.notes[model])}
        panel.plot(place, smoothed(expected, spread), **style)
    panel.set_ylim(bottom=0)
    panel.set_ylabel(f"smoothed reads\nGaussian, SD {spread} nt", fontsize=7.5)


def _bars(panel: Any, place: NDArray[np.int64], height: Floats, **style: Any) -> None:
    """Draw a bar at each place with a height; as one line, so that files stay small."""
    rows = np.isfinite(height) & (height != 0)
    ends = np.zeros((int(rows.sum()), 3))
    ends[:, 1], ends[:, 2] = height[rows], np.nan
    panel.plot(np.repeat(place[rows], 3), ends.ravel(), solid_capstyle="butt", **style)


def _draw_even(panel: Any, place: NDArray[np.int64], even: Floats, label: str = "") -> None:
    panel.plot(place, even, color=RAW, linewidth=0.9, linestyle=(0, (4, 2)), label=label or None)


def _lines(*texts: str) -> str:
    """Break texts into lines that fit beside the panels."""
    return "\n".join(line for text in texts for line in textwrap.wrap(text, _LETTERS))


def _legend(smooth: Any) -> None:
    """Put the legend of both panels of a track to their right, where it hides nothing."""
    legend = smooth.legend(
        loc="center left", bbox_to_anchor=(1.005, 1.15), fontsize=7.5, borderaxespad=0.4
    )
    legend.set_in_layout(False)


def _mark(panel: Any, track: AlongTrack, exon: NDArray[np.int64]) -> None:
    """Mark where exons meet, and the places where nothing is expected."""
    for place in (np.flatnonzero(np.diff(exon)) + 1).tolist():
        panel.axvline(place + 0.5, color="#999999", linewidth=0.7, linestyle=":", zorder=0)
    for start, end in runs(~np.isfinite(track.even)):
        panel.axvspan(start + 0.5, end + 0.5, color="#f0f0f0", linewidth=0, zorder=-1)


def runs(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of marked places, half open, counted from 0."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def smoothed(values: Floats, spread: float) -> Floats:
    """Smooth values with a Gaussian kernel of this standard deviation, cut at four of them.

    Only known places are averaged; at unknown ones (NaN) the result is NaN.
    """
    reach = math.ceil(4 * spread)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread) ** 2)
    known = np.isfinite(values)
    total = np.convolve(np.where(known, values, 0.0), kernel)[reach : reach + len(values)]
    weight = np.convolve(known.astype(np.float64), kernel)[reach : reach + len(values)]
    mean = np.full(len(values), np.nan)
    np.divide(total, weight, out=mean, where=known)
    return mean
