"""The part of ``gpu.py`` that compares networks as `counterbias compare` does, on either device."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from gpu_setting import Figure, Setting, wait_for
from shared import data_folder

from counterbias.options import (
    AnnotationOptions,
    BiasOptions,
    CompareOptions,
    CountingOptions,
    RunOptions,
)
from counterbias.pipeline.compare import SampleResult, compare_models
from counterbias.pipeline.simulate import simulate
from counterbias.simulation_options import Library, SimulationOptions

#: How many times faster than on the processor the comparison is to be.
TARGET = 5.0


def compare_networks(setting: Setting) -> Iterator[Figure]:
    """Time `compare` of the networks on either device, and compare the gains that it finds."""
    labels = setting.labels("cnn", "gru", "lstm")
    found: dict[str, SampleResult] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="counterbias-benchmark-") as name:
        files, what = _library(setting, Path(name))
        for device in ("gpu", "cpu"):
            begun = time.perf_counter()
            found[device] = _compare(setting, files, labels, device, Path(name) / device)
            seconds[device] = time.perf_counter() - begun
            if device == "gpu":  # what there is, should the processor take too long
                yield Figure("compare, before the processor's turn", [seconds["gpu"]], note=what)
    yield Figure(
        "compare, all of it",
        [seconds["gpu"]],
        [seconds["cpu"]],
        target=f"≥ {TARGET:g} times faster",
        met=seconds["cpu"] / seconds["gpu"] >= TARGET if setting.gpu else None,
        note=what,
    )
    for number, label in enumerate(labels):
        yield _training_alone(setting, found, number, label)
        yield _agreement(setting, found, number, label)


def _library(setting: Setting, folder: Path) -> tuple[dict[str, str], str]:
    """Return alignments, annotation and genome of the fly data, or of a simulated library."""
    fly = data_folder() / "fly_pasilla_chr4"
    if fly.is_dir() and not setting.quick:
        names = {"bam": "reads.bam", "gtf": "genes.gtf", "fasta": "genome.fa"}
        return {key: str(fly / name) for key, name in names.items()}, "fly"
    pairs, genes = (4000, 10) if setting.quick else (90_000, 100)
    made = folder / "simulated"
    simulate(
        SimulationOptions(made, Library(pairs), genes=genes, contigs=1, threads=setting.threads)
    )
    (bam,) = made.glob("*.bam")
    files = {"bam": bam, "gtf": made / "genes.gtf", "fasta": made / "genome.fa"}
    return {key: str(path) for key, path in files.items()}, f"{pairs:,} simulated pairs"


def _compare(
    setting: Setting, files: dict[str, str], labels: Sequence[str], device: str, cache: Path
) -> SampleResult:
    """Compare models with an empty cache, as the command does.

    Raises:
        RuntimeError: a model failed.
    """
    bias = BiasOptions(
        "",
        genome=files["fasta"],
        threads=setting.threads,
        device="cuda" if device == "gpu" else "cpu",
    )
    run = RunOptions(
        (files["bam"],),
        ("sample",),
        AnnotationOptions(files["gtf"]),
        CountingOptions(stranded="no", order="pos"),
        bias=bias,
        threads=setting.threads,
    )
    wanted = CompareOptions(models=tuple(labels), cache=str(cache))
    if setting.quick:
        wanted = CompareOptions(models=tuple(labels), cache=str(cache), folds=(0,), seeds=(1, 2))
    (sample,) = compare_models(run, wanted).samples
    wait_for(setting.device)
    for one in sample.outcomes:
        if one.status != "ok" or one.reason:
            raise RuntimeError(f"{one.candidate.label}: {one.reason or one.status}")
    return sample


def _training_alone(
    setting: Setting, found: dict[str, SampleResult], number: int, label: str
) -> Figure:
    """Return the time of all trials' fits, without drawing windows and measuring."""
    sums = {
        device: sum(trial["seconds"] for trial in sample.outcomes[number].trials)
        for device, sample in found.items()
    }
    trials = len(found["cpu"].outcomes[number].trials)
    side_by_side = min(setting.threads, trials)
    return Figure(
        f"compare, {label}: training alone",
        [sums["gpu"]],
        [sums["cpu"] / side_by_side],
        note=f"{trials} trials; processor: {sums['cpu']:.1f} s of {side_by_side} threads",
    )


def _agreement(setting: Setting, found: dict[str, SampleResult], number: int, label: str) -> Figure:
    """Compare the gains on held-out folds: means, their difference, and the spread of seeds."""
    gains: dict[str, dict[tuple[int, int], float]] = {
        device: {
            (trial["fold"], trial["seed"]): trial["values"]["gain_cap5"] or 0.0
            for trial in sample.outcomes[number].trials
        }
        for device, sample in found.items()
    }
    apart = np.array([gains["gpu"][key] - gains["cpu"][key] for key in gains["cpu"]])
    spread = max(_spread_of_seeds(one) for one in gains.values())
    mean = float(apart.mean())
    return Figure(
        f"compare, {label}: gain on held-out folds",
        [float(np.mean(list(gains["gpu"].values())))],
        [float(np.mean(list(gains["cpu"].values())))],
        unit="bits",
        target="means apart by less than two seeds are",
        met=bool(abs(mean) <= spread) if not setting.quick else None,
        note=f"GPU less processor: {mean:+.4f} ± {apart.std(ddof=1):.4f} (SD of trials); "
        f"two seeds: ± {spread:.4f}",
    )


def _spread_of_seeds(gains: dict[tuple[int, int], float]) -> float:
    """Return the standard deviation of the difference of two seeds on one fold."""
    folds: dict[int, list[float]] = {}
    for (fold, _), gain in gains.items():
        folds.setdefault(fold, []).append(gain)
    variances = [np.var(one, ddof=1) for one in folds.values() if len(one) > 1]
    return float(np.sqrt(2 * np.mean(variances))) if variances else 0.0
