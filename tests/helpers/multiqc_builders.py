"""quality reports, comparisons and runs of MultiQC for the tests of the MultiQC module."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from counterbias.writers.qc import build_qc, write_qc

OFFSETS = list(range(-10, 11))
WIDE = list(range(-40, 41))
EDGES = [step / 4 for step in range(-24, 25)]


def hump(offset: int, centre: int) -> float:
    return 0.2 * math.exp(-((offset - centre) ** 2) / 8)


def reliability(slope: float = 1.0, error: float = 0.03) -> dict[str, Any]:
    """Return the entry ``reliability`` of an end: bins on a line of this slope."""
    predicted = [step / 2 for step in range(-4, 5)]
    observed = [round(slope * value, 6) for value in predicted]
    bins = {
        "predicted": predicted,
        "observed": observed,
        "error": [0.05] * 9,
        "expected": [100.0] * 9,
        "reads": [100.0] * 9,
    }
    return {
        "slope": slope,
        "error": error,
        "low": slope - 2 * error,
        "high": slope + 2 * error,
        "units": 12,
        "blocks": 6,
        "bins": bins,
    }


def end(
    label: str = "both",
    *,
    centre: int = 1,
    applied: bool = True,
    starts: int = 20_000,
    **changes: Any,
) -> dict[str, Any]:
    """Return an entry of ``ends`` whose bias peaks at ``centre``."""
    excess = [hump(offset, centre) for offset in OFFSETS]
    before = {
        base: [0.25 + factor * height for height in excess]
        for base, factor in zip("ACGT", (1, -0.5, -0.25, -0.25), strict=True)
    }
    flat = {base: [0.25] * len(OFFSETS) for base in "ACGT"}
    divergence = [2 * height**2 for height in excess]
    remaining = [value / 10 for value in divergence] if applied else divergence
    total = sum(divergence)
    entry: dict[str, Any] = {
        "end": label,
        "unique_starts": starts,
        "held_out_starts": starts // 5,
        "offsets": OFFSETS,
        "composition": {"before": before, "after": flat if applied else before, "background": flat},
        "divergence": {
            "held_out": [
                {
                    "k": 1,
                    "before": divergence,
                    "after": remaining,
                    "mean_before": total / len(OFFSETS),
                    "mean_after": sum(remaining) / len(OFFSETS),
                    "sum_before": total,
                    "sum_after": sum(remaining),
                    "noise_before": 0.0001,
                }
            ]
        },
        "signature": {
            "found": True,
            "first": centre - 3,
            "last": centre + 3,
            "peak": centre,
            "before_start": 1.0 if centre < -3 else 0.1,
            "outside": 0.4 if centre < -3 else 0.0,
            "upstream": 16,
            "downstream": 10,
            "offsets": WIDE,
            "profile": [2 * hump(offset, centre) ** 2 for offset in WIDE],
        },
        "calibration": {
            "applied": applied,
            "reason": None if applied else "no gain",
            "gain": 0.4,
            "gain_error": 0.02,
        },
        "gain": {
            "uniq": {"value": 0.5},
            "cap5": {"value": 0.6, "error": 0.02},
            "all": {"value": 0.7},
            "units": 12,
        },
        "reliability": reliability() if applied else {},
        "deviance_explained": 0.2,
        "auc": 0.7,
        "log_loss": 0.6,
        "training": {"parameters": 126, "curves": {}},
    }
    return {**entry, **changes}


def document(sample: str = "s1", **changes: Any) -> dict[str, Any]:
    """Return a complete quality report; ``changes`` replace whole top-level keys."""
    bins = [
        {
            "features": 20,
            "raw_min": 10.0**number,
            "raw_max": 10.0 ** (number + 1),
            "quantiles": [-0.3, -0.1, 0.02 * number, 0.1, 0.3],
        }
        for number in range(3)
    ]
    counts = [round(1000 * math.exp(-((edge + 0.125) ** 2))) for edge in EDGES[:-1]]
    parts: dict[str, Any] = {
        "sample": sample,
        "versions": {"counterbias": "0.1.0"},
        "inputs": {"alignments": f"/data/{sample.replace('/', '_')}.bam"},
        "options": {"nonunique": "none"},
        "counting": {
            "paired": False,
            "stranded": "no",
            "fragments": 1000,
            "assigned": 800.0,
            "no_feature": 100,
            "ambiguous": 50,
            "too_low_quality": 5,
            "not_aligned": 20,
            "not_unique": 25,
            "features": 100,
            "features_with_reads": 60,
        },
        "contigs": {"annotation": 2, "unmatched": [], "unmatched_features": 0},
        "strandedness": {"sense": 500, "antisense": 490, "verdict": "no"},
        "model": {"backend": "pwm", "upstream": 10, "downstream": 10},
        "ends": [end()],
        "weights": {
            "reads": 800,
            "unscored": 4,
            "capped": 2,
            "capped_share": 0.0025,
            "effective_sample_size": 0.8,
            "max_over_mean": 6.0,
            "histogram": {"edges": EDGES, "counts": counts},
        },
        "lengths": {
            "method": "union",
            "assumed": False,
            "fragment_mean": 220.0,
            "fragment_lengths": [150, 180, 200, 220, 240, 260, 290],
            "fragment_shares": [0.125, 0.125, 0.125, 0.25, 0.125, 0.125, 0.125],
        },
        "fold_change": {
            "quantiles": [0.05, 0.25, 0.5, 0.75, 0.95],
            "weighted": bins,
            "corrected": bins,
        },
        "run": {"seconds": {"training": 0.5}, "threads": 1, "windows_per_second": 1e6},
    }
    return build_qc({**parts, **changes})


def write(folder: Path, sample: str = "s1", *, name: str | None = None, **changes: Any) -> Path:
    """Write a quality report as ``counterbias count`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or sample}.counterbias.json"
    write_qc(path, document(sample, **changes))
    return path


def comparison(
    samples: Sequence[str], *, truth: bool = True, recommended: str | None = "cnn"
) -> dict[str, Any]:
    """Return a comparison of four models, one of which failed."""

    def model(name: str, gain: float, seconds: float) -> dict[str, Any]:
        difference = {"value": gain / 40, "low": gain / 40 - 0.01, "high": gain / 40 + 0.01}
        agreement = {
            "pearson": {"value": 0.9, "low": 0.85, "high": 0.95},
            "rmse": {"value": 0.4, "low": 0.3, "high": 0.5},
        }
        known = {
            "raw": agreement,
            "weighted": agreement,
            "corrected": agreement,
            "weighted_minus_raw": {"pearson": difference},
        }
        return {
            "model": name,
            "window": "10,10",
            "status": "ok",
            "reason": None,
            "used": True,
            "measures": {
                "gain_cap5": {"value": gain, "error": 0.02},
                "auc": {"value": 0.6 + gain / 5, "error": None},
            },
            "cost": {
                "train_seconds": seconds,
                "parameters": 1000,
                "windows_per_second": 1e6,
                "memory_mb": 50.0,
            },
            "curves": {"loss": [1.0, 0.7, 0.6], "validation loss": [1.1, 0.8, 0.75]}
            if name == "cnn"
            else {},
            "fold_change": {"weighted": [], "corrected": []},
            "truth": {
                **known,
                "corrected_minus_raw": {"pearson": difference},
                "features": 90,
                "column": "A",
            }
            if truth
            else None,
        }

    failed = {
        **model("broken", 0.0, 1.0),
        "status": "failed",
        "reason": "it returned NaN",
        "measures": {},
        "cost": {},
        "truth": None,
    }
    return {
        "counterbias_comparison": [1, 0],
        "version": "0.1.0",
        "measures": [
            {
                "name": "gain_cap5",
                "title": "Gain (≤5 reads)",
                "unit": "bits/read",
                "better": "higher",
                "description": "bits per read",
            },
            {
                "name": "auc",
                "title": "AUC",
                "unit": "",
                "better": "higher",
                "description": "starts against uniform positions",
            },
        ],
        "recommendation": {"model": recommended, "window": "10,10", "reason": "it gains most"},
        "samples": [
            {
                "sample": sample,
                "starts": 20_000,
                "raw": {},
                "models": [
                    model("pwm", 0.6 + 0.01 * number, 0.1),
                    model("cnn", 0.9, 15.0),
                    model("vlmm", 0.8, 0.5),
                    failed,
                ],
            }
            for number, sample in enumerate(samples)
        ],
    }


def write_comparison(path: Path, samples: Sequence[str], **options: Any) -> Path:
    """Write a comparison as ``counterbias compare`` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(comparison(samples, **options), indent=1))
    return path


@dataclass(frozen=True)
class Outcome:
    """What a run of MultiQC left behind.

    ``messages`` are its warnings and errors, ``sections`` the sections of the report by anchor.
    """

    status: int
    messages: tuple[str, ...]
    folder: Path
    sections: Mapping[str, Any]

    @property
    def html(self) -> str:
        return (self.folder / "multiqc_report.html").read_text()

    @property
    def data(self) -> dict[str, Any]:
        return json.loads((self.folder / "multiqc_data" / "multiqc_data.json").read_text())

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The data file of the module: sample → values."""
        files = self.data["report_saved_raw_data"]
        return next(
            (rows for name, rows in files.items() if name.startswith("multiqc_counterbias")), {}
        )


@contextmanager
def collect_log() -> Iterator[list[str]]:
    """Collect warnings and errors that pass all filters; MultiQC replaces loggers' handlers."""
    messages: list[str] = []

    call_handlers = logging.Logger.callHandlers

    def collect(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            messages.append(record.getMessage())
        call_handlers(logger, record)

    with patch.object(logging.Logger, "callHandlers", collect):
        yield messages


def run(*inputs: Path, output: Path, **options: Any) -> Outcome:
    """Run MultiQC in this process, strictly, with our module only unless ``options`` differ."""
    import multiqc
    from multiqc import report, validation
    from multiqc.core.update_config import ClConfig

    validation.reset()
    settings: dict[str, Any] = {
        "run_modules": ["counterbias"],
        "strict": True,
        "no_version_check": True,
        "no_ai": True,
        "force": True,
    }
    settings |= {
        "output_dir": str(output),
        "data_dump_file_write_raw": True,
        "preserve_module_raw_data": True,
        **options,
    }
    with collect_log() as messages:
        result = multiqc.run(
            *(str(path) for path in inputs), cfg=ClConfig(**settings), interactive=False
        )
    sections = {
        str(section.anchor): section for module in report.modules for section in module.sections
    }
    return Outcome(result.sys_exit_code, tuple(messages), output, sections)


def command_line(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run MultiQC in another process, as users do."""
    command = [
        sys.executable,
        "-m",
        "multiqc",
        "--no-ansi",
        "--no-version-check",
        "--strict",
        *map(str, arguments),
    ]
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )


def complaints(output: str) -> list[str]:
    """Return the lines that look like a warning or an error."""
    return [
        line
        for line in output.splitlines()
        if re.search(
            r"warn|error|traceback|lint", line.replace("will give warnings", ""), re.IGNORECASE
        )
    ]
