"""The tables and the figure that `peers.py` makes of its samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import reporting as rep
from peers_judging import ALL, CHANCE, FRAGMENTS, MOLECULES, ONE, SEVERAL
from quantifiers import CORRECTS

SALMON = "salmon"
RIVAL = f"{SALMON} {CORRECTS[SALMON]}"
#: The error of molecules is to be at most this many times that of the rival.
DEMAND = 1.15

Rows = list[dict[str, Any]]


def pick(rows: Rows, **wanted: Any) -> Rows:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def tools_of(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["tool"] for row in rows))


def table(rows: Rows, biased: bool, genes: str) -> str:
    """Format the error of every tool, mean ± SE over seeds, and its paired difference from raw."""
    laid = [
        [
            "tool",
            "RMSE log2, fragments",
            "− raw",
            "Spearman",
            "RMSE log2, molecules",
            "− raw",
            "Spearman",
            "s",
        ]
    ]
    chosen = pick(rows, biased=biased, genes=genes)
    for tool in tools_of(chosen):
        cells = [tool]
        for truth in (FRAGMENTS, MOLECULES):
            own = pick(chosen, tool=tool, truth=truth)
            cells.append(rep.mean(row["rmse"] for row in own).text())
            cells.append(rep.mean(row["rmse_minus_raw"] for row in own).text(sign=True))
            cells.append(rep.mean(row["spearman"] for row in own).text(4))
        laid.append(
            [
                *cells,
                rep.mean(row["seconds"] for row in pick(chosen, tool=tool)).text(1).split(" ")[0],
            ]
        )
    number = rep.mean(row["number"] for row in chosen).value
    return (
        rep.markdown(laid)
        + f"\n\n{number:.0f} genes per sample, {len({row['seed'] for row in chosen})} seeds."
    )


def paired(rows: Rows, tool: str, rival: str) -> list[tuple[float, float]]:
    """Return the errors of a tool and of its rival on the same samples."""
    error = {row["seed"]: row["rmse"] for row in pick(rows, tool=rival)}
    return [
        (row["rmse"], error[row["seed"]])
        for row in pick(rows, tool=tool)
        if row["rmse"] is not None and error.get(row["seed"]) is not None
    ]


def duel(rows: Rows, rival: str = RIVAL) -> str:
    """Format the difference between corrected counts and a rival on the same biased samples.

    Over all genes; empty if the rival was not run.
    """
    chosen = pick(rows, biased=True, genes=ALL)
    laid = [[f"RMSE log2 − {rival}", FRAGMENTS, MOLECULES]]
    for tool in tools_of(chosen):
        if not tool.startswith("corrected"):
            continue
        cells = []
        for truth in (FRAGMENTS, MOLECULES):
            pairs = paired(pick(chosen, truth=truth), tool, rival)
            cells.append(rep.mean(own - other for own, other in pairs).text(sign=True))
        laid.append([tool, *cells])
    return rep.markdown(laid) if pick(chosen, tool=rival) else ""


def ratios(rows: Rows, biased: bool, rival: str = RIVAL) -> str:
    """Format the error of molecules as a multiple of a rival's on the same samples.

    A column for each part of the genes; empty if the rival was not run.
    """
    chosen = pick(rows, biased=biased, truth=MOLECULES)
    parts = list(dict.fromkeys(row["genes"] for row in chosen))
    laid = [[f"RMSE log2 ÷ {rival}", *parts]]
    for tool in tools_of(chosen):
        if tool == rival:
            continue
        cells = []
        for genes in parts:
            pairs = paired(pick(chosen, genes=genes), tool, rival)
            cells.append(rep.mean(own / other for own, other in pairs if other > 0).text(2))
        laid.append([tool, *cells])
    numbers = [
        f"{rep.mean(row['number'] for row in pick(chosen, genes=one)).value:.0f}" for one in parts
    ]
    laid.append(["genes", *numbers])
    return rep.markdown(laid) if pick(chosen, tool=rival) else ""


def isoform_table(rows: Rows, biased: bool, genes: str) -> str:
    """Format the errors of transcripts, and the share that their standard errors cover."""
    measures = {
        "Spearman": ("spearman", 4),
        "MARD": ("mard", 3),
        "RMSE log2": ("rmse", 3),
        "RMSE, % of the gene": ("percent", 2),
        "expected count within 1.96 SE": ("count_covered", 3),
        "fragments drawn": ("drawn_covered", 3),
        "% of the gene": ("percent_covered", 3),
    }
    chosen = pick(rows, biased=biased, genes=genes)
    laid = [["tool", *measures]]
    for tool in tools_of(chosen):
        own = pick(chosen, tool=tool)
        cells = [
            rep.mean(row[name] for row in own).text(digits) for name, digits in measures.values()
        ]
        laid.append([tool, *cells])
    number, left_out = (
        rep.mean(row[name] for row in chosen).value for name in ("number", "left_out")
    )
    return rep.markdown(laid) + f"\n\n{number:.0f} transcripts per sample, {left_out:.0f} left out."


def report(rows: Rows, isoforms: Rows) -> str:
    parts = []
    for biased in dict.fromkeys(row["biased"] for row in rows):
        condition = "With bias" if biased else "Without bias"
        for genes, which in (
            (ALL, "all genes"),
            (ONE, "genes with one transcript"),
            (SEVERAL, "genes with several transcripts"),
        ):
            parts += [f"### {condition}, {which}", table(rows, biased, genes)]
        for rival in (RIVAL,) if biased else (SALMON, RIVAL):
            if compared := ratios(rows, biased, rival):
                heading = f"### {condition}, molecules against {rival}, paired by sample"
                parts += [heading, f"At most {DEMAND} is demanded.", compared]
        if pick(isoforms, biased=biased):
            for genes, which in ((ALL, "all genes"), (SEVERAL, "genes with several")):
                heading = f"### {condition}, transcripts of {which}"
                parts += [heading, isoform_table(isoforms, biased, genes)]
    if differences := duel(rows):
        parts += [f"### Against {RIVAL}, paired by sample", differences]
    return "\n\n".join(parts)


def colour_of(tool: str) -> str:
    """Return the colour of a tool: one each for counterbias, salmon and kallisto."""
    known = {"raw": "black", CHANCE: rep.GREY, SALMON: rep.COLOURS[1], "kallisto": rep.COLOURS[2]}
    return known.get(tool.split(" ")[0], rep.COLOURS[0])


def draw(rows: Rows, folder: Path, name: str) -> Path:
    """Plot the error of every tool against both truths, in biased samples."""
    chosen = pick(rows, biased=True, genes=ALL)
    tools: Sequence[str] = tools_of(chosen)[::-1]
    figure, panels = rep.canvas(9, max(4.6, 1 + 0.28 * len(tools)), 2)
    for panel, truth in zip(panels, (FRAGMENTS, MOLECULES), strict=True):
        means = [
            rep.mean(row["rmse"] for row in pick(chosen, tool=tool, truth=truth)) for tool in tools
        ]
        colours = [colour_of(tool) for tool in tools]
        for place, (one, colour) in enumerate(zip(means, colours, strict=True)):
            panel.errorbar(one.value, place, xerr=np.nan_to_num(one.error), fmt="o", color=colour)
        raw = means[tools.index("raw")].value
        panel.axvline(raw, color=rep.GREY, linestyle=":", linewidth=0.8)
        panel.set_yticks(range(len(tools)), tools if truth == FRAGMENTS else [""] * len(tools))
        panel.set(title=f"truth: {truth}", xlabel="RMSE of log2", xlim=(0, None))
    return rep.save_figure(figure, folder, name)
