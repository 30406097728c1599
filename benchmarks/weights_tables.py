"""The tables that `weights.py` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from shared import markdown
from weights_simulated import FEWEST


def simulation_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format one table per simulated library, mean ± SE over seeds."""
    parts = []
    for name in dict.fromkeys(row["library"] for row in rows):
        own = [row for row in rows if row["library"] == name]
        lines = [
            [
                "setting",
                "held-out gain",
                "ESS",
                "weighted",
                "corrected",
                "its long − short",
                "effective length",
                "its long − short",
            ]
        ]
        for label in dict.fromkeys(row["setting"] for row in own):
            cells = [row for row in own if row["setting"] == label]
            keys = (
                "gain",
                "ess",
                "weighted",
                "corrected",
                "corrected_length",
                "effective",
                "effective_length",
            )
            lines.append([label, *(estimate([row[key] for row in cells]) for key in keys)])
        first = [row for row in own if row["setting"] == own[0]["setting"]]
        raw = [
            "raw counts",
            "",
            "",
            *[
                estimate([row[key] for row in first])
                for key in ("raw", "raw", "raw_length", "effective_raw")
            ],
            "",
        ]
        genes = np.mean([row["genes"] for row in first])
        parts.append(
            f"### {name}\n\n{markdown([lines[0], raw, *lines[1:]])}\n\n"
            f"{genes:.0f} genes with at least {FEWEST:.0f} fragments."
        )
    return "\n\n".join(parts)


def real_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format one table of held-out measures per data set, mean ± SE over folds."""
    parts = []
    for name in dict.fromkeys(row["data"] for row in rows):
        shares = next(row["shares"] for row in rows if row["data"] == name and "shares" in row)
        own = [row for row in rows if row["data"] == name and "learnt" in row]
        keys = (
            [key for key in own[0] if key not in ("data", "learnt", "fold", "seed")] if own else []
        )
        choices = list(dict.fromkeys(row["learnt"] for row in own))
        lines = [
            [
                "held-out measure",
                *(
                    f"trained on: {choice}" if "context" not in choice else choice
                    for choice in choices
                ),
            ]
        ]
        for key in keys:
            lines.append(
                [
                    key,
                    *(
                        estimate(over_folds([row for row in own if row["learnt"] == choice], key))
                        for choice in choices
                    ),
                ]
            )
        listed = "; ".join(f"{label} {share:.2%}" for label, share in shares.items())
        parts.append(f"### {name}\n\n{markdown(lines)}\n\nShares of all reads: {listed}.")
    return "\n\n".join(parts)


def estimate(values: Sequence[float], digits: int = 3) -> str:
    """Format mean ± standard error."""
    known = np.array([value for value in values if math.isfinite(value)])
    if not len(known):
        return "–"
    error = f" ± {known.std(ddof=1) / math.sqrt(len(known)):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{error}"


def over_folds(rows: Sequence[dict[str, Any]], key: str) -> list[float]:
    """Return the mean over seeds of each fold."""
    return [
        float(np.mean([row[key] for row in rows if row["fold"] == fold]))
        for fold in dict.fromkeys(row["fold"] for row in rows)
    ]
