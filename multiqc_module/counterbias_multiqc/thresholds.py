"""Thresholds of the report, and what users may set of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from counterbias_multiqc.values import as_flag, as_number


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of the report, with their defaults.

    Each may be set under its name below ``counterbias:`` in MultiQC's configuration.
    """

    #: Fragments assigned to a feature, %; warn or fail below.
    assigned_warn: float = 50.0
    assigned_fail: float = 25.0
    #: Distinct read starts, of the end that has fewer; warn or fail below.
    starts_warn: float = 2000.0
    starts_fail: float = 500.0
    #: Divergence above noise, in bits summed over the window, at which there is a bias to remove.
    #: Only used if the file does not state whether there is one.
    bias_found: float = 0.05
    #: Held-out divergence removed, %, if there is a bias; warn or fail below.
    removed_warn: float = 50.0
    removed_fail: float = 20.0
    #: Distance from 1 of the confidence interval of the reliability slope; warn or fail above.
    size_warn: float = 0.1
    size_fail: float = 0.5
    #: Bias signature outside the model's window, %; warn above. Only used if the file does not
    #: state whether the window covers the signature.
    outside_warn: float = 25.0
    #: Features on contigs that the alignments lack, %; warn or fail above.
    unmatched_warn: float = 1.0
    unmatched_fail: float = 50.0
    #: Whether weighted counts are used, so that uneven weights matter, also in samples whose
    #: command line does not say so.
    weighted_counts: bool = False
    #: Read weights reduced to the cap, %; warn or fail above.
    clipped_warn: float = 1.0
    clipped_fail: float = 5.0
    #: Effective sample size, % of the reads; warn or fail below.
    effective_warn: float = 50.0
    effective_fail: float = 25.0
    #: Number of samples above which heat maps replace lines.
    heatmap_above: float = 50.0
    #: The same of base composition, which has a tab for each sample.
    composition_heatmap_above: float = 12.0

    @classmethod
    def from_config(cls, configured: object) -> Thresholds:
        """Replace defaults by configured values; what cannot be used is ignored.

        :func:`unusable` says what that is.
        """
        return cls(**_usable(configured))


def unusable(configured: object) -> list[str]:
    """Say for each configured value that is ignored why it is, and what may have been meant."""
    if configured is None:
        return []
    if not isinstance(configured, Mapping):
        return ["it is not a list of thresholds with their values"]
    names = [field.name for field in fields(Thresholds)]
    used = _usable(configured)
    problems = []
    for key, value in configured.items():
        if key in used:
            continue
        if key in names:
            wanted = "true or false" if isinstance(_default(str(key)), bool) else "a number"
            problems.append(f"{key} is ignored: {value!r} is not {wanted}")
            continue
        near = difflib.get_close_matches(str(key), names, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        problems.append(f"{key} is ignored: there is no such threshold{meant}")
    return problems


def _usable(configured: object) -> dict[str, Any]:
    values = configured if isinstance(configured, Mapping) else {}
    found = {
        field.name: (as_flag if isinstance(field.default, bool) else as_number)(
            values.get(field.name)
        )
        for field in fields(Thresholds)
    }
    return {name: value for name, value in found.items() if value is not None}


def _default(name: str) -> object:
    return next(field.default for field in fields(Thresholds) if field.name == name)
