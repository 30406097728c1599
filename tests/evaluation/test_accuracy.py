"""The measures together, folds that rotate, and evaluation of a backend on one of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from counterbias import sampling
from counterbias.errors import InputError
from counterbias.evaluation import folds, measures
from counterbias.evaluation.accuracy import Accuracy, inverse_bias, measure_accuracy
from counterbias.evaluation.units import Units
from counterbias.pipeline.bias.choice import ModelChoice, choose_model
from counterbias.pipeline.compare.evaluation import (
    FoldSample,
    Trial,
    evaluate_backend,
    evaluate_scores,
    fold_sample,
    fold_trial,
    gene_changes,
)
from counterbias.plugins import load_plugins
from counterbias.records import (
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Features,
    Positions,
    StartSites,
    Window,
)

#: Measures that are larger, and smaller, for a better model.
HIGHER = ("gain_uniq", "gain_cap5", "gain_all", "r2", "deviance", "auc")
LOWER = ("log_loss", "kl1_after", "kl3_after")
WIDTH = 7


@dataclass(frozen=True)
class World:
    """Units whose reads follow a bias that is a function of the window."""

    log_bias: np.ndarray
    units: Units
    contexts: np.ndarray

    def measure(self, log_bias: np.ndarray) -> Accuracy:
        return measure_accuracy(log_bias, self.units, self.contexts, np.ones(len(log_bias), bool))


def make_world(
    seed: int, *, units: int = 60, length: int = 300, reads: float = 60, spread: float = 0.45
) -> World:
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, 4, (units * length, WIDTH), dtype=np.uint8)
    table = rng.normal(0, spread, (WIDTH, 4))
    log_bias = table[np.arange(WIDTH), contexts].sum(axis=1)
    bias = np.exp(log_bias).reshape(units, length)
    counts = rng.poisson(
        reads * rng.lognormal(0, 0.5, (units, 1)) * bias / bias.sum(axis=1, keepdims=True)
    ).ravel()
    start = np.arange(units, dtype=np.int64) * 1000
    strand, offsets = np.zeros(units, np.uint8), np.arange(units + 1, dtype=np.int64) * length
    return World(
        log_bias,
        Units(
            np.zeros(units, np.int32), start, start + length, strand, offsets, counts.astype(float)
        ),
        contexts,
    )


# What holds on average may fail by chance in a world of few reads: the worlds are drawn once.
@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([-1.0, 0.0, 0.4, 2.0]))
def test_the_truth_is_best_by_every_measure(seed: int, scale: float) -> None:
    world = make_world(seed)
    best, rival = world.measure(world.log_bias), world.measure(scale * world.log_bias)
    for name in HIGHER:
        if name != "auc" or scale <= 0:  # ranks do not change with a positive factor
            assert getattr(best, name) > getattr(rival, name)
    for name in LOWER:
        assert getattr(best, name) < getattr(rival, name)


@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 2**31), noise=st.sampled_from([0.5, 1.0, 2.0]))
def test_noise_makes_a_model_worse(seed: int, noise: float) -> None:
    world = make_world(seed)
    blurred = world.log_bias + np.random.default_rng(seed).normal(0, noise, len(world.log_bias))
    best, rival = world.measure(world.log_bias), world.measure(blurred)
    for name in HIGHER:
        assert getattr(best, name) > getattr(rival, name)
    assert best.log_loss < rival.log_loss


@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_shuffled_windows_gain_nothing(seed: int) -> None:
    world = make_world(seed)
    found = world.measure(np.random.default_rng(seed).permutation(world.log_bias))
    for name in ("gain_uniq", "gain_cap5", "gain_all", "r2", "deviance"):
        assert getattr(found, name) < 0
    assert found.auc == pytest.approx(0.5, abs=0.03)
    assert found.log_loss > math.log(2)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), constant=st.floats(-800, 800))
def test_a_constant_changes_no_measure(seed: int, constant: float) -> None:
    world = make_world(seed, units=10)
    first, second = (
        asdict(world.measure(world.log_bias)),
        asdict(world.measure(world.log_bias + constant)),
    )
    assert second == pytest.approx(first, rel=1e-9, abs=1e-9)


def test_no_model_has_known_values() -> None:
    world = make_world(1)
    found = world.measure(np.zeros(len(world.log_bias)))
    assert (found.gain_uniq, found.gain_cap5, found.gain_all, found.ess, found.max_over_mean) == (
        0,
        0,
        0,
        1,
        1,
    )
    assert (found.r2, found.deviance) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert (found.auc, found.log_loss) == (pytest.approx(0.5), pytest.approx(math.log(2)))
    assert (found.kl1_after, found.kl3_after) == (found.kl1_before, found.kl3_before)
    assert found.half_raw == pytest.approx(found.half_weighted)
    assert found.starts == (world.units.reads > 0).sum()


def test_windows_that_cannot_be_scored_are_left_out() -> None:
    world = make_world(2, units=5)
    log_bias = world.log_bias.copy()
    log_bias[::7] = np.nan
    found = measure_accuracy(log_bias, world.units, world.contexts, np.isfinite(log_bias))
    assert all(math.isfinite(value) for value in asdict(found).values())
    nothing = measure_accuracy(
        np.full(len(log_bias), np.nan), world.units, world.contexts, np.zeros(len(log_bias), bool)
    )
    assert math.isnan(nothing.ess)
    assert math.isnan(nothing.kl1_after)


def test_explained_likelihood_by_hand() -> None:
    reads, bias = np.array([40.0, 8.0, 0.0, 4.0]), np.array([2.0, 1.0, 0.5, 0.5])
    zero = np.zeros(1, np.int64)
    units = Units(
        np.zeros(1, np.int32), zero, zero + 4, np.zeros(1, np.uint8), np.array([0, 4]), reads
    )
    flat, with_bias = (
        float(poisson.logpmf(reads, rate).sum()) for rate in (np.full(4, 13.0), 13.0 * bias)
    )
    assert measures.likelihood_explained(np.log(bias) + 5, units) == pytest.approx(
        1 - with_bias / flat
    )
    assert math.isnan(measures.likelihood_explained(np.log(bias), units, min_reads=53))


def test_inverse_bias_cannot_overflow() -> None:
    assert inverse_bias(np.array([-900.0, 0.0])).tolist() == [1.0, 0.0]
    assert len(inverse_bias(np.zeros(0))) == 0


# -- folds ------------------------------------------------------------------------------------


def positions_at(places: np.ndarray) -> Positions:
    n = len(places)
    return Positions(
        np.zeros(n, np.int32), np.asarray(places, np.int64), np.zeros(n, np.uint8), np.ones(n)
    )


@pytest.mark.parametrize(
    ("span", "expected"), [(1_350_000, 50_000), (100_000, 2_000), (30_000, 1_000), (0, 1_000)]
)
def test_blocks_are_as_large_as_the_library_allows(span: int, expected: int) -> None:
    assert folds.block_size(positions_at(np.arange(0, span, 200))) == expected


@pytest.mark.parametrize("block", [50_000, 20_000, 5_000, 2_000, 1_000])
@pytest.mark.parametrize("held_out", [0, 3])
def test_every_fifth_block_is_held_out(block: int, held_out: int) -> None:
    starts = positions_at(np.arange(0, 40 * block, 50))
    split = folds.rotate(starts, block=block, held_out=held_out)
    away = starts.position // block % 5 == held_out
    assert ((split.of(starts.contig, starts.position) == folds.HELD_OUT_FOLD) == away).all()
    assert split.block == block


# -- a backend on a fold ----------------------------------------------------------------------


class Codes:
    """A genome of one contig in memory."""

    def __init__(self, codes: np.ndarray) -> None:
        self._codes = codes

    def codes(self, contig: str) -> np.ndarray:
        assert contig == "one"
        return self._codes


def one_feature_each(blocks: list[tuple[int, int]]) -> Features:
    rows = np.array(blocks, np.int64)
    n = len(rows)
    names = tuple(f"g{i:03d}" for i in range(n))
    return Features(
        names,
        {},
        ("one",),
        np.arange(n + 1),
        np.zeros(n, np.int32),
        np.zeros(n, np.int8),
        rows[:, 0],
        rows[:, 1],
    )


@pytest.fixture(scope="module")
def sample() -> FoldSample:
    """Return 200 exons of 400 bases, on both strands, whose reads prefer A at the start after C."""
    rng = np.random.default_rng(5)
    length = 200_000
    codes = rng.integers(0, 4, length, dtype=np.uint8)
    exons = [(begin + 300, begin + 700) for begin in range(0, length, 1000)]
    inside = np.zeros(length, bool)
    for begin, end in exons:
        inside[begin:end] = True
    bias = 1.0 + 4.0 * (codes == 0) + 2.0 * (np.roll(codes, 1) == 1)
    mirrored = 1.0 + 4.0 * (codes == 3) + 2.0 * (np.roll(codes, -1) == 2)
    places, bits = [], []
    for strand, rate in ((0, bias), (1, mirrored)):
        counts = rng.poisson(np.where(inside, 0.05 * rate, 0.0))
        place = np.repeat(np.arange(length), counts)
        places.append(place)
        bits.append(np.full(len(place), PRESENT | TRAINABLE | (REVERSE if strand else 0), np.uint8))
    position, flags = np.concatenate(places).astype(np.int32), np.concatenate(bits)
    end = EndSites(np.zeros(len(position), np.int32), position, flags)
    sites = StartSites(("one",), (length,), np.zeros(len(position), np.int32), None, (end,))
    features = one_feature_each(exons)
    return fold_sample(sites, features, features, Codes(codes))


@pytest.fixture(scope="module")
def pwm() -> ModelChoice:
    return choose_model("pwm", load_plugins(), window=Window(5, 5))


def test_a_planted_bias_is_measured(sample: FoldSample, pwm: ModelChoice) -> None:
    found = evaluate_backend(pwm, sample, Trial(2))
    truth = evaluate_scores(
        lambda positions: true_log_bias(sample, positions), sample, 2, pwm.window
    )
    assert 0.8 * truth.gain_cap5 < found.accuracy.gain_cap5 <= truth.gain_cap5
    assert found.accuracy.kl1_after < 0.2 * found.accuracy.kl1_before
    assert found.calibration.applied
    assert found.calibrated_cap5 == pytest.approx(found.accuracy.gain_cap5, abs=0.02)
    assert found.windows_per_second > 1000
    assert found.spread > 0.3
    assert found.validation == pytest.approx(0.1 * (found.training + found.validation), rel=0.5)
    again = evaluate_backend(pwm, sample, Trial(2))
    assert again.accuracy == found.accuracy
    assert evaluate_backend(pwm, sample, Trial(2, seed=2)).accuracy != found.accuracy


def true_log_bias(sample: FoldSample, positions: Positions) -> np.ndarray:
    contexts, valid = sample.cut(positions, Window(1, 0))
    return np.where(
        valid, np.log(1.0 + 4.0 * (contexts[:, 1] == 0) + 2.0 * (contexts[:, 0] == 1)), np.nan
    )


@pytest.mark.parametrize("fold", range(5))
def test_nothing_of_the_held_out_fold_is_learnt(
    sample: FoldSample, pwm: ModelChoice, fold: int
) -> None:
    folded = fold_trial(pwm, sample, Trial(fold))
    place = folded.windows.starts.position
    # Neither the start itself nor any base of its window.
    for side in (-pwm.window.upstream, 0, pwm.window.downstream):
        assert not ((place + side) // sample.block % 5 == fold).any()
    outside = (sample.starts.position // sample.block % 5 != fold).sum()
    assert outside - 60 < len(place) <= outside, (
        "only what lies at the edges of the fold is lost besides"
    )
    assert len(place) + sum(folded.skipped.values()) == len(sample.starts)
    assert len(folded.sample.everything.foreground) == len(place)


def test_windows_of_the_papers_scheme_lie_within_exons(
    sample: FoldSample, pwm: ModelChoice
) -> None:
    """As in a count: what lies outside exons, here bases that are not known, changes nothing."""
    codes = sample.genome.codes("one").copy()
    place = np.arange(len(codes)) % 1000
    codes[(place < 300) | (place >= 700)] = 4
    for scheme, same in (("paper", True), ("seqbias", False)):
        found, hidden = (
            fold_trial(pwm, one, Trial(0, sampling=scheme))
            for one in (sample, replace(sample, genome=Codes(codes)))
        )
        for role in ("foreground", "background"):
            windows = (getattr(one.windows, role) for one in (found, hidden))
            assert np.array_equal(*windows) is same
        start = found.windows.starts.position % 1000
        assert ((start >= 305) & (start < 695)).all() == same


@pytest.mark.parametrize(("model", "scheme"), [("cnn", "local"), ("pwm", "seqbias")])
def test_bases_of_the_held_out_fold_change_neither_model_nor_calibration(
    sample: FoldSample, model: str, scheme: str
) -> None:
    """Other bases in the held-out fold change nothing that is learnt, or found for weights."""
    quick = (
        ("members=5", "units=16", "channels=4", "min_steps=20", "max_steps=20", "distil_steps=20")
        if model == "cnn"
        else ()
    )
    kind = choose_model(model, load_plugins(), window=Window(5, 5), model_options=quick)
    codes = sample.genome.codes("one").copy()
    away = np.arange(len(codes)) // sample.block % 5 == 2
    codes[away] = np.random.default_rng(8).integers(0, 4, int(away.sum()))
    first, second = (
        evaluate_backend(kind, one, Trial(2, sampling=scheme))
        for one in (sample, replace(sample, genome=Codes(codes)))
    )
    assert first.accuracy != second.accuracy
    assert first.calibration == second.calibration
    for name, array in first.model.to_arrays().items():
        assert np.array_equal(array, second.model.to_arrays()[name]), name


def test_fewer_starts_are_drawn_outside_the_fold(sample: FoldSample, pwm: ModelChoice) -> None:
    thinned = fold_trial(pwm, sample, Trial(1, starts=500)).windows
    assert 450 < len(thinned) <= 500
    assert not (thinned.starts.position // sample.block % 5 == 1).any()
    other = fold_trial(pwm, sample, Trial(1, seed=2, starts=500)).windows
    assert not np.array_equal(other.foreground[:100], thinned.foreground[:100])


def test_with_nothing_to_be_learnt_nothing_is_used(sample: FoldSample, pwm: ModelChoice) -> None:
    found = evaluate_backend(pwm, sample, Trial(0, null=True))
    assert not found.calibration.applied
    assert found.calibrated_cap5 == 0
    assert found.spread < 0.35
    changes = gene_changes(found.model, found.calibration, sample, pwm.window, fewest=30)
    assert len(changes["used"]) > 20
    assert changes["used"] == pytest.approx(np.ones(len(changes["used"])))
    assert 0 < np.abs(changes["ungated"] - 1).max() < 0.1


def test_a_model_that_is_used_changes_genes(sample: FoldSample, pwm: ModelChoice) -> None:
    found = evaluate_backend(pwm, sample, Trial(0))
    changes = gene_changes(found.model, found.calibration, sample, pwm.window, fewest=100)
    owner = np.searchsorted(sample.features.block_end, sample.starts.position, side="right")
    reads = np.bincount(owner, sample.starts.weight, len(sample.features))
    assert len(changes["used"]) == (reads >= 100).sum() > 20
    assert np.abs(changes["used"] - 1).max() > 0.03


def test_a_fold_without_reads_is_refused(sample: FoldSample, pwm: ModelChoice) -> None:
    bare = sample.units.take(np.zeros(len(sample.units), bool))
    empty = FoldSample(
        sample.sites,
        "both",
        sample.features,
        sample.contig_of,
        sample.genome,
        sample.starts,
        bare,
        sample.block,
    )
    with pytest.raises(InputError, match="no exon bin"):
        evaluate_backend(pwm, empty, Trial(0))
    with pytest.raises(InputError, match="can be learnt from"):
        fold_trial(pwm, sample, Trial(0, starts=0))


def test_units_are_cut_at_edges_of_transcripts() -> None:
    genes, transcripts = one_feature_each([(0, 600)]), one_feature_each([(0, 600), (150, 600)])
    position = np.repeat(np.arange(0, 600, 5), 2).astype(np.int32)
    end = EndSites(
        np.zeros(len(position), np.int32),
        position,
        np.full(len(position), PRESENT | TRAINABLE, np.uint8),
    )
    sites = StartSites(("one",), (1000,), np.zeros(len(position), np.int32), None, (end,))
    found = fold_sample(sites, genes, transcripts, Codes(np.zeros(1000, np.uint8)), block=50_000)
    assert found.units.start.tolist() == [0, 150]
    assert found.units.end.tolist() == [150, 600]
    assert len(sampling.unique_starts(sites)) == len(found.starts) == 120
