"""The checks of all samples at a glance."""

from __future__ import annotations

from counterbias_multiqc import plots
from counterbias_multiqc.checks import CHECKS, Findings, Level, worst_level
from counterbias_multiqc.colours import PASS_FAIL
from counterbias_multiqc.view import View, spell_out

_MAX_SAMPLES = 100
_VALUES: dict[Level, float] = {"pass": 1.0, "warn": 0.5, "fail": 0.0}
_HELP = """
Each row is a sample, each column a check. **Green**: no action needed. **Amber**: needs a look.
**Red**: something is wrong, or the correction did not work. White: the file lacks this information,
as that on the model where no bias model was asked for (`--bias-lengths` alone).

* **Assigned**: were enough fragments assigned to a feature?
* **Strandedness**: does `-s` fit the reads?
* **Contigs**: do the alignments have the contigs of the annotation?
* **Read starts**: are there enough distinct read starts to train a model? Red, with the reason, if
  there is no model at all.
* **5′ ends**: is the bias where reads start? It is not if reads were trimmed at their 5′ ends.
* **Bias removed**: did weighting remove the bias in parts of the genome that the model was not
  trained on? A sample without bias is green.
* **Correction size**: is the bias at held-out positions as large as the model predicts?
* **Weights**: were few weights capped, and are the weights even enough to count with?

Thresholds can be set under `counterbias:` in MultiQC's configuration.
"""


def add(view: View) -> None:
    """Add the heat map of samples × checks."""
    names = [
        name for name in CHECKS if any(name in findings for findings in view.findings.values())
    ]
    shown, note = _samples_shown(view)
    rows = {sample: _row(view.findings[sample], names) for sample in shown}
    plot = plots.heat_map(
        rows,
        [CHECKS[name].title for name in names],
        {
            "id": view.plot_id("checks_heatmap"),
            "title": "Counterbias: Checks",
            "xlab": "Check",
            "ylab": "Sample",
            "zlab": "Result (1 = pass, 0.5 = warn, 0 = fail)",
            "min": 0,
            "max": 1,
            "colstops": PASS_FAIL,
            "legend": False,
            "cluster_rows": False,
            "display_values": False,
            "tt_decimals": 1,
        },
    )
    view.add_section(
        "Checks",
        "checks",
        plot,
        description=f"{_summary(view)} The sections below give the reasons.{note}"
        f"{_note_on_lengths_alone(view)}",
        helptext=_HELP,
        statuses=view.statuses(),
    )


def _row(findings: Findings, names: list[str]) -> list[float | None]:
    return [_VALUES[findings[name].level] if name in findings else None for name in names]


def _summary(view: View) -> str:
    concerning = sum(worst_level(findings) != "pass" for findings in view.findings.values())
    number = len(view.findings)
    samples = "1 sample was checked" if number == 1 else f"{number} samples were checked"
    need = "needs" if concerning <= 1 else "need"
    return f"{samples}; {concerning or 'none'} {need} a look."


def _note_on_lengths_alone(view: View) -> str:
    """Return a sentence on the samples without a bias model, empty if there are none."""
    names = [name for name, report in view.reports.items() if report.lengths_alone]
    if not names:
        return ""
    if len(names) == len(view.reports):
        return " No bias model was asked for: effective lengths were measured without one."
    return f" No bias model was asked for in {spell_out(names)}."


def _samples_shown(view: View) -> tuple[list[str], str]:
    """Return the samples to show, and a sentence on those that are not shown.

    If there are many samples, only those that need a look are shown, the worst first.
    """
    worst = {name: worst_level(findings) for name, findings in view.findings.items()}
    if not view.uses_heat_maps:
        return list(worst), ""
    concerning = sorted(
        (name for name in worst if worst[name] != "pass"), key=lambda name: worst[name] != "fail"
    )
    if not concerning:
        note = f" Only the first {_MAX_SAMPLES} are shown." if len(worst) > _MAX_SAMPLES else ""
        return list(worst)[:_MAX_SAMPLES], note
    if len(concerning) > _MAX_SAMPLES:
        return concerning[:_MAX_SAMPLES], f" Only the first {_MAX_SAMPLES} of these are shown."
    return concerning, " Only these are shown."
