"""Annotation → transcripts → which exons follow each other, for ``--bias-context transcript``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.annotation import load_annotation
from counterbias.annotation.reading import is_gtf
from counterbias.errors import InputError
from counterbias.genome import Splices, Transcripts, make_splices
from counterbias.options import AnnotationOptions
from counterbias.records import PRESENT, Features, StartSites

#: Read starts used to compare transcripts; of a larger sample, evenly spaced ones.
MOST_STARTS = 4_000_000

#: Attributes by which an exon line names its transcript.
_GTF, _GFF3 = ("gene_id", "transcript_id"), ("Parent",)
_REMEDY = "use --bias-context genome, or an annotation whose exon lines name their transcripts"


def load_transcripts(path: str) -> Transcripts:
    """Read the exon chains of transcripts.

    GTF names them by ``gene_id`` and ``transcript_id``, GFF3 by ``Parent``, which may list several.
    A file without GTF's name may be either, and may be read twice.

    Raises:
        InputError: there are no exon lines, or one does not name its transcript.
    """
    problem: InputError | None = None
    # Where the name does not show the format, as that of a pipe, the attributes do.
    for names in (_GTF,) if is_gtf(path) else (_GFF3, _GTF):
        try:
            exons = load_annotation(AnnotationOptions(path, id_attributes=names), stranded=False)
        except InputError as error:
            problem = problem or error
        else:
            return make_transcripts(exons.features, several=names == _GFF3)
    assert problem is not None
    raise InputError(
        f"--bias-context transcript needs transcripts: {problem.problem}",
        file=path,
        place=problem.place,
        remedy=_REMEDY,
    )


def make_transcripts(features: Features, *, several: bool = False) -> Transcripts:
    """Order exons into chains, one per transcript, contig and strand.

    Args:
        features: exons, named by their transcripts.
        several: whether a name may be a comma-separated list of transcripts that share the exon.
    """
    rows = np.repeat(np.arange(len(features)), np.diff(features.block_offsets))
    block = np.arange(len(rows))
    name = rows
    if several and any("," in one for one in features.ids):
        lists = [one.split(",") for one in features.ids]
        number = {
            one: i for i, one in enumerate(dict.fromkeys(one for names in lists for one in names))
        }
        copies = np.array([len(names) for names in lists])[rows]
        block = np.repeat(block, copies)
        name = np.array(
            [number[one] for row in rows.tolist() for one in lists[row]], dtype=np.int64
        )
    order = np.lexsort(
        (
            features.block_start[block],
            features.block_strand[block],
            features.block_contig[block],
            name,
        )
    )
    name, block = name[order], block[order]
    contig, strand = features.block_contig[block], features.block_strand[block]
    start, end = features.block_start[block], features.block_end[block]
    chain = np.stack((name, contig, strand))
    same = (chain[:, 1:] == chain[:, :-1]).all(axis=0)
    opens = np.flatnonzero(np.concatenate(([True], ~same)))
    # Exons that overlap the one before are shortened; indexing has copied the columns.
    inner = np.flatnonzero(same) + 1
    start[inner] = np.maximum(start[inner], end[inner - 1])
    offsets = np.concatenate((opens, [len(name)])).astype(np.int64)
    return Transcripts(
        features.contigs, contig[opens], strand[opens], offsets, start, np.maximum(start, end)
    )


def sample_splices(transcripts: Transcripts, sites: StartSites) -> Splices:
    """Choose, by the sample's read starts, the transcript that windows follow at each position."""
    number = {name: i for i, name in enumerate(sites.contigs)}
    contig_of = np.array([number.get(name, -1) for name in transcripts.contigs], dtype=np.int64)
    step = max(1, -(-len(sites) * len(sites.ends) // MOST_STARTS))
    contigs: list[NDArray[np.int32]] = []
    positions: list[NDArray[np.int64]] = []
    for end in sites.ends:
        here = (end.bits[::step] & PRESENT) != 0
        contigs.append(end.contig[::step][here])
        positions.append(end.position[::step][here].astype(np.int64))
    return make_splices(transcripts, contig_of, np.concatenate(contigs), np.concatenate(positions))
