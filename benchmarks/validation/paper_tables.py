"""The tables and the figure of `paper.py`, and how they get into the page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import reporting as rep
from paper_networks import CELLS, LANGUAGE, PAPER, RATIO, ROLES, TRAININGS, WINDOWS

from counterbias.evaluation.agreement import change_of, log_pearson
from counterbias.evaluation.trial_means import Mean, paired_difference, summarise

Row = dict[str, Any]

#: Training → its name in the tables.
TRAINED = {PAPER: "language, as in the paper", LANGUAGE: "language, our training", RATIO: "ratio"}
#: Other rows → their names in the tables.
REFERENCES = {"pwm": "table of frequencies (`pwm`)", "seqbias": "seqbias (R)"}
PERPLEXITY, BETWEEN, TRUTH = "Perplexity and gain", "Between methods", "Against the truth"
#: Windows on which perplexity is measured → their name in the tables.
SEEN = {"learnt": "learnt", "held_out": "held out"}
#: What a table stands between in the page.
BEGIN, END = "<!-- paper.py: {name} -->", "<!-- end of {name} -->"


def all_tables(rows: list[Row]) -> dict[str, str]:
    """Format all tables for which there are rows: name → Markdown."""
    rows = sorted(rows, key=place)
    real = [row for row in rows if row["part"] == "real"]
    simulated = [row for row in rows if row["part"] == "simulated"]
    found = {PERPLEXITY: perplexity_table(real), BETWEEN: between_table(real)}
    if simulated:
        found[TRUTH] = truth_table(simulated)
    return found


def place(row: Row) -> tuple[int, ...]:
    """Return where a row stands in the tables: methods that are no network first."""
    if row["cell"] not in CELLS:
        return (-1,)
    return (
        TRAININGS.index(row["training"]),
        row["bases"],
        row["hidden"],
        CELLS.index(row["cell"]),
    )


def groups(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Group rows by some of their entries, in the order in which these come first."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def label(training: str, cell: str) -> str:
    """Name the training of a network, or the method that is no network."""
    return REFERENCES.get(cell, cell if cell not in CELLS else TRAINED[training])


# -- real reads ------------------------------------------------------------------------------------


def perplexity_table(rows: list[Row]) -> str:
    """Format perplexities, gain and R² of every network: means over folds and their errors."""
    sides = [f"{name}, {side}" for name in ("starts", "background") for side in SEEN.values()]
    heading = ["objective", "network", "bases", "hidden units", "parameters", "s", *sides]
    laid = [[*heading, "gain cap5", "between seeds", "gain − seqbias", "R²"]]
    seqbias = [row for row in rows if row["cell"] == "seqbias"]
    for (training, cell, bases, hidden), own in groups(
        rows, "training", "cell", "bases", "hidden"
    ).items():
        network = cell in CELLS
        cells = [label(training, cell), cell if network else "", str(bases)]
        cells += [str(hidden) if network else ""]
        cells += [f"{own[0]['parameters']:,}" if "parameters" in own[0] else ""]
        cells += [f"{np.median([row['seconds'] for row in own]):.1f}" if network else ""]
        cells += [
            with_error(summarise(own, perplexity_of(role, side)), 4 if side == "held_out" else None)
            for role in ROLES
            for side in SEEN
        ]
        gain = summarise(own, lambda row: row["values"]["gain_cap5"])
        between = rep.Mean(gain.seeds, float("nan"), 1).text() if network else ""
        paired = with_error(paired_difference(own, seqbias), 3, sign=True)
        cells += [with_error(gain, 3), between, "" if cell == "seqbias" else paired]
        laid.append([*cells, with_error(summarise(own, lambda row: row["values"]["r2"]), 3)])
    return rep.markdown(laid)


def perplexity_of(role: str, side: str) -> Callable[[Any], float | None]:
    """Return a function that takes a perplexity from a row; None where there is none."""

    def take(row: Any) -> float | None:
        found = row.get("perplexity")
        return None if found is None else found[role][side]

    return take


def with_error(mean: Mean, digits: int | None, *, sign: bool = False) -> str:
    """Format a mean over folds and its error; without digits, the mean alone."""
    if digits is None:
        return rep.Mean(mean.value, float("nan"), 1).text(4)
    return rep.Mean(mean.value, mean.error, 2).text(digits, sign=sign)


def between_table(rows: list[Row]) -> str:
    """Format how expression with each network compares with others: means over trials, ± SD."""
    laid = [
        [
            *("objective", "bases", "hidden units", "gru – lstm", "gru – gru, another seed"),
            *("gru – seqbias", "lstm – seqbias", "gru – raw", "lstm – raw"),
            *("distance, gru", "distance, lstm", "genes up / down, gru", "lstm"),
        ]
    ]
    raw = densities_of(rows, "raw")[0]
    seqbias = next((row["density"]["weighted"] for row in rows if row["cell"] == "seqbias"), None)
    rows = [row for row in rows if row["cell"] in CELLS]
    for (training, bases, hidden), own in groups(rows, "training", "bases", "hidden").items():
        by_cell = {
            cell: densities_of([row for row in own if row["cell"] == cell], "weighted")
            for cell in CELLS
        }
        changes = {cell: [change_of(raw, one) for one in by_cell[cell]] for cell in CELLS}
        cells = [TRAINED[training], str(bases), str(hidden)]
        cells += [spread(map(log_pearson, by_cell["gru"], by_cell["lstm"]))]
        cells += [spread(between_seeds([row for row in own if row["cell"] == "gru"]))]
        for other in (seqbias, raw):
            cells += [
                "" if other is None else spread(log_pearson(np.array(other), one) for one in found)
                for found in by_cell.values()
            ]
        cells += [spread(change.distance for change in found) for found in changes.values()]
        cells += [
            f"{np.mean([change.up for change in found]):.0f} / "
            f"{np.mean([change.down for change in found]):.0f}"
            for found in changes.values()
        ]
        laid.append(cells)
    return rep.markdown(laid)


def densities_of(rows: list[Row], estimate: str) -> list[np.ndarray]:
    """Return expression per trial, in the order of folds and seeds."""
    ordered = sorted(rows, key=lambda row: (row["fold"], row["seed"]))
    return [np.array(row["density"][estimate], np.float64) for row in ordered]


def between_seeds(rows: list[Row]) -> list[float]:
    """Correlate the first two seeds of each fold."""
    return [
        log_pearson(*densities_of(own, "weighted")[:2])
        for own in groups(rows, "fold").values()
        if len(own) > 1
    ]


def spread(values: Iterable[float], digits: int = 4) -> str:
    """Format a mean and the standard deviation between trials."""
    known = np.array(list(values), np.float64)
    if not len(known):
        return "–"
    deviation = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return rep.Mean(float(known.mean()), deviation, len(known)).text(digits)


# -- simulated reads -------------------------------------------------------------------------------


def truth_table(rows: list[Row]) -> str:
    """Format agreement with the simulated truth: means over samples, ± SD."""
    measures = {"log-Pearson": "pearson", "Spearman": "spearman", "RMSE log2": "rmse"}
    headings = [
        f"{name}, {estimate}" for estimate in ("weighted", "corrected") for name in measures
    ]
    laid = [["objective", "network", "bases", "hidden units", *headings]]
    first = [row for row in rows if row["cell"] == rows[0]["cell"]]
    raw = [spread([row["truth"]["raw"][name] for row in first]) for name in measures.values()]
    laid.append(["raw counts", "", "", "", *raw, *raw])
    for (training, cell, bases, hidden), own in groups(
        rows, "training", "cell", "bases", "hidden"
    ).items():
        network = cell in CELLS
        cells = [label(training, cell), cell if network else "", str(bases)]
        cells += [str(hidden) if network else ""]
        cells += [
            spread([row["truth"][estimate][name] for row in own])
            for estimate in ("weighted", "corrected")
            for name in measures.values()
        ]
        laid.append(cells)
    return rep.markdown(laid)


# -- the page --------------------------------------------------------------------------------------


def problem_of(page: Path) -> str | None:
    """Return why the tables cannot be written into a page, None where they can."""
    if not page.is_file():
        return "there is no such page"
    text = page.read_text(encoding="utf-8")
    absent = [name for name in (PERPLEXITY, BETWEEN, TRUTH) if not _place(name).search(text)]
    return f"no place for the table '{absent[0]}'" if absent else None


def write_page(page: Path, tables: dict[str, str]) -> None:
    """Replace the tables of a page; it changes only once all of them are in place."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = BEGIN.format(name=name), END.format(name=name)
        text = _place(name).sub(lambda _, new=f"{begin}\n\n{table}\n\n{end}": new, text)
    temporary = page.with_name(f"{page.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, page)


def _place(name: str) -> re.Pattern[str]:
    """Return what matches a table and the comments around it."""
    begin, end = (re.escape(one.format(name=name)) for one in (BEGIN, END))
    return re.compile(f"{begin}.*?{end}", re.DOTALL)


def draw(rows: list[Row], folder: Path) -> Path:
    """Plot the gain of every language model against its perplexity of held-out starts.

    The networks of the conditional objective, which have no perplexity, are lines.
    """
    real = [row for row in rows if row["part"] == "real"]
    figure, panels = rep.canvas(9, 3.8, 2)
    for panel, bases in zip(panels, WINDOWS, strict=True):
        own = sorted((row for row in real if row["bases"] == bases), key=place)
        for (training, cell, hidden), trials in groups(own, "training", "cell", "hidden").items():
            gain = summarise(trials, lambda row: row["values"]["gain_cap5"])
            if training == RATIO:
                panel.axhline(gain.value, color=rep.COLOURS[2], linewidth=0.8)
            if trials[0].get("perplexity") is None:
                continue
            perplexity = summarise(trials, perplexity_of("foreground", "held_out"))
            number = list(TRAINED).index(training)
            panel.errorbar(
                perplexity.value,
                gain.value,
                gain.error,
                fmt={"gru": "o", "lstm": "s"}.get(cell, "x"),
                color=rep.COLOURS[number] if cell in CELLS else rep.GREY,
                markersize=8 if hidden == 20 else 4,
                label=f"{cell}, {hidden}, {TRAINED[training]}" if cell in CELLS else cell,
            )
        panel.axhline(0, color=rep.GREY, linewidth=0.8, linestyle=":")
        panel.set(
            xlabel="perplexity per base, held-out read starts",
            ylabel="gain, bits per held-out read",
            title=f"{bases} bases (lines: ratio)",
        )
    panels[0].legend(fontsize=7)
    return rep.save_figure(figure, folder, "paper")
