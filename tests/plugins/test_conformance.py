"""The public conformance suite passes a good backend and catches each kind of bad one."""

from __future__ import annotations

import dataclasses
import threading
import time
import unittest
from dataclasses import dataclass

import numpy as np
import pytest

from counterbias import Backend, Window, testing
from counterbias_backends import pwm

BACKEND = pwm.counterbias_backends()[0]

TestPwm = testing.conformance(BACKEND, learns=0.9)


class Base(pwm.PositionWeightMatrix):
    """A sound model, for subclasses to spoil."""


class SinglePrecision(Base):
    def log_bias(self, contexts):
        return super().log_bias(contexts).astype(np.float32)


class FailsOnNone(Base):
    def log_bias(self, contexts):
        scores = super().log_bias(contexts)
        return scores - 0 * scores.max()


class InfiniteForRepeats(Base):
    def log_bias(self, contexts):
        scores = super().log_bias(contexts)
        scores[(contexts == contexts[:, :1]).all(axis=1)] = -np.inf
        return scores


class Constant(Base):
    def log_bias(self, contexts):
        return 0 * super().log_bias(contexts)


class Backwards(Base):
    def log_bias(self, contexts):
        return -super().log_bias(contexts)


class RandomOfItsOwn(Base):
    def fit(self, sample, rng):
        report = super().fit(sample, rng)
        self._log_foreground = (
            self._log_foreground + np.random.default_rng().normal(size=(1, 4)) * 1e-9
        )
        return report


class SharedBuffer(Base):
    def log_bias(self, contexts):
        self.buffer = super().log_bias(contexts)
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.001)
        return self.buffer


class Centred(Base):
    def log_bias(self, contexts):
        scores = super().log_bias(contexts)
        return scores - scores.mean() if len(scores) else scores


class ByPlace(Base):
    """Scores depend on the place of a window, but the first ones are right when they are alone."""

    def log_bias(self, contexts):
        return super().log_bias(contexts) + 1e-3 * np.maximum(np.arange(len(contexts)) - 20, 0)


class Column(Base):
    def log_bias(self, contexts):
        return super().log_bias(contexts)[:, None]


class NaNForRepeats(Base):
    def log_bias(self, contexts):
        scores = super().log_bias(contexts)
        scores[(contexts == contexts[:, :1]).all(axis=1)] = np.nan
        return scores


class SkipsTheFirstWindow(Base):
    def along(self, sequence):
        return np.roll(super().along(sequence), 1)


class ChangesContexts(Base):
    def log_bias(self, contexts):
        scores = super().log_bias(contexts)
        if contexts.flags.writeable:
            contexts[:] = 0
        return scores


class ChangesWeights(Base):
    def fit(self, sample, rng):
        report = super().fit(sample, rng)
        sample.foreground_weight[:] = 1
        return report


class ScoresBeforeFit(Base):
    def log_bias(self, contexts):
        return np.zeros(len(contexts)) if self._table is None else super().log_bias(contexts)


class RoundsWhenSaved(Base):
    def to_arrays(self):
        return {name: array.astype(np.float32) for name, array in super().to_arrays().items()}


class TakesAnyShape(Base):
    def from_arrays(self, arrays):
        self._set(arrays["log_foreground"], arrays["log_background"])


class FailsOnSmallSamples(Base):
    def fit(self, sample, rng):
        if sample.tiles is None:
            raise ZeroDivisionError("no tiles")
        return super().fit(sample, rng)


class FalselySymmetric(Base):
    def log_bias(self, contexts):
        return super().log_bias(contexts) + contexts[:, 0]


class ReportsNaN(Base):
    def fit(self, sample, rng):
        return dataclasses.replace(
            super().fit(sample, rng), perplexity={"foreground": float("nan")}
        )


@dataclass
class Thawed:
    pseudocount: float = 1.0


class OptionsNotFrozen(Base):
    Options = Thawed


