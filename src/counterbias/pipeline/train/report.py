"""The report of ``counterbias train``, a JSON document next to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from counterbias.model_file import ModelFile
from counterbias.options import AUTO, RunOptions, TrainOptions
from counterbias.pipeline.sample import recorded
from counterbias.pipeline.train.results import SampleGain, summarise
from counterbias.writers.training import TAG, VERSION

#: The fields of a calibration that stand in the report.
CALIBRATION = ("applied", "reason", "slope", "constant", "gain", "gain_error")


@dataclass(frozen=True, slots=True)
class Findings:
    """What the report is made of, besides model and options.

    Args:
        paths: sample → alignment file.
        skipped: sample → why nothing was learnt from it.
        ends: the entry of each read end.
        gains: one per sample and read end.
        warnings: one line each.
        seconds: wall time of the run.
    """

    paths: Mapping[str, str]
    skipped: Mapping[str, str]
    ends: Sequence[Mapping[str, Any]]
    gains: Sequence[SampleGain]
    warnings: Sequence[str]
    seconds: float


def train_report(
    model: ModelFile, run: RunOptions, options: TrainOptions, found: Findings
) -> dict[str, Any]:
    """Return the document."""
    bias = run.bias
    assert bias is not None
    return {
        TAG: list(VERSION),
        "version": model.training.counterbias_version,
        "command_line": run.command_line,
        "inputs": {
            "alignments": dict(found.paths),
            "annotation": run.annotation.path,
            "genome": bias.genome,
        },
        "options": {
            **asdict(run.counting),
            **recorded(bias, leave_out=("cap", "ends", "lengths")),
            "bias_pool": options.pool,
        },
        "model": {
            "backend": model.backend,
            "distribution": model.distribution,
            "version": model.version,
            "options": asdict(model.options),
            "upstream": model.window.upstream,
            "downstream": model.window.downstream,
            "auto": bias.model == AUTO,
        },
        "samples": list(model.training.samples),
        "skipped": [
            {"sample": sample, "reason": reason} for sample, reason in found.skipped.items()
        ],
        "ends": list(found.ends),
        "gains": [{**asdict(row), "better": row.better} for row in found.gains],
        "summary": summarise(found.gains),
        "warnings": list(found.warnings),
        "run": {"seconds": found.seconds, "threads": bias.threads},
    }
