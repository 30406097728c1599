"""Comparison of the models tried on each sample: table, gain by sample, and gain versus cost.

Results of ``compare`` and of runs of ``count`` have sections of their own, since they are measured
differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from multiqc.plots import scatter, table
from multiqc.plots.table_object import InputRow
from multiqc.types import SampleName

from counterbias_multiqc import plots
from counterbias_multiqc.colours import FAIL, WORSE_BETTER, assign_colours
from counterbias_multiqc.sources import (
    EVENNESS,
    MAIN_MEASURE,
    REPLICATES,
    ModelResult,
    Source,
    mean,
    mean_gain,
)
from counterbias_multiqc.text import escape, escape_html, escape_markdown, number_of_samples
from counterbias_multiqc.view import MAX_REASONS, View, spell_out

#: A table of more columns is not read.
MAX_COLUMNS = 10
#: Tables of up to this many rows show them all; in longer ones, a click opens those of a sample.
_MAX_ROWS_OPEN = 20
_DOCS = "model-comparison"
_GAIN_TITLE = "Gain (bits/read)"
_TABLE_HELP = """
**Gain** is the main measure: how many bits per read the model gains over reads that start anywhere
alike, in genes that it was not trained on. Zero means that it knows nothing, a negative gain that
it has learnt noise. **Used**: *no gain* and *not needed* are no failures: the counts are left as
they are, which is right for a sample without bias.

*Good*: a gain clearly above zero, a slope near 1, and one model that is best in most samples.

*What to do*: choose the simplest model whose gain is within the error of the best, and count all
samples with it: `counterbias count --bias-model NAME`. If no model has a gain, leave the counts
raw; this is what `--bias-model auto` does.
"""
_GAIN_HELP = """
Held-out gain in bits per read, one cell for each sample and model; zero is white. *Good*: one
column has the darkest green in most rows. *Bad*: purple cells, in which the model predicts worse
than no model. Empty cells are models that failed or were not tried.
"""
_COST_HELP = """
Each point is a model: its mean gain over samples versus what it costs, the time to train it or the
number of its parameters. In both tabs *good* is high up and to the left. A model to the right of
another one with the same gain costs more but is no better. Times depend on the machine and on what
else was running.
"""
#: What a cost is called in the table and on an axis.
_COSTS = {"train_seconds": "Training (s)", "parameters": "Parameters"}
#: Shapes tell models apart without colours.
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "pentagon", "hexagram")
#: Signs before the words of the column "Used".
_SIGNS = {"yes": "✓", "failed": "✗"}
#: Columns of the table, in order; those that no model has a value for are left out.
_HEADERS: dict[str, dict[str, Any]] = {
    "model": {
        "title": "Model",
        "description": "Bias model, the best by gain first",
        "scale": False,
    },
    "used": {
        "title": "Used",
        "description": "Whether count uses the weights of this model. no gain: its gain does not "
        "exceed zero by three standard errors, so that the counts stay as they are; not needed: "
        "the sample has no bias to correct",
        "scale": False,
        # MultiQC's own colours, also for cells that read just "yes", are too light for white words.
        "cond_formatting_rules": {"failed": [{"s_eq": "✗ failed"}]},
        "cond_formatting_colours": [{"failed": FAIL}],
    },
    MAIN_MEASURE: {
        "title": _GAIN_TITLE,
        "description": "Bits gained per read in genes that the model was not trained on, counting "
        "at most 5 reads per position; zero is no model",
        "scale": "Greens",
        "format": "{:,.3f}",
    },
    "error": {
        "title": "±",
        "description": "Standard error of the gain, bits/read",
        "scale": False,
        "format": "{:,.3f}",
    },
    "reliability_slope": {
        "title": "Slope",
        "description": "Slope of observed on predicted reads; 1 if the correction has the right "
        "size, above 1 if it is too small",
        "scale": False,
        "format": "{:,.2f}",
    },
    "deviance": {
        "title": "Deviance (%)",
        "description": "Median share of the Poisson deviance explained in genes that the model was "
        "not trained on",
        "scale": "Greens",
        "format": "{:,.1f}",
    },
    "auc": {
        "title": "AUC",
        "description": "Chance that a read start scores above a random position of the same gene; "
        "0.5 is no model",
        "scale": "Greens",
        "format": "{:,.3f}",
    },
    EVENNESS: {
        "title": "Δ Unevenness (log2)",
        "description": "How correction changes the unevenness of reads along transcripts (RMS log2 "
        "ratio of neighbouring blocks of 50 bases); below zero, coverage becomes more even",
        "scale": False,
        "format": "{:+,.3f}",
    },
    REPLICATES: {
        "title": "Δ Replicates (log2)",
        "description": "How correction changes the difference to replicates (RMS log2 ratio of "
        "FPKM); below zero, they come closer together",
        "scale": False,
        "format": "{:+,.3f}",
    },
    "train_seconds": {
        "title": _COSTS["train_seconds"],
        "description": "Time to train the model",
        "scale": "Oranges",
        "format": "{:,.2f}",
    },
    "parameters": {
        "title": _COSTS["parameters"],
        "description": "Free parameters of the model",
        "scale": "Oranges",
        "format": "{:,.0f}",
    },
}


def add(view: View) -> None:
    """Add the sections of each source in which several models were tried on any sample."""
    for source in view.sources:
        if source.choice():
            _add_table(view, source)
            _add_gain(view, source)
            _add_cost(view, source)


def _add_table(view: View, source: Source) -> None:
    choice = source.choice()
    rows: dict[Any, Any] = {}
    is_open = sum(map(len, choice.values())) <= _MAX_ROWS_OPEN
    for name, models in choice.items():
        for rank, model in enumerate(models):
            row = name if rank == 0 else f"{name}, {escape_html(model.label)}"
            if is_open:
                rows[row] = _cells(model)
            else:
                entry = InputRow(sample=SampleName(row), data=_cells(model))
                rows.setdefault(name, []).append(entry)
    plot = table.plot(
        rows,
        _headers(source),
        {
            "id": view.plot_id(f"models_table_{source.key}"),
            "title": f"Counterbias: Model comparison, {_plain(source)}",
            "namespace": "Models",
            "save_file": False,
        },
    )
    best = "The row of a sample shows its best model."
    opened = "" if is_open else " Click on the arrow beside its name to see the others."
    view.add_section(
        f"Model comparison, {_plain(source)}",
        f"models-{source.key}",
        plot,
        description=f"All models tried on each sample, {source.title}, on parts of the genome that "
        f"they were not trained on. {best}{opened}",
        helptext=_TABLE_HELP,
        alerts=[*_recommendations(view, source), *_failures(source)],
        docs=_DOCS,
    )


def _plain(source: Source) -> str:
    """Return the source's title without markup."""
    return source.title.replace("`", "")


