from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterbias.evaluation import composition as comp
from counterbias.evaluation import measures
from counterbias.evaluation.strandedness import StrandEvidence, strand_evidence, strandedness_hint
from counterbias.evaluation.units import Units, make_units
from counterbias.records import PRESENT, REVERSE, EndSites, Features, Positions, StartSites, Window


def make_features(blocks: list[tuple[int, int, int, int]]) -> Features:
    """One feature per block: contig, strand, start, end."""
    rows = np.array(blocks)
    return Features(
        tuple(f"g{i}" for i in range(len(rows))),
        {},
        ("one", "two"),
        np.arange(len(rows) + 1),
        rows[:, 0].astype(np.int32),
        rows[:, 1].astype(np.int8),
        rows[:, 2],
        rows[:, 3],
    )


def simulated(
    units: int = 60, length: int = 200, reads: float = 80, spread: float = 1.0, seed: int = 1
) -> tuple[np.ndarray, Units]:
    """Units whose reads follow a known bias and abundances of their own; returns the log bias."""
    rng = np.random.default_rng(seed)
    log_bias = rng.normal(0, spread, units * length)
    bias = np.exp(log_bias).reshape(units, length)
    rate = reads * rng.lognormal(0, 1, (units, 1)) * bias / bias.sum(axis=1, keepdims=True)
    start = np.arange(units, dtype=np.int64) * 1000
    return log_bias, Units(
        np.zeros(units, np.int32),
        start,
        start + length,
        np.zeros(units, np.uint8),
        np.arange(units + 1, dtype=np.int64) * length,
        rng.poisson(rate).astype(np.float64).ravel(),
    )


def test_units_are_bins_between_edges() -> None:
    features = make_features(
        [(0, 0, 100, 400), (0, 1, 300, 900), (0, 0, 950, 1040), (1, 0, 0, 500)]
    )
    position = np.array([100, 110, 110, 299, 300, 950, 60, 120])
    contig = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int32)
    strand = np.array([0, 0, 1, 0, 0, 0, 0, 0], np.uint8)
    weight = np.array([10.0, 5, 30, 6, 50, 90, 15, 15])
    order = np.lexsort((strand, position, contig))
    starts = Positions(contig[order], position[order], strand[order], weight[order])
    units = make_units(starts, features, np.array([0, 1]), block=300)
    found = sorted(
        zip(
            units.contig.tolist(),
            units.start.tolist(),
            units.end.tolist(),
            units.strand.tolist(),
            strict=True,
        )
    )
    # 100-300 is cut at the edges 300 and 400, block edges cut at 300, 600, 900; contig 1 at 300.
    assert found == [(0, 100, 300, 0), (0, 100, 300, 1), (0, 300, 400, 0), (1, 0, 300, 0)]
    first = int(np.flatnonzero((units.start == 100) & (units.strand == 0))[0])
    reads = units.reads[units.offsets[first] : units.offsets[first + 1]]
    assert (reads[0], reads[10], reads[199], reads.sum()) == (10, 5, 6, 21)
    places = units.positions()
    assert len(places) == len(units.reads)
    assert places.position[units.offsets[first]] == 100
    chosen = units.take(units.contig == 1)
    assert (len(chosen), chosen.reads.sum(), chosen.offsets.tolist()) == (1, 30, [0, 300])
    assert len(make_units(starts, features, np.array([-1, -1]), block=300)) == 0


def test_no_model_gains_nothing() -> None:
    _, units = simulated()
    flat = np.zeros(len(units.reads))
    for estimate in measures.gains(flat, units).values():
        assert estimate.value == 0
    assert measures.deviance_explained(flat, units) == pytest.approx(0, abs=1e-12)
    auc, loss = measures.discrimination(flat, units)
    assert (auc, loss) == (pytest.approx(0.5), pytest.approx(np.log(2)))


