"""Were all samples of a cohort counted in the same way? What differs is named.

What describes the library or the input may differ (strandedness, order of the alignments, fragment
lengths that are assumed, files), and so may what changes no result beyond chance (seeds, devices).
A sample may be weighted by a saved model and its neighbour by its own; but all have a model, or
none has. An option that a report of an older version lacks is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from counterbias.errors import InputError
from counterbias.options import NONE, TABLES
from counterbias.pipeline.collect.naming import briefly
from counterbias.pipeline.collect.reports import SampleReport

#: Options that may differ.
MAY_DIFFER = {
    "order",
    "stranded",
    "seed",
    "bias_device",
    "bias_fragment_length",
    "bias_genome",
    "bias_prior",
    "bias_seed",
}
#: Options that are compared between samples whose models were fitted to them.
_OF_FITTED = {"bias_model", "bias_model_options"}
#: Options whose names on the command line are not those in reports.
_FLAGS = {"bias_model_options": "--bias-option"}
#: Stands for whether there is a bias model, among the options.
_HAS_MODEL = "a bias model"


def check_agreement(reports: Sequence[SampleReport]) -> None:
    """Refuse samples that were given twice or counted in different ways.

    Raises:
        InputError: it names both tables and the first difference.
    """
    tables: dict[str, str] = {}
    seen: dict[str, tuple[Any, str]] = {}
    for report in reports:
        if report.sample in tables:
            other = tables[report.sample]
            raise InputError(
                f"the sample '{report.sample}' is in {other} too"
                if other != report.table
                else f"the sample '{report.sample}' is given twice",
                file=report.table,
                remedy=f"give each sample once; if only alignments share a name: --names {TABLES}",
            )
        tables[report.sample] = report.table
        for flag, value in _what_must_agree(report):
            value_there, there = seen.setdefault(flag, (value, report.table))
            if value != value_there:
                other = f"{briefly(there, report.table)} {_with(flag, value_there)}"
                raise InputError(
                    f"it was counted {_with(flag, value)}, {other}",
                    file=report.table,
                    remedy="count all samples with the same options",
                )


def common_options(reports: Sequence[SampleReport]) -> dict[str, Any]:
    """Return the options that all samples have in common, option → value."""
    first, *others = (report.options for report in reports)
    return {
        name: value
        for name, value in first.items()
        if all(name in options and options[name] == value for options in others)
    }


def versions(reports: Sequence[SampleReport]) -> dict[str, list[str]]:
    """Return the versions that the samples were counted with, package → versions, sorted."""
    found: dict[str, set[str]] = {}
    for report in reports:
        for package, version in report.versions.items():
            found.setdefault(package, set()).add(str(version))
    return {package: sorted(found[package]) for package in sorted(found)}


def _what_must_agree(report: SampleReport) -> Iterator[tuple[str, Any]]:
    """Generate (option on the command line, value) of what must be the same in all samples."""
    yield _HAS_MODEL, report.backend != NONE
    for name, value in report.options.items():
        if name not in MAY_DIFFER and (report.fitted or name not in _OF_FITTED):
            yield _FLAGS.get(name, "--" + name.replace("_", "-")), value
    if report.fitted and report.window is not None:
        yield "--bias-window", list(report.window)


def _with(flag: str, value: Any) -> str:
    """Say what a sample was counted with."""
    if flag == _HAS_MODEL:
        return f"{'with' if value else 'without'} {flag}"
    if value is None or value == []:
        return f"without {flag}"
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return f"with {flag} {value}"
