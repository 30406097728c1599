"""Count a sample with bias models, and with a bias that is known to be true.

Counting with models uses :func:`counterbias.count_reads`, like any script of a user.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import ModelFile, Window, count_reads, simulation
from counterbias.annotation import load_annotation
from counterbias.genome import Genome, extract
from counterbias.lengths import (
    FragmentLayout,
    FragmentLengths,
    assumed_lengths,
    effective_lengths,
    fragment_lengths,
)
from counterbias.options import (
    LENGTHS,
    NONE,
    AnnotationOptions,
    AssumedLengths,
    BiasOptions,
    CountingOptions,
)
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.bias.context import contig_index
from counterbias.pipeline.count import CountRun
from counterbias.pipeline.counting import ReadingOptions, count_alignments
from counterbias.records import REVERSE, Isoforms, Positions, StartSites, Stretches
from counterbias.simulation.library import length_probabilities
from counterbias.weights import fragment_weights, weighted_counts

#: The columns that are evaluated: estimate → column of fragments per base.
DENSITIES = {"raw": "fpkm_raw", "weighted": "fpkm_weighted", "corrected": "fpkm_corrected"}
TRUE = "true bias"
#: The lengths (--bias-lengths) with which ``corrected`` estimates fragments, not molecules.
UNION = LENGTHS[0]

#: Contigs of the alignments, positions, read end (0 or 1) → log bias in nats, NaN where unknown.
Scores = Callable[[tuple[str, ...], Positions, int], NDArray[np.float64]]


@dataclass(frozen=True)
class Sample:
    """Files of a sample.

    Args:
        alignments, annotation, genome: BAM sorted by position, GTF, FASTA.
        stranded: htseq-count's option.
    """

    alignments: Path
    annotation: Path
    genome: Path
    stranded: str = "no"

    @property
    def options(self) -> CountingOptions:
        """htseq-count's options."""
        return CountingOptions(order="pos", stranded=self.stranded)


@dataclass(frozen=True)
class Counted:
    """The counts obtained with one model.

    Args:
        ids: identifiers of the features.
        columns: those of PREFIX.counts.tsv.
        applied: whether the model passed the gate and was used.
        gain, slope: those of the first end's calibration, bits per start and dimensionless; None
            for the true bias and without a model.
        seconds: wall time, counting and fitting included.
        isoforms: the record of PREFIX.isoforms.results; None unless lengths follow transcripts.
    """

    ids: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    applied: bool
    gain: float | None
    slope: float | None
    seconds: float
    isoforms: Isoforms | None = None

    def density(self, estimate: str) -> NDArray[np.float64]:
        """Return fragments per kilobase and million, one value per feature."""
        return np.asarray(self.columns[DENSITIES[estimate]], np.float64)


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Args:
        sampling, window, model_options: as --bias-sampling, --bias-window and --bias-option.
        seed, threads: as --bias-seed and --bias-threads.
        lengths, fragment_length: as --bias-lengths and --bias-fragment-length. Unless others are
            asked for, lengths are those of the union of exons: the truth that ``fpkm_…`` columns
            are compared with is fragments per base of it.
    """

    sampling: str = "local"
    window: Window | None = None
    model_options: Sequence[str] = ()
    seed: int = 1
    threads: int = 1
    lengths: str = UNION
    fragment_length: AssumedLengths | None = None

    def options(self, genome: Path, model: str) -> BiasOptions:
        """Return the options of a counting run with a model, named as in :func:`count_with`."""
        measured: dict[str, Any] = {
            "lengths": self.lengths,
            "fragment_length": self.fragment_length,
            "seed": self.seed,
            "threads": self.threads,
        }
        if model == NONE:
            return BiasOptions(NONE, **measured)
        name, _, variant = model.partition("@")
        context = variant if variant == "transcript" else "genome"
        return BiasOptions(
            name,
            str(genome),
            self.window,
            tuple(self.model_options),
            sampling=variant if variant and variant != context else self.sampling,
            context=context,
            **measured,
        )


def count_with(sample: Sample, model: str, training: Training) -> Counted:
    """Fit a model (or read a model file) and count.

    ``NAME@SCHEME`` stands for another sampling scheme (--bias-sampling), ``NAME@transcript`` for
    windows that continue in the transcript's next exon (--bias-context).
    """
    began = time.perf_counter()
    run = count_reads(
        sample.alignments,
        sample.annotation,
        options=sample.options,
        bias=training.options(sample.genome, model),
        threads=training.threads,
    )
    return counted(run, 0, time.perf_counter() - began)


def counted(run: CountRun, number: int, seconds: float) -> Counted:
    """Return the counts of one sample of a run."""
    corrected = run.bias[number]
    ends = corrected.report["ends"]
    calibration = ends[0]["calibration"] if ends else dict.fromkeys(("applied", "gain", "slope"))
    columns = {name: np.asarray(values, np.float64) for name, values in corrected.columns.items()}
    return Counted(
        tuple(run.annotation.features.ids),
        columns,
        bool(calibration["applied"]),
        calibration["gain"],
        calibration["slope"],
        seconds,
        corrected.isoforms,
    )


def true_log_bias(
    bias: simulation.PrimingBias | simulation.ScoredBias,
) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Return a simulated bias as a function of windows, for :func:`count_with_truth`."""
    if isinstance(bias, simulation.PrimingBias):
        return bias.log_bias
    return lambda contexts: np.asarray(bias.strength * bias.score(contexts))


