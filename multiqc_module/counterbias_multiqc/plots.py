"""Line plots and heat maps as the sections draw them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multiqc import report
from multiqc.plots import heatmap, linegraph
from multiqc.plots.linegraph import LinePlot, LinePlotNormalizedInputData
from multiqc.plots.plot import Plot
from multiqc.types import Anchor

from counterbias_multiqc.checks import CHECKS
from counterbias_multiqc.colours import GREY, MUTED

#: A line: x → y.
Line = Mapping[float, float | None]
#: The rows of a heat map: name → value of each column.
Rows = Mapping[str, Sequence[float | None]]

#: Lines of more points are smoothed by MultiQC.
MAX_POINTS = 2000
#: Where a line crosses the read start, or the value at which nothing changes.
ZERO_LINE = {"value": 0, "color": GREY, "width": 1, "dash": "dot"}

#: Heights in pixels, of the rows of a heat map together unless stated otherwise.
_MIN_HEIGHT, _COMFORTABLE_HEIGHT, _ROW_HEIGHT, _HEIGHT_AROUND_ROWS = 80, 700, 26, 200
#: Up to so many rows all have names, which need this height each; of more rows, some have names.
_MAX_NAMED_ROWS, _MIN_NAME_HEIGHT = 80, 13
#: Heat maps can be clustered if they have more rows than the first number, and no more than the
#: second: MultiQC clusters in Python, for seconds with hundreds of rows.
_MAX_ROWS_UNCLUSTERED, _MAX_ROWS_CLUSTERED = 20, 150
#: Heat maps with more cells do not show values.
_MAX_CELLS_WITH_VALUES = 120

#: Titles of table columns that hold text.
_TEXT_COLUMNS = (
    "Bias model",
    "Model",
    "Used",
    "Δ Pearson",
    "Δ RMSE (log2)",
    "Checks",
    *(check.title for check in CHECKS.values()),
)


class _TextColumnFilter(logging.Filter):
    """Drop a false alarm about text columns.

    When MultiQC 1.35 reads an earlier report back, it has NaN next to each text, and warns of it.
    """

    false_alarms = frozenset(
        f"All values are NaN or Inf for metric: {title}" for title in _TEXT_COLUMNS
    )

    def filter(self, record: logging.LogRecord) -> bool:
        return record.getMessage() not in self.false_alarms


_text_column_filter = _TextColumnFilter()


def silence_text_columns() -> None:
    """Keep MultiQC from warning that text columns hold no numbers."""
    logging.getLogger("multiqc.plots.violin").addFilter(_text_column_filter)


def line_plot(
    datasets: Sequence[Mapping[str, Line]],
    config: dict[str, Any],
    *,
    colours: Mapping[str, str],
    dashes: Mapping[str, str] | None = None,
) -> object:
    """Draw lines, with a tab for each dataset that is not empty.

    Colours and dashes of lines in an earlier report are kept, so that they look the same when
    MultiQC merges that report into the new one.
    """
    drawn = [(number, dataset) for number, dataset in enumerate(datasets) if dataset]
    if not drawn:
        return None
    earlier = getattr(report.plot_input_data.get(Anchor(config["id"])), "pconfig", None)
    config = {
        "series_label": False,
        "smooth_points": MAX_POINTS,
        **config,
        "colors": {**(getattr(earlier, "colors", None) or {}), **colours},
        "dash_styles": {**(getattr(earlier, "dash_styles", None) or {}), **(dashes or {})},
    }
    labels = config.pop("data_labels", None)
    labels = [labels[number] for number, _ in drawn] if labels else []
    if len(drawn) == 1:
        # Without tabs, the label of the only dataset applies to the plot.
        config.update(
            {key: text for label in labels for key, text in label.items() if key != "name"}
        )
    else:
        config["data_labels"] = labels
    plot = linegraph.plot([dict(dataset) for _, dataset in drawn], config)  # type: ignore[type-var]
    if isinstance(plot, LinePlot):
        _put_in_order(plot, [name for _, dataset in drawn for name in dataset])
    return with_legible_legend(plot)


def with_legible_legend(plot: object) -> object:
    """Let the text of a plot's legend be light in dark mode, and return the plot.

    MultiQC 1.35 leaves it dark on dark unless the layout says something about the legend.
    """
    if isinstance(plot, Plot):
        plot.layout.legend = {"tracegroupgap": 0}
    return plot


def _put_in_order(plot: LinePlot[Any, Any], names: Iterable[str]) -> None:
    """Draw lines in the order given, not in that of their names; grey ones first and thin."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    for dataset in plot.datasets:
        dataset.lines.sort(key=lambda line: (line.color != MUTED, places.get(line.name, -1)))
        for line in dataset.lines:
            if line.color == MUTED:
                line.width, line.showlegend = 1, False