def test_the_truth_is_best() -> None:
    truth, units = simulated()
    rng = np.random.default_rng(2)
    rivals = [truth + rng.normal(0, 0.5, len(truth)), truth * 0.5, truth * 1.6, -truth]
    best = measures.gains(truth, units)
    for rival in rivals:
        assert measures.gain(rival, units, cap=None).value < best["all"].value
        assert measures.deviance_explained(rival, units) < measures.deviance_explained(truth, units)
    assert best["all"].value > 10 * best["all"].standard_error > 0
    auc, loss = measures.discrimination(truth, units)
    assert auc > 0.65
    assert loss < np.log(2)


def test_the_gain_of_the_truth_is_its_information() -> None:
    """For a bias exp(N(0, s²)) the expected gain is s²/2 nats, up to finite units."""
    truth, units = simulated(units=400, length=1000, spread=0.5)
    assert measures.gain(truth, units, cap=None).value == pytest.approx(0.125 / np.log(2), rel=0.1)


def test_a_shuffled_model_loses() -> None:
    truth, units = simulated()
    shuffled = np.random.default_rng(3).permutation(truth)
    for estimate in measures.gains(shuffled, units).values():
        assert estimate.value < 0
    assert measures.deviance_explained(shuffled, units) < 0
    assert measures.discrimination(shuffled, units)[0] == pytest.approx(0.5, abs=0.02)


def test_a_constant_changes_nothing() -> None:
    truth, units = simulated()
    assert np.allclose(
        measures.relative_bias(truth, units), measures.relative_bias(truth + 700, units)
    )
    for cap in (1, 5, None):
        first, second = (
            measures.gain(truth, units, cap=cap),
            measures.gain(truth - 3, units, cap=cap),
        )
        assert first.value == pytest.approx(second.value)
        assert first.standard_error == pytest.approx(second.standard_error)


def test_unknown_positions_are_left_out() -> None:
    truth, units = simulated(units=2, length=50)
    kept = np.ones(100, bool)
    kept[[3, 60, 61]] = False
    blind = np.where(kept, truth, np.nan)
    shorter = Units(
        units.contig,
        units.start,
        units.end,
        units.strand,
        np.array([0, 49, 97], np.int64),
        units.reads[kept],
    )
    assert measures.gain(blind, units, cap=None) == measures.gain(truth[kept], shorter, cap=None)
    assert measures.discrimination(blind, units) == pytest.approx(
        measures.discrimination(truth[kept], shorter)
    )
    assert measures.deviance_explained(blind, units) == pytest.approx(
        measures.deviance_explained(truth[kept], shorter)
    )


def test_gain_by_hand() -> None:
    units = Units(
        np.zeros(1, np.int32),
        np.zeros(1, np.int64),
        np.array([2]),
        np.zeros(1, np.uint8),
        np.array([0, 2]),
        np.array([7.0, 1.0]),
    )
    bias = np.log(np.array([1.5, 0.5]))
    expected = {"uniq": (1, 1), "cap5": (5, 1), "all": (7, 1)}
    for name, (a, b) in expected.items():
        value = (a * np.log2(1.5) + b * np.log2(0.5)) / (a + b)
        assert measures.gains(bias, units)[name].value == pytest.approx(value)


def test_effective_sample_size_by_hand() -> None:
    assert measures.effective_sample_size(np.array([1.0, 1, 1, 1])) == (1.0, 1.0)
    assert measures.effective_sample_size(np.array([3.0, 1])) == (
        pytest.approx(16 / 20),
        pytest.approx(1.5),
    )
    assert np.isnan(measures.effective_sample_size(np.zeros(0))[0])


def test_halves_agree_best_with_effective_lengths() -> None:
    truth, units = simulated(units=300, reads=2000, spread=1.0)
    raw, weighted, effective = (
        measures.half_consistency(truth, units, by=by)
        for by in ("raw", "weighted", "effective_length")
    )
    assert effective < weighted < raw


def windows(n: int, seed: int, skew: float = 0.0) -> np.ndarray:
    """Random windows of 81 columns; ``skew`` favours A in columns 28 to 39."""
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, 4, (n, 81)).astype(np.uint8)
    contexts[:, 28:40][rng.random((n, 12)) < skew] = 0
    return contexts


