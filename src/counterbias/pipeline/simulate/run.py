"""Genome and genes → bias → study → reads of each sample → files in one folder.

All files are written to a hidden folder next to the target, which takes the target's place at the
end: a run that fails or is interrupted leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterbias import simulation
from counterbias.errors import InputError
from counterbias.files import remove_leftovers, whole_folder
from counterbias.inputs import read_again
from counterbias.messages import SILENT, Messages
from counterbias.pipeline.simulate.biases import make_bias
from counterbias.pipeline.simulate.output import OutputFolder
from counterbias.pipeline.simulate.reference import Reference, make_reference
from counterbias.pipeline.simulate.streams import Stream, random_stream
from counterbias.simulation_options import SimulationOptions

_TOO_SHORT = "shorter than a fragment"


@dataclass(frozen=True, slots=True)
class SimulationRun:
    """What was made.

    Args:
        files: names of all files in the folder, sorted.
        skipped: reason → transcripts that no reads come from.
        report: content of ``simulation.json``.
    """

    files: tuple[str, ...]
    skipped: dict[str, int]
    report: dict[str, Any]


def simulate(options: SimulationOptions, messages: Messages = SILENT) -> SimulationRun:
    """Simulate a study and write all its files.

    Raises:
        InputError: for inputs that cannot be used; no file is left behind.
    """
    # Several groups may have the same model file, each with a strength of its own.
    model_files = [bias.model for bias in options.biases]
    with read_again(*model_files), _new_folder(options.folder, options.force) as folder:
        return _simulate_into(folder, options, messages)


@contextmanager
def _new_folder(target: Path, force: bool) -> Iterator[Path]:
    """Yield a folder that takes the place of ``target`` at the end; an error removes it."""
    if target.exists() and not target.is_dir():
        raise InputError(
            "this is a file, not a folder", file=str(target), remedy="name another folder with -o"
        )
    if not force and target.is_dir() and any(target.iterdir()):
        raise InputError(
            "the folder is not empty",
            file=str(target),
            remedy="name another one, or use --force to replace files in it",
        )
    remove_leftovers([target])
    with whole_folder(target) as folder:
        yield folder


def _simulate_into(folder: Path, options: SimulationOptions, messages: Messages) -> SimulationRun:
    """Draw everything in order, and write each part as soon as it is there."""
    seed, output = options.seed, OutputFolder(folder, options)
    biases = {
        bias: make_bias(bias, random_stream(seed, Stream.BIAS), messages)
        for bias in dict.fromkeys(options.biases)
    }
    reference = make_reference(options)
    exons = output.write_reference(reference)
    messages.info(_size(reference, exons))

    models = {
        bias: simulation.FragmentModel(
            reference.genome, reference.genes, options.library, made, threads=options.threads
        )
        for bias, made in biases.items()
    }
    group_models = [models[bias] for bias in options.group_biases]
    skipped = dict(reference.skipped)
    if short := int((group_models[0].unbiased == 0).sum()):
        skipped[_TOO_SHORT] = short
    for reason, number in skipped.items():
        messages.info(f"no reads come from {number} transcripts: {reason}")

    rng = random_stream(seed, Stream.STUDY)
    study = simulation.simulate_study(rng, reference.genes, options.study)
    if options.study.switched and options.study.groups > 1:
        _report_switched(reference.genes, study, messages)
    samples, fpkm = [], []
    for number, (name, group) in enumerate(zip(study.names, study.group, strict=True)):
        rng = random_stream(seed, Stream.SAMPLES, number)
        reads = simulation.draw_reads(rng, group_models[group], study.abundance[number])
        sample = output.write_sample(name, group, reads)
        messages.info(
            f"{name}: {sample['fragments']} fragments, {sample['mapped_fragments']} of them mapped,"
            f" {sample['starts']} distinct read starts"
        )
        samples.append(sample)
        fpkm.append(reads.truth.fpkm)

    output.write_truth(reference.genes.gene_ids, study, fpkm)
    output.write_samples(samples)
    log_means = [model.log_means for model in group_models]
    report = output.write_report(reference, skipped, log_means, samples)
    return SimulationRun(output.files, skipped, report)


def _report_switched(
    genes: simulation.GeneModels, study: simulation.Study, messages: Messages
) -> None:
    """Say how many genes switch in each group but the first."""
    several = int((genes.transcripts_per_gene > 1).sum())
    if not several:
        messages.warn("no gene has several transcripts, so none switches")
        return
    for group, number in enumerate(study.switched.sum(axis=0)[1:], start=2):
        messages.info(f"group{group}: {number} of {several} genes with several transcripts switch")


def _size(reference: Reference, exons: int) -> str:
    """Return the size of genome and annotation in words."""
    bases = sum(reference.genome.lengths.values()) / 1e6
    genes, transcripts = len(reference.genes.gene_ids), len(reference.genes.transcript_ids)
    return f"{bases:.1f} Mb of genome, {genes} genes, {transcripts} transcripts, {exons} exons"
