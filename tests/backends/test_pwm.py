"""``pwm``: a value worked out by hand, its options and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from counterbias import InputError, TrainingSet, Window, parse_options
from counterbias_backends import pwm

A, C, G, T = range(4)


def bases(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.uint8)


@pytest.fixture
def sample() -> TrainingSet:
    validation = TrainingSet(
        Window(0, 1), bases([A, A]), np.array([3.0]), bases([C, G], [A, A]), np.array([1.0, 0.0])
    )
    return TrainingSet(
        Window(0, 1),
        bases([A, A], [A, C]),
        np.array([2.0, 1.0]),
        bases([C, G], [A, T]),
        np.ones(2),
        validation=validation,
    )


def fitted(sample: TrainingSet, **options: float) -> tuple[pwm.PositionWeightMatrix, object]:
    model = pwm.PositionWeightMatrix(sample.window, pwm.Options(**options))
    return model, model.fit(sample, np.random.default_rng(1))


def test_known_answer_worked_out_by_hand(sample: TrainingSet) -> None:
    # With a pseudocount of 1, in the order A, C, G, T:
    #   foreground, offset 0: (3+1, 1, 1, 1) / 7        offset 1: (2+1, 1+1, 1, 1) / 7
    #   background, offset 0: (1+1, 1+1, 1, 1) / 6      offset 1: (1, 1, 1+1, 1+1) / 6
    model, report = fitted(sample)
    expected = {
        (A, A): (4 / 7) / (2 / 6) * (3 / 7) / (1 / 6),  # 216 / 49
        (C, C): (1 / 7) / (2 / 6) * (2 / 7) / (1 / 6),  # 36 / 49
        (T, G): (1 / 7) / (1 / 6) * (1 / 7) / (2 / 6),  # 18 / 49
    }
    assert list(expected.values()) == pytest.approx([216 / 49, 36 / 49, 18 / 49])
    np.testing.assert_allclose(
        model.log_bias(bases(*map(list, expected))), np.log(list(expected.values())), rtol=1e-14
    )
    assert report.parameters == 3 * 2 * 2
    # Perplexity per base: P(AA) = 4/7 · 3/7 at starts; P(CG) = 2/6 · 2/6 nearby (the other window
    # has weight 0).
    assert report.perplexity == pytest.approx({"foreground": np.sqrt(49 / 12), "background": 3.0})


def test_pseudocount_is_an_option(sample: TrainingSet) -> None:
    options = parse_options(pwm.PositionWeightMatrix, ["pseudocount=0.5"])
    assert options == pwm.Options(pseudocount=0.5)
    model, _ = fitted(sample, pseudocount=0.5)
    # offset 0: (3.5 / 5) / (1.5 / 4), offset 1: (2.5 / 5) / (0.5 / 4)
    assert model.log_bias(bases([A, A]))[0] == pytest.approx(
        np.log(0.7 / 0.375 * 0.5 / 0.125), rel=1e-14
    )


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_pseudocount_must_be_above_0(value: str) -> None:
    with pytest.raises(InputError, match="above 0"):
        parse_options(pwm.PositionWeightMatrix, [f"pseudocount={value}"])


def test_anything_but_bases_is_refused(sample: TrainingSet) -> None:
    model, _ = fitted(sample)
    with pytest.raises(ValueError, match="not 0, 1, 2 or 3"):
        model.log_bias(bases([A, 4]))
    with pytest.raises(ValueError, match="do not fit a window of 2"):
        model.log_bias(bases([A, A, A]))


def test_arrays_of_another_window_are_refused(sample: TrainingSet) -> None:
    model, _ = fitted(sample)
    with pytest.raises(InputError, match="shape"):
        pwm.PositionWeightMatrix(Window(1, 1)).from_arrays(model.to_arrays())