def test_composition_counts_kmers() -> None:
    contexts = np.array([[0, 1, 2], [0, 1, 3], [3, 1, 3]], np.uint8)
    weights = np.array([1.0, 1.0, 2.0])
    single = comp.composition(contexts, weights)
    assert single.frequency[0].tolist() == [0.5, 0, 0, 0.5]
    assert single.frequency[2].tolist() == [0, 0, 0.25, 0.75]
    assert single.effective == pytest.approx(16 / 6)
    pairs = comp.composition(contexts, weights, k=2)
    assert pairs.frequency.shape == (2, 16)
    assert pairs.frequency[1, 4 * 1 + 3] == 0.75
    assert comp.composition(contexts[:0]).effective == 0


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_noise_floor_is_what_equal_distributions_show(k: int) -> None:
    rng = np.random.default_rng(5)
    weights = rng.lognormal(0, 0.7, 8000)
    first = comp.composition(windows(8000, 1), weights, k=k)
    second = comp.composition(windows(12_000, 2), k=k)
    assert comp.symmetrised_kl(first, second).mean() == pytest.approx(
        comp.noise_floor(first, second), rel=0.25
    )


def test_divergence_is_symmetric_and_zero_for_equals() -> None:
    one, two = comp.composition(windows(3000, 1, 0.3)), comp.composition(windows(3000, 2))
    assert np.allclose(comp.symmetrised_kl(one, two), comp.symmetrised_kl(two, one))
    assert np.allclose(comp.symmetrised_kl(one, one), 0)
    p, q = one.frequency[30], two.frequency[30]
    expected = 0.5 * (p * np.log2(p / q)).sum() + 0.5 * (q * np.log2(q / p)).sum()
    assert comp.symmetrised_kl(one, two)[30] == pytest.approx(expected, rel=0.01)


