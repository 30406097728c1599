"""The tables and the figure that `differential.py` makes of its studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import reporting as rep
from differential_calls import TESTS
from differential_studies import RAW, TRUE


def cell(studies: list[dict[str, Any]], method: str, test: str, name: str) -> list[float]:
    """Return one figure of each study; none if the method is not available for the test."""
    return [
        row[name]
        for one in studies
        for row in one["calls"]
        if (row["method"], row["test"]) == (method, test)
    ]


def methods_of(studies: list[dict[str, Any]]) -> list[str]:
    """List the methods: raw counts, learnt models, the true bias."""
    every = dict.fromkeys(row["method"] for one in studies for row in one["calls"])
    return sorted(every, key=lambda method: (method != RAW, method.startswith(TRUE)))


def calls_table(studies: list[dict[str, Any]]) -> str:
    """Format false calls, true calls and the observed FDR of one scenario.

    Where genes switch, also the false calls among these.
    """
    shown = [("false", "false", 1), ("true", "true", 1), ("FDR", "fdr", 2)]
    if studies[0]["switched"]:
        shown.insert(1, ("false switched", "false_switched", 1))
    laid = [["method", *(f"{test}, {heading}" for test in TESTS for heading, _, _ in shown)]]
    for method in methods_of(studies):
        cells = []
        for test in TESTS:
            cells += [
                rep.mean(cell(studies, method, test, name)).text(digits)
                for _, name, digits in shown
            ]
        laid.append([method, *cells])
    return rep.markdown(laid)


def seeds_of(studies: list[dict[str, Any]]) -> str:
    return ", ".join(str(seed) for seed in sorted(one["seed"] for one in studies))


def summary_table(studies: list[dict[str, Any]]) -> str:
    """Format false and true calls of the first test, a row for each scenario."""
    methods = [method for method in methods_of(studies) if not method.endswith("corrected")]
    laid = [[f"{TESTS[0]}, false / true calls", "seeds", "lengths differ by", "changed", *methods]]
    for name in dict.fromkeys(one["scenario"] for one in studies):
        own = [one for one in studies if one["scenario"] == name]
        differs, changed = (rep.mean(one[what] for one in own) for what in ("differs", "changed"))
        cells = [
            [rep.mean(cell(own, method, TESTS[0], calls)).text(0) for calls in ("false", "true")]
            for method in methods
        ]
        laid.append(
            [
                name,
                seeds_of(own),
                differs.text(2),
                f"{changed.value:.0f}",
                *(" / ".join(pair) for pair in cells),
            ]
        )
    return rep.markdown(laid)


def switched_table(studies: list[dict[str, Any]]) -> str:
    """Format the false calls of the first test among the genes that switch but do not change."""
    methods = [method for method in methods_of(studies) if not method.endswith("corrected")]
    laid = [[f"{TESTS[0]}, false calls among switched genes", "switched", *methods]]
    for name in dict.fromkeys(one["scenario"] for one in studies):
        own = [one for one in studies if one["scenario"] == name]
        number = rep.mean(one["switched"] for one in own).value
        cells = [
            rep.mean(cell(own, method, TESTS[0], "false_switched")).text(1) for method in methods
        ]
        laid.append([name, f"{number:.0f}", *cells])
    return rep.markdown(laid)


def cost_table(studies: list[dict[str, Any]]) -> str:
    """Format the difference in true calls from raw counts, where lengths are the same in groups."""
    methods = [method for method in methods_of(studies) if method != RAW]
    laid = [["true calls − raw", *methods]]
    for name in dict.fromkeys(one["scenario"] for one in studies):
        of_name = [one for one in studies if one["scenario"] == name]
        for test in TESTS:
            cells = []
            for method in methods:
                pairs = [
                    (cell([one], method, test, "true"), cell([one], RAW, test, "true"))
                    for one in of_name
                ]
                cells.append(
                    rep.mean(own[0] - raw[0] for own, raw in pairs if own and raw).text(
                        1, sign=True
                    )
                )
            laid.append([f"{name}, {test}", *cells])
    return rep.markdown(laid)


def size_table(studies: list[dict[str, Any]]) -> str:
    """Format the fraction of the groups' difference in lengths that effective lengths remove."""
    names = list(dict.fromkeys(one["scenario"] for one in studies))
    laid = [["effective lengths", *names]]
    for model in dict.fromkeys(model for one in studies for model in one["removed"]):
        cells = []
        for name in names:
            of_name = [
                one for one in studies if one["scenario"] == name and model in one["removed"]
            ]
            cells.append(rep.mean(one["removed"][model] for one in of_name).text(2))
        laid.append([model, *cells])
    return rep.markdown(laid)


def report(studies: list[dict[str, Any]]) -> str:
    parts = ["### Summary", summary_table(studies)]
    switched = [one for one in studies if one["switched"]]
    if switched:
        parts += ["### Genes that switch", switched_table(switched)]
    for name in dict.fromkeys(one["scenario"] for one in studies):
        own = [one for one in studies if one["scenario"] == name]
        tested, changed = (
            rep.mean(one[what] for one in own).value for what in ("tested", "changed")
        )
        used = {model: sum(one["applied"][model] for one in own) for model in own[0]["applied"]}
        gate = "; ".join(f"{model} was used for {number} samples" for model, number in used.items())
        about = (
            f"Seeds {seeds_of(own)}; {tested:.0f} genes tested, of which {changed:.0f} changed"
            f"{_switched(own)}. {gate}."
        )
        parts += [f"### {name}", about, calls_table(own)]
    same = [one for one in studies if not one["removed"] and one["changed"]]
    differing = [one for one in studies if one["removed"]]
    if differing:
        parts += ["### Part of the difference in lengths that is removed", size_table(differing)]
    if same:
        parts += ["### What it costs where the bias is the same", cost_table(same)]
    return "\n\n".join(parts)


def _switched(studies: list[dict[str, Any]]) -> str:
    """Say how many genes switch without a change, if any."""
    number = rep.mean(one["switched"] for one in studies).value
    return f" and {number:.0f} others switched" if number else ""


def draw(studies: list[dict[str, Any]], folder: Path) -> Path:
    """Draw the false calls of DESeq2 in each scenario, with a colour for each method."""
    names = list(dict.fromkeys(one["scenario"] for one in studies))
    methods = [method for method in methods_of(studies) if not method.endswith("corrected")]
    figure, (panel,) = rep.canvas(9, 1.2 + 0.4 * len(names))
    for number, method in enumerate(methods):
        means = [
            rep.mean(
                cell([one for one in studies if one["scenario"] == name], method, TESTS[0], "false")
            )
            for name in names
        ]
        heights = np.arange(len(names)) + 0.8 * (number + 0.5) / len(methods) - 0.4
        errors = [np.nan_to_num(one.error) for one in means]
        colour = "black" if method == RAW else rep.COLOURS[number % len(rep.COLOURS)]
        panel.barh(
            heights,
            [one.value for one in means],
            0.8 / len(methods),
            xerr=errors,
            color=colour,
            label=method,
        )
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
    panel.set_xlabel(f"genes called by {TESTS[0]} that did not change")
    panel.legend(fontsize=8)
    return rep.save_figure(figure, folder, "differential")
