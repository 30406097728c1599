"""The quality report of one sample as ``collect`` needs it, and its row in ``samples.tsv``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterbias.errors import InputError
from counterbias.inputs import buffered, open_input
from counterbias.options import ALIGNMENTS, AUTO, NONE, TABLES
from counterbias.pipeline.collect.tables import unreadable_table
from counterbias.writers.endings import REPORT, TABLE
from counterbias.writers.qc import check_known
from counterbias.writers.qc_schema import TAG, VERSION

#: Most bytes of a report; one has about 40 kB.
MOST_BYTES = 40_000_000
_REMEDY = "count the sample again"


@dataclass(frozen=True, slots=True)
class SampleReport:
    """A sample's quality report, without its curves.

    Args:
        table: the sample's table, as the user named it.
        path: the report.
        sample: the sample's name.
        options: the options that it was counted with.
        features: the number of its features; None where the report lacks it.
        fingerprint: that of its features; None in reports of older versions.
        backend: its bias model, ``none`` where it has none.
        fitted: whether the model was fitted to this sample.
        window: bases of the window before and after the read start; None without a model.
        versions: package → version.
        row: its row in ``samples.tsv``: column → value, None where it does not apply.
    """

    table: str
    path: str
    sample: str
    options: Mapping[str, Any]
    features: int | None
    fingerprint: str | None
    backend: str
    fitted: bool
    window: tuple[int, int] | None
    versions: Mapping[str, str]
    row: Mapping[str, Any]


def read_report(table: str, names: str = ALIGNMENTS) -> SampleReport:
    """Read the quality report next to a table.

    Args:
        table: the table.
        names: what names the sample, one of ``SAMPLE_NAMES``.

    Raises:
        InputError: the table's name does not end as such names do; the report is missing, damaged,
            or of another major version.
    """
    if not table.endswith(TABLE):
        raise InputError(
            f"the name of a table must end in {TABLE}: the sample's quality report is found by it",
            file=table,
            remedy="give the table as `counterbias count` named it",
        )
    prefix = table.removesuffix(TABLE)
    path = prefix + REPORT
    document = _load(path, table)
    if names == TABLES:
        document["sample"] = os.path.basename(prefix)
        if not document["sample"]:
            raise InputError(
                f"nothing stands before {TABLE} that would name the sample",
                file=table,
                remedy=f"rename table and report, or leave out --names {TABLES}",
            )
    counting, model = (_object(document, name, path) for name in ("counting", "model"))
    options, inputs = (_object(document, name, path) for name in ("options", "inputs"))
    backend = model.get("backend") or NONE
    up, down = model.get("upstream"), model.get("downstream")
    return SampleReport(
        table=table,
        path=path,
        sample=document["sample"],
        options=options,
        features=counting.get("features"),
        fingerprint=counting.get("features_fingerprint"),
        backend=backend,
        fitted=backend != NONE and inputs.get("model") is None,
        window=None if up is None or down is None else (up, down),
        versions=_object(document, "versions", path),
        row=_row(document, path),
    )


def _load(path: str, table: str) -> dict[str, Any]:
    """Read a document and check its version and what it has of the schema. Raises InputError."""
    try:
        with open_input(path) as file, buffered(file) as stream:
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError as problem:
        if not os.path.exists(table):
            raise unreadable_table(table, problem) from None
        raise InputError(
            f"the quality report of {table} is missing",
            file=path,
            remedy="keep it next to its table, or count the sample again",
        ) from None
    except OSError as problem:
        raise InputError(
            f"the quality report cannot be read: {problem.strerror or problem}", file=path
        ) from None
    if len(content) > MOST_BYTES:
        raise InputError("the quality report is too long to be one", file=path, remedy=_REMEDY)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("the quality report is damaged", file=path, remedy=_REMEDY) from None
    version = document.get(TAG) if isinstance(document, dict) else None
    if not isinstance(version, list) or not version or not isinstance(version[0], int):
        raise InputError("this is not a quality report", file=path, remedy=_REMEDY)
    if version[0] != VERSION[0]:
        raise InputError(
            f"the quality report is of version {version[0]}, this program reads version "
            f"{VERSION[0]}",
            file=path,
            remedy="update Counterbias" if version[0] > VERSION[0] else _REMEDY,
        )
    try:
        check_known(document)
    except ValueError as problem:
        raise InputError(
            f"the quality report is damaged: {problem}", file=path, remedy=_REMEDY
        ) from None
    return dict(document)


def _object(document: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    """Return an object of the document. Raises InputError where it is missing."""
    found = document.get(name)
    if not isinstance(found, Mapping):
        raise InputError(
            f"the quality report is damaged: it has no {name}", file=path, remedy=_REMEDY
        )
    return found


def _row(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the main values of a report."""
    counting, model = (_object(document, name, path) for name in ("counting", "model"))
    weights, lengths = (_object(document, name, path) for name in ("weights", "lengths"))
    inputs = _object(document, "inputs", path)
    fragments, assigned = counting.get("fragments"), counting.get("assigned")
    percent = 100 * assigned / fragments if fragments and assigned is not None else None
    ends = document.get("ends") or []
    return {
        "sample": document["sample"],
        "fragments": fragments,
        "assigned": assigned,
        "assigned_percent": percent,
        "paired": _yes_or_no(counting.get("paired")),
        "stranded": counting.get("stranded") or "",
        "model": model.get("backend") or "",
        "model_file": inputs.get("model") or "",
        "model_used": _yes_or_no(any(map(_is_used, ends))),
        "why": _why_unused(ends) or _why_chosen(document, ends),
        **_of_end(ends[0] if ends else {}, ""),
        **_of_end(ends[1] if len(ends) > 1 else {}, "_read2"),
        "effective_sample_size": weights.get("effective_sample_size"),
        "capped_share": weights.get("capped_share"),
        "lengths": lengths.get("method") or "",
        "warnings": " ".join(document.get("warnings") or []),
        "alignments": inputs.get("alignments") or "",
        "counterbias": _object(document, "versions", path).get("counterbias") or "",
    }


def _is_used(end: Mapping[str, Any]) -> bool:
    return bool((end.get("calibration") or {}).get("applied"))


def _why_unused(ends: list[dict[str, Any]]) -> str:
    """Say why the models of ends are not used; empty where all are."""
    reasons = {
        end.get("end"): end.get("no_model") or (end.get("calibration") or {}).get("reason") or ""
        for end in ends
        if not _is_used(end)
    }
    if len(ends) < 2:
        return "".join(reasons.values())
    return "; ".join(f"{end}: {reason}" for end, reason in reasons.items())


def _why_chosen(document: Mapping[str, Any], ends: list[dict[str, Any]]) -> str:
    """Say why the sample has the model that it has; empty where it has none."""
    if not ends:
        return ""
    if document["inputs"].get("model") is not None:
        return "a saved model"
    if document["options"].get("bias_model") != AUTO:
        return "named"
    starts = min(end.get("unique_starts") or 0 for end in ends)
    return f"{AUTO}, by {starts} distinct read starts"


def _of_end(end: Mapping[str, Any], ending: str) -> dict[str, Any]:
    """Return gain and reliability of one read end, with ``ending`` added to the columns' names."""
    calibration, reliability = end.get("calibration") or {}, end.get("reliability") or {}
    return {
        f"gain{ending}": calibration.get("gain"),
        f"gain_error{ending}": calibration.get("gain_error"),
        f"reliability_slope{ending}": reliability.get("slope"),
        f"reliability_error{ending}": reliability.get("error"),
    }


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
