"""What is wrong with which sample and what to do, and the checks of all samples at a glance."""

from __future__ import annotations

import re
from typing import Any

from multiqc.plots import table

from counterbias_multiqc import problems
from counterbias_multiqc.checks import CHECKS, LEVEL_WORDS, Findings
from counterbias_multiqc.problems import Problem
from counterbias_multiqc.text import escape_html, number_of_samples
from counterbias_multiqc.view import View, spell_out, summary_badge

#: How many samples the tables show: in large cohorts those with problems, the worst first.
_MAX_SAMPLES_WITH_ADVICE, _MAX_SAMPLES = 20, 100
#: A command, or an option with its value where this is a number or a strandedness.
_COMMAND = re.compile(
    r"(?<![\w-])(?:counterbias (?:compare|train)"
    r"|--?[a-z][a-z-]*(?: (?:[\d,]+|yes|no|reverse|corrected))?)(?!\w)"
)
_HELP = """
The first table has one row for each problem, the worst samples first: what is wrong, why, and what
to run. One cause often makes a sample fail several checks, as when reads were trimmed at their 5′
ends; it then has one row, which names the other checks.

The second table has a row for each sample and a column for each check. **✓ passed**: no action
needed. **! look**: needs a look. **✗ failed**: something is wrong, or the correction did not work.
**→ see …**: follows from another check. An empty cell: the file lacks this information, as that on
the model where no bias model was asked for (`--bias-lengths` alone).

* **Assigned**: were enough fragments assigned to a feature?
* **Strandedness**: does `-s` fit the reads?
* **Contigs**: do the alignments have the contigs of the annotation?
* **Read starts**: are there enough distinct read starts to train a model? It failed, with the
  reason, if there is no model at all.
* **5′ ends**: does the window that the model sees hold the bias? The default one does not if reads
  were trimmed at their 5′ ends.
* **Bias removed**: did weighting remove the bias in parts of the genome that the model was not
  trained on? A sample without bias passes.
* **Correction size**: is the bias at held-out positions as large as the model predicts?
* **Weights**: are the weights even enough to count with? This is for information, unless weighted
  counts are what is used (`--bias-counts weighted`): corrected counts do not depend on it.

Thresholds can be set under `counterbias:` in MultiQC's configuration.
"""


def add(view: View) -> None:
    """Add the table of problems and, for several samples, the table of samples × checks."""
    if not view.findings:
        return
    ranked = problems.ranked(view.findings)
    view.add_section(
        "Checks",
        "checks",
        _overview(view, ranked) if len(view.findings) > 1 else None,
        docs="checks",
        description=f"{_summary(view, ranked)}{_note_on_lengths_alone(view)}",
        content_before_plot=_counts(view)
        + _problem_table(view, ranked)
        + _passed(view)
        + _note_on_overview(view, ranked),
        helptext=_HELP,
        statuses=view.statuses(),
    )


def data_row(sample: str, findings: Findings) -> dict[str, str]:
    """Return what the data file says about the checks of a sample."""
    row = {}
    found = problems.problems_of(sample, findings)
    row["checks"] = problems.summary(found)
    for name, finding in findings.items():
        row[f"check_{name}"] = finding.level
        row[f"check_{name}_reason"] = escape_html(finding.reason)
    for key, texts in (
        ("problems", [CHECKS[problem.check].headline for problem in found]),
        ("reasons", [problem.finding.reason for problem in found]),
        ("advice", [problem.finding.advice for problem in found]),
    ):
        if found:
            row[key] = escape_html("; ".join(filter(None, texts)))
    return row


def _summary(view: View, ranked: list[list[Problem]]) -> str:
    number, concerning = len(view.findings), len(ranked)
    samples = f"{number_of_samples(number)} {'was' if number == 1 else 'were'} checked"
    if not concerning:
        return f"{samples}: no problem was found."
    failed = sum(found[0].level == "fail" for found in ranked)
    more = concerning - failed
    need = f"{more}{' more' if failed else ''} {'needs' if more == 1 else 'need'} a look"
    results = [*([f"{failed} failed a check"] if failed else []), *([need] if more else [])]
    return f"{samples}: {', '.join(results)}."


def _passed(view: View) -> str:
    """Name the checks that the only sample passed as HTML, empty for several samples."""
    if len(view.findings) > 1:
        return ""
    passed = [
        CHECKS[name].title
        for name, finding in next(iter(view.findings.values())).items()
        if finding.level == "pass"
    ]
    return f"<p>Passed: {', '.join(passed) or 'none'}.</p>"