def _headers(source: Source) -> dict[Any, Any]:
    """Return the columns that any model has a value for, at most ten."""
    models = [model for models in source.choice().values() for model in models]
    known = {name for model in models for name in _cells(model)}
    names = [name for name in _HEADERS if name in known]
    if len(names) > MAX_COLUMNS:
        # It orders models as the deviance does.
        names.remove("auc")
    return {name: _HEADERS[name] for name in names}


def _cells(model: ModelResult) -> dict[str, Any]:
    used = f"{_SIGNS.get(model.used, '')} {model.used}".strip()
    cells: dict[str, Any] = {"model": escape_html(model.label), "used": escape_html(used)}
    cells.update({name: estimate.value for name, estimate in model.measures.items()})
    gain = model.measures.get(MAIN_MEASURE)
    if gain is not None:
        cells["error"] = gain.error
    if "deviance" in cells:
        cells["deviance"] *= 100
    cells.update({name: model.cost.get(name) for name in _COSTS})
    return {name: value for name, value in cells.items() if value not in (None, "")}


def _recommendations(view: View, source: Source) -> Iterator[dict[str, Any]]:
    """Iterate over an alert for each model recommended: what, why, and what to run next."""
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in source.comparisons:
        found = entry.comparison
        if found.recommended or found.reason:
            key = (found.recommended or "", found.recommended_window or "")
            groups.setdefault(key, []).append(found.reason or "")
    for (model, window), reasons in sorted(groups.items(), key=lambda item: -len(item[1])):
        in_files = f" in {len(reasons)} comparisons" if len(reasons) > 1 else ""
        reason = f" {_full_stop(escape(reasons[0]))}" if len(reasons) == 1 and reasons[0] else ""
        what = f"**{escape(model)}**" if model else "no correction"
        message = (
            f"Recommended by `compare`{in_files}: {what}.{reason} Next: {_next(model, window)}"
            f"{_note_on_windows(view) if model else ''}"
        )
        yield {"message": message, "level": "info"}


def _note_on_windows(view: View) -> str:
    """Return a sentence on samples that need a window of their own, empty if there are none."""
    if not view.concerning("trimmed"):
        return ""
    return " Samples whose window misses bias need the `--bias-window` that the checks name."


def _next(model: str, window: str) -> str:
    """Return what to run after a recommendation, as markdown; no model is empty."""
    if not model:
        return "use the raw counts, as `counterbias count` writes them without `--bias-model`."
    # The label of a model with options, or of a file, is no name to give as it is.
    name, note = (model, "") if model.isalnum() else ("NAME", f" (NAME: {escape(model)})")
    option = f" --bias-window {window}" if window else ""
    return (
        f"`counterbias count --bias-model {name}{option} --bias-genome GENOME.fa "
        f"--bias-output PREFIX …`{note} for all samples."
    )


