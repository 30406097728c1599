"""Plots that several sections share: lines with colours that outlast a merge, heat maps, alerts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiqc import report
from multiqc.base_module import BaseMultiqcModule
from multiqc.plots import heatmap, linegraph
from multiqc.plots.plot import Plot
from multiqc.types import Anchor, SectionAlert

from counterbias_multiqc import checks
from counterbias_multiqc.checks import Findings
from counterbias_multiqc.parser import Report
from counterbias_multiqc.samples import Collection, ModelResult
from counterbias_multiqc.text import colours, plain, plain_name

#: A line: x → y.
Line = Mapping[float, float | None]
#: Height that rows of a heat map get at most, pixels.
TALLEST = 700
#: Pass, warn, fail; also the ends and the middle of the scale of checks.
GOOD, DOUBTFUL, BAD = "#4cae6a", "#f0ad4e", "#d9534f"
#: From nothing to much.
RISING: list[list[Any]] = [[0, "#ffffff"], [0.25, "#fde0b5"], [0.6, "#f08a4b"], [1, "#8c2d04"]]
#: From below zero (worse) to above (better).
BETTER: list[list[Any]] = [
    [0, "#762a83"],
    [0.25, "#c2a5cf"],
    [0.5, "#f7f7f7"],
    [0.75, "#8cc99a"],
    [1, "#1b7837"],
]
#: From below zero to above, neither good nor bad.
DIVERGING: list[list[Any]] = [
    [0, "#2166ac"],
    [0.25, "#92c5de"],
    [0.5, "#f7f7f7"],
    [0.75, "#f4a582"],
    [1, "#b2182b"],
]


#: Titles of our columns that hold text.
TEXT_COLUMNS = ("Bias model", "Model", "Used")


def silence_text_columns() -> None:
    """Drop one false alarm: MultiQC 1.35 reads text cells of an earlier report back as NaN beside their text, and warns of the NaN."""
    false_alarms = {f"All values are NaN or Inf for metric: {title}" for title in TEXT_COLUMNS}

    def is_news(record: logging.LogRecord) -> bool:
        return record.getMessage() not in false_alarms

    logger = logging.getLogger("multiqc.plots.violin")
    if not any(getattr(one, "__name__", "") == "is_news" for one in logger.filters):
        logger.addFilter(is_news)


@dataclass(frozen=True, slots=True)
class View:
    """What a section needs. All names in here are safe for HTML."""

    module: BaseMultiqcModule
    reports: Mapping[str, Report]
    collection: Collection
    models: Mapping[str, Sequence[ModelResult]]
    checked: Mapping[str, Findings]
    limits: Mapping[str, float]
    colours: Mapping[str, str]

    @property
    def many(self) -> bool:
        """Whether there are too many samples for lines."""
        return len(self.reports) > self.limits["heatmap_above"]

    def id(self, name: str) -> str:
        """Give the id of a plot."""
        return f"{self.module.anchor}_{name}"

    def section(self, name: str, key: str, **rest: Any) -> None:
        """Add a section, unless its plot is missing."""
        if rest.get("plot") is not None:
            self.module.add_section(name=name, anchor=f"{self.module.anchor}-{key}", **rest)

    def alerts(self, *names: str) -> list[SectionAlert]:
        """Name the samples that do not pass these checks, one alert per check, at most three reasons spelled out."""
        alerts = []
        for name in names:
            found = list(checks.concerns(self.checked, name))
            if not found:
                continue
            said = "; ".join(
                f"**{plain_name(sample)}**: {plain(finding.reason)}"
                for sample, finding in found[:3]
            )
            more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
            level = "danger" if any(finding.level == "fail" for _, finding in found) else "warning"
            message = f"{checks.HEADLINES[name]}: {said}{more}."
            affected = [sample for sample, _ in found] if len(found) > 3 else []
            alerts.append(SectionAlert(message=message, level=level, affected_samples=affected))
        return alerts

    def statuses(self, *names: str) -> dict[Any, list[str]]:
        """Sort samples into pass, warn and fail by the worst of these checks."""
        return dict(checks.statuses(self.checked, *names))


def lines(
    datasets: Sequence[Mapping[str, Line]],
    config: dict[str, Any],
    *,
    colour: Mapping[str, str],
    dash: Mapping[str, str] | None = None,
) -> Any:
    """Draw lines. What an earlier report knew of colours and dashes is kept, so that its lines look the same after a merge."""
    earlier = report.plot_input_data.get(Anchor(config["id"]))
    before = getattr(earlier, "pconfig", None)
    config["colors"] = {**dict(getattr(before, "colors", None) or {}), **colour}
    config["dash_styles"] = {**dict(getattr(before, "dash_styles", None) or {}), **(dash or {})}
    config.setdefault("series_label", False)
    config.setdefault("smooth_points", 2000)
    kept = [(place, data) for place, data in enumerate(datasets) if data]
    if not kept:
        return None
    labels = config.get("data_labels")
    if labels:
        config["data_labels"] = [labels[place] for place, _ in kept]
    if not labels or len(kept) == 1:
        label = config.pop("data_labels", [{}])[0] if labels else {}
        config.update(
            {
                key: value
                for key, value in label.items()
                if key in ("ylab", "xlab", "title", "ymin", "ymax")
            }
        )
        return linegraph.plot(dict(kept[0][1]), config)  # type: ignore[type-var]
    return linegraph.plot([dict(data) for _, data in kept], config)  # type: ignore[type-var]


def heat(
    rows: Mapping[str, Sequence[float | None]], columns: Sequence[str], config: dict[str, Any]
) -> Any:
    """Draw a heat map of samples × columns, in the order given; many can be clustered. Columns must not look like numbers."""
    if not rows or not columns:
        return None
    defaults: dict[str, Any] = {
        "square": False,
        "xcats_samples": False,
        "cluster_cols": False,
        "angled_xticks": False,
    }
    defaults["cluster_rows"] = len(rows) > 20
    defaults["display_values"] = len(rows) * len(columns) <= 120
    plot = heatmap.plot(
        [list(values) for values in rows.values()],
        list(columns),
        list(rows),
        {**defaults, **config},
    )
    if isinstance(plot, Plot):
        # MultiQC makes every row ten pixels high: that is five screens for 500 samples.
        plot.layout.height = 200 + min(max(26 * len(rows), 80), TALLEST)
        if len(rows) * 12 > TALLEST:
            plot.layout.yaxis.tickvals = None
    return plot


def offset_names(offsets: Iterable[int]) -> list[str]:
    """Name offsets so that no axis takes them for numbers."""
    return [f"{offset:+d} nt" if offset else "0 nt" for offset in offsets]


def sample_colours(names: Sequence[str]) -> dict[str, str]:
    """Give each sample its colour."""
    return colours(names)


def percent(values: Sequence[float | None]) -> list[float | None]:
    """Turn shares into per cent."""
    return [None if value is None else 100.0 * value for value in values]
