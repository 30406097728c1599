"""The weight of a read or pair, for scripts that count reads themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from counterbias.errors import InputError
from counterbias.genome import Genome, extract
from counterbias.model_file import ModelFile, load_model
from counterbias.records import Positions

#: Start sites whose weights are cached; then the cache is emptied, so that its memory is bounded.
MOST_CACHED = 1 << 20


class Weigher:
    """The weights that ``counterbias count`` gives reads and pairs.

    ``weigher(read)`` takes a ``pysam.AlignedSegment``, an ``HTSeq.SAM_Alignment`` or a pair (a
    tuple of two, either of which may be None) and returns a float: exp(−log_bias) of the read's
    start site, capped and scaled as in the run that wrote the model, and for a pair the mean over
    its reads. A read that is clipped at its 5' end, or whose window contains an N or extends beyond
    the contig, has weight 1; unmapped reads are ignored, and a pair of them has weight 1.

    Args:
        model: a model file (``PREFIX.model``), or what ``counterbias.load_model`` returned.
        genome: the FASTA file, or a ``Genome``.
        aliases: contig name in the alignments → name in the genome, where they differ.

    Raises:
        InputError: the model or the genome cannot be read. Calls raise it where the genome lacks a
            read's contig, or for an object that is no alignment.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile,
        genome: str | os.PathLike[str] | Genome,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model if isinstance(model, ModelFile) else load_model(model)
        self.genome = (
            genome if isinstance(genome, Genome) else Genome(os.fspath(genome), aliases or {})
        )
        self._names = frozenset(self.genome.names)
        self._cached: dict[tuple[str, int, int, int], float] = {}

    def __call__(self, alignment: Any) -> float:
        """Return the weight of a read or pair."""
        reads = alignment if isinstance(alignment, tuple | list) else (alignment,)
        starts = [
            start for read in reads if read is not None and (start := _start_of(read)) is not None
        ]
        if not starts:
            return 1.0
        return sum(self._weight(*start) for start in starts) / len(starts)

    def _weight(self, contig: str, position: int, strand: int, end: int) -> float:
        """Return the weight of a start site; a position below 0 is unknown."""
        if position < 0:
            return 1.0
        key = (contig, position, strand, end)
        if key not in self._cached:
            if len(self._cached) >= MOST_CACHED:
                self._cached.clear()
            self._cached[key] = self._weight_of_window(contig, position, strand, end)
        return self._cached[key]

    def _weight_of_window(self, contig: str, position: int, strand: int, end: int) -> float:
        site = Positions(
            np.zeros(1, np.int32),
            np.array([position], np.int64),
            np.array([strand], np.uint8),
            np.ones(1),
        )
        contexts, valid = extract(self.genome, (contig,), site, self.model.window)
        if not valid[0]:
            return 1.0
        log_bias = self.model.end(end).log_bias(contexts)
        return float(self.model.weights(log_bias)[0])


def _start_of(read: Any) -> tuple[str, int, int, int] | None:
    """Return contig, 5' position, strand and end of a mapped read; None for an unmapped one.

    The position is -1 where the read is clipped there; the end is 0 for read 1, 1 for read 2.
    """
    if hasattr(read, "reference_start"):
        return _pysam_start(read)
    if hasattr(read, "iv") and hasattr(read, "cigar"):
        return _htseq_start(read)
    raise InputError(
        f"a {type(read).__name__} cannot be weighed",
        remedy="give a pysam.AlignedSegment, an HTSeq.SAM_Alignment or a tuple of two of them",
    )


def _pysam_start(read: Any) -> tuple[str, int, int, int] | None:
    operations = read.cigartuples
    if read.is_unmapped or read.reference_name is None or not operations:
        return None
    end = int(read.is_read2 and not read.is_read1)
    if read.is_reverse:
        clipped, position = operations[-1][0] in (4, 5), read.reference_end - 1
    else:
        clipped, position = operations[0][0] in (4, 5), read.reference_start
    return read.reference_name, -1 if clipped else position, int(read.is_reverse), end


def _htseq_start(read: Any) -> tuple[str, int, int, int] | None:
    if not read.aligned or not read.cigar:
        return None
    reverse = read.iv.strand == "-"
    clipped = read.cigar[-1 if reverse else 0].type in ("S", "H")
    position = read.iv.end - 1 if reverse else read.iv.start
    return read.iv.chrom, -1 if clipped else position, int(reverse), int(read.pe_which == "second")
