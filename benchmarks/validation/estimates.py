"""Count a sample with one bias model after the other, and with the bias that is known to be true.

Counting goes through :func:`counterbias.count_reads`, as any user's does. The truth measures are the project's own.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterbias import ModelFile, Window, count_reads, simulation
from counterbias.annotation import load_annotation
from counterbias.genome import Genome, extract
from counterbias.options import AssumedLengths, BiasOptions, CountingOptions
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.bias.sample import contig_index
from counterbias.pipeline.count import CountRun
from counterbias.pipeline.counting.counter import count_alignments
from counterbias.records import REVERSE, Positions, StartSites, Stretches
from counterbias.weights import (
    FragmentLayout,
    FragmentLengths,
    assumed_lengths,
    effective_lengths,
    fragment_lengths,
    fragment_weights,
    weighted_counts,
)

#: The columns that are judged: estimate → column of fragments per base.
DENSITIES = {"raw": "fpkm_raw", "weighted": "fpkm_weighted", "corrected": "fpkm_corrected"}
TRUE = "true bias"

#: Gives the log bias of positions for reads of one end (0 or 1), nats, NaN where there is none; contigs are those of the alignments.
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
    """What counting with one model gave.

    Args:
        ids: features.
        columns: those of PREFIX.counts.tsv.
        applied: whether the model was used (the gate).
        gain, slope: of the first end's calibration, bits per start and dimensionless; None for the true bias.
        seconds: wall time, counting and fitting included.
    """

    ids: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    applied: bool
    gain: float | None
    slope: float | None
    seconds: float

    def density(self, estimate: str) -> NDArray[np.float64]:
        """Give fragments per kilobase and million, one per feature."""
        return np.asarray(self.columns[DENSITIES[estimate]], np.float64)


def count_with(
    sample: Sample,
    model: str,
    *,
    threads: int = 1,
    seed: int = 1,
    sampling: str = "local",
    window: Window | None = None,
    model_options: Sequence[str] = (),
) -> Counted:
    """Fit a model (or take a model file) and count.

    ``NAME@SCHEME`` samples by another scheme, as --bias-sampling does; ``NAME@transcript`` lets windows follow the transcript, as
    --bias-context does.
    """
    began = time.perf_counter()
    bias = bias_options(
        sample.genome,
        model,
        threads=threads,
        seed=seed,
        sampling=sampling,
        window=window,
        model_options=model_options,
    )
    run = count_reads(
        sample.alignments, sample.annotation, options=sample.options, bias=bias, threads=threads
    )
    return counted(run, 0, time.perf_counter() - began)


def bias_options(
    genome: Path,
    model: str,
    *,
    threads: int = 1,
    seed: int = 1,
    sampling: str = "local",
    window: Window | None = None,
    model_options: Sequence[str] = (),
) -> BiasOptions:
    """Read the name of a model, as :func:`count_with` takes it."""
    name, _, how = model.partition("@")
    context = how if how == "transcript" else "genome"
    scheme = how if how and how != context else sampling
    options = (str(genome), window, tuple(model_options))
    return BiasOptions(name, *options, sampling=scheme, context=context, seed=seed, threads=threads)


def counted(run: CountRun, number: int, seconds: float) -> Counted:
    """Take one sample out of a run."""
    weighed = run.bias[number]
    judged = weighed.report["ends"][0]["calibration"]
    columns = {name: np.asarray(values, np.float64) for name, values in weighed.columns.items()}
    return Counted(
        tuple(run.annotation.features.ids),
        columns,
        bool(judged["applied"]),
        judged["gain"],
        judged["slope"],
        seconds,
    )


def true_log_bias(
    bias: simulation.PrimingBias | simulation.ScoredBias,
) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Give the function of windows that a simulated bias is, as :func:`count_with_truth` takes it."""
    if isinstance(bias, simulation.PrimingBias):
        return bias.log_bias
    return lambda contexts: np.asarray(bias.strength * bias.score(contexts))


def library_lengths(library: simulation.Library) -> FragmentLengths:
    """Give the distribution that a simulated library's fragment lengths are drawn from."""
    probability = library.length_probabilities()
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
    """Count and correct with a bias that is known, as a count would with a model without any error.

    ``score`` gives the log bias of windows, uint8 (n, width) → float64 (n,), nats. ``fragments`` are the lengths of the library's
    fragments; by default those of its pairs. In a single-end library they alone tell where the other end lies, which was not sequenced
    and is biased all the same.
    """
    return count_with_windows(
        sample, window, lambda contexts, end: score(contexts), fragments=fragments, threads=threads
    )


def count_ungated(sample: Sample, fitted: ModelFile, *, threads: int = 1) -> Counted:
    """Count with fitted models as they are: not calibrated, and used although a count might leave them out."""
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
    """Count with a function of windows and the number of the read's end."""
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
    """Count and correct with a log bias that comes from elsewhere, by position.

    The stages are those of a run; nothing is fitted, judged or calibrated. Features without a read are measured as well, since the
    log bias has no calibrated zero. ``scores`` knows both ends, that of single reads which was not sequenced as end 1 of stranded
    libraries; ``fragments`` are the lengths where they are known.
    """
    began = time.perf_counter()
    annotation = load_annotation(str(sample.annotation), stranded=sample.stranded != "no")
    result, _ = count_alignments(
        str(sample.alignments), annotation, sample.options, threads=threads, want_sites=True
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
    """Give the 5' positions of one end of every fragment."""
    end = sites.ends[number]
    strand = ((end.bits & REVERSE) != 0).astype(np.uint8)
    return Positions(end.contig, end.position.astype(np.int64), strand, np.ones(len(strand)))


def in_order(
    ids: Sequence[str], wanted: Sequence[str], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Put values of features into the order of other ids; features without a value get 0."""
    row = {name: number for number, name in enumerate(ids)}
    return np.array([values[row[name]] if name in row else 0.0 for name in wanted], np.float64)


def read_table(path: Path) -> dict[str, list[str]]:
    """Read a TSV file with a heading: column → texts."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