def _problem_table(view: View, ranked: list[list[Problem]]) -> str:
    """Return the table sample · problem · reason · what to run as HTML, empty without problems."""
    if not ranked:
        return ""
    shown = ranked[:_MAX_SAMPLES_WITH_ADVICE] if view.uses_heat_maps else ranked
    rows = "".join(_problem_row(problem) for found in shown for problem in found)
    more = len(ranked) - len(shown)
    note = (
        f"<p>The {len(shown)} worst samples are shown. {more} more "
        f"{'needs' if more == 1 else 'need'} a look: "
        f"<code>multiqc_data/multiqc_{view.module.anchor}.txt</code> has the problems, reasons and "
        "advice of all samples.</p>"
        if more
        else ""
    )
    return _html_table(("Sample", "Problem", "Reason", "What to run"), rows) + note


def _problem_row(problem: Problem) -> str:
    others = ", ".join(CHECKS[name].title for name in problem.consequences)
    also = f'<br><small class="text-body-secondary">Hence also: {others}</small>' if others else ""
    cells = (
        f'<span style="display:inline-block;min-width:7em">{problem.sample}</span>',
        f"{summary_badge(LEVEL_WORDS[problem.level])} {CHECKS[problem.check].headline}{also}",
        _sentence(problem.finding.reason),
        _sentence(problem.finding.advice),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _sentence(text: str) -> str:
    """Return a reason or an advice as HTML; commands in it are never broken across lines."""
    html = escape_html(f"{text[:1].upper()}{text[1:]}")
    return _COMMAND.sub(lambda found: f'<code class="text-nowrap">{found[0]}</code>', html)


def _counts(view: View) -> str:
    """Return a table of the samples that fail and pass each check, empty for few samples."""
    if not view.uses_heat_maps:
        return ""
    rows = ""
    for name, check in CHECKS.items():
        found = problems.counts(view.findings, name)
        if found:
            numbers = (found[key] for key in ("fail", "warn", "explained", "pass"))
            cells = (check.title, *(f"{number:,}" if number else "" for number in numbers))
            rows += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    headings = (
        "Check",
        *(summary_badge(LEVEL_WORDS[level]) for level in ("fail", "warn")),
        summary_badge("see another check"),
        summary_badge(LEVEL_WORDS["pass"]),
    )
    return _html_table(headings, rows, width="auto")


def _html_table(headings: tuple[str, ...], rows: str, *, width: str = "100%") -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    style = f"width:{width};overflow-wrap:anywhere"
    return (
        f'<table class="table table-sm" style="{style}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _overview(view: View, ranked: list[list[Problem]]) -> object:
    """Return the table of samples × checks, the worst samples first."""
    rows: dict[Any, Any] = {
        sample: _words(view.findings[sample]) for sample in _samples_in_overview(view, ranked)
    }
    headers: dict[Any, Any] = {
        name: {
            "title": check.title,
            "description": f"not passed: {check.headline}",
            "scale": False,
            "format": summary_badge,
        }
        for name, check in CHECKS.items()
    }
    config: dict[str, Any] = {
        "id": view.plot_id("checks_table"),
        "title": "Counterbias: Checks",
        "sort_rows": False,
        "no_violin": True,
    }
    return table.plot(rows, headers, config) if any(rows.values()) else None


def _samples_in_overview(view: View, ranked: list[list[Problem]]) -> list[str]:
    concerning = [found[0].sample for found in ranked]
    if view.uses_heat_maps and concerning:
        return concerning[:_MAX_SAMPLES]
    return list(dict.fromkeys([*concerning, *view.findings]))[:_MAX_SAMPLES]


def _note_on_overview(view: View, ranked: list[list[Problem]]) -> str:
    """Say which samples the table of samples × checks leaves out as HTML, empty if none."""
    shown = len(_samples_in_overview(view, ranked))
    if shown == len(view.findings):
        return ""
    if shown == len(ranked):
        which = "the samples that need a look"
    else:
        which = "the worst samples" if ranked else "the first samples"
    return f"<p>The table below has {which} ({shown} of {len(view.findings)}).</p>"


def _words(findings: Findings) -> dict[str, str]:
    words = {}
    for name, finding in findings.items():
        cause = problems.cause(findings, name) if finding.level != "pass" else None
        words[name] = f"see {CHECKS[cause].title}" if cause else LEVEL_WORDS[finding.level]
    return words


def _note_on_lengths_alone(view: View) -> str:
    """Return a sentence on the samples without a bias model, empty if there are none."""
    names = [name for name, report in view.reports.items() if report.lengths_alone]
    if not names:
        return ""
    if len(names) == len(view.reports):
        return " No bias model was asked for: effective lengths were measured without one."
    return f" No bias model was asked for in {spell_out(names)}."
