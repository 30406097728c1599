"""How well estimates of expression agree with a truth, with replicates, and with raw estimates.

All functions take numbers per feature. Logarithms are to base 2. The quantities compared may have
different units (FPKM and attomoles), so a constant factor between the two never counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The measures against a truth, in the order of the columns.
MEASURES = ("pearson", "spearman", "r2", "rmse")
#: Features needed for a comparison.
MIN_FEATURES = 3
#: Resamples of features for intervals, the intervals' coverage, resamples in memory at a time.
RESAMPLES, COVERAGE, AT_A_TIME = 2000, 0.95, 200
#: A log2 fold change nearer to 0 than this is rounding, neither up nor down.
NO_CHANGE = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its bootstrap interval; NaN with too few features."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How estimates agree with a truth.

    Args:
        features: number of features compared: those whose truth and estimates are above zero.
        of: estimate → measure → interval.
        minus_raw: estimate → measure → its difference from ``raw``, over the same resamples.
    """

    features: int
    of: Mapping[str, Mapping[str, Interval]]
    minus_raw: Mapping[str, Mapping[str, Interval]]


def compare_with_truth(
    truth: Floats,
    estimates: Mapping[str, Floats],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> Agreement:
    """Compare estimates with a truth, feature by feature.

    Args:
        truth: float64 (features,); NaN, zero and negative values are left out.
        estimates: name → float64 (features,); ``raw`` among them. Features for which any estimate
            is not above zero are left out of all, so that all are compared over the same features.
        rng: draws features with replacement; each draw serves all estimates, so that differences
            are paired.
        resamples: number of draws.
    """
    known = np.isfinite(truth) & (truth > 0)
    for values in estimates.values():
        known &= np.isfinite(values) & (values > 0)
    rows = np.flatnonzero(known)
    others = [name for name in estimates if name != "raw"]
    if len(rows) < MIN_FEATURES:
        nothing = {measure: Interval(np.nan, np.nan, np.nan) for measure in MEASURES}
        return Agreement(
            len(rows), dict.fromkeys(estimates, nothing), dict.fromkeys(others, nothing)
        )
    target = np.log2(truth[rows])
    logs = {name: np.log2(values[rows]) for name, values in estimates.items()}
    drawn, whole = _resampled(logs, target, rng, resamples)
    return Agreement(
        len(rows),
        {name: _intervals(whole[name], drawn[name]) for name in logs},
        {
            name: _intervals(whole[name] - whole["raw"], drawn[name] - drawn["raw"])
            for name in others
        },
    )


def _resampled(
    logs: Mapping[str, Floats], target: Floats, rng: np.random.Generator, resamples: int
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Take the measures of every resample, and of all features.

    Ranks are those among all features, in every resample: ranking 20,000 features 2,000 times would
    take minutes.

    Returns:
        estimate → float64 (measures, resamples), and estimate → float64 (measures,).
    """
    from scipy.stats import rankdata

    ranks, target_ranks = (
        {name: rankdata(values) for name, values in logs.items()},
        rankdata(target),
    )
    found: dict[str, list[Floats]] = {name: [] for name in logs}
    everything = np.arange(len(target))[None, :]
    for rows in (everything, *_draws(rng, resamples, len(target))):
        for name, values in logs.items():
            found[name].append(
                _measure(values[rows], target[rows], ranks[name][rows], target_ranks[rows])
            )
    drawn = {name: np.concatenate(parts[1:], axis=1) for name, parts in found.items()}
    return drawn, {name: parts[0][:, 0] for name, parts in found.items()}


def _draws(rng: np.random.Generator, resamples: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Draw rows with replacement, :data:`AT_A_TIME` resamples at a time."""
    for first in range(0, resamples, AT_A_TIME):
        yield rng.integers(0, size, (min(AT_A_TIME, resamples - first), size))


def _intervals(whole: Floats, drawn: Floats) -> dict[str, Interval]:
    """Return the percentile interval of each measure, without resamples where it is not defined."""
    tail = (1 - COVERAGE) / 2
    found = {}
    for measure, value, values in zip(MEASURES, whole, drawn, strict=True):
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, (tail, 1 - tail)) if len(values) else (np.nan, np.nan)
        found[measure] = Interval(float(value), float(low), float(high))
    return found


def _measure(x: Floats, y: Floats, x_ranks: Floats, y_ranks: Floats) -> Floats:
    """Take the measures of logs and their ranks, (n, features) each; float64 (measures, n)."""
    pearson = _correlation(x, y)
    return np.stack([pearson, _correlation(x_ranks, y_ranks), pearson**2, _spread(x - y)])


def _correlation(x: Floats, y: Floats) -> Floats:
    """Correlate row by row; NaN where one side does not vary."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.asarray(
        np.divide((x * y).sum(axis=1), scale, out=np.full(len(x), np.nan), where=scale > 1e-12),
        np.float64,
    )


def _spread(difference: Floats) -> Floats:
    """Return the standard deviation of each row: a constant factor between the sides cancels."""
    return np.asarray(difference.std(axis=1))


def log_pearson(first: Floats, second: Floats) -> float:
    """Correlate the logs of two estimates over features where both are above zero.

    NaN with fewer than :data:`MIN_FEATURES` of them.
    """
    rows = np.isfinite(first) & np.isfinite(second) & (first > 0) & (second > 0)
    if rows.sum() < MIN_FEATURES:
        return float("nan")
    return float(_correlation(np.log2(first[rows])[None, :], np.log2(second[rows])[None, :])[0])


@dataclass(frozen=True, slots=True)
class Change:
    """How a correction changed the expression of all features, as in table 3 of Zhang et al. 2017.

    Args:
        distance: Euclidean distance between the two expression vectors, each divided by its sum.
        up, down: number of features whose share of the expression rose and fell.
    """

    distance: float
    up: int
    down: int


def change_of(raw: Floats, other: Floats) -> Change:
    """Compare expression before and after, FPKM or any other abundance.

    Features without raw reads are left out.
    """
    if not raw.sum() > 0 or not other.sum() > 0:
        return Change(float("nan"), 0, 0)
    before, after = raw / raw.sum(), other / other.sum()
    rows = (before > 0) & (after > 0)
    moved = np.log2(after[rows] / before[rows])
    return Change(
        float(np.sqrt(((after - before) ** 2).sum())),
        int((moved > NO_CHANGE).sum()),
        int((moved < -NO_CHANGE).sum()),
    )


@dataclass(frozen=True, slots=True)
class Replicates:
    """How a sample agrees with the others of its group, mean over them.

    Args:
        pairs: number of samples that it was compared with.
        rmse: estimate → root mean square log2 ratio, whatever the constant factor between samples.
        pearson: estimate → correlation of logs.
        minus_raw: estimate → (difference of rmse from ``raw``, its standard error by resampling of
            features).
    """

    pairs: int
    rmse: Mapping[str, float]
    pearson: Mapping[str, float]
    minus_raw: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class SampleEstimates:
    """The estimated expression of one sample's features.

    Args:
        expression: estimate (``raw`` among them) → float64 (features,).
        counts: float64 (features,), raw counts.
    """

    expression: Mapping[str, Floats]
    counts: Floats


def replicate_agreement(
    sample: SampleEstimates,
    partners: Sequence[SampleEstimates],
    rng: np.random.Generator,
    *,
    fewest: float = 10.0,
    resamples: int = RESAMPLES,
) -> Replicates | None:
    """Compare a sample's estimates with those of the other samples of its group.

    Args:
        sample: the sample.
        partners: the others, with the same features and estimates.
        rng: draws features with replacement.
        fewest: features with fewer raw counts in either sample are left out.
        resamples: number of draws.

    Returns:
        The agreement, or None where no partner shares :data:`MIN_FEATURES` features.
    """
    own = sample.expression
    rmse: dict[str, list[float]] = {name: [] for name in own}
    pearson: dict[str, list[float]] = {name: [] for name in own}
    ratios: list[tuple[NDArray[np.int64], dict[str, Floats]]] = []
    for partner in partners:
        other = partner.expression
        rows = (sample.counts >= fewest) & (partner.counts >= fewest)
        for values in (*own.values(), *other.values()):
            rows &= values > 0
        chosen = np.flatnonzero(rows)
        if len(chosen) < MIN_FEATURES:
            continue
        ratio = {name: np.log2(own[name][chosen] / other[name][chosen]) for name in own}
        ratios.append((chosen, ratio))
        for name, values in ratio.items():
            rmse[name].append(float(values.std()))
            pearson[name].append(log_pearson(own[name][chosen], other[name][chosen]))
    if not ratios:
        return None
    mean = {name: float(np.mean(values)) for name, values in rmse.items()}
    errors = _errors_of_differences(ratios, rng, resamples)
    return Replicates(
        len(rmse["raw"]),
        mean,
        {name: float(np.mean(values)) for name, values in pearson.items()},
        {name: (mean[name] - mean["raw"], error) for name, error in errors.items()},
    )


def _errors_of_differences(
    ratios: Sequence[tuple[NDArray[np.int64], Mapping[str, Floats]]],
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, float]:
    """Return the standard error of each estimate's mean RMS less that of ``raw``.

    ``ratios`` holds, per partner, its features, and estimate → log2 ratio to it. Features are
    resampled. Each draw serves all partners: they are compared with the same sample, so what is
    particular to a feature there is shared by all pairs.
    """
    every = np.unique(np.concatenate([chosen for chosen, _ in ratios]))
    places = [np.searchsorted(every, chosen) for chosen, _ in ratios]
    names = [name for name in ratios[0][1] if name != "raw"]
    drawn: dict[str, list[Floats]] = {name: [] for name in names}
    for rows in _draws(rng, resamples, len(every)):
        cells = rows + np.arange(len(rows))[:, None] * len(every)
        times = (
            np.bincount(cells.ravel(), minlength=rows.size).reshape(rows.shape).astype(np.float64)
        )
        parts: dict[str, list[Floats]] = {name: [] for name in names}
        for place, (_, ratio) in zip(places, ratios, strict=True):
            own = times[:, place]
            raw = _spread_of_draws(ratio["raw"], own)
            for name in names:
                parts[name].append(_spread_of_draws(ratio[name], own) - raw)
        for name in names:
            drawn[name].append(np.mean(parts[name], axis=0))
    return {name: float(np.concatenate(found).std()) for name, found in drawn.items()}


def _spread_of_draws(values: Floats, times: Floats) -> Floats:
    """Return the standard deviation of resamples of values (features,).

    ``times``, (n, features), is how often each value was drawn.
    """
    centred = values - values.mean()
    total = np.maximum(times.sum(axis=1), 1.0)
    # Not a matrix product: its sums depend on the machine's threads.
    mean, square = (np.einsum("ij,j->i", times, one) / total for one in (centred, centred**2))
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0.0)))
