"""Pages of panels: rows are samples, columns are models, and all text has its place.

Places are computed in inches from the text's own size, so that nothing is cut and nothing overlaps
whatever the names and however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from counterbias.figures.lettering import fit, fit_names, width_of

#: Colours that people with colour blindness can tell apart (Okabe and Ito), without yellow.
WEIGHTED, CORRECTED, RAW, INK = "#E69F00", "#0072B2", "#8a8a8a", "#333333"
BASES = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
#: The estimates that differ from raw, with their colours.
ESTIMATES = {"weighted": WEIGHTED, "corrected": CORRECTED}
#: Models' colours and marks: with 7 and 8 of them, 56 models differ.
MODELS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "p")
#: Samples in the rows of one page, models in its columns, panels across if there is one sample.
ROWS, COLUMNS, ACROSS = 6, 9, 5
#: Points beyond which a cloud is drawn as pixels.
MANY = 400
#: A logarithmic axis that spans less than the first factor also has 2 and 5 times the powers of
#: ten, and one that spans less than the second, 3 times these.
FEW_DECADES = (30, 100)
#: Sizes of text, points; height of a line as a factor.
TITLE, TEXT, SMALL, NOTE, LEADING = 10.5, 8.0, 7.0, 6.5, 1.3
#: Inches: margin, gap between panels, narrowest page, row's label, label of a legend.
MARGIN, GAP, NARROWEST, ROW_LABEL, KEY_LABEL = 0.12, 0.3, 5.6, 1.2, 2.2

#: A sign that stays with what follows it.
UNBROKEN = "±\N{NO-BREAK SPACE}"

#: Takes matplotlib's ``Figure`` and returns a figure.
Page = Callable[[Any], Any]
#: What a legend explains: a label, and the settings of the line beside it.
Key = tuple[str, dict[str, Any]]


def parts(total: int, most: int) -> list[range]:
    """Split so many things evenly into parts of at most ``most``."""
    number = math.ceil(total / most)
    return [range(total * one // number, total * (one + 1) // number) for one in range(number)]


def mark_of(number: int) -> dict[str, Any]:
    """Return colour and mark of a model, by its number."""
    return {"color": MODELS[number % len(MODELS)], "marker": MARKS[number % len(MARKS)]}


def note(panel: Any, text: str, *, low: bool = False) -> None:
    """Write numbers into a panel's upper left corner, or into the lower right one."""
    panel.text(
        *((0.98, 0.03) if low else (0.02, 0.97)),
        text,
        transform=panel.transAxes,
        ha="right" if low else "left",
        va="bottom" if low else "top",
        fontsize=NOTE,
        linespacing=1.15,
        color="#222222",
        zorder=10,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8},
    )


def logarithmic(axis: Any) -> None:
    """Write the numbers of a logarithmic axis, whose ends are set, as plain text.

    Math markup is off, since names may contain any character.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    within: tuple[float, ...] = (1.0, 3.0) if high < FEW_DECADES[1] * low else (1.0,)
    within = (1.0, 2.0, 5.0) if high < FEW_DECADES[0] * low else within
    axis.set_major_locator(LogLocator(subs=within, numticks=5))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def few_ticks(axis: Any, number: int = 4) -> None:
    """Mark a linear axis at few places, so that the numbers of neighbours do not meet."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(number, steps=[1, 2, 5, 10]))


