"""The files of ``counterbias simulate``, as docs/reference/simulate.md describes them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import simulation
from counterbias.files import readable, whole_stream
from counterbias.pipeline.simulate.reference import Reference
from counterbias.simulation_options import SimulationOptions

#: Version of ``simulation.json``: major, minor.
SCHEMA = (1, 0)
#: Options on which no byte of the result depends.
_UNREPORTED = ("folder", "threads", "force")


class OutputFolder:
    """Writes all files into one folder.

    Args:
        path: the folder.
        options: which files are wanted, and what they report.
    """

    def __init__(self, path: Path, options: SimulationOptions) -> None:
        self.path, self.options = path, options

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files in the folder, sorted."""
        return tuple(sorted(path.name for path in self.path.iterdir()))

    def write_reference(self, reference: Reference) -> int:
        """Write the simulated genome, the genes and, for FASTQ files, the transcripts.

        Returns:
            The number of exon lines.
        """
        if reference.simulated:
            simulation.write_fasta(self.path / "genome.fa", reference.genome)
        if self.options.fastq:
            path = self.path / "transcripts.fa"
            simulation.write_transcripts(path, reference.genome, reference.genes)
        return simulation.write_gtf(self.path / "genes.gtf", reference.genes)

    def write_sample(self, name: str, group: int, reads: simulation.Reads) -> dict[str, Any]:
        """Write the files of one sample; return its entry in the report."""
        records = self._write_alignments(name, reads)
        if self.options.fastq:
            self._write_fastq(name, reads)
        genes, path = reads.genes, self.path / f"{name}.transcripts.tsv"
        gene_of = [genes.gene_ids[gene] for gene in genes.transcript_gene.tolist()]
        simulation.write_truth(self.path / f"{name}.genes.tsv", reads.truth)
        simulation.write_truth(path, reads.transcript_truth, gene_of=gene_of)
        starts = simulation.write_starts(
            self.path / f"{name}.starts.tsv.gz", reads.starts(), threads=self.options.threads
        )
        entry = {
            "sample": name,
            "group": f"group{group + 1}",
            "fragments": int(reads.truth.fragments.sum()),
            "mapped_fragments": int(reads.truth.mapped_fragments.sum()),
        }
        if self.options.groups_differ_in_bias:
            bias = self.options.group_biases[group]
            entry |= {"bias_model": bias.name, "strength": bias.strength}
        return entry | {"records": records, "starts": starts}

    def _write_alignments(self, name: str, reads: simulation.Reads) -> int:
        """Write one BAM file, or one of each order; return the number of records."""
        records = 0
        for order, ending in (("pos", ".bam"), ("name", ".name.bam")):
            if self.options.order in (order, "both"):
                path = self.path / f"{name}{ending}"
                records = simulation.write_bam(
                    path, reads, order=order, threads=self.options.threads
                )
        return records

    def _write_fastq(self, name: str, reads: simulation.Reads) -> None:
        """Write one FASTQ file for each read of a fragment."""
        ends = {1: "_1", 2: "_2"} if self.options.library.paired else {1: ""}
        for read, ending in ends.items():
            path = self.path / f"{name}{ending}.fastq.gz"
            simulation.write_fastq(path, reads, read=read, threads=self.options.threads)

    def write_truth(
        self,
        gene_ids: Sequence[str],
        study: simulation.Study,
        fpkm: Sequence[NDArray[np.float64]],
    ) -> None:
        """Write truth.tsv: the ``fpkm`` of each sample, and what differs between groups.

        That is the planned log2 fold changes and, in a study in which genes switch, which do.
        """
        groups = range(1, self.options.study.groups)
        differences = {"log2_fold_change": study.log2_fold_change}
        if self.options.study.switched:
            differences["switched"] = study.switched.astype(np.float64)
        head = ["gene_id", *study.names]
        head += [f"{name}_group{group + 1}" for name in differences for group in groups]
        columns = [values[:, group] for values in differences.values() for group in groups]
        rows = zip(*fpkm, *columns, strict=True)
        self._write_table(
            "truth.tsv",
            head,
            (
                [gene_id, *(f"{value:.6g}" for value in values)]
                for gene_id, values in zip(gene_ids, rows, strict=True)
            ),
        )

    def write_samples(self, samples: Sequence[dict[str, Any]]) -> None:
        """Write samples.tsv."""
        columns = ["sample", "group", "fragments", "mapped_fragments"]
        if self.options.groups_differ_in_bias:
            columns += ["bias_model", "strength"]
        rows = ([_cell(entry[column]) for column in columns] for entry in samples)
        self._write_table("samples.tsv", columns, rows)

    def _write_table(
        self, name: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
    ) -> None:
        """Write a table as TSV."""
        with whole_stream(self.path / name) as stream:
            for cells in (columns, *rows):
                stream.write(("\t".join(cells) + "\n").encode())

    def write_report(
        self,
        reference: Reference,
        skipped: dict[str, int],
        log_means: Sequence[tuple[float, float]],
        samples: Sequence[dict[str, Any]],
    ) -> dict[str, Any]:
        """Write simulation.json and return its content: no time, no folder, no number of threads.

        Args:
            reference: genome and genes.
            skipped: reason → transcripts that no reads come from.
            log_means: log mean bias of reads 1 and 2, for each group.
            samples: entries of the samples.
        """
        means = [list(means) for means in log_means]
        genome, genes = reference.genome, reference.genes
        report = {
            "counterbias_simulation": list(SCHEMA),
            "version": version("counterbias"),
            "options": _reported(self.options),
            "genome": {"bases": sum(genome.lengths.values()), "contigs": len(genome.names)},
            "genes": len(genes.gene_ids),
            "transcripts": len(genes.transcript_ids),
            "skipped_transcripts": skipped,
            "log_mean_bias": means if self.options.groups_differ_in_bias else means[0],
            "samples": list(samples),
        }
        with whole_stream(self.path / "simulation.json") as stream:
            stream.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
        return report


def _reported(options: SimulationOptions) -> dict[str, Any]:
    """Return the options that the result depends on, for the report; files without folders."""
    values: dict[str, Any] = {}
    for name, value in dataclasses.asdict(options).items():
        if name == "biases":
            values["bias_model"] = _one_or_all([readable(bias.name) for bias in options.biases])
            values["strength"] = _one_or_all([bias.strength for bias in options.biases])
        elif name in ("genome", "annotation") and value:
            values[name] = readable(os.path.basename(value))
        elif name not in _UNREPORTED:
            values[name] = value
    if not options.study.switched:
        del values["study"]["switched"]  # such a study has the report it had before there was any
    return values


def _one_or_all(values: list[Any]) -> Any:
    """Return a single value as it is, several as a list."""
    return values[0] if len(values) == 1 else values


def _cell(value: object) -> str:
    """Return a value as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)
