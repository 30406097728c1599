"""The truth about a simulated sample, and its tables.

Of each gene and transcript: abundance, expected and drawn fragments. Of each read start: log bias.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_stream
from counterbias.simulation.compression import write_compressed
from counterbias.simulation.fragments import FragmentModel

#: Columns of the tables of genes and of transcripts, after the identifiers.
_COLUMNS = (
    "length",
    "abundance",
    "expected_fragments",
    "unbiased_fragments",
    "mean_bias",
    "fragments",
    "mapped_fragments",
    "fpkm",
)
_START_COLUMNS = ("contig", "position", "strand", "reads", "log_bias")
#: Read starts formatted at a time.
_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth about genes or about transcripts, one row each.

    Args:
        ids: identifiers.
        length: int64, bases of the transcript, or of the union of the gene's exons.
        abundance: float64, molecules per million.
        expected_fragments: float64, expected under bias and GC effect; sum to the fragments drawn.
        unbiased_fragments: float64, expected without bias and GC effect: what a count
            corrected for bias alone should find.
        mean_bias: float64, ``expected_fragments`` over ``unbiased_fragments``; its mean, weighted
            by the latter, is 1.
        fragments: int64, drawn, including duplicates.
        mapped_fragments: int64, those of them with a mapped read.
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
        """The identifiers, where the rows are genes."""
        return self.ids

    @property
    def fpkm(self) -> NDArray[np.float64]:
        """Unbiased fragments per kilobase and million, float64 (rows,)."""
        total = max(1.0, float(self.unbiased_fragments.sum()))
        return np.asarray(1e9 * self.unbiased_fragments / (self.length * total), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Starts:
    """Where the primary alignments of mapped reads start, sorted by contig, position and strand.

    Args:
        contigs: contig names.
        contig: int32 (n,), row in ``contigs``.
        position: int64 (n,), 0-based.
        strand: uint8 (n,), 0 ``+``, 1 ``-``.
        reads: int64 (n,), number of reads that start there.
        log_bias: float64 (n,), log of the mean bias of these reads, nats.
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
        """Group the starts of single reads, which may be in any order."""
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
    model: FragmentModel,
    abundance: NDArray[np.float64],
    fragments: NDArray[np.int64],
    mapped: NDArray[np.int64],
) -> Truth:
    """Return the truth about transcripts: their weights, scaled to the fragments drawn.

    Args:
        model: the weights of fragments.
        abundance: float64 (transcripts,).
        fragments, mapped: int64 (transcripts,), fragments drawn, and those with a mapped read.
    """
    biased, unbiased = abundance * model.weights, abundance * model.unbiased
    drawn, scale = fragments.sum(), unbiased.sum() / biased.sum()
    return Truth(
        model.genes.transcript_ids,
        model.genes.transcript_lengths,
        abundance,
        biased * drawn / biased.sum(),
        unbiased * drawn / unbiased.sum(),
        _mean_bias(biased * scale, unbiased),
        fragments,
        mapped,
    )


def gene_truth(
    model: FragmentModel,
    abundance: NDArray[np.float64],
    fragments: NDArray[np.int64],
    mapped: NDArray[np.int64],
) -> Truth:
    """Return the truth about genes, the sums over their transcripts.

    The arguments are those of :func:`transcript_truth`.
    """
    genes = model.genes

    def per_gene(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(genes.transcript_gene, values, minlength=len(genes.gene_ids))
        return sums.astype(np.float64)

    drawn = per_gene(fragments.astype(np.float64))
    biased, unbiased = per_gene(abundance * model.weights), per_gene(abundance * model.unbiased)
    expected = biased * drawn.sum() / biased.sum()
    without_bias = unbiased * drawn.sum() / unbiased.sum()
    return Truth(
        genes.gene_ids,
        genes.gene_lengths,
        per_gene(abundance),
        expected,
        without_bias,
        _mean_bias(expected, without_bias),
        drawn.astype(np.int64),
        per_gene(mapped.astype(np.float64)).astype(np.int64),
    )


def _mean_bias(biased: NDArray[np.float64], unbiased: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio; 1 where no fragment is possible."""
    ratio = np.divide(biased, unbiased, out=np.ones(len(unbiased)), where=unbiased > 0)
    return np.asarray(ratio, dtype=np.float64)


def write_truth(
    path: str | os.PathLike[str], truth: Truth, *, gene_of: Sequence[str] | None = None
) -> None:
    """Write the truth as TSV: the fields of :class:`Truth` and ``fpkm``, one row per gene.

    If ``gene_of`` names the gene of each row, the rows are transcripts and have both identifiers.
    """
    head = ("gene_id",) if gene_of is None else ("transcript_id", "gene_id")
    with whole_stream(path) as stream:
        stream.write(("\t".join((*head, *_COLUMNS)) + "\n").encode())
        columns = [getattr(truth, column).tolist() for column in _COLUMNS]
        for row, values in enumerate(zip(*columns, strict=True)):
            names = (truth.ids[row],) if gene_of is None else (truth.ids[row], gene_of[row])
            cells = (f"{value:.6g}" if isinstance(value, float) else str(value) for value in values)
            stream.write(("\t".join((*names, *cells)) + "\n").encode())


def write_starts(path: str | os.PathLike[str], starts: Starts, *, threads: int = 1) -> int:
    """Write read starts as TSV compressed by BGZF; return the number of rows.

    Positions count from 1.
    """
    write_compressed(path, _start_lines(starts), threads=threads)
    return len(starts.reads)


def _start_lines(starts: Starts) -> Iterator[bytes]:
    """Yield the lines of many read starts at a time."""
    yield ("\t".join(_START_COLUMNS) + "\n").encode()
    for first in range(0, len(starts.reads), _ROWS):
        rows = slice(first, first + _ROWS)
        names = [starts.contigs[contig] for contig in starts.contig[rows].tolist()]
        values = zip(
            names,
            (starts.position[rows] + 1).tolist(),
            starts.strand[rows].tolist(),
            starts.reads[rows].tolist(),
            starts.log_bias[rows].tolist(),
            strict=True,
        )
        lines = [
            f"{name}\t{position}\t{'+-'[strand]}\t{reads}\t{bias:.4f}\n"
            for name, position, strand, reads, bias in values
        ]
        yield "".join(lines).encode()