def _full_stop(sentence: str) -> str:
    return sentence if not sentence or sentence.endswith(".") else f"{sentence}."


def _failures(source: Source) -> list[dict[str, Any]]:
    """Return an alert on models without a result: the most frequent failures first."""
    samples: dict[tuple[str, str], list[str]] = {}
    for name, models in source.choice().items():
        for model in models:
            if model.failure:
                samples.setdefault((model.label, model.failure), []).append(name)
    if not samples:
        return []
    # What failed is worse than what was skipped.
    ranked = sorted(
        samples.items(),
        key=lambda item: (item[0][1].startswith("skipped"), -len(item[1]), item[0]),
    )
    failures = [
        f"**{escape(label)}** {escape(failure)} ({_names(names)})"
        for (label, failure), names in ranked
    ]
    return [{"message": f"Models without a result: {spell_out(failures)}.", "level": "warning"}]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(escape_markdown(name) for name in names[:MAX_REASONS])
    if len(names) <= MAX_REASONS:
        return shown
    return f"{len(names)} samples: {shown} and {len(names) - MAX_REASONS} more"


def _note_on_means(source: Source) -> str:
    """Return a sentence on the samples that means are over."""
    common, choice = len(source.common()), len(source.choice())
    if common == choice:
        return f"Means are over all {choice} samples."
    left_out = f"{choice - common} of {choice} samples lack a model that others have"
    if not common:
        return f"There are no means: {left_out}, and no sample has them all."
    return (
        f"Means are over the {number_of_samples(common)} in which all models were "
        f"measured; {left_out} and {'is' if choice - common == 1 else 'are'} left out of them."
    )


def _add_gain(view: View, source: Source) -> None:
    """Add a heat map; of one sample, the table says it all."""
    labels, choice = list(source.by_label()), source.choice()
    if not labels or len(choice) < 2:
        return
    rows: dict[str, list[float | None]] = {}
    for name, models in choice.items():
        gains = {model.label: model.value(MAIN_MEASURE) for model in models}
        rows[name] = [gains.get(label) for label in labels]
    plot = plots.heat_map(
        rows,
        [escape_html(label) for label in labels],
        {
            "id": view.plot_id(f"gain_heatmap_{source.key}"),
            "title": f"Counterbias: Gain by sample and model, {_plain(source)}",
            "xlab": "Model",
            "ylab": "Sample",
            "zlab": _GAIN_TITLE,
            **plots.symmetric_range(rows),
            "colstops": WORSE_BETTER,
            "tt_decimals": 3,
        },
    )
    view.add_section(
        f"Gain by sample and model, {_plain(source)}",
        f"gain-{source.key}",
        plot,
        description=f"Gain in bits per read, {source.title}. The model with the highest mean is on "
        f"the left. {_note_on_means(source)}",
        helptext=_GAIN_HELP,
        docs=_DOCS,
    )


def _add_cost(view: View, source: Source) -> None:
    """Add a scatter plot; of one sample, the table says it all."""
    tabs, labels = [], []
    axis = f"{_GAIN_TITLE}, mean over samples"
    for name, title in _COSTS.items():
        points = _points(source, name)
        if len(points) > 1:
            tabs.append(points)
            labels.append({"name": title, "xlab": title, "ylab": axis})
    if not tabs or len(source.choice()) < 2:
        return
    plot = scatter.plot(
        tabs,
        {
            "id": view.plot_id(f"cost_plot_{source.key}"),
            "title": f"Counterbias: Gain versus cost, {_plain(source)}",
            "xlab": labels[0]["xlab"],
            "ylab": axis,
            "data_labels": labels,
            "xlog": True,
            "marker_size": 12,
            "showlegend": True,
            "series_label": "models",
        },
    )
    view.add_section(
        f"Gain versus cost, {_plain(source)}",
        f"cost-{source.key}",
        plots.with_legible_legend(plot),
        description=f"Mean gain of each model, {source.title}, versus its training time and its "
        f"number of parameters. {_note_on_means(source)}",
        helptext=_COST_HELP,
        docs=_DOCS,
    )


def _points(source: Source, cost: str) -> dict[str, Any]:
    """Return a point for each model with a known gain and cost; the axis is logarithmic."""
    results = source.by_label()
    colours = assign_colours(results)
    points = {}
    for number, (label, models) in enumerate(results.items()):
        gain, mean_cost = mean_gain(models), mean(model.cost.get(cost) for model in models)
        if gain is not None and mean_cost is not None and mean_cost > 0:
            name = escape_html(label)
            points[name] = {
                "x": mean_cost,
                "y": gain,
                "color": colours[label],
                "marker_symbol": _SYMBOLS[number % len(_SYMBOLS)],
                "name": name,
                "annotation": name,
            }
    return points