def _plain(value: float, _: object = None) -> str:
    """Write 0.001, 10, 1000, and 10000 and more as 10k, 1M."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * factor or (letter == "M" and value >= factor):
            return f"{value / factor:g}{letter}"
    return f"{value:g}"


@dataclass(frozen=True)
class Sheet:
    """A figure of panels, on as many pages as it needs.

    Args:
        title: what is shown.
        explanation: how to read it, in a sentence.
        rows: the names of the samples.
        columns: what stands above the columns; several rows share them.
        draw: called with a panel, and its row and column; returns False if there is nothing in it.
        x, y: labels of the axes.
        keys: what the legend below explains.
        width, height: of a panel, inches.
        ticks: width of the numbers or names at the left of the axes, inches.
    """

    title: str
    explanation: str
    rows: Sequence[str]
    columns: Sequence[str]
    draw: Callable[[Any, int, int], bool]
    x: str = ""
    y: str = ""
    keys: Sequence[Key] = field(default_factory=tuple)
    width: float = 1.75
    height: float = 1.45
    ticks: float = 0.42

    def pages(self) -> list[Page]:
        """Return functions that draw one page each."""
        if len(self.rows) == 1:
            chosen = [(range(1), one) for one in parts(len(self.columns), ACROSS * 4)]
        else:
            chosen = [
                (rows, columns)
                for rows in parts(len(self.rows), ROWS)
                for columns in parts(len(self.columns), COLUMNS)
            ]
        return [partial(self._page, rows, columns) for rows, columns in chosen]

    def _page(self, rows: range, columns: range, new_figure: Any) -> Any:
        return _Layout(self, rows, columns).drawn(new_figure)


class _Layout:
    """One page: where its panels and texts are, inches from its upper left corner."""

    def __init__(self, sheet: Sheet, rows: range, columns: range) -> None:
        self.sheet, self.rows, self.columns = sheet, rows, columns
        self.single = len(sheet.rows) == 1
        down = math.ceil(len(columns) / ACROSS) if self.single else len(rows)
        self.across = math.ceil(len(columns) / down) if self.single else len(columns)
        self.down = down
        self.left = MARGIN + sheet.ticks + (0.22 if sheet.y else 0.0)
        names = [] if self.single else [sheet.rows[one] for one in rows]
        self.label = min(max((width_of(name, TEXT) for name in names), default=0.0), ROW_LABEL)
        self.left += 0.0 if self.single else self.label + 0.1
        spare = (NARROWEST - self.left - 0.2) / self.across - GAP
        self.cell = max(sheet.width, min(spare, 2 * sheet.width))
        self.width = max(NARROWEST, self.left + self.across * (self.cell + GAP))
        self._place_down()

    def _place_down(self) -> None:
        """Stack title, explanation, headings, panels, the axis and the legend."""
        sheet, inner = self.sheet, self.width - 2 * MARGIN
        self.title = fit(sheet.title, inner, TITLE, lines=3, bold=True)
        where = f"{sheet.rows[0]}: " if self.single and sheet.rows[0] else ""
        self.explanation = fit(
            f"{where}{sheet.explanation}".replace("± ", UNBROKEN), inner, TEXT, lines=5
        )
        names = fit_names(
            [sheet.columns[one] for one in self.columns], self.cell + GAP * 0.6, TEXT, lines=3
        )
        self.headings = names
        self.heading = max((_height(name, TEXT) for name in names), default=0.0) + 0.08
        self.top = MARGIN + _height(self.title, TITLE) + _height(self.explanation, TEXT) + 0.1
        gap = self.heading + 0.12 if self.single else 0.16
        self.step = sheet.height + gap
        self.first = self.top + self.heading
        self.end = self.first + self.down * sheet.height + (self.down - 1) * gap
        labels = fit_names([label for label, _ in sheet.keys], KEY_LABEL, TEXT, lines=1)
        widest = max((width_of(label, TEXT) for label in labels), default=0.0) + 0.55
        self.keys, self.key_width = labels, widest
        self.keys_across = max(1, min(len(labels), int(inner / widest)))
        self.legend = self.end + 0.24 + (0.2 if sheet.x else 0.0)
        lines = math.ceil(len(labels) / self.keys_across)
        self.height = self.legend + lines * 0.17 + MARGIN

    def drawn(self, new_figure: Any) -> Any:
        """Draw the page."""
        page = new_figure(figsize=(self.width, self.height))
        self._write(page)
        lowest: dict[int, Any] = {}
        for number, (row, column) in enumerate(self._cells()):
            across, down = number % self.across, number // self.across
            panel = self._panel(page, across, down)
            if self.single or down == 0:
                self._head(page, number)
            panel.tick_params(labelleft=across == 0, labelbottom=False, labelsize=SMALL, length=2.5)
            if self.sheet.draw(panel, row, column):
                lowest[across] = panel
            else:
                _say_nothing(panel)
        for panel in lowest.values():
            panel.tick_params(labelbottom=True)
        return page

    def _cells(self) -> Iterator[tuple[int, int]]:
        return ((row, column) for row in self.rows for column in self.columns)

    def _panel(self, page: Any, across: int, down: int) -> Any:
        left = self.left + across * (self.cell + GAP)
        bottom = self.first + down * self.step + self.sheet.height
        return page.add_axes(
            (
                left / self.width,
                1 - bottom / self.height,
                self.cell / self.width,
                self.sheet.height / self.height,
            )
        )

    def _text(self, page: Any, at: tuple[float, float], text: str, **settings: Any) -> None:
        page.text(at[0] / self.width, 1 - at[1] / self.height, text, **settings)

    def _head(self, page: Any, number: int) -> None:
        across, down = number % self.across, number // self.across
        left = self.left + across * (self.cell + GAP)
        bottom = self.first + down * self.step - 0.06
        name = self.headings[number if self.single else across]
        self._text(page, (left, bottom), name, va="baseline", fontsize=TEXT, linespacing=1.1)

    def _write(self, page: Any) -> None:
        """Write all but what belongs to single panels."""
        sheet, middle = self.sheet, (self.first + self.end) / 2
        title = {"fontsize": TITLE, "fontweight": "bold", "linespacing": 1.15}
        self._text(page, (MARGIN, MARGIN), self.title, va="top", **title)
        below = MARGIN + _height(self.title, TITLE) + 0.03
        style = {"fontsize": TEXT, "color": "#444444", "linespacing": 1.15}
        self._text(page, (MARGIN, below), self.explanation, va="top", **style)
        if not self.single:
            lines = max(1, int(sheet.height / (TEXT * LEADING / 72)))
            names = [sheet.rows[one] for one in self.rows]
            for number, name in enumerate(fit_names(names, self.label + 0.01, TEXT, lines=lines)):
                centre = self.first + number * self.step + sheet.height / 2
                self._text(page, (MARGIN, centre), name, va="center", fontsize=TEXT)
        if sheet.y:
            x = self.left - sheet.ticks - 0.1
            label = fit(sheet.y, self.end - self.first, TEXT, lines=1)
            style = {"rotation": 90, "ha": "center", "va": "center", "fontsize": TEXT}
            self._text(page, (x, middle), label, **style)
        if sheet.x:
            x = self.left + (self.across * (self.cell + GAP) - GAP) / 2
            self._text(page, (x, self.end + 0.25), sheet.x, ha="center", va="top", fontsize=TEXT)
        self._explain(page)

    def _explain(self, page: Any) -> None:
        """Draw the legend, line by line."""
        from matplotlib.lines import Line2D

        for number, (label, settings) in enumerate(
            zip(self.keys, (one for _, one in self.sheet.keys), strict=True)
        ):
            across, down = number % self.keys_across, number // self.keys_across
            x = (MARGIN + across * self.key_width + 0.05) / self.width
            y = 1 - (self.legend + (down + 0.5) * 0.17) / self.height
            line = [x, x + 0.15 / self.width, x + 0.3 / self.width]
            style: dict[str, Any] = {"markevery": [1], "markersize": 4} | settings
            page.add_artist(Line2D(line, [y] * 3, **style))
            x += 0.36 / self.width
            page.text(x, y, label, ha="left", va="center_baseline", fontsize=TEXT)


def _height(text: str, size: float) -> float:
    """Return the height of lines of text, inches."""
    return (text.count("\n") + 1) * size * LEADING / 72 if text else 0.0


def _say_nothing(panel: Any) -> None:
    panel.set_axis_off()
    panel.text(
        0.5,
        0.5,
        "no result",
        ha="center",
        va="center",
        fontsize=NOTE,
        color="#777777",
        transform=panel.transAxes,
    )