WINDOW = testing.WINDOWS[0]
DEFECTS = [
    (SinglePrecision, testing.check_scores, "float64"),
    (FailsOnNone, testing.check_scores, "zero-size"),
    (InfiniteForRepeats, testing.check_scores, "not finite"),
    (NaNForRepeats, testing.check_scores, "not finite"),
    (Column, testing.check_scores, "shape"),
    (Constant, testing.check_learns, "the same for all windows"),
    (Backwards, testing.check_learns, "correlation"),
    (RandomOfItsOwn, testing.check_determinism, "different arrays 'log_foreground'"),
    (SharedBuffer, testing.check_threads, "several threads"),
    (
        Centred,
        testing.check_rows_are_independent,
        r"log_bias\(\) depends on the other windows in the batch: .* when it is alone",
    ),
    (
        ByPlace,
        testing.check_rows_are_independent,
        r"log_bias\(\) depends on the other windows in the batch: .* in reversed order",
    ),
    (SkipsTheFirstWindow, testing.check_along, "a window different scores"),
    (ChangesContexts, testing.check_input_untouched, "changed its contexts"),
    (ChangesWeights, testing.check_input_untouched, "changed foreground_weight"),
    (ScoresBeforeFit, testing.check_not_fitted, "before fit"),
    (RoundsWhenSaved, testing.check_round_trip, "has other scores"),
    (TakesAnyShape, testing.check_arrays_refused, "unknown array"),
    (FailsOnSmallSamples, testing.check_small_samples, "no tiles"),
    (FalselySymmetric, testing.check_strand_symmetry, "have different scores"),
    (ReportsNaN, testing.check_report, "JSON compliant"),
    (OptionsNotFrozen, testing.check_declaration, "frozen"),
]


@pytest.mark.parametrize(
    ("kind", "check", "message"), DEFECTS, ids=[kind.__name__ for kind, *_ in DEFECTS]
)
def test_defect_is_caught(kind, check, message) -> None:
    subject = testing.Subject(Backend("spoilt", "spoilt", lambda: kind), starts=400)
    arguments = (subject, WINDOW) if check in testing.WINDOW_CHECKS else (subject,)
    with pytest.raises((AssertionError, ValueError, ZeroDivisionError), match=message):
        check(*arguments)


def test_every_check_has_a_defect_that_it_catches() -> None:
    assert {check for _, check, _ in DEFECTS} == {*testing.CHECKS, *testing.WINDOW_CHECKS}


def test_without_pytest() -> None:
    testing.check_backend(BACKEND, starts=300, windows=(Window(2, 3),))
    with pytest.raises(AssertionError, match="the same for all windows"):
        testing.check_backend(
            Backend("constant", "constant", lambda: Constant), starts=300, windows=(Window(2, 3),)
        )


def test_backend_whose_packages_are_missing_is_skipped() -> None:
    backend = Backend(
        "far", "far", lambda: Base, extra="far", requires=("no_such_module_anywhere",)
    )
    with pytest.raises(unittest.SkipTest, match="no_such_module_anywhere"):
        testing.check_scores(testing.Subject(backend), WINDOW)


def test_symmetry_is_skipped_where_it_is_not_declared() -> None:
    class Undeclared(Base):
        strand_symmetric = False

    with pytest.raises(unittest.SkipTest, match="does not declare"):
        testing.check_strand_symmetry(
            testing.Subject(Backend("u", "u", lambda: Undeclared), starts=50), WINDOW
        )


def test_planted_sample_holds_the_planted_bias() -> None:
    window = Window(2, 3)
    sample = testing.planted_sample(window, starts=40_000, seed=3)
    effects = testing.planted_effects(window)
    odds = np.exp(effects)
    expected = odds / odds.sum(axis=1, keepdims=True)
    found = np.stack([np.bincount(column, minlength=4) for column in sample.foreground.T]) / 40_000
    np.testing.assert_allclose(found, expected, atol=0.012)
    assert effects[window.upstream].max() - effects[window.upstream].min() > 1
    assert sample.validation is not None
    assert len(sample.validation.foreground) == 10_000
    again = testing.reverse_complement(testing.reverse_complement(sample))
    assert np.array_equal(again.foreground, sample.foreground)
    assert again.window == window