def tabs_with_earlier(
    plot_id: str, tabs: Mapping[str, Mapping[str, Line]]
) -> dict[str, Mapping[str, Line]]:
    """Add the tabs of an earlier report whose samples are not in this one.

    MultiQC would merge the first tab with the first, and so on, whatever they are called.
    """
    earlier = report.plot_input_data.get(Anchor(plot_id))
    if not isinstance(earlier, LinePlotNormalizedInputData):
        return dict(tabs)
    labels = [
        str(label["name"]) for label in earlier.pconfig.data_labels if isinstance(label, dict)
    ]
    if not labels:
        # The only tab of a plot is named by the subtitle.
        labels = [earlier.pconfig.subtitle or "earlier report"]
    merged = {
        label: {line.name: dict(line.pairs) for line in lines}
        for label, lines in zip(labels, earlier.data, strict=False)
    }
    earlier.data = []
    return {**tabs, **{label: lines for label, lines in merged.items() if label not in tabs}}


def heat_map(rows: Rows, columns: Sequence[str], config: dict[str, Any]) -> object:
    """Draw a heat map of samples × columns, in the order given.

    Names of columns must not look like numbers, or the axis is drawn to scale and mislabelled.
    """
    if not rows or not columns:
        return None
    defaults: dict[str, Any] = {
        "square": False,
        "xcats_samples": False,
        "cluster_cols": False,
        "angled_xticks": False,
        "cluster_rows": _MAX_ROWS_UNCLUSTERED < len(rows) <= _MAX_ROWS_CLUSTERED,
        "display_values": len(rows) * len(columns) <= _MAX_CELLS_WITH_VALUES,
    }
    plot = heatmap.plot(
        [list(values) for values in rows.values()],
        list(columns),
        list(rows),
        {**defaults, **config},
    )
    if isinstance(plot, Plot):
        # MultiQC's own row height makes a heat map of 500 samples five screens high.
        plot.layout.height = _HEIGHT_AROUND_ROWS + _height_of_rows(len(rows))
        if len(rows) > _MAX_NAMED_ROWS:
            plot.layout.yaxis.tickvals = None
    return plot


def _height_of_rows(number: int) -> int:
    """Return the height of the rows of a heat map, pixels."""
    least = _MIN_NAME_HEIGHT * min(number, _MAX_NAMED_ROWS)
    return max(min(_ROW_HEIGHT * number, _COMFORTABLE_HEIGHT), least, _MIN_HEIGHT)


def largest_magnitude(rows: Rows) -> float | None:
    """Return the largest absolute value in a heat map, None if it has no values."""
    return max(
        (abs(value) for values in rows.values() for value in values if value is not None),
        default=None,
    )


def symmetric_range(rows: Rows) -> dict[str, float]:
    """Return the limits of a colour scale with its middle at zero."""
    limit = largest_magnitude(rows) or 1.0
    return {"min": -limit, "max": limit}


def stretch(values: Sequence[float | None], number: int) -> list[float | None]:
    """Repeat values evenly so that there are ``number`` of them: one for each column."""
    return [values[position * len(values) // number] for position in range(number)]


def offset_names(offsets: Iterable[int]) -> list[str]:
    """Name offsets from the read start so that no axis takes them for numbers."""
    return [f"{offset:+d} nt" if offset else "0 nt" for offset in offsets]
