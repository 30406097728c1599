"""The tools that `peers.py` compares, and the simulated reads that all of them are given."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import estimates as est
import numpy as np
import reporting as rep
from numpy.typing import NDArray
from quantifiers import (
    CORRECTS,
    Command,
    kallisto_index,
    kallisto_quant,
    run,
    salmon_index,
    salmon_quant,
)
from simulated import World, write_world

from counterbias import InputError, simulation
from counterbias.options import LENGTHS, NONE

UNION, TRANSCRIPTS = LENGTHS
READ_LENGTH = 75

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reads:
    """One simulated sample and all input files of the tools.

    Args:
        folder: the folder of all files.
        sample: BAM, GTF and FASTA files for counting.
        truth, transcript_truth: the truth for each gene and for each transcript.
        transcript_gene: transcript → gene.
        paired: whether both ends of a fragment are sequenced.
    """

    folder: Path
    sample: est.Sample
    truth: simulation.Truth
    transcript_truth: simulation.Truth
    transcript_gene: dict[str, str]
    paired: bool = True

    @property
    def mates(self) -> list[Path]:
        """The FASTQ files: two of pairs, one of single-end reads."""
        return [
            self.folder / f"reads_{number}.fastq.gz" for number in ((1, 2) if self.paired else (1,))
        ]

    @property
    def transcript_row(self) -> NDArray[np.int64]:
        """The row of each transcript's gene in ``truth``, int64 (transcripts,)."""
        row = {gene: number for number, gene in enumerate(self.truth.ids)}
        return np.array([row[self.transcript_gene[name]] for name in self.transcript_truth.ids])


@dataclass(frozen=True)
class Isoforms:
    """The estimates of a tool for each transcript, float64, in the order of the truth.

    Args:
        molecules: on any scale.
        counts: fragments of the transcript.
        count_error: standard error of ``counts``; None if the tool reports none.
        percent_error: that of the transcript's share of its gene's molecules, percentage points.
    """

    molecules: Floats
    counts: Floats
    count_error: Floats | None = None
    percent_error: Floats | None = None


@dataclass(frozen=True)
class Estimate:
    """The estimates of a tool for each gene, in the order of the truth.

    Args:
        fragments, molecules: on any scale; None if the tool does not estimate them.
        seconds: wall time.
        isoforms: the estimates for transcripts, if it has any.
    """

    fragments: Floats | None
    molecules: Floats
    seconds: float
    isoforms: Isoforms | None = None


# -- input files -----------------------------------------------------------------------------------


def draw_reads(world: World, arguments: argparse.Namespace, biased: bool, folder: Path) -> Reads:
    """Draw a sample and write it in the formats that the tools read."""
    write_world(world, folder)
    rng = np.random.default_rng([world.seed, 5, biased])
    library = simulation.Library(
        arguments.pairs, read_length=READ_LENGTH, error_rate=0.002, paired=not arguments.single
    )
    reads = simulation.simulate_reads(
        rng, world.genome, world.genes, world.abundance, library, world.bias if biased else None
    )
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    simulation.write_transcripts(folder / "transcripts.fa", world.genome, world.genes)
    genes = world.genes
    owner = {
        name: genes.gene_ids[int(genes.transcript_gene[number])]
        for number, name in enumerate(genes.transcript_ids)
    }
    sample = est.Sample(folder / "reads.bam", folder / "genes.gtf", folder / "genome.fa")
    found = Reads(folder, sample, reads.truth, reads.transcript_truth, owner, paired=library.paired)
    for number, path in enumerate(found.mates, start=1):
        simulation.write_fastq(path, reads, read=number, level=1)
    return found


# -- quantifiers of transcripts --------------------------------------------------------------------


def salmon(reads: Reads, arguments: argparse.Namespace) -> dict[str, Estimate]:
    """Run salmon without and with --seqBias."""
    index = reads.folder / "salmon_index"
    run(salmon_index(reads.folder / "transcripts.fa", index, arguments.threads))
    columns = ("Name", "TPM", "EffectiveLength", "NumReads")
    return _twice("salmon", salmon_quant, ("quant.sf", *columns), reads, arguments)


def kallisto(reads: Reads, arguments: argparse.Namespace) -> dict[str, Estimate]:
    """Run kallisto without and with --bias."""
    run(kallisto_index(reads.folder / "transcripts.fa", reads.folder / "kallisto_index"))
    columns = ("target_id", "tpm", "eff_length", "est_counts")
    return _twice("kallisto", kallisto_quant, ("abundance.tsv", *columns), reads, arguments)


