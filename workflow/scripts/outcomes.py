"""How the steps of a cohort ended: which samples have tables, and which are missing and why.

Each recorded step leaves ``outcome.tsv`` in its folder: the step, ``ok`` or ``failed``, its log and
the last line of that. A step that was not tried has a copy of what failed before it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = "outcome.tsv"
#: Most samples that the line at the end names.
MOST_NAMED = 20

MULTIQC_HEADER = """\
# id: counterbias_missing
# section_name: Missing samples
# description: '{missing} of {samples} samples could not be counted and are in no table.'
# plot_type: table
# pconfig:
#   id: counterbias_missing_table
#   title: Samples that could not be counted
#   no_violin: true
Sample\tStep\tMessage\tLog
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last step of a sample ended.

    Args:
        name: the sample; ``comparison`` for `compare`.
        folder: where its files are.
        step: the step.
        failed: whether it failed.
        log: what the step wrote to standard error.
        message: the last line of that, where the step failed.
    """

    name: str
    folder: str
    step: str
    failed: bool
    log: str
    message: str


def read_outcome(folder: str) -> Outcome:
    """Read how the step of a folder ended."""
    text = (Path(folder) / NAME).read_text(encoding="utf-8", errors="replace")
    step, ending, log, message = text.rstrip("\n").split("\t", 3)
    return Outcome(Path(folder).name, folder, step, ending != "ok", log, message)


def list_successful(folders: Iterable[str], paths: Iterable[str], output: str) -> None:
    """Write the paths, one a line, whose folders' steps succeeded."""
    lines = [
        f"{path}\n"
        for folder, path in zip(folders, paths, strict=True)
        if not read_outcome(folder).failed
    ]
    Path(output).write_text("".join(lines), encoding="utf-8")


def write_outcomes(samples: Sequence[Outcome], others: Sequence[Outcome], output: str) -> None:
    """Write the table of how all samples, and other steps, ended."""
    lines = ["name\tstep\toutcome\tlog\tmessage\n"]
    lines += [
        f"{one.name}\t{one.step}\t{'failed' if one.failed else 'ok'}\t{one.log}\t{one.message}\n"
        for one in (*samples, *others)
    ]
    Path(output).write_text("".join(lines), encoding="utf-8")


def write_missing(samples: Sequence[Outcome], output: str) -> None:
    """Write the samples that are missing as MultiQC shows tables; nothing if there are none."""
    missing = [one for one in samples if one.failed]
    text = ""
    if missing:
        text = MULTIQC_HEADER.format(missing=len(missing), samples=len(samples))
        text += "".join(f"{one.name}\t{one.step}\t{one.message}\t{one.log}\n" for one in missing)
    Path(output).write_text(text, encoding="utf-8")


def forget_failures(folders: Iterable[str], samples: Sequence[str]) -> str:
    """Remove the folders of steps that failed, so that the next run tries them again.

    Returns:
        the line that names the failed samples and their logs; empty if nothing had failed.
    """
    failed: dict[str, Outcome] = {}
    for folder in folders:
        try:
            outcome = read_outcome(folder)
        except (OSError, ValueError):
            continue  # not yet tried, or interrupted
        if outcome.failed:
            failed[outcome.name] = outcome
            shutil.rmtree(folder)
    missing = [outcome for name, outcome in failed.items() if name in samples]
    others = [outcome for name, outcome in failed.items() if name not in samples]
    named = [f"{one.name} ({one.log}: {one.message})" for one in missing]
    named += [f"{one.step} of {one.name} ({one.log}: {one.message})" for one in others]
    del named[MOST_NAMED:]
    if rest := len(failed) - len(named):
        named.append(f"{rest} more (results/outcomes.tsv)")
    if not named:
        return ""
    return (
        f"counterbias workflow: {len(missing)} of {len(samples)} samples failed: "
        f"{'; '.join(named)}. When this is mended, the same command tries them again."
    )
