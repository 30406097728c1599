"""Fit a backend on four folds of a sample and measure it on the fifth.

Whoever compares models goes through :func:`evaluate_backend`: the accuracy benchmark does, and what is measured there is what users are
shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

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
from counterbias.pipeline.bias.cross_fitting import cross_fit
from counterbias.pipeline.bias.held_out import calibrate_scores
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

#: Scoring is timed for at least this long, seconds, after one call that is not timed (it may compile).
TIMED = 0.1


@dataclass(frozen=True, slots=True)
class FoldSample:
    """One sample, cut into folds by ``position // block % 5`` (:func:`counterbias.evaluation.folds.rotation`).

    Args:
        sites: its start sites.
        end: the end class that is looked at, as :func:`counterbias.sampling.draw` names it.
        features: exons, for the tiles of models that want them.
        contig_of: per contig of ``features`` its index in ``sites.contigs``, or -1.
        genome: the genome.
        starts: the distinct trainable starts, weighted by their reads.
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

    def held_out(self, fold: int) -> Units:
        """Give the units of a fold."""
        first = folds.rotation(self.starts, block=self.block)[self.units.contig]
        return self.units.take((first + self.units.start // self.block) % FOLDS == fold)

    def cut(
        self, positions: Positions, window: Window
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Cut windows at positions."""
        return extract(self.genome, self.sites.contigs, positions, window)


@dataclass(frozen=True, slots=True)
class Trial:
    """One fit: the fold held out, the seed, and what else is done to the sample.

    Args:
        fold: held out.
        seed: of sampling and fitting.
        starts: distinct starts to learn from (validation included), drawn at random; None takes all.
        null: whether starts are replaced by places near them, drawn as background is, so that there is nothing to be learnt.
        sampling: scheme of :func:`counterbias.sampling.draw`.
    """

    fold: int
    seed: int = 1
    starts: int | None = None
    null: bool = False
    sampling: str = "local"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one trial gave.

    Args:
        trial: what was done.
        accuracy: measures on the held-out units.
        model: the fitted model.
        report: what the backend told.
        calibration: what a count of these reads would make of the model; like the model, it has not seen the fold.
        calibrated_cap5: gain_cap5 of the calibrated log bias, 0 where the model would not be used.
        reliability: held-out reads against those predicted by the calibrated log bias.
        training, validation: number of distinct starts there.
        spread: standard deviation of log2 b over the positions of the held-out units.
        windows_per_second: scored by one thread.
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
    edges: Features,
    genome: CodesByContig,
    *,
    end: sampling.End = "both",
    block: int | None = None,
) -> FoldSample:
    """Prepare a sample for :func:`evaluate_backend`.

    Args:
        sites: start sites; the trainable ones are used.
        features: the annotation's features.
        edges: the same with one feature per transcript, so that units are cut at the edges of all exons (features join their exons).
        genome: the genome.
        end: the end class.
        block: bases per block; by default 50 kb, or less where fewer than 25 blocks hold starts.
    """
    starts = sampling.unique_starts(sites, end=end)
    number = {name: i for i, name in enumerate(sites.contigs)}
    contig_of, edges_of = (
        np.array([number.get(name, -1) for name in one.contigs], np.int64)
        for one in (features, edges)
    )
    size = folds.block_size(starts) if block is None else block
    return FoldSample(
        sites,
        end,
        features,
        contig_of,
        genome,
        starts,
        make_units(starts, edges, edges_of, block=size),
        size,
    )


def evaluate_backend(
    choice: ModelChoice,
    sample: FoldSample,
    trial: Trial,
    *,
    threads: int = 1,
    resources: Resources | None = None,
) -> Evaluated:
    """Fit and calibrate a backend without one fold, as a count does, and measure it there.

    ``threads`` are for scoring, and for fitting where ``resources`` do not say otherwise. Raises InputError where there is nothing to
    learn from or to measure by.
    """
    held_out = sample.held_out(trial.fold)
    positions = held_out.positions()
    contexts, valid = sample.cut(positions, choice.window)
    if not valid.any():
        raise InputError(f"fold {trial.fold} holds no exon bin with enough reads to measure by")
    folded = fold_trial(choice, sample, trial)
    fitted = cross_fit(
        choice,
        folded.sample,
        0,
        np.random.default_rng([trial.seed, 2]),
        resources or Resources(threads),
    )
    model = fitted.model
    log_bias = np.full(len(positions), np.nan)
    log_bias[valid] = score(model, contexts[valid], threads=threads)
    calibration = calibrate_scores(
        *fitted.score(folded.windows, threads=threads), folded.windows, own=True
    )
    check = int((folded.sample.foreground_parts[:, 0] == 1).sum())
    return Evaluated(
        trial=trial,
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
    score_of: Callable[[Positions], NDArray[np.float64]],
    sample: FoldSample,
    fold: int,
    window: Window,
) -> Accuracy:
    """Measure a log bias that comes from elsewhere: ``score_of`` gives it for positions, nats, NaN where there is none."""
    held_out = sample.held_out(fold)
    positions = held_out.positions()
    return measure_accuracy(score_of(positions), held_out, *sample.cut(positions, window))


def fold_trial(choice: ModelChoice, sample: FoldSample, trial: Trial) -> sampling.FoldedWindows:
    """Draw the windows of a trial, none of the fold that is held out; raises InputError where none are left to learn from."""
    window = choice.window
    rng = np.random.default_rng([trial.seed, 1])
    apart = folds.rotate(sample.starts, block=sample.block, held_out=trial.fold)
    sites = sample.sites if trial.starts is None else _thinned(sample, apart, trial)
    starts = sampling.find_starts(sites, end=sample.end)
    drawn = sampling.draw(sites, rng, scheme=trial.sampling, end=sample.end, starts=starts)
    if trial.null:
        drawn = replace(drawn, foreground=_moved(drawn.foreground, rng))
        starts = replace(starts, positions=_moved(starts.positions, rng))
    tiles = places = None
    if choice.model.needs_tiles and sampling.tiles_fit(window):
        exons = sampling.merged_exons(sample.features, sample.contig_of)
        places, tiles = sampling.draw_tiles(starts.by_fragments(), exons, window, rng, sample.cut)
        outside = _outside(apart, places, window.margin + tiles.length - 1)
        places, tiles = places.take(outside), tiles.take(outside)
    cut = []
    for positions in (drawn.foreground, drawn.background):
        contexts, valid = sample.cut(positions, window)
        cut.append((contexts, valid & _outside(apart, positions, window.margin)))
    if trial.sampling == "local" and not choice.model.compares_nearby:
        drawn = sampling.reweight_background(drawn, cut[0], cut[1], window, sample.cut)
    learnt = starts.positions.take(_outside(apart, starts.positions, window.margin))
    found = sampling.DrawnWindows(drawn, cut[0], cut[1], None, tiles, places).fold(
        window, folds.make_folds(learnt), choice.model.judging_folds
    )
    if not len(found.windows.foreground) or not len(found.windows.background):
        raise InputError(f"no read start outside fold {trial.fold} can be learnt from")
    return found


def _outside(apart: folds.Folds, positions: Positions, margin: int) -> NDArray[np.bool_]:
    """Tell which positions lie neither in the fold that is held out nor within ``margin`` bases of it."""
    places = (
        positions.position,
        np.maximum(positions.position - margin, 0),
        positions.position + margin,
    )
    return np.asarray(
        ~np.any(
            [apart.of(positions.contig, place) == folds.HELD_OUT_FOLD for place in places], axis=0
        )
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
    """Give, per feature with at least ``fewest`` reads, by what factor effective lengths change its expression.

    Reads are those that start in the feature's blocks, on either strand. ``used`` is what a count would do with the calibration,
    ``ungated`` what the model's own log bias would do. 1 is no change; factors are scaled to a mean of 1 over reads.
    """
    features, lengths = sample.features, sample.features.lengths.astype(np.float64)
    contig = sample.contig_of[features.block_contig]
    owner = np.repeat(np.arange(len(features)), np.diff(features.block_offsets))
    reads = np.bincount(owner, weights=_reads_within(sample, contig), minlength=len(features))
    chosen = np.flatnonzero((reads >= fewest) & (lengths > 0))
    sums = {"used": np.zeros(len(features)), "ungated": np.zeros(len(features))}
    for row in np.flatnonzero(np.isin(owner, chosen) & (contig >= 0)).tolist():
        place = np.arange(features.block_start[row], features.block_end[row])
        n = len(place)
        strand = np.repeat(np.array([0, 1], np.uint8), n)
        positions = Positions(
            np.full(2 * n, contig[row], np.int32), np.tile(place, 2), strand, np.ones(2 * n)
        )
        log_bias = score_positions(
            model, lambda part: sample.cut(part, window), positions, threads=threads
        )
        for name, found in (("used", calibration(log_bias)), ("ungated", log_bias)):
            sums[name][owner[row]] += np.exp(np.where(np.isnan(found), 0.0, found)).sum() / 2
    factors = {name: lengths[chosen] / total[chosen] for name, total in sums.items()}
    return {
        name: factor * reads[chosen].sum() / (factor * reads[chosen]).sum()
        for name, factor in factors.items()
    }


def _thinned(sample: FoldSample, split: folds.Folds, trial: Trial) -> StartSites:
    """Take the right to be learnt from away from all but some distinct starts outside the held-out fold."""
    starts = sample.starts
    keys = _keys(starts.contig, starts.position, starts.strand)
    fold = split.of(starts.contig, starts.position)
    usable = np.flatnonzero(fold != folds.HELD_OUT_FOLD)
    rng = np.random.default_rng([trial.seed, 3, trial.starts or 0])
    kept = rng.choice(usable, size=min(trial.starts or 0, len(usable)), replace=False)
    wanted = np.sort(np.concatenate((keys[kept], keys[fold == folds.HELD_OUT_FOLD])))
    ends = []
    for one in sample.sites.ends:
        own = _keys(one.contig, one.position, (one.bits & REVERSE) != 0)
        row = np.minimum(np.searchsorted(wanted, own), max(len(wanted) - 1, 0))
        stays = wanted[row] == own if len(wanted) else np.zeros(len(own), bool)
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
    """Move each position by 1 to 100 bases to either side, as background is drawn."""
    step = rng.integers(1, sampling.LOCAL_REACH + 1, len(positions)) * rng.choice(
        [-1, 1], len(positions)
    )
    return replace(positions, position=positions.position + step)


def _reads_within(sample: FoldSample, contig: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count the reads that start within each block of the features; ``contig`` is each block's among the sites'."""
    starts, features = sample.starts, sample.features
    key = starts.contig.astype(np.int64) * (1 << 40) + starts.position
    before = np.concatenate(([0.0], np.cumsum(starts.weight)))
    edges = [contig * (1 << 40) + side for side in (features.block_start, features.block_end)]
    first, last = (np.searchsorted(key, edge) for edge in edges)
    return np.asarray(np.where(contig >= 0, before[last] - before[first], 0.0))


def _speed(model: BiasModel, contexts: NDArray[np.uint8]) -> float:
    """Measure how many windows one thread scores in a second: the best of several calls."""
    model.log_bias(contexts[:64])
    best = spent = 0.0
    while spent < TIMED:
        begin = time.perf_counter()
        model.log_bias(contexts)
        seconds = time.perf_counter() - begin
        spent += seconds
        best = max(best, len(contexts) / seconds)
    return best