def _twice(
    program: str,
    quant: Callable[..., Command],
    output: Sequence[str],
    reads: Reads,
    arguments: argparse.Namespace,
) -> dict[str, Estimate]:
    """Run a quantifier without and with its correction of bias, and sum transcripts to genes.

    Args:
        program: its name.
        quant: builds its command line.
        output: the file that it writes, and the columns of names, TPM, effective lengths and
            fragments in it.
        reads: the sample.
        arguments: options of the script.
    """
    file, name, tpm, length, fragments = output
    assumed = None if reads.paired else arguments.fragment_length
    found: dict[str, Estimate] = {}
    effective: Floats | None = None
    for corrects in (False, True):
        tool = f"{program} {CORRECTS[program]}" if corrects else program
        folder = reads.folder / tool.replace(" ", "")
        options = {"corrects": corrects, "lengths": assumed, "threads": arguments.threads}
        seconds = run(quant(reads.folder / f"{program}_index", reads.mates, folder, **options))
        table = est.read_table(folder / file)
        known = {
            column: in_truth_order(table[name], reads, np.array(table[column], np.float64))
            for column in (tpm, length, fragments)
        }
        effective = known[length] if effective is None else effective
        isoforms = Isoforms(known[tpm], known[fragments])
        found[tool] = gene_level(reads, isoforms, effective, seconds)
    return found


def in_truth_order(names: Sequence[str], reads: Reads, values: Floats) -> Floats:
    """Reorder the values of transcripts to match the truth; 0 for those without a value."""
    return est.in_order(names, reads.transcript_truth.ids, values)


def gene_level(reads: Reads, isoforms: Isoforms, effective: Floats, seconds: float) -> Estimate:
    """Sum transcripts to genes.

    Molecules: the sum of TPM. Fragments: the sum of TPM × the transcript's effective length in the
    run *without* bias correction, which is what the transcript would have yielded without bias
    (tximport's lengthScaledTPM, transcript by transcript).
    """
    row, genes = reads.transcript_row, len(reads.truth.ids)
    molecules = np.bincount(row, isoforms.molecules, minlength=genes)
    fragments = np.bincount(row, isoforms.molecules * effective, minlength=genes)
    return Estimate(fragments, molecules, seconds, isoforms)


# -- counterbias -----------------------------------------------------------------------------------


def counterbias(reads: Reads, arguments: argparse.Namespace, seed: int) -> dict[str, Estimate]:
    """Count, raw and with every model, with each kind of effective lengths.

    Molecules are counts per effective length. Fragments are molecules × the effective length
    *without* bias, as for the quantifiers; with ``union``, that is the length, and fragments are
    the column ``corrected``. Without a model, ``union`` is ``raw``.
    """
    raw: dict[str, Estimate] = {}
    found: dict[str, Estimate] = {}
    union = reads.truth.length.astype(np.float64)
    for lengths in arguments.lengths:
        without_bias = union if lengths == UNION else None
        for model in arguments.models if lengths == UNION else (NONE, *arguments.models):
            try:
                counted = _count(reads, arguments, model, lengths, seed)
            except InputError as problem:
                rep.log(f"{model}, {lengths}: not measured: {problem}")
                continue
            if model == NONE:
                without_bias = _of_genes(reads, counted, counted.columns["effective_length"])
            raw.setdefault("raw", _estimate(reads, counted, "raw", union))
            if lengths == UNION:  # weights are the same with other lengths
                found[f"weighted, {model}"] = _estimate(reads, counted, "weighted", union)
            label = model if model == NONE else f"corrected, {model}"
            label += "" if lengths == UNION else f", {lengths}"
            found[label] = _estimate(reads, counted, "corrected", without_bias)
    return raw | found


def _estimate(
    reads: Reads, counted: est.Counted, column: str, without_bias: Floats | None
) -> Estimate:
    """Return what a column of the table estimates.

    ``without_bias`` are effective lengths, float64 (genes,); None if they are not known.
    """
    molecules = _of_genes(reads, counted, counted.density(column))
    fragments = None if without_bias is None else molecules * without_bias
    isoforms = _isoforms(reads, counted) if column == "corrected" else None
    return Estimate(fragments, molecules, counted.seconds, isoforms)


def _count(
    reads: Reads, arguments: argparse.Namespace, model: str, lengths: str, seed: int
) -> est.Counted:
    """Count with one model and one kind of lengths."""
    training = est.Training(
        seed=seed,
        threads=arguments.threads,
        lengths=lengths,
        fragment_length=None if reads.paired else arguments.fragment_length,
    )
    return est.count_with(reads.sample, model, training)


def _of_genes(reads: Reads, counted: est.Counted, values: Floats) -> Floats:
    return est.in_order(counted.ids, reads.truth.ids, values)


def _isoforms(reads: Reads, counted: est.Counted) -> Isoforms | None:
    """Return the estimates for transcripts, NaN where their gene fell back to its union."""
    record = counted.isoforms
    if record is None:
        return None
    columns = ("tpm", "expected_count", "expected_count_se", "iso_pct_se")
    known = set(record.ids)
    missing = np.array([name not in known for name in reads.transcript_truth.ids])
    found = []
    for column in columns:
        values = in_truth_order(record.ids, reads, np.asarray(getattr(record, column), np.float64))
        found.append(np.where(missing, np.nan, values))
    return Isoforms(*found)