def library_lengths(library: simulation.Library) -> FragmentLengths:
    """Return the distribution from which the fragment lengths of a simulated library are drawn."""
    probability = length_probabilities(library)
    length = np.flatnonzero(probability)
    return FragmentLengths(
        length,
        probability[length],
        library.fragments,
        float(probability @ np.arange(len(probability))),
    )


def count_with_truth(
    sample: Sample,
    window: Window,
    score: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
    *,
    fragments: FragmentLengths | None = None,
    threads: int = 1,
) -> Counted:
    """Count and correct with a known bias, as a counting run would with a model without error.

    Args:
        sample: the sample.
        window: the bases around a read start that ``score`` sees.
        score: windows, uint8 (n, width) → log bias, float64 (n,), nats.
        fragments: the fragment length distribution; by default that of the pairs. In a single-end
            library, only these lengths say where the other end lies, which was not sequenced but is
            biased as well.
        threads: number of threads.
    """
    return count_with_windows(
        sample, window, lambda contexts, end: score(contexts), fragments=fragments, threads=threads
    )


def count_ungated(sample: Sample, fitted: ModelFile, *, threads: int = 1) -> Counted:
    """Count with fitted models without calibration, whether or not they pass the gate."""
    score = {number: fitted.end(number).model.log_bias for number in (0, 1)}
    return count_with_windows(
        sample, fitted.window, lambda contexts, end: score[end](contexts), threads=threads
    )


def count_with_windows(
    sample: Sample,
    window: Window,
    score: Callable[[NDArray[np.uint8], int], NDArray[np.float64]],
    *,
    fragments: FragmentLengths | None = None,
    threads: int = 1,
) -> Counted:
    """Count with a log bias that is a function of the window and the read end (0 or 1)."""
    with Genome(str(sample.genome)) as genome:

        def of_positions(
            contigs: tuple[str, ...], positions: Positions, end: int
        ) -> NDArray[np.float64]:
            contexts, valid = extract(genome, contigs, positions, window)
            found = np.full(len(valid), np.nan)
            found[valid] = score(contexts[valid], end)
            return found

        return count_with_scores(sample, of_positions, fragments=fragments, threads=threads)


def count_with_scores(
    sample: Sample, scores: Scores, *, fragments: FragmentLengths | None = None, threads: int = 1
) -> Counted:
    """Count and correct with a log bias given for each position.

    The stages are those of a counting run, without fitting, evaluation and calibration. Effective
    lengths are computed for features without reads as well, since the log bias has no calibrated
    zero. ``scores`` covers both ends; in stranded libraries, end 1 is also the unsequenced end of
    single-end fragments. ``fragments`` is the fragment length distribution, if known.
    """
    began = time.perf_counter()
    annotation = load_annotation(
        AnnotationOptions(str(sample.annotation)), stranded=sample.stranded != "no"
    )
    result = count_alignments(
        str(sample.alignments),
        annotation,
        sample.options,
        want_sites=True,
        reading=ReadingOptions(threads=threads),
    )
    sites, features = result.sites, annotation.features
    assert sites is not None

    def of_stretches(stretches: Stretches, end: int) -> NDArray[np.float64]:
        positions = stretches.positions()
        known = positions.contig >= 0
        found = np.full(len(known), np.nan)
        found[known] = scores(sites.contigs, positions.take(known), end)
        return found

    contig_of = contig_index(features, sites.contigs)
    by_end = [
        scores(sites.contigs, _starts(sites, number), number) for number in range(len(sites.ends))
    ]
    weights = fragment_weights(
        sites, lambda number, rows: by_end[number][rows], cap=BiasOptions("", "").cap
    )
    if fragments is None:
        observed = fragment_lengths(sites, features, contig_of)
        fragments = observed or assumed_lengths(AssumedLengths())
    lengths = effective_lengths(
        features,
        contig_of,
        of_stretches,
        FragmentLayout(sample.stranded, fragments),
    )
    columns = bias_columns(
        features.lengths, result.counts, weighted_counts(sites, weights, len(features)), lengths
    )
    floats = {name: np.asarray(values, np.float64) for name, values in columns.items()}
    return Counted(tuple(features.ids), floats, True, None, None, time.perf_counter() - began)


def _starts(sites: StartSites, number: int) -> Positions:
    """Return the 5' positions of one read end of every fragment."""
    end = sites.ends[number]
    strand = ((end.bits & REVERSE) != 0).astype(np.uint8)
    return Positions(end.contig, end.position.astype(np.int64), strand, np.ones(len(strand)))


def in_order(
    ids: Sequence[str], wanted: Sequence[str], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Reorder the values of features to match other identifiers; 0 for those without a value."""
    row = {name: number for number, name in enumerate(ids)}
    return np.array([values[row[name]] if name in row else 0.0 for name in wanted], np.float64)


def read_table(path: Path) -> dict[str, list[str]]:
    """Read a TSV file with a header: column → texts."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
