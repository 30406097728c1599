"""Agreement with a truth and between samples, truth tables, the recommendation: by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from counterbias.errors import InputError
from counterbias.evaluation.agreement import (
    SampleEstimates,
    change_of,
    compare_with_truth,
    log_pearson,
    replicate_agreement,
)
from counterbias.evaluation.recommendation import Contender, recommend
from counterbias.evaluation.trial_means import paired_difference, summarise, value_of
from counterbias.evaluation.truth import join_truth, read_truth
from counterbias.pipeline.compare.candidates import (
    ModelFault,
    checked,
    find_candidates,
    parse_extra,
    parse_label,
)
from counterbias.plugins import load_plugins
from counterbias.records import Features, Window


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- against a truth --------------------------------------------------------------------------


def test_measures_by_hand() -> None:
    truth = np.array([1.0, 2.0, 4.0, 8.0])  # logs 0 1 2 3
    raw = np.array([2.0, 2.0, 8.0, 8.0])  # logs 1 1 3 3
    found = compare_with_truth(truth, {"raw": raw, "corrected": 10 * truth}, rng(), resamples=50)
    assert found.features == 4
    # deviations -1.5 -.5 .5 1.5 and -1 -1 1 1: 4 / sqrt(5 · 4)
    assert found.of["raw"]["pearson"].value == pytest.approx(4 / math.sqrt(20))
    assert found.of["raw"]["r2"].value == pytest.approx(0.8)
    assert found.of["raw"]["spearman"].value == pytest.approx(stats.spearmanr(truth, raw)[0])
    # differences 1 0 1 0 about their mean .5
    assert found.of["raw"]["rmse"].value == pytest.approx(0.5)
    assert found.of["corrected"]["rmse"].value == pytest.approx(
        0.0
    )  # a factor of ten does not count
    assert found.of["corrected"]["pearson"].value == pytest.approx(1.0)
    assert found.minus_raw["corrected"]["rmse"].value == pytest.approx(-0.5)
    assert found.minus_raw["corrected"]["r2"].value == pytest.approx(0.2)


def test_differences_are_paired_and_intervals_hold_their_value() -> None:
    draw = rng(3)
    truth = draw.lognormal(size=200)
    raw = truth * draw.lognormal(sigma=0.5, size=200)
    found = compare_with_truth(
        truth, {"raw": raw, "weighted": 3 * raw, "corrected": np.sqrt(raw * truth)}, rng()
    )
    for measure, one in found.minus_raw["weighted"].items():
        assert (one.value, one.low, one.high) == pytest.approx((0, 0, 0), abs=1e-9), (
            measure
        )  # the same estimate, whatever is drawn
    better = found.minus_raw["corrected"]["rmse"]
    assert better.low < better.value < better.high < 0
    whole = found.of["raw"]["pearson"]
    assert whole.low < whole.value < whole.high
    assert better.high - better.low < whole.high - whole.low + 0.2


def test_the_same_seed_gives_the_same_intervals() -> None:
    truth, raw = rng(4).lognormal(size=60), rng(5).lognormal(size=60)
    first, again, other = (
        compare_with_truth(truth, {"raw": raw, "weighted": raw**0.9}, rng(seed), resamples=300)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.of["raw"]["rmse"] != other.of["raw"]["rmse"]
    assert first.of["raw"]["rmse"].value == other.of["raw"]["rmse"].value


def test_features_without_a_number_on_any_side_are_left_out() -> None:
    truth = np.array([1.0, 2.0, 4.0, np.nan, 0.0, 3.0, -1.0])
    raw = np.array([1.0, 2.0, 4.0, 5.0, 6.0, 0.0, 2.0])
    found = compare_with_truth(truth, {"raw": raw, "corrected": raw + 1}, rng(), resamples=20)
    assert found.features == 3
    few = compare_with_truth(truth[:2], {"raw": raw[:2], "corrected": raw[:2]}, rng())
    assert few.features == 2
    assert math.isnan(few.of["raw"]["pearson"].value)
    assert math.isnan(few.minus_raw["corrected"]["rmse"].low)


def test_change_by_hand() -> None:
    found = change_of(np.array([1.0, 1.0, 2.0, 0.0]), np.array([2.0, 1.0, 1.0, 0.0]))
    assert found.distance == pytest.approx(math.sqrt(2) / 4)
    assert (found.up, found.down) == (1, 1)
    same = change_of(np.array([3.0, 5.0]), np.array([6.0, 10.0]))
    assert (same.distance, same.up, same.down) == (pytest.approx(0.0), 0, 0)
    assert math.isnan(change_of(np.zeros(3), np.zeros(3)).distance)


def test_log_pearson_needs_three_features() -> None:
    assert log_pearson(
        np.array([1.0, 2.0, 8.0, 0.0]), np.array([2.0, 4.0, 16.0, 5.0])
    ) == pytest.approx(1.0)
    assert math.isnan(log_pearson(np.array([1.0, 2.0]), np.array([1.0, 2.0])))


def test_replicates_by_hand() -> None:
    own = {"raw": np.array([1.0, 2.0, 4.0, 1.0]), "corrected": np.array([1.0, 2.0, 4.0, 1.0])}
    other = {"raw": np.array([2.0, 1.0, 8.0, 9.0]), "corrected": np.array([3.0, 6.0, 12.0, 9.0])}
    counts = np.array([10.0, 10.0, 10.0, 9.0])
    found = replicate_agreement(
        SampleEstimates(own, counts), [SampleEstimates(other, counts + 1)], rng(), resamples=200
    )
    assert found is not None
    # log ratios -1 1 -1: mean -1/3, deviations -2/3 4/3 -2/3
    assert found.rmse["raw"] == pytest.approx(math.sqrt(24 / 27))
    assert found.rmse["corrected"] == pytest.approx(0.0)
    assert found.pearson["corrected"] == pytest.approx(1.0)
    assert found.minus_raw["corrected"][0] == pytest.approx(-math.sqrt(24 / 27))
    assert found.minus_raw["corrected"][1] > 0
    few = SampleEstimates(own, counts - 1)
    assert replicate_agreement(few, [SampleEstimates(other, counts)], rng()) is None


def test_partners_that_say_the_same_add_no_certainty() -> None:
    """Two partners with the same numbers are one observation: the SE must not shrink."""
    draw = np.random.default_rng(3)
    own = {"raw": draw.lognormal(3, 1, 200), "corrected": draw.lognormal(3, 1, 200)}
    other = {name: values * draw.lognormal(0, 0.4, 200) for name, values in own.items()}
    counts = np.full(200, 50.0)
    sample, partner = SampleEstimates(own, counts), SampleEstimates(other, counts)
    one = replicate_agreement(sample, [partner], rng(), resamples=400)
    two = replicate_agreement(sample, [partner, partner], rng(), resamples=400)
    assert one is not None
    assert two is not None
    assert two.minus_raw["corrected"] == pytest.approx(one.minus_raw["corrected"])
    # Against a plain resampling of one partner.
    ratio = {name: np.log2(own[name] / other[name]) for name in own}
    rows = np.random.default_rng(9).integers(0, 200, (2000, 200))
    plain = (ratio["corrected"][rows].std(axis=1) - ratio["raw"][rows].std(axis=1)).std()
    assert one.minus_raw["corrected"][1] == pytest.approx(plain, rel=0.15)


# -- tables -----------------------------------------------------------------------------------


def features(ids: tuple[str, ...], names: tuple[str, ...]) -> Features:
    none, offsets = np.zeros(0, np.int64), np.zeros(len(ids) + 1, np.int64)
    return Features(
        ids,
        {"gene_name": names},
        ("c",),
        offsets,
        none.astype(np.int32),
        none.astype(np.int8),
        none,
        none,
    )


def test_a_table_is_joined_by_id_or_attribute(tmp_path: Path) -> None:
    table = tmp_path / "truth.tsv"
    table.write_text("symbol\tA\tB\nx\t1.5\t2\ny\tNA\t3\nz\t7\t\nw\t4e2\t5\n")
    found = read_truth(table, ("A", "B"))
    assert found.identifier == "symbol"
    assert found.missing == {"A": 1, "B": 1}
    joined = join_truth(
        found, "A", features(("g1", "g2", "g3", "g4"), ("x", "y", "z", "z")), attribute="gene_name"
    )
    assert joined.values[0] == 1.5
    assert np.isnan(joined.values[1:]).all()  # y has no value, z is the name of two
    assert (joined.joined, joined.absent, joined.shared) == (1, 1, 1)
    by_id = join_truth(found, "B", features(("w", "x"), ("", "")))
    assert by_id.values.tolist() == [5.0, 2.0]


def test_commas_other_identifiers_and_a_byte_order_mark(tmp_path: Path) -> None:
    table = tmp_path / "truth.csv"
    table.write_bytes("\ufeffrow,gene,A\n1,x,2\n2,y,3\n".encode())
    found = read_truth(table, ("A",), identifier="gene")
    assert found.columns["A"] == {"x": 2.0, "y": 3.0}
    with pytest.raises(InputError, match="no column 'name'"):
        read_truth(table, ("A",), identifier="name")
    table.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="this is UTF-16 text"):
        read_truth(table, ("A",))


# -- the recommendation -----------------------------------------------------------------------


def contender(model: str, gains: list[float], *, parameters: int = 100, used: int = 1) -> Contender:
    trials = [{"fold": fold, "values": {"gain_cap5": gain}} for fold, gain in enumerate(gains)]
    return Contender(model, "10,10", parameters, used, 1, trials)


def test_the_best_gain_wins_and_the_smaller_model_where_it_is_as_good() -> None:
    small, large = (
        contender("small", [0.5, 0.7, 0.9]),
        contender("large", [0.6, 0.8, 1.0], parameters=9000),
    )
    found = recommend([small, large])
    assert (found.model, found.window) == ("large", "10,10")
    assert "0.800 ± 0.115" in found.reason
    assert "0.100 ± 0.000 bits per read behind" in found.reason
    noisy = contender("noisy", [0.2, 0.8, 1.15], parameters=9000)  # .017 ± .168 ahead of small
    chosen = recommend([small, noisy])
    assert chosen.model == "small"
    assert "within one standard error" in chosen.reason
    assert recommend([large, noisy]).model == "large"


def test_none_helps_where_the_gate_is_closed_or_nothing_was_measured() -> None:
    closed = contender("pwm", [-0.2, 0.3], used=0)
    assert recommend([closed]).model is None
    assert "No model helps" in recommend([closed]).reason
    assert recommend([closed, contender("vlmm", [0.1, 0.1])]).model == "vlmm"
    assert recommend([]).model is None
    assert recommend([contender("pwm", [-0.2, -0.1])]).model is None
    assert recommend([contender("pwm", [])]).model is None


def test_a_gain_that_a_count_would_leave_unused_is_told_with_the_reason() -> None:
    reason = "only 40 held-out starts in 8 blocks of 1000 bases"
    found = recommend(
        [
            replace(contender("vlmm", [0.7, 0.8, 0.9], used=0), unused=reason),
            contender("pwm", [0.1, 0.3], used=0),
        ]
    )
    assert found.model is None
    assert "vlmm gains 0.800 ± 0.058 bits per read" in found.reason
    assert reason in found.reason
    assert "No model helps" not in found.reason


def test_paired_difference_and_missing_values() -> None:
    def trials(values: list[tuple[int, float | None]]) -> list[dict[str, Any]]:
        return [{"fold": fold, "values": {"gain_cap5": value}} for fold, value in values]

    own, other = (
        trials([(0, 1.0), (0, 2.0), (1, 4.0), (2, None)]),
        trials([(0, 1.0), (1, 3.0), (3, 9.0)]),
    )
    found = paired_difference(own, other)
    assert (found.value, found.error) == (0.75, 0.25)
    assert math.isnan(paired_difference(own, []).value)
    assert summarise(own, value_of("gain_cap5")).value == pytest.approx((1.5 + 4) / 2)


def test_short_contigs_are_assigned_to_all_folds() -> None:
    from counterbias.evaluation import folds
    from counterbias.records import Positions

    # Contig 0 is long, contigs 2 to 11 have one block each, contig 1 has no starts.
    contig = np.array([0, 0, 0, *range(2, 12)], np.int32)
    position = np.array([0, 100_000, 260_000, *([500] * 10)])
    starts = Positions(contig, position, np.zeros(13, np.uint8), np.ones(13))
    assert folds.rotation(starts, block=50_000).tolist() == [0, 0, *range(10)]
    for fold in range(5):
        away = (
            folds.rotate(starts, block=50_000, held_out=fold).of(contig, position)
            == folds.HELD_OUT_FOLD
        )
        assert away[:3].tolist() == [fold in (0,), fold == 2, fold == 0]
        assert np.flatnonzero(away[3:]).tolist() == [fold, fold + 5]


# -- labels -----------------------------------------------------------------------------------


def test_labels() -> None:
    assert parse_label("gru:objective=ratio+hidden=20") == ("gru", ("objective=ratio", "hidden=20"))
    assert parse_label("ensemble:members=vlmm/pwm") == ("ensemble", ("members=vlmm,pwm",))
    assert parse_label("pwm") == ("pwm", ())
    assert parse_extra(["pwm:pseudocount=2", "pwm:x=1"]) == {"pwm": ["pseudocount=2", "x=1"]}
    manager = load_plugins()
    twice, windows = ["pwm:pseudocount=7", "pwm:pseudocount=7"], [Window(), Window(20, 20)]
    found = find_candidates(twice, windows, manager, extra={"pwm": ["pseudocount=3"]})
    assert [(one.label, str(one.window)) for one in found] == [
        ("pwm:pseudocount=7", "10,10"),
        ("pwm:pseudocount=7", "20,20"),
    ]
    assert found[0].choice is not None
    assert found[0].choice.options.pseudocount == 7
    assert [one.label for one in find_candidates([], [Window()], manager)] == list(manager.backends)


def test_what_a_model_returns_is_checked() -> None:
    assert checked(np.zeros(3), 3).shape == (3,)
    for wrong in (
        np.zeros((3, 1)),
        np.zeros(2),
        [0.0, 0.0, 0.0],
        np.zeros(3, np.int64),
        np.array([0.0, np.inf, 0.0]),
        None,
    ):
        with pytest.raises(ModelFault):
            checked(wrong, 3)
