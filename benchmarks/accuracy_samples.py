"""The real data sets of `accuracy.py`, and the log bias that seqbias predicted for one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from shared import data_folder

from counterbias.annotation import load_annotation
from counterbias.genome import Genome
from counterbias.options import AnnotationOptions, CountingOptions
from counterbias.pipeline.compare.evaluation import FoldSample, fold_sample
from counterbias.pipeline.counting import count_alignments
from counterbias.records import (
    CLIPPED,
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Positions,
    StartSites,
)

#: Name → folder and alignment file of the real data sets.
DATASETS = {
    "fly": ("fly_pasilla_chr4", "reads.bam"),
    "isowt5": ("yeast", "isowt5.bam"),
    "isowt6": ("yeast", "isowt6.bam"),
    "rlp5": ("yeast", "rlp5.bam"),
    "unbiased": ("yeast", "unbiased.bam"),
}
#: The log bias that the R package seqbias predicted for held-out positions of ``fly``.
SEQBIAS_FILE = "seqbias_heldout_log_bias.npz"


def load_sample(name: str, reads: str) -> FoldSample:
    """Read a real data set.

    ``reads``: ``unique`` for all uniquely aligned reads, ``assigned`` for those counted for a
    feature.
    """
    folder, file = DATASETS[name]
    root = data_folder() / folder
    gtf = str(root / "genes.gtf")
    genes = load_annotation(AnnotationOptions(gtf), stranded=False)
    by_transcript = AnnotationOptions(gtf, id_attributes=("gene_id", "transcript_id"))
    transcripts = load_annotation(by_transcript, stranded=False)
    if reads == "assigned":
        sites = count_alignments(
            str(root / file), genes, CountingOptions(order="pos", stranded="no"), want_sites=True
        ).sites
        assert sites is not None
    else:
        sites = uniquely_aligned(root / file)
    return fold_sample(sites, genes.features, transcripts.features, Genome(str(root / "genome.fa")))


def uniquely_aligned(path: Path) -> StartSites:
    """Return the start of every primary alignment with NH 1, in a feature or not."""
    import pysam

    rows = []
    with pysam.AlignmentFile(str(path)) as file:
        contigs, lengths = file.references, file.lengths
        for read in file:
            if (
                read.is_unmapped
                or read.is_secondary
                or read.is_supplementary
                or (read.has_tag("NH") and read.get_tag("NH") != 1)
            ):
                continue
            reverse = read.is_reverse
            clipped = read.cigartuples[-1 if reverse else 0][0] in (4, 5)
            bits = PRESENT | (REVERSE if reverse else 0) | (CLIPPED if clipped else TRAINABLE)
            rows.append(
                (
                    read.reference_id,
                    read.reference_end - 1 if reverse else read.reference_start,
                    bits,
                )
            )
    table = np.array(rows, np.int64).reshape(-1, 3)
    end = EndSites(
        table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2].astype(np.uint8)
    )
    return StartSites(tuple(contigs), tuple(lengths), np.zeros(len(table), np.int32), None, (end,))


def seqbias_scores(sample: FoldSample) -> Callable[[Positions], np.ndarray]:
    """Return a function that looks up positions of ``fly`` in the stored log bias of seqbias."""
    folder = data_folder() / DATASETS["fly"][0]
    stored = np.load(folder / SEQBIAS_FILE)["log_bias"].astype(np.float64)
    contig = sample.sites.contigs.index("chr4")

    def look_up(positions: Positions) -> np.ndarray:
        known = (positions.contig == contig) & (positions.position < stored.shape[1])
        return np.where(
            known,
            stored[positions.strand, np.minimum(positions.position, stored.shape[1] - 1)],
            np.nan,
        )

    return look_up
