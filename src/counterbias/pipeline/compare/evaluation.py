"""Fit a backend on four folds of a sample and measure it on the fifth.

``counterbias compare`` and the accuracy benchmark both use :func:`evaluate_backend`, so they
measure the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.errors import InputError
from counterbias.evaluation import folds, measures
from counterbias.evaluation.accuracy import Accuracy, measure_accuracy
from counterbias.evaluation.reliability import Reliability, reliability
from counterbias.evaluation.units import Units, make_units
from counterbias.genome import CodesByContig, extract
from counterbias.model import BiasModel, Resources
from counterbias.options import FOLDS
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.cross_fitting import (
    CrossFitted,
    EndSample,
    cross_fit_together,
    fitted_or_raise,
)
from counterbias.pipeline.bias.held_out import calibrate_scores
from counterbias.pipeline.compare.candidates import check_batches
from counterbias.records import (
    REVERSE,
    TRAINABLE,
    Features,
    FitReport,
    Positions,
    StartSites,
    Window,
)
from counterbias.scoring import score, score_positions
from counterbias.weights import Calibration

#: How long scoring is timed, seconds, after one call that is not timed because it may compile.
TIMED = 0.1


@dataclass(frozen=True, slots=True)
class FoldSample:
    """One sample, split into folds by :func:`counterbias.evaluation.folds.rotation`.

    Args:
        sites: its start sites.
        end: the read end, as :func:`counterbias.sampling.draw` names it.
        features: exons, for models that need tiles.
        contig_of: per contig of ``features``, its index in ``sites.contigs``, or -1.
        genome: the genome.
        starts: distinct trainable starts, weighted by their reads.
        units: exon bins with at least 100 bases and 20 reads, of all folds.
        block: bases per block.
    """

    sites: StartSites
    end: sampling.End
    features: Features
    contig_of: NDArray[np.int64]
    genome: CodesByContig
    starts: Positions
    units: Units
    block: int

    def fold_of(self, contig: NDArray[np.int32], position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the fold of each place, int64 (n,): that of its block, with reads or without."""
        first = np.zeros(len(self.sites.contigs), np.int64)
        found = folds.rotation(self.starts, block=self.block)
        first[: len(found)] = found
        return np.asarray((first[contig] + position // self.block) % FOLDS)

    def held_out(self, fold: int) -> Units:
        """Return the units of a fold."""
        return self.units.take(self.fold_of(self.units.contig, self.units.start) == fold)

    def cut(
        self, positions: Positions, window: Window
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Cut windows at positions; return them, and which of them are valid."""
        return extract(self.genome, self.sites.contigs, positions, window)


@dataclass(frozen=True, slots=True)
class Trial:
    """One fit on one sample.

    Args:
        fold: the fold that is held out.
        seed: seed of sampling and fitting.
        starts: number of distinct starts to learn from (validation included), drawn at random; None
            takes all.
        null: whether to replace starts by positions near them, drawn like the background, so that
            there is no bias to learn.
        sampling: scheme of :func:`counterbias.sampling.draw`.
    """

    fold: int
    seed: int = 1
    starts: int | None = None
    null: bool = False
    sampling: str = "local"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The result of one trial.

    Args:
        trial: the trial.
        accuracy: measures on the held-out units.
        model: the fitted model.
        report: the backend's report.
        calibration: how a count of these reads would use the model; like the model, it has not seen
            the fold.
        calibrated_cap5: gain_cap5 of the calibrated log bias, 0 if the model would not be used.
        reliability: held-out reads against those predicted by the calibrated log bias.
        training, validation: number of distinct starts trained on, and validated on.
        spread: standard deviation of log2 b over the positions of the held-out units.
        windows_per_second: windows that one thread scores.
    """

    trial: Trial
    accuracy: Accuracy
    model: BiasModel = field(repr=False)
    report: FitReport
    calibration: Calibration
    calibrated_cap5: float
    reliability: Reliability
    training: int
    validation: int
    spread: float
    windows_per_second: float


def fold_sample(
    sites: StartSites,
    features: Features,
    transcripts: Features,
    genome: CodesByContig,
    *,
    end: sampling.End = "both",
    block: int | None = None,
) -> FoldSample:
    """Prepare a sample for :func:`evaluate_backend`.

    Args:
        sites: start sites; the trainable ones are used.
        features: the annotation's features, whose exons are merged.
        transcripts: the same with one feature per transcript, so that units are cut at the edges of
            all exons.
        genome: the genome.
        end: the read end.
        block: bases per block; by default 50 kb, or less if fewer than 25 blocks hold starts.
    """
    starts = sampling.unique_starts(sites, end=end)
    number = {name: i for i, name in enumerate(sites.contigs)}
    contig_of, contig_of_transcripts = (
        np.array([number.get(name, -1) for name in one.contigs], np.int64)
        for one in (features, transcripts)
    )
    size = folds.block_size(starts) if block is None else block
    return FoldSample(
        sites,
        end,
        features,
        contig_of,
        genome,
        starts,
        make_units(starts, transcripts, contig_of_transcripts, block=size),
        size,
    )


@dataclass(frozen=True, slots=True)
class PreparedTrial:
    """A trial whose windows are drawn: what a model is fitted to, and what it is measured on.

    Args:
        choice: the backend, window and options.
        trial: the fold and the seed.
        held_out: units of the fold.
        contexts: windows of all their positions, uint8 (positions, width).
        valid: which of these can be scored, bool (positions,).
        folded: the windows to learn from.
    """

    choice: ModelChoice
    trial: Trial
    held_out: Units
    contexts: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    folded: sampling.FoldedWindows

    @property
    def to_fit(self) -> EndSample:
        """What the model is fitted to, and the random numbers of the fit."""
        rng = np.random.default_rng([self.trial.seed, 2])
        return EndSample(self.folded.sample, 0, rng)

    @property
    def bytes(self) -> int:
        """Memory that the windows take, bytes."""
        windows, tiles = self.folded.windows, self.folded.sample.everything.tiles
        arrays: list[NDArray[Any]] = [
            self.contexts,
            windows.foreground,
            windows.foreground_weight,
            windows.background,
            windows.background_weight,
            windows.origin,
        ]
        arrays += [] if tiles is None else [tiles.sequence, tiles.counts]
        return sum(array.nbytes for array in arrays)


def evaluate_backend(
    choice: ModelChoice,
    sample: FoldSample,
    trial: Trial,
    *,
    threads: int = 1,
    resources: Resources | None = None,
) -> Evaluated:
    """Fit and calibrate a backend without one fold, as a count does, and measure it on that fold.

    Args:
        choice: the backend, window and options.
        sample: the sample.
        trial: the fold and the seed.
        threads: threads for scoring, and by default for fitting.
        resources: what fitting may use.

    Raises:
        InputError: no reads to learn from, or none to measure by.
    """
    prepared = prepare_trial(choice, sample, trial)
    (fitted,) = cross_fit_together(choice, [prepared.to_fit], resources or Resources(threads))
    return measure_trial(prepared, fitted_or_raise(fitted), threads=threads)


def prepare_trial(choice: ModelChoice, sample: FoldSample, trial: Trial) -> PreparedTrial:
    """Draw the windows of a trial.

    Raises:
        InputError: no reads to learn from, or none to measure by.
    """
    held_out = sample.held_out(trial.fold)
    contexts, valid = sample.cut(held_out.positions(), choice.window)
    if not valid.any():
        raise InputError(f"fold {trial.fold} holds no exon bin with enough reads to measure by")
    folded = fold_trial(choice, sample, trial)
    return PreparedTrial(choice, trial, held_out, contexts, valid, folded)


def measure_trial(prepared: PreparedTrial, fitted: CrossFitted, *, threads: int = 1) -> Evaluated:
    """Calibrate a model that was fitted to a trial's windows, and measure it on the fold."""
    held_out, folded, model = prepared.held_out, prepared.folded, fitted.model
    contexts, valid = prepared.contexts, prepared.valid
    log_bias = np.full(len(contexts), np.nan)
    log_bias[valid] = score(model, contexts[valid], threads=threads)
    check_batches(model, contexts[valid])
    calibration = calibrate_scores(
        *fitted.score(folded.windows, threads=threads), folded.windows, own=True
    )
    check = int((folded.sample.foreground_parts[:, 0] == 1).sum())
    return Evaluated(
        trial=prepared.trial,
        accuracy=measure_accuracy(log_bias, held_out, contexts, valid),
        model=model,
        report=fitted.report or FitReport(0.0, 0),
        calibration=calibration,
        calibrated_cap5=measures.gain(calibration(log_bias), held_out).value,
        reliability=reliability(calibration(log_bias), held_out),
        training=len(folded.windows) - check,
        validation=check,
        spread=float(np.nanstd(log_bias) / np.log(2)),
        windows_per_second=_speed(model, contexts[valid]),
    )


def evaluate_scores(
    log_bias_of: Callable[[Positions], NDArray[np.float64]],
    sample: FoldSample,
    fold: int,
    window: Window,
) -> Accuracy:
    """Measure a log bias from elsewhere.

    ``log_bias_of`` returns it for positions, in nats, NaN where it is unknown.
    """
    held_out = sample.held_out(fold)
    positions = held_out.positions()
    return measure_accuracy(log_bias_of(positions), held_out, *sample.cut(positions, window))


def fold_trial(choice: ModelChoice, sample: FoldSample, trial: Trial) -> sampling.FoldedWindows:
    """Draw the windows of a trial, none of them from the fold that is held out.

    Raises:
        InputError: no windows are left to learn from.
    """
    window = choice.window
    rng = np.random.default_rng([trial.seed, 1])
    sites = sample.sites if trial.starts is None else _thinned(sample, trial)
    starts = sampling.find_starts(sites, end=sample.end)
    drawn = sampling.draw(sites, rng, scheme=trial.sampling, end=sample.end, starts=starts)
    if trial.null:
        drawn = replace(drawn, foreground=_moved(drawn.foreground, rng))
        starts = replace(starts, positions=_moved(starts.positions, rng))
    exons = sampling.merged_exons(sample.features, sample.contig_of)
    tiles = tile_positions = inside = None
    if trial.sampling == "paper":
        inside = (
            sampling.inside_exons(drawn.foreground, window, exons),
            sampling.inside_exons(drawn.background, window, exons),
        )
    if choice.model.needs_tiles and sampling.tiles_fit(window):
        tile_positions, tiles = sampling.draw_tiles(
            starts.by_fragments(), exons, window, rng, sample.cut
        )
        outside = _outside(sample, trial, tile_positions, window.margin + tiles.length - 1)
        tile_positions, tiles = tile_positions.take(outside), tiles.take(outside)
    cut = []
    for positions in (drawn.foreground, drawn.background):
        contexts, valid = sample.cut(positions, window)
        cut.append((contexts, valid & _outside(sample, trial, positions, window.margin)))
    if trial.sampling == "local" and not choice.model.compares_nearby:
        drawn = sampling.reweight_background(drawn, cut[0], cut[1], window, sample.cut)
    learnt = starts.positions.take(_outside(sample, trial, starts.positions, window.margin))
    folded = sampling.DrawnWindows(drawn, cut[0], cut[1], inside, tiles, tile_positions).fold(
        window, folds.make_folds(learnt), choice.model.judging_folds
    )
    if not len(folded.windows.foreground) or not len(folded.windows.background):
        raise InputError(f"no read start outside fold {trial.fold} can be learnt from")
    return folded


def _outside(
    sample: FoldSample, trial: Trial, positions: Positions, margin: int
) -> NDArray[np.bool_]:
    """Whether positions lie outside the held-out fold and more than ``margin`` bases from it.

    Blocks without reads count, too: the background of reads beside them lies there.
    """
    places = (
        positions.position,
        np.maximum(positions.position - margin, 0),
        positions.position + margin,
    )
    return np.asarray(
        ~np.any([sample.fold_of(positions.contig, place) == trial.fold for place in places], axis=0)
    )


def gene_changes(
    model: BiasModel,
    calibration: Calibration,
    sample: FoldSample,
    window: Window,
    *,
    fewest: float = 100.0,
    threads: int = 1,
) -> Mapping[str, NDArray[np.float64]]:
    """Return the factors by which effective lengths change the expression of features.

    Only features with at least ``fewest`` reads are included; reads are those that start in the
    feature's blocks, on either strand. ``used`` has the factors with the calibrated log bias, which
    a count would use, ``ungated`` those with the model's own. Factors are scaled to a mean of 1
    over reads.
    """
    features, lengths = sample.features, sample.features.lengths.astype(np.float64)
    contig = sample.contig_of[features.block_contig]
    feature_of = np.repeat(np.arange(len(features)), np.diff(features.block_offsets))
    reads = np.bincount(feature_of, weights=_reads_within(sample, contig), minlength=len(features))
    chosen = np.flatnonzero((reads >= fewest) & (lengths > 0))
    sums = {"used": np.zeros(len(features)), "ungated": np.zeros(len(features))}
    for row in np.flatnonzero(np.isin(feature_of, chosen) & (contig >= 0)).tolist():
        place = np.arange(features.block_start[row], features.block_end[row])
        n = len(place)
        strand = np.repeat(np.array([0, 1], np.uint8), n)
        positions = Positions(
            np.full(2 * n, contig[row], np.int32), np.tile(place, 2), strand, np.ones(2 * n)
        )
        log_bias = score_positions(
            model, lambda part: sample.cut(part, window), positions, threads=threads
        )
        for name, values in (("used", calibration(log_bias)), ("ungated", log_bias)):
            sums[name][feature_of[row]] += np.exp(np.where(np.isnan(values), 0.0, values)).sum() / 2
    factors = {name: lengths[chosen] / total[chosen] for name, total in sums.items()}
    return {
        name: factor * reads[chosen].sum() / (factor * reads[chosen]).sum()
        for name, factor in factors.items()
    }


def _thinned(sample: FoldSample, trial: Trial) -> StartSites:
    """Mark all but some distinct starts outside the held-out fold as not trainable."""
    starts = sample.starts
    keys = _keys(starts.contig, starts.position, starts.strand)
    away = sample.fold_of(starts.contig, starts.position) == trial.fold
    usable = np.flatnonzero(~away)
    rng = np.random.default_rng([trial.seed, 3, trial.starts or 0])
    kept = rng.choice(usable, size=min(trial.starts or 0, len(usable)), replace=False)
    wanted = np.sort(np.concatenate((keys[kept], keys[away])))
    ends = []
    for one in sample.sites.ends:
        key = _keys(one.contig, one.position, (one.bits & REVERSE) != 0)
        row = np.minimum(np.searchsorted(wanted, key), max(len(wanted) - 1, 0))
        stays = wanted[row] == key if len(wanted) else np.zeros(len(key), bool)
        ends.append(
            replace(
                one,
                bits=np.where(stays, one.bits, one.bits & ~np.uint8(TRAINABLE)).astype(np.uint8),
            )
        )
    return replace(sample.sites, ends=tuple(ends))


def _keys(
    contig: NDArray[np.int32],
    position: NDArray[np.int64] | NDArray[np.int32],
    strand: NDArray[np.generic],
) -> NDArray[np.int64]:
    """Number stranded positions."""
    return np.asarray(
        (contig.astype(np.int64) << 40) + 2 * position.astype(np.int64) + strand.astype(np.int64)
    )


def _moved(positions: Positions, rng: np.random.Generator) -> Positions:
    """Move each position by 1 to 100 bases to either side, as the background is drawn."""
    step = rng.integers(1, sampling.LOCAL_REACH + 1, len(positions)) * rng.choice(
        [-1, 1], len(positions)
    )
    return replace(positions, position=positions.position + step)


def _reads_within(sample: FoldSample, contig: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count the reads that start within each block of the features.

    ``contig`` is each block's contig, as numbered in the start sites.
    """
    starts, features = sample.starts, sample.features
    key = starts.contig.astype(np.int64) * (1 << 40) + starts.position
    before = np.concatenate(([0.0], np.cumsum(starts.weight)))
    edges = [contig * (1 << 40) + side for side in (features.block_start, features.block_end)]
    first, last = (np.searchsorted(key, edge) for edge in edges)
    return np.asarray(np.where(contig >= 0, before[last] - before[first], 0.0))


def _speed(model: BiasModel, contexts: NDArray[np.uint8]) -> float:
    """Return how many windows one thread scores in a second: the best of several calls."""
    model.log_bias(contexts[:64])
    best = spent = 0.0
    while spent < TIMED:
        begin = time.perf_counter()
        model.log_bias(contexts)
        seconds = time.perf_counter() - begin
        spent += seconds
        best = max(best, len(contexts) / seconds)
    return best
