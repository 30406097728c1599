"""What is known of a simulated sample: abundance, expected and drawn fragments, and the log bias of each read start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_stream
from counterbias.simulation.compression import write_compressed
from counterbias.simulation.genes import GeneModels

#: Columns of the tables of genes and of transcripts, after the identifiers.
COLUMNS = (
    "length",
    "abundance",
    "expected_fragments",
    "unbiased_fragments",
    "mean_bias",
    "fragments",
    "mapped_fragments",
    "fpkm",
)
START_COLUMNS = ("contig", "position", "strand", "reads", "log_bias")
_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of each gene, or of each transcript, one row for each.

    Args:
        ids: identifiers.
        length: int64, bases of the transcript, or of the union of a gene's exons.
        abundance: float64, molecules per million.
        expected_fragments: float64, expected under the bias; they sum to the fragments drawn.
        unbiased_fragments: float64, the same had there been no bias: what a corrected count should find.
        mean_bias: float64, the first over the second: 1 on average over the fragments without bias.
        fragments: int64, drawn, duplicates included.
        mapped_fragments: int64, of these, fragments with a mapped read.
    """

    ids: tuple[str, ...]
    length: NDArray[np.int64]
    abundance: NDArray[np.float64]
    expected_fragments: NDArray[np.float64]
    unbiased_fragments: NDArray[np.float64]
    mean_bias: NDArray[np.float64]
    fragments: NDArray[np.int64]
    mapped_fragments: NDArray[np.int64]

    @property
    def gene_ids(self) -> tuple[str, ...]:
        """Identifiers of genes."""
        return self.ids

    @property
    def fpkm(self) -> NDArray[np.float64]:
        """Fragments per kilobase and million had there been no bias, float64 (rows,)."""
        total = max(1.0, float(self.unbiased_fragments.sum()))
        return np.asarray(1e9 * self.unbiased_fragments / (self.length * total), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Starts:
    """Positions at which mapped reads of primary alignments start, by contig, position and strand.

    Args:
        contigs: contig names.
        contig: int32 (n,). position: int64 (n,), 0-based. strand: uint8 (n,), 0 ``+``, 1 ``-``.
        reads: int64 (n,), reads that start there.
        log_bias: float64 (n,), nats: log of the mean bias of these reads.
    """

    contigs: tuple[str, ...]
    contig: NDArray[np.int32]
    position: NDArray[np.int64]
    strand: NDArray[np.uint8]
    reads: NDArray[np.int64]
    log_bias: NDArray[np.float64]

    @classmethod
    def collect(
        cls,
        contigs: tuple[str, ...],
        contig: NDArray[np.int32],
        position: NDArray[np.int64],
        strand: NDArray[np.uint8],
        log_bias: NDArray[np.float32],
    ) -> Starts:
        """Group the starts of single reads, any order."""
        keys = contig.astype(np.int64) << 40 | position << 1 | strand
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = (
            np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
            if len(keys)
            else np.zeros(0, np.int64)
        )
        reads = np.diff(np.append(first, len(keys)))
        bias = np.exp(log_bias[order].astype(np.float64))
        mean = np.add.reduceat(bias, first) / reads if len(first) else np.zeros(0)
        keys = keys[first]
        place = (keys >> 1) & ((1 << 39) - 1)
        return cls(
            contigs,
            (keys >> 40).astype(np.int32),
            place,
            (keys & 1).astype(np.uint8),
            reads.astype(np.int64),
            np.log(mean),
        )


def transcript_truth(
    genes: GeneModels,
    abundance: NDArray[np.float64],
    weights: NDArray[np.float64],
    unbiased: NDArray[np.float64],
    fragments: NDArray[np.int64],
    mapped: NDArray[np.int64],
) -> Truth:
    """Scale the weights of transcripts to the number of fragments drawn."""
    biased, plain, drawn = abundance * weights, abundance * unbiased, fragments.sum()
    expected, without = biased * drawn / biased.sum(), plain * drawn / plain.sum()
    lengths = genes.transcript_lengths
    return Truth(
        genes.transcript_ids,
        lengths,
        abundance,
        expected,
        without,
        _ratio(biased, plain),
        fragments,
        mapped,
    )


def gene_truth(
    genes: GeneModels,
    abundance: NDArray[np.float64],
    weights: NDArray[np.float64],
    unbiased: NDArray[np.float64],
    fragments: NDArray[np.int64],
    mapped: NDArray[np.int64],
) -> Truth:
    """Sum transcripts to genes and scale to the number of fragments drawn."""

    def per_gene(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(genes.transcript_gene, values, minlength=len(genes.gene_ids)).astype(
            np.float64
        )

    drawn, placed = per_gene(fragments.astype(np.float64)), per_gene(mapped.astype(np.float64))
    biased, plain = per_gene(abundance * weights), per_gene(abundance * unbiased)
    expected, without = biased * drawn.sum() / biased.sum(), plain * drawn.sum() / plain.sum()
    bias = np.divide(expected, without, out=np.ones(len(plain)), where=without > 0)
    return Truth(
        genes.gene_ids,
        genes.gene_lengths,
        per_gene(abundance),
        expected,
        without,
        bias,
        drawn.astype(np.int64),
        placed.astype(np.int64),
    )


def _ratio(biased: NDArray[np.float64], plain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the mean bias: 1 where there is nothing to tell it from."""
    scale = plain.sum() / biased.sum()
    return np.asarray(
        np.divide(biased * scale, plain, out=np.ones(len(plain)), where=plain > 0), dtype=np.float64
    )


def write_truth(
    path: str | os.PathLike[str], truth: Truth, *, gene_of: Sequence[str] | None = None
) -> None:
    """Write the truth as TSV: one row per gene, the fields of :class:`Truth` and ``fpkm`` as columns.

    With ``gene_of``, the gene of each row, the rows are transcripts and have both identifiers.
    """
    head = ("gene_id",) if gene_of is None else ("transcript_id", "gene_id")
    with whole_stream(path) as stream:
        stream.write(("\t".join((*head, *COLUMNS)) + "\n").encode())
        columns = [getattr(truth, column).tolist() for column in COLUMNS]
        for row, values in enumerate(zip(*columns, strict=True)):
            names = (truth.ids[row],) if gene_of is None else (truth.ids[row], gene_of[row])
            cells = (f"{value:.6g}" if isinstance(value, float) else str(value) for value in values)
            stream.write(("\t".join((*names, *cells)) + "\n").encode())


def write_starts(path: str | os.PathLike[str], starts: Starts, *, threads: int = 1) -> int:
    """Write read starts as TSV compressed by BGZF (which gzip reads); give the number of rows. Positions count from 1."""
    write_compressed(path, _start_lines(starts), threads=threads)
    return len(starts.reads)


def _start_lines(starts: Starts) -> Iterator[bytes]:
    """Give the lines in pieces."""
    yield ("\t".join(START_COLUMNS) + "\n").encode()
    for first in range(0, len(starts.reads), _ROWS):
        rows = slice(first, first + _ROWS)
        names = [starts.contigs[contig] for contig in starts.contig[rows].tolist()]
        places, strands = (starts.position[rows] + 1).tolist(), starts.strand[rows].tolist()
        values = zip(
            names,
            places,
            strands,
            starts.reads[rows].tolist(),
            starts.log_bias[rows].tolist(),
            strict=True,
        )
        yield "".join(
            [
                f"{name}\t{place}\t{'+-'[strand]}\t{reads}\t{bias:.4f}\n"
                for name, place, strand, reads, bias in values
            ]
        ).encode()
