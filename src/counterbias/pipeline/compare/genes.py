"""The genes of ``--genes``: from what users write to exons on one strand of one contig."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.annotation import load_annotation
from counterbias.errors import InputError
from counterbias.options import AnnotationOptions
from counterbias.pipeline.inputs import RunInputs
from counterbias.records import Features, FeatureTranscripts

#: How alike an identifier must be to be suggested instead of an unknown one, 0 to 1.
_ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class Gene:
    """A feature along which read starts are drawn.

    *Places* are those of all its exons, merged and laid end to end, in genome order.

    Args:
        name: the identifier that the user wrote: the feature's, or that of a transcript.
        feature: its index.
        identifier: its identifier.
        contig: its contig's name, as the alignments call it.
        reverse: whether it lies on the - strand.
        positions: int64 (places,), the genome position of each place, ascending.
        transcripts: identifier → its exons' places, int64 (runs of places, 2), half open,
            ascending; only the one that the user named, if that was a transcript; empty where the
            annotation names none.
    """

    name: str
    feature: int
    identifier: str
    contig: str
    reverse: bool
    positions: NDArray[np.int64]
    transcripts: dict[str, NDArray[np.int64]]


def find_genes(names: Sequence[str], inputs: RunInputs) -> tuple[Gene, ...]:
    """Find the features and transcripts that the user named.

    Raises:
        InputError: there is none of that name, or it lies on several contigs or strands.
    """
    if not names:
        return ()
    annotation = inputs.options.annotation
    # Read again: transcripts are not needed for anything else, as lengths are those of unions.
    chains = load_annotation(
        annotation, stranded=inputs.options.counting.stranded != "no", transcripts=True
    ).transcripts
    assert chains is not None
    return tuple(_find(name, inputs.annotation.features, chains, annotation) for name in names)


def _find(
    name: str, features: Features, chains: FeatureTranscripts, options: AnnotationOptions
) -> Gene:
    """Find one feature, or else one transcript."""
    if name in features.ids:
        feature = features.ids.index(name)
        first, last = (int(chains.offsets[feature + side]) for side in (0, 1))
    elif name in chains.ids:
        first = chains.ids.index(name)
        last = first + 1
        feature = int(np.searchsorted(chains.offsets, first, side="right")) - 1
    else:
        raise InputError(
            f"--genes: the annotation has no feature or transcript '{name}'",
            file=options.path,
            remedy=_hint(name, features, chains, options),
        )
    rows = slice(int(features.block_offsets[feature]), int(features.block_offsets[feature + 1]))
    contigs, strands = features.block_contig[rows], features.block_strand[rows]
    if len(set(contigs.tolist())) > 1 or len(set(strands.tolist())) > 1:
        raise InputError(
            f"--genes: the exons of '{features.ids[feature]}' lie on several contigs or strands, "
            "so that they are no line along which reads could be drawn",
            file=options.path,
            remedy="name another gene",
        )
    blocks = zip(features.block_start[rows], features.block_end[rows], strict=True)
    return Gene(
        name,
        feature,
        features.ids[feature],
        features.contigs[int(contigs[0])],
        bool(strands[0] == 1),
        np.concatenate([np.arange(start, end, dtype=np.int64) for start, end in blocks]),
        {chains.ids[number]: _exons(chains, number) for number in range(first, last)},
    )


def _exons(chains: FeatureTranscripts, number: int) -> NDArray[np.int64]:
    """Return a transcript's exons along its feature's blocks, int64 (runs, 2)."""
    rows = slice(int(chains.exon_offsets[number]), int(chains.exon_offsets[number + 1]))
    return np.stack((chains.start[rows], chains.end[rows]), axis=1)


def _hint(
    name: str, features: Features, chains: FeatureTranscripts, options: AnnotationOptions
) -> str:
    """Return a remedy: identifiers that the user may have meant, and what identifiers are."""
    known = list(dict.fromkeys((*features.ids, *chains.ids)))
    near = difflib.get_close_matches(name, known, n=2, cutoff=_ALIKE)
    if near:
        return f"did you mean {' or '.join(near)}?"
    attributes = ", ".join(options.id_attributes)
    return f"give identifiers as the attribute {attributes} has them, or of transcripts"