def test_weighting_by_the_truth_removes_the_divergence() -> None:
    contexts, background = windows(20_000, 1, 0.3), windows(20_000, 2)
    share = 0.3 + 0.7 / 4
    likelihood = np.where(contexts[:, 28:40] == 0, share * 4, (1 - share) / 3 * 4).prod(axis=1)
    entries = comp.divergence_report(
        contexts, np.ones(20_000), 1 / likelihood, background, np.ones(20_000)
    )
    assert [entry["k"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0]["fall"] > 0.9  # type: ignore[operator]
    assert entries[0]["sum_before"] == pytest.approx(np.sum(entries[0]["before"]))
    assert (
        comp.divergence_report(contexts[:0], np.ones(0), np.ones(0), background, np.ones(20_000))
        == []
    )
    shares = comp.composition_report(
        contexts, np.ones(20_000), 1 / likelihood, background, np.ones(20_000)
    )
    assert shares["before"]["A"][30] == pytest.approx(share, abs=0.02)
    assert shares["after"]["A"][30] == pytest.approx(0.25, abs=0.05)


def profile(skew: float, shift: int = 0) -> tuple[np.ndarray, float]:
    one = comp.composition(np.roll(windows(20_000, 1, skew), shift, axis=1))
    two = comp.composition(windows(20_000, 2))
    return comp.symmetrised_kl(one, two), comp.noise_floor(one, two)


def test_a_signature_before_the_read_start_is_seen() -> None:
    divergence, noise = profile(0.3)
    found = comp.signature_span(divergence, noise, upstream=40, window=Window(10, 10))
    assert (found.found, found.first, found.last) == (True, -12, -1)
    assert found.precedes_start
    assert found.before_start == 1
    assert 0.1 < found.outside < 0.25
    assert found.window == Window(16, 10)
    assert found.covered is False


def test_an_ordinary_signature_is_not_suspicious() -> None:
    divergence, noise = profile(0.3, shift=12)
    found = comp.signature_span(divergence, noise, upstream=40, window=Window(10, 12))
    assert (found.found, found.first, found.last, found.precedes_start) == (True, 0, 11, False)
    assert found.outside == 0


def test_no_signature_in_noise() -> None:
    divergence, noise = profile(0.0)
    found = comp.signature_span(divergence, noise, upstream=40, window=Window(10, 10))
    assert not found.found
    assert found.covered is None
    assert found.window == Window(10, 10)


@pytest.mark.parametrize("trimmed", range(4, 21))
def test_the_window_advised_for_trimmed_reads_holds_their_signature(trimmed: int) -> None:
    divergence, noise = profile(0.3, shift=12 - trimmed)
    found = comp.signature_span(divergence, noise, upstream=40, window=Window(10, 10))
    again = comp.signature_span(divergence, noise, upstream=40, window=found.window)
    assert (again.first, again.last) == (-trimmed, 11 - trimmed)
    assert again.covered
    assert again.window == found.window
    assert found.covered == (found.window == Window(10, 10))
    assert found.covered == (trimmed <= 11)


@given(
    shift=st.integers(-20, 20),
    other=st.integers(-36, 36),
    share=st.floats(0, 1),
    upstream=st.integers(0, 30),
    downstream=st.integers(0, 30),
)
def test_following_the_advice_on_the_window_never_gives_another(
    shift: int, other: int, share: float, upstream: int, downstream: int
) -> None:
    divergence = np.full(81, 1e-4)
    divergence[shift + 35 : shift + 46] += 0.02 + 0.03 * np.arange(11)
    divergence[other + 39 : other + 42] += share  # as in a library whose parts differ
    window = Window(upstream, downstream)
    first = comp.signature_span(divergence, 1e-4, upstream=40, window=window)
    again = comp.signature_span(divergence, 1e-4, upstream=40, window=first.window)
    assert first.found
    assert again.covered
    assert again.window == first.window
    assert first.covered == (first.window == window)


def make_sites(strands: list[tuple[int | None, int | None]], feature: list[int]) -> StartSites:
    n = len(strands)

    def end(which: int) -> EndSites:
        bits = [
            0 if row[which] is None else PRESENT | (REVERSE if row[which] else 0) for row in strands
        ]
        return EndSites(np.zeros(n, np.int32), np.zeros(n, np.int32), np.array(bits, np.uint8))

    return StartSites(("one",), (100,), np.array(feature, np.int32), None, (end(0), end(1)))


def test_strand_evidence_by_hand() -> None:
    features = make_features([(0, 0, 0, 50), (0, 1, 60, 90), (0, 2, 95, 99)])
    strands = [(0, 1), (1, 0), (1, 0), (None, 1), (None, 0), (0, 1), (1, None)]
    found = strand_evidence(make_sites(strands, [0, 0, 1, 0, 1, 2, 1]), features)
    assert (found.sense, found.antisense) == (5, 1)
    assert found.share is None
    assert found.verdict is None


@pytest.mark.parametrize(
    ("stranded", "sense", "expected"),
    [
        ("no", 5000, None),
        ("no", 9800, "yes"),
        ("no", 200, "reverse"),
        ("no", 8000, None),
        ("yes", 200, "reverse"),
        ("yes", 5100, "no"),
        ("yes", 9700, None),
        ("reverse", 9700, "yes"),
        ("reverse", 100, None),
    ],
)
def test_hints_from_evidence(stranded: str, sense: int, expected: str | None) -> None:
    hint = strandedness_hint(stranded, StrandEvidence(sense, 10_000 - sense))
    if expected is None:
        assert hint is None
    else:
        assert hint is not None
        assert f"--stranded {stranded} looks wrong" in hint
        assert hint.endswith(f"as with --stranded {expected}")


def test_hints_without_evidence() -> None:
    assert strandedness_hint("yes", None, assigned=1000, no_feature=100) is None
    assert strandedness_hint("no", None, assigned=100, no_feature=10_000) is None
    hint = strandedness_hint("yes", StrandEvidence(3, 4), assigned=100, no_feature=10_000)
    assert hint is not None
    assert "99 %" in hint
    assert "--stranded reverse" in hint
