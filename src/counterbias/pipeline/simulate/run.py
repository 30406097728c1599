"""``counterbias simulate``: genome and genes → bias → study → reads of each sample → files in one folder.

All files are made in a hidden folder beside the one asked for, which takes its name at the end: what fails or is interrupted
leaves nothing behind.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from counterbias import simulation
from counterbias.errors import InputError
from counterbias.files import readable, remove_leftovers, whole_folder, whole_stream
from counterbias.inputs import read_again
from counterbias.pipeline.simulate.biases import BIAS_STREAM, GroupBias, per_group

SCHEMA = (1, 0)
#: Streams of random numbers, one for each thing that is drawn: more samples or other genes leave the bias as it is.
_GENOME, _STUDY, _SAMPLES = 1, 3, 4
ORDERS = ("pos", "name", "both")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """What ``counterbias simulate`` makes.

    Args:
        folder: where all files go; it must be new or empty, unless ``force``.
        library, study, design: of reads, samples and simulated genes.
        genes, contigs, bases: of a simulated genome; ``bases`` is 10,000 per gene by default.
        genome, annotation: a user's FASTA and GTF instead.
        biases: of read starts, one per group; a single one holds for all groups.
        order: ``pos``, ``name`` or ``both``. fastq: write reads as FASTQ, too.
        seed: start of every random choice. threads: no byte depends on it.
    """

    folder: Path
    library: simulation.Library
    study: simulation.StudyDesign = field(default_factory=simulation.StudyDesign)
    design: simulation.AnnotationDesign = field(default_factory=simulation.AnnotationDesign)
    genes: int = 400
    contigs: int = 4
    bases: int | None = None
    genome: str | None = None
    annotation: str | None = None
    biases: tuple[GroupBias, ...] = (GroupBias(),)
    order: str = "pos"
    fastq: bool = False
    seed: int = 1
    threads: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        if (self.genome is None) != (self.annotation is None):
            raise InputError("--genome and --annotation are given together or not at all")
        if self.genes < 1 or not 1 <= self.contigs <= 10_000 or self.seed < 0 or self.threads < 1:
            raise InputError(
                "genes, contigs and threads are numbers of at least 1, and the seed of at least 0"
            )
        if self.bases is not None and not 100 * self.contigs <= self.bases <= 10**11:
            raise InputError(
                f"a genome of {self.bases} bases cannot be simulated",
                remedy="give at least 100 for each contig",
            )
        if self.order not in ORDERS:
            raise InputError(
                f"reads cannot be sorted by '{self.order}'", remedy=f"choose {', '.join(ORDERS)}"
            )
        for name, share in (
            ("--isoforms", self.design.second_isoform),
            ("--overlapping", self.design.overlapping),
        ):
            if not 0.0 <= share <= 1.0:
                raise InputError(f"{name} is {share:g}", remedy="give a number from 0 to 1")
        per_group(self.biases, self.study.groups)

    @property
    def group_biases(self) -> tuple[GroupBias, ...]:
        """The bias of each group."""
        return per_group(self.biases, self.study.groups)

    def described(self) -> dict[str, Any]:
        """Give what the bytes of the result depend on, for the report; files by their names only."""
        values: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            if name == "biases":
                values["bias_model"] = _one_or_all([readable(bias.name) for bias in self.biases])
                values["strength"] = _one_or_all([bias.strength for bias in self.biases])
            elif name not in ("folder", "threads", "force"):
                values[name] = (
                    readable(os.path.basename(value))
                    if name in ("genome", "annotation") and value
                    else value
                )
        return values


def _one_or_all(values: list[Any]) -> Any:
    """Give a single value as it is, several as a list: a study of one bias is described as it always was."""
    return values[0] if len(values) == 1 else values


@dataclass(frozen=True, slots=True)
class SimulationRun:
    """What was made.

    Args:
        files: names of all files within the folder, in order.
        skipped: reason → transcripts from which no reads come.
        report: content of ``simulation.json``.
    """

    files: tuple[str, ...]
    skipped: dict[str, int]
    report: dict[str, Any]


def simulate(options: SimulationOptions, *, say: Say = lambda text: None) -> SimulationRun:
    """Make all files. Raises InputError; nothing is left behind then."""
    # A model file is read for each strength.
    models = [bias.model for bias in options.biases]
    with read_again(*models), _new_folder(options.folder, options.force) as folder:
        return _Simulation(options, folder, say).run()


@contextmanager
def _new_folder(target: Path, force: bool) -> Iterator[Path]:
    """Give a folder that takes the name of ``target`` at the end, or goes where anything fails."""
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


class _Simulation:
    """One run of the command."""

    def __init__(self, options: SimulationOptions, folder: Path, say: Say) -> None:
        self.options, self.folder, self.say = options, folder, say
        self.skipped: Counter[str] = Counter()

    def rng(self, *stream: int) -> np.random.Generator:
        """Give the generator of one stream of random numbers."""
        return np.random.default_rng([self.options.seed, *stream])

    def run(self) -> SimulationRun:
        """Make everything in order."""
        options = self.options
        biases = {
            bias: bias.make(self.rng(BIAS_STREAM), self.say)
            for bias in dict.fromkeys(options.biases)
        }
        genome, genes = self.genome()
        models = {
            bias: simulation.FragmentModel(
                genome, genes, options.library, made, threads=options.threads
            )
            for bias, made in biases.items()
        }
        of_group = [models[bias] for bias in options.group_biases]
        short = int((of_group[0].unbiased == 0).sum())
        if short:
            self.skipped["shorter than a fragment"] = short
        for reason, number in self.skipped.items():
            self.say(f"no reads come from {number} transcripts: {reason}")
        study = simulation.simulate_study(self.rng(_STUDY), genes, options.study)
        if options.fastq:
            simulation.write_transcripts(self.folder / "transcripts.fa", genome, genes)
        samples, columns = [], []
        for number, (name, group) in enumerate(zip(study.names, study.group, strict=True)):
            rng, model = self.rng(_SAMPLES, number), of_group[group]
            reads = simulation.simulate_reads(
                rng,
                genome,
                genes,
                study.abundance[number],
                options.library,
                model=model,
                threads=options.threads,
            )
            samples.append(self.write_sample(name, group, reads))
            columns.append(reads.truth.fpkm)
        self.write_study(genes, study, columns, samples)
        report = self.report(genome, genes, of_group, samples)
        return SimulationRun(
            tuple(sorted(path.name for path in self.folder.iterdir())), dict(self.skipped), report
        )

    def genome(self) -> tuple[simulation.Genome, simulation.GeneModels]:
        """Simulate genome and genes, or read the user's; write what others need of them."""
        options = self.options
        if options.genome is not None and options.annotation is not None:
            from counterbias.pipeline.simulate.inputs import read_gene_models, read_genome

            genome = read_genome(options.genome)
            genes, skipped = read_gene_models(options.annotation, genome)
            self.skipped.update(skipped)
        else:
            rng = self.rng(_GENOME)
            each = (
                max(60_000, options.genes * 10_000 // options.contigs)
                if options.bases is None
                else options.bases // options.contigs
            )
            lengths = {f"chr{number}": each for number in range(1, options.contigs + 1)}
            genome = simulation.simulate_genome(rng, lengths, isochore=20_000)
            genes = simulation.simulate_annotation(
                rng, lengths, options.genes, design=options.design
            )
            simulation.write_fasta(self.folder / "genome.fa", genome)
        exons = simulation.write_gtf(self.folder / "genes.gtf", genes)
        bases = sum(genome.lengths.values()) / 1e6
        self.say(
            f"{bases:.1f} Mb of genome, {len(genes.gene_ids)} genes, {len(genes.transcript_ids)} transcripts, {exons} exons"
        )
        return genome, genes

    def write_sample(self, name: str, group: int, reads: simulation.Reads) -> dict[str, Any]:
        """Write the files of one sample; give its entry in the report."""
        options, folder = self.options, self.folder
        records = 0
        for order, ending in (("pos", ".bam"), ("name", ".name.bam")):
            if options.order in (order, "both"):
                records = simulation.write_bam(
                    folder / f"{name}{ending}", reads, order=order, threads=options.threads
                )
        if options.fastq:
            ends = {1: "_1", 2: "_2"} if options.library.paired else {1: ""}
            for read, ending in ends.items():
                simulation.write_fastq(
                    folder / f"{name}{ending}.fastq.gz", reads, read=read, threads=options.threads
                )
        genes = reads.genes
        gene_of = [genes.gene_ids[gene] for gene in genes.transcript_gene.tolist()]
        simulation.write_truth(folder / f"{name}.genes.tsv", reads.truth)
        simulation.write_truth(
            folder / f"{name}.transcripts.tsv", reads.transcripts, gene_of=gene_of
        )
        starts = simulation.write_starts(
            folder / f"{name}.starts.tsv.gz", reads.starts(), threads=options.threads
        )
        fragments, mapped = (
            int(reads.truth.fragments.sum()),
            int(reads.truth.mapped_fragments.sum()),
        )
        self.say(
            f"{name}: {fragments} fragments, {mapped} of them mapped, {starts} distinct read starts"
        )
        entry = {
            "sample": name,
            "group": f"group{group + 1}",
            "fragments": fragments,
            "mapped_fragments": mapped,
        }
        if len(options.biases) > 1:
            bias = options.group_biases[group]
            entry |= {"bias_model": bias.name, "strength": bias.strength}
        return entry | {"records": records, "starts": starts}

    def write_study(
        self,
        genes: simulation.GeneModels,
        study: simulation.Study,
        columns: list[np.ndarray[Any, Any]],
        samples: list[dict[str, Any]],
    ) -> None:
        """Write samples.tsv, and truth.tsv with one column per sample and one per comparison of groups."""
        groups = range(1, self.options.study.groups)
        changes = [study.log2_fold_change[:, group] for group in groups]
        head = [
            "gene_id",
            *study.names,
            *(f"log2_fold_change_group{group + 1}" for group in groups),
        ]
        with whole_stream(self.folder / "truth.tsv") as stream:
            stream.write(("\t".join(head) + "\n").encode())
            for row, values in enumerate(zip(*columns, *changes, strict=True)):
                numbers = "\t".join(f"{value:.6g}" for value in values)
                stream.write(f"{genes.gene_ids[row]}\t{numbers}\n".encode())
        columns_of_samples = ["sample", "group", "fragments", "mapped_fragments"]
        columns_of_samples += ["bias_model", "strength"] if len(self.options.biases) > 1 else []
        with whole_stream(self.folder / "samples.tsv") as stream:
            stream.write(("\t".join(columns_of_samples) + "\n").encode())
            for entry in samples:
                cells = [entry[name] for name in columns_of_samples]
                stream.write(
                    (
                        "\t".join(
                            f"{one:g}" if isinstance(one, float) else str(one) for one in cells
                        )
                        + "\n"
                    ).encode()
                )

    def report(
        self,
        genome: simulation.Genome,
        genes: simulation.GeneModels,
        models: list[simulation.FragmentModel],
        samples: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """Write simulation.json: what was asked for and what came of it; no time, no path, no number of threads.

        ``models``: one per group.
        """
        from importlib.metadata import version

        report = {
            "counterbias_simulation": list(SCHEMA),
            "version": version("counterbias"),
            "options": self.options.described(),
            "genome": {"bases": sum(genome.lengths.values()), "contigs": len(genome.names)},
            "genes": len(genes.gene_ids),
            "transcripts": len(genes.transcript_ids),
            "skipped_transcripts": dict(self.skipped),
            "log_mean_bias": list(models[0].log_means)
            if len(self.options.biases) == 1
            else [list(one.log_means) for one in models],
            "samples": samples,
        }
        with whole_stream(self.folder / "simulation.json") as stream:
            stream.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
        return report
