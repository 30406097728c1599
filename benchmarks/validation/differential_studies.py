"""Studies of `differential.py`: scenarios, and samples simulated and counted with each model."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import reporting as rep
from numpy.typing import NDArray

from counterbias import InputError, count_reads, simulation
from counterbias.messages import Messages
from counterbias.pipeline.simulate import SimulationOptions, simulate
from counterbias.pipeline.simulate.biases import make_bias
from counterbias.pipeline.simulate.streams import Stream, random_stream
from counterbias.simulation_options import GroupBias

RAW, TRUE = "raw", est.TRUE
#: Library → whether reads are paired, and fragments per sample.
LIBRARIES = {"single": (False, 100_000), "paired": (True, 100_000), "deep": (True, 600_000)}
#: How the groups differ in bias → strength of the bias in each.
CONTRASTS = {"strong": (1.0, 0.0), "half": (1.0, 0.5), "equal": (1.0, 1.0), "unbiased": (0.0, 0.0)}
#: Other words of a scenario → what they set.
WORDS = {"unchanged": {"changed": 0.0}, "varied": {"variation": 0.2}}
SCENARIOS = ",".join(
    f"{library}{rest}"
    for library in ("single", "paired")
    for rest in ("", "-varied", "-unchanged", "-half", "-equal", "-unbiased")
)


@dataclass(frozen=True)
class Scenario:
    """The design of a study.

    Args:
        name: its words, joined by hyphens.
        library, contrast: a key of LIBRARIES and one of CONTRASTS.
        changed: fraction of the genes that truly differ between the groups.
        variation: standard deviation of a gene's log abundance between samples of a group, nats.
    """

    name: str
    library: str
    contrast: str = "strong"
    changed: float = 0.2
    variation: float = 0.05


def scenario(name: str) -> Scenario:
    """Parse a scenario: a library, then contrasts and other words, as in ``single-half-varied``."""
    library, *words = name.split("-")
    settings: dict[str, Any] = {}
    for word in words:
        settings |= {"contrast": word} if word in CONTRASTS else WORDS.get(word, {"unknown": word})
    if library not in LIBRARIES or "unknown" in settings:
        words = ", ".join((*CONTRASTS, *WORDS))
        raise argparse.ArgumentTypeError(
            f"'{name}': must be one of {', '.join(LIBRARIES)}, and after a hyphen any of {words}"
        )
    return Scenario(name, library, **settings)


def scenarios(text: str) -> list[Scenario]:
    """Parse comma-separated scenarios (for argparse)."""
    return [scenario(name) for name in rep.names(text)]


@dataclass(frozen=True)
class Study:
    """A simulated study on disk.

    Args:
        folder: the files of `counterbias simulate`.
        names, groups: name and group of each sample.
        library: the design of the libraries.
        biases: the bias of each group, None for a group without bias.
    """

    folder: Path
    names: tuple[str, ...]
    groups: tuple[int, ...]
    library: simulation.Library
    biases: tuple[simulation.PrimingBias | simulation.ScoredBias | None, ...]

    @property
    def samples(self) -> list[est.Sample]:
        """The files of each sample."""
        return [
            est.Sample(
                self.folder / f"{name}.bam", self.folder / "genes.gtf", self.folder / "genome.fa"
            )
            for name in self.names
        ]


def simulate_study(
    wanted: Scenario, seed: int, folder: Path, arguments: argparse.Namespace
) -> Study:
    """Simulate a study as `counterbias simulate` does."""
    paired, fragments = LIBRARIES[wanted.library]
    number = max(1, round(fragments * arguments.scale))
    losses = {
        "multi_mapped": 0.03,
        "unmapped": 0.02,
        "unmapped_mate": 0.02 if paired else 0.0,
        "error_rate": 0.002,
    }
    library = simulation.Library(number, paired=paired, **losses)
    biases = tuple(GroupBias(arguments.bias, strength) for strength in CONTRASTS[wanted.contrast])
    size = {"samples": 2 * arguments.replicates, "groups": 2}
    design = simulation.StudyDesign(**size, variation=wanted.variation, changed=wanted.changed)
    options = SimulationOptions(
        folder,
        library,
        design,
        genes=arguments.genes,
        biases=biases,
        seed=seed,
        threads=arguments.threads,
    )
    report = simulate(options).report
    names = tuple(str(one["sample"]) for one in report["samples"])
    groups = tuple(int(str(one["group"]).removeprefix("group")) - 1 for one in report["samples"])
    messages = Messages(rep.log)
    made = [make_bias(bias, random_stream(seed, Stream.BIAS), messages) for bias in biases]
    return Study(
        folder,
        names,
        groups,
        library,
        tuple(one[0] if isinstance(one, tuple) else one for one in made),
    )


@dataclass(frozen=True)
class Tables:
    """Tables of genes × samples.

    Args:
        genes: gene identifiers.
        counts: method → counts, float64 (genes, samples).
        lengths: method → effective lengths for offsets; absent for a method without offsets.
        applied: model → number of samples in which it passed the gate.
        seconds: model → wall time of counting and fitting.
    """

    genes: tuple[str, ...]
    counts: dict[str, NDArray[np.float64]]
    lengths: dict[str, NDArray[np.float64]]
    applied: dict[str, int]
    seconds: dict[str, float]


def count_study(study: Study, models: Sequence[str], seed: int, threads: int) -> Tables:
    """Count all samples once with each model, and once with the true bias."""
    first = study.samples[0]
    paths = [sample.alignments for sample in study.samples]
    run = count_reads(paths, first.annotation, options=first.options, threads=threads)
    raw = np.stack([np.asarray(one.counts, np.float64) for one in run.results], axis=1)
    tables = Tables(tuple(run.annotation.features.ids), {RAW: raw}, {}, {}, {})
    for model in models:
        began = time.perf_counter()
        bias = est.Training(seed=seed, threads=threads).options(first.genome, model)
        try:
            run = count_reads(
                paths, first.annotation, options=first.options, bias=bias, threads=threads
            )
        except InputError as problem:
            rep.log(f"{model}: not measured: {problem}")
            continue
        found = [est.counted(run, number, 0.0) for number in range(len(paths))]
        tables.applied[model], tables.seconds[model] = (
            sum(one.applied for one in found),
            time.perf_counter() - began,
        )
        _add(tables, model, [one.columns for one in found])
    lengths = np.asarray(run.annotation.features.lengths, np.float64)
    _add(
        tables,
        TRUE,
        [
            _true_columns(study, number, raw[:, number], lengths, threads)
            for number in range(len(paths))
        ],
    )
    return tables


def _add(tables: Tables, model: str, columns: Sequence[Any]) -> None:
    """Add the two methods that use a model: offsets and corrected counts."""
    tables.counts[f"{model}, offsets"] = tables.counts[RAW]
    tables.lengths[f"{model}, offsets"] = np.stack(
        [one["effective_length"] for one in columns], axis=1
    )
    tables.counts[f"{model}, corrected"] = np.stack([one["corrected"] for one in columns], axis=1)


def _true_columns(
    study: Study, number: int, raw: NDArray[np.float64], lengths: NDArray[np.float64], threads: int
) -> dict[str, NDArray[np.float64]]:
    """Count a sample with the true bias of its group and the simulated fragment lengths."""
    bias = study.biases[study.groups[number]]
    if bias is None:
        return {"effective_length": lengths, "corrected": raw}
    fragments = est.library_lengths(study.library)
    score = est.true_log_bias(bias)
    return dict(
        est.count_with_truth(
            study.samples[number], bias.window, score, fragments=fragments, threads=threads
        ).columns
    )
