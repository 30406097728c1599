"""Studies of `differential.py`: scenarios, and samples simulated and counted with each model."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import reporting as rep
from numpy.typing import NDArray

from counterbias import InputError, count_reads, simulation
from counterbias.messages import Messages
from counterbias.options import LENGTHS, NONE
from counterbias.pipeline.simulate import SimulationOptions, simulate
from counterbias.pipeline.simulate.biases import make_bias
from counterbias.pipeline.simulate.streams import Stream, random_stream
from counterbias.simulation_options import GroupBias

RAW, TRUE = "raw", est.TRUE
#: The limit where genes switch: lengths computed from the truth about each gene's transcripts.
TRUE_LENGTHS = "true lengths"
UNION, TRANSCRIPTS = LENGTHS
#: Library → whether reads are paired, and fragments per sample.
LIBRARIES = {"single": (False, 100_000), "paired": (True, 100_000), "deep": (True, 600_000)}
#: How the groups differ in bias → strength of the bias in each.
CONTRASTS = {"strong": (1.0, 0.0), "half": (1.0, 0.5), "equal": (1.0, 1.0), "unbiased": (0.0, 0.0)}
#: Other words of a scenario → what they set.
#: Three genes in ten switch: half of those with two transcripts, which are three in five.
WORDS = {
    "unchanged": {"changed": 0.0},
    "varied": {"variation": 0.2},
    "switched": {"isoforms": 0.6, "switched": 0.5},
}
SCENARIOS = ",".join(
    f"{library}{rest}"
    for library in ("single", "paired")
    for rest in ("", "-varied", "-unchanged", "-half", "-equal", "-unbiased", "-switched")
)


@dataclass(frozen=True)
class Scenario:
    """The design of a study.

    Args:
        name: its words, joined by hyphens.
        library, contrast: a key of LIBRARIES and one of CONTRASTS.
        changed: fraction of the genes that truly differ between the groups.
        variation: standard deviation of a gene's log abundance between samples of a group, nats.
        isoforms: fraction of the genes that have two transcripts.
        switched: fraction of those whose transcripts have other shares in the second group.
    """

    name: str
    library: str
    contrast: str = "strong"
    changed: float = 0.2
    variation: float = 0.05
    isoforms: float = simulation.AnnotationDesign().second_isoform
    switched: float = 0.0


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
    """Simulate a study as `counterbias simulate` does, with FASTQ files if a peer needs them."""
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
    design = simulation.StudyDesign(
        **size, variation=wanted.variation, changed=wanted.changed, switched=wanted.switched
    )
    options = SimulationOptions(
        folder,
        library,
        design,
        simulation.AnnotationDesign(second_isoform=wanted.isoforms),
        genes=arguments.genes,
        biases=biases,
        fastq=bool(arguments.peers),
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
        quantified: method → folder of salmon's results; R reads counts and lengths from there.
    """

    genes: tuple[str, ...]
    counts: dict[str, NDArray[np.float64]]
    lengths: dict[str, NDArray[np.float64]]
    applied: dict[str, int]
    seconds: dict[str, float]
    quantified: dict[str, Path] = field(default_factory=dict)

    def add_offsets(self, name: str, lengths: NDArray[np.float64]) -> None:
        """Add the method that tests raw counts with lengths, (genes, samples), as offsets."""
        self.counts[f"{name}, offsets"] = self.counts[RAW]
        self.lengths[f"{name}, offsets"] = lengths


def count_study(
    study: Study, models: Sequence[str], lengths: Sequence[str], training: est.Training
) -> Tables:
    """Count all samples once with each model and each measure of lengths, and with the truth.

    Lengths of transcripts are also measured without a model.
    """
    first, threads = study.samples[0], training.threads
    paths = [sample.alignments for sample in study.samples]
    run = count_reads(paths, first.annotation, options=first.options, threads=threads)
    raw = np.stack([np.asarray(one.counts, np.float64) for one in run.results], axis=1)
    tables = Tables(tuple(run.annotation.features.ids), {RAW: raw}, {}, {}, {})
    runs = [(model, kind) for kind in lengths for model in models]
    if TRANSCRIPTS in lengths:
        runs.append((NONE, TRANSCRIPTS))
    for model, kind in runs:
        label = label_of(model, kind)
        began = time.perf_counter()
        bias = replace(training, lengths=kind).options(first.genome, model)
        try:
            run = count_reads(
                paths, first.annotation, options=first.options, bias=bias, threads=threads
            )
        except InputError as problem:
            rep.log(f"{label}: not measured: {problem}")
            continue
        found = [est.counted(run, number, 0.0) for number in range(len(paths))]
        tables.seconds[label] = time.perf_counter() - began
        if model != NONE:
            tables.applied[label] = sum(one.applied for one in found)
        _add(tables, label, [one.columns for one in found])
    union = np.asarray(run.annotation.features.lengths, np.float64)
    true = [
        _true_columns(study, number, raw[:, number], union, threads) for number in range(len(paths))
    ]
    _add(tables, TRUE, true)
    return tables


def label_of(model: str, lengths: str) -> str:
    """Name a model and a measure of lengths as in the tables."""
    name = "no model" if model == NONE else model
    return name if lengths == UNION else f"{name}, {lengths}"


def true_lengths(study: Study, genes: Sequence[str]) -> NDArray[np.float64]:
    """Return the fragments expected per molecule, float64 (genes, samples), up to a factor.

    They contain all that makes genes yield more or fewer fragments: the lengths and shares of their
    transcripts, and the bias. 0 for a gene without fragments.
    """
    columns = []
    for name in study.names:
        truth = est.read_table(study.folder / f"{name}.genes.tsv")
        fragments, molecules = (
            np.array(truth[column], np.float64) for column in ("expected_fragments", "abundance")
        )
        columns.append(est.in_order(truth["gene_id"], genes, fragments / molecules))
    return np.stack(columns, axis=1)


def differences(study: Study) -> tuple[dict[str, bool], set[str]]:
    """Return for each gene whether its molecules change, and the genes that switch isoforms."""
    truth = est.read_table(study.folder / "truth.tsv")
    changes = [float(change) != 0.0 for change in truth["log2_fold_change_group2"]]
    switches = truth.get("switched_group2", ["0"] * len(changes))
    switched = {gene for gene, cell in zip(truth["gene_id"], switches, strict=True) if cell == "1"}
    return dict(zip(truth["gene_id"], changes, strict=True)), switched


def _add(tables: Tables, model: str, columns: Sequence[Any]) -> None:
    """Add the two methods that use a model: offsets and corrected counts."""
    tables.add_offsets(model, np.stack([one["effective_length"] for one in columns], axis=1))
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
