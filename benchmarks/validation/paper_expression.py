"""Expression with the bias models of `paper.py`: of real genes, and of simulated ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import estimates as est
import numpy as np
import simulated
from numpy.typing import NDArray
from paper_networks import Scores

from counterbias import simulation
from counterbias.annotation import load_annotation
from counterbias.evaluation.agreement import compare_with_truth
from counterbias.genome import Genome
from counterbias.lengths import FragmentLayout, assumed_lengths, effective_lengths, fragment_lengths
from counterbias.options import AnnotationOptions, AssumedLengths
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.compare.evaluation import FoldSample, fold_sample
from counterbias.pipeline.counting import count_alignments
from counterbias.records import REVERSE, Features, Positions, StartSites, Stretches
from counterbias.weights import fragment_weights, weighted_counts

#: The measures against the truth that are kept; the paper has them for TaqMan.
AGREEMENT = ("pearson", "spearman", "rmse")


@dataclass(frozen=True)
class Prepared:
    """A sample, counted once.

    Args:
        features, counts: the genes and their raw counts.
        sites: where the assigned reads start.
        sample: the same, split into folds.
    """

    features: Features
    counts: NDArray[np.int64]
    sites: StartSites
    sample: FoldSample


def prepare(files: est.Sample) -> Prepared:
    """Count a sample and split its read starts into folds."""
    gtf = str(files.annotation)
    genes = load_annotation(AnnotationOptions(gtf), stranded=False)
    by_transcript = AnnotationOptions(gtf, id_attributes=("gene_id", "transcript_id"))
    transcripts = load_annotation(by_transcript, stranded=False)
    found = count_alignments(str(files.alignments), genes, files.options, want_sites=True)
    assert found.sites is not None
    genome = Genome(str(files.genome))
    sample = fold_sample(found.sites, genes.features, transcripts.features, genome)
    counts = np.asarray(found.counts, np.int64)[: len(genes.features)]
    return Prepared(genes.features, counts, found.sites, sample)


def densities(
    prepared: Prepared, scores: Scores, *, lengths: bool
) -> dict[str, NDArray[np.float64]]:
    """Return fragments per kilobase and million, estimate → one value per gene.

    ``weighted`` is the paper's sum of 1/bias, without a limit. ``corrected``, by effective length,
    is there only with ``lengths``.
    """
    sites, features = prepared.sites, prepared.features
    by_end = [scores(_starts(sites, number)) for number in range(len(sites.ends))]
    weights = fragment_weights(sites, lambda number, rows: by_end[number][rows], cap=None)
    weighted = weighted_counts(sites, weights, len(features))
    effective = features.lengths.astype(np.float64)
    if lengths:
        effective = _effective_lengths(prepared, scores)
    columns = bias_columns(features.lengths, prepared.counts, weighted, effective)
    wanted = ("raw", "weighted", "corrected") if lengths else ("raw", "weighted")
    return {name: np.asarray(columns[f"fpkm_{name}"], np.float64) for name in wanted}


def _starts(sites: StartSites, number: int) -> Positions:
    """Return the 5' positions of one read end of every fragment."""
    end = sites.ends[number]
    strand = ((end.bits & REVERSE) != 0).astype(np.uint8)
    return Positions(end.contig, end.position.astype(np.int64), strand, np.ones(len(strand)))


def _effective_lengths(prepared: Prepared, scores: Scores) -> NDArray[np.float64]:
    """Return each gene's effective length, of the union of its exons."""

    def of_stretches(stretches: Stretches, _end: int) -> NDArray[np.float64]:
        positions = stretches.positions()
        known = positions.contig >= 0
        found = np.full(len(known), np.nan)
        found[known] = scores(positions.take(known))
        return found

    contig_of = prepared.sample.contig_of
    observed = fragment_lengths(prepared.sites, prepared.features, contig_of)
    layout = FragmentLayout("no", observed or assumed_lengths(AssumedLengths()))
    return effective_lengths(prepared.features, contig_of, of_stretches, layout)


# -- simulated truth -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A simulated sample.

    Args:
        prepared: its reads, as they are counted.
        truth: fragments per base that each gene would have without bias; NaN where too few are
            expected to compare.
        bias: the true log bias.
    """

    prepared: Prepared
    truth: NDArray[np.float64]
    bias: Scores


@contextmanager
def drawn_sample(
    seed: int, genes: int, pairs: int, bias: simulation.ScoredBias, fewest: float = 20.0
) -> Iterator[Drawn]:
    """Draw genome, genes and read pairs with a given bias of both ends.

    Only genes with at least ``fewest`` fragments, as expected without bias, are compared.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = replace(simulated.make_world(seed, genes, 1.0), bias=bias)
        simulated.write_world(world, folder)
        files, truth = simulated.draw_sample(world, simulated.Case(seed, pairs, True), folder)
        prepared = prepare(files)
        wanted = np.where(
            truth.unbiased_fragments >= fewest, truth.unbiased_fragments / truth.length, np.nan
        )
        in_order = est.in_order(truth.gene_ids, prepared.features.ids, wanted)

        def true_bias(positions: Positions) -> NDArray[np.float64]:
            contexts, valid = prepared.sample.cut(positions, bias.window)
            found = np.full(len(valid), np.nan)
            found[valid] = bias.score(contexts[valid])
            return found

        yield Drawn(prepared, in_order, true_bias)


def against_truth(drawn: Drawn, scores: Scores) -> dict[str, dict[str, float]]:
    """Compare the estimates with a bias with the truth: estimate → measure → value."""
    found = densities(drawn.prepared, scores, lengths=True)
    agreement = compare_with_truth(drawn.truth, found, np.random.default_rng(1), resamples=1)
    return {
        estimate: {
            **{name: values[name].value for name in AGREEMENT},
            "genes": float(agreement.features),
        }
        for estimate, values in agreement.of.items()
    }
