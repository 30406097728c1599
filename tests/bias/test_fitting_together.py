"""Models are asked for all their fits at once: what each gets, and whose failure is whose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterbias
from counterbias import BiasModel, CrossFit, CrossFitting, InputError, Resources, Window
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.cross_fitting import CrossFitted, EndSample, cross_fit_together
from tests.bias.counted import assert_same, count
from tests.bias.cross_fitted import WINDOW, Spy, sample_of
from tests.helpers.samples_without_starts import report, warnings_of

FEW, MANY = 100, 600


class Picky(Spy):
    """A model that wants 300 read starts."""

    def fit(self, sample: counterbias.TrainingSet, rng: np.random.Generator) -> Any:
        if len(sample.foreground) < 300:
            raise InputError(f"{len(sample.foreground)} starts are too few")
        return super().fit(sample, rng)


class Together(Picky):
    """One that records what it is asked for."""

    asked: Sequence[CrossFitting] = ()

    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        cls.asked = fits
        return super().cross_fit_together(fits)


def choice(model: type[BiasModel], window: Window = WINDOW) -> ModelChoice:
    return ModelChoice("mine", "mine", "1", model, model.Options(), window)


def ends(*reads: int) -> list[EndSample]:
    return [
        EndSample(sample_of(2, reads=one).sample, number, np.random.default_rng(number))
        for number, one in enumerate(reads)
    ]


def test_a_refusal_takes_the_place_of_its_result_and_the_others_are_fitted() -> None:
    fits = [CrossFitting(Picky(WINDOW), one.sample, one.rng) for one in ends(MANY, FEW, MANY)]
    first, second, third = Picky.cross_fit_together(fits)
    assert isinstance(first, CrossFit)
    assert isinstance(second, InputError)
    assert "starts are too few" in second.problem
    assert isinstance(third, CrossFit)
    assert [fit.rng.random() for fit in fits] == [
        np.random.default_rng(number).random() for number in range(3)
    ], "each has its own random numbers"


def test_the_models_are_new_have_the_resources_and_stay_with_their_samples() -> None:
    samples, resources = ends(MANY, FEW, MANY), Resources(3)
    found = cross_fit_together(choice(Together), samples, resources)
    assert [fit.sample for fit in Together.asked] == [one.sample for one in samples]
    assert [fit.rng for fit in Together.asked] == [one.rng for one in samples]
    assert len({id(fit.model) for fit in Together.asked}) == 3
    for fit in Together.asked:
        assert type(fit.model) is Together
        assert (fit.model.window, fit.model.resources) == (WINDOW, resources)
    assert isinstance(found[1], InputError)
    for one, fit in ((found[0], Together.asked[0]), (found[2], Together.asked[2])):
        assert isinstance(one, CrossFitted)
        assert (one.model, one.sample, len(one.judges)) == (fit.model, fit.sample, 2)


def test_samples_without_a_start_to_learn_from_are_not_asked_for() -> None:
    nothing, something = ends(0, MANY)
    found = cross_fit_together(choice(Together), [something, nothing], Resources())
    assert [fit.sample for fit in Together.asked] == [something.sample]
    assert isinstance(found[0], CrossFitted)
    assert isinstance(found[1], InputError)
    assert found[1].problem == "no read start can be learnt from: there are too few"


def test_an_error_of_the_users_concerns_every_fit() -> None:
    class Elsewhere(Together):
        @classmethod
        def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
            raise InputError("there is no GPU")

    found = cross_fit_together(choice(Elsewhere), ends(MANY, MANY), Resources())
    assert [one.problem for one in found if isinstance(one, InputError)] == ["there is no GPU"] * 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda fits: None, r"cross_fit_together\(\) did not give a list of 2 results"),
        (lambda fits: [InputError("no")], r"did not give a list of 2 results"),
        (lambda fits: [InputError("no"), None], "cross-fitting gave NoneType, not a CrossFit"),
    ],
)
def test_a_wrong_answer_is_an_error(answer: Callable[..., Any], message: str) -> None:
    class Wrong(Together):
        @classmethod
        def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> Any:
            return answer(fits)

    with pytest.raises(TypeError, match=message):
        cross_fit_together(choice(Wrong), ends(MANY, MANY), Resources())


# -- through a count ---------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[CrossFitting]]:
    """Make `pwm` remember each call, and fit the last model first."""
    kind = counterbias.load_plugins().backends["pwm"].backend.load()
    calls: list[Sequence[CrossFitting]] = []

    def together(cls: type[BiasModel], fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        calls.append(fits)
        return BiasModel.cross_fit_together.__func__(cls, fits[::-1])[::-1]  # type: ignore[attr-defined,no-any-return]

    monkeypatch.setattr(kind, "cross_fit_together", classmethod(together))
    return calls


@pytest.mark.parametrize("threads", [1, 2])
def test_count_asks_for_both_ends_at_once_and_their_order_changes_nothing(
    pairs: Path, tmp_path: Path, asked: list[Sequence[CrossFitting]], threads: int
) -> None:
    count(pairs, tmp_path / "b", "good", more=("--bias-threads", threads))
    (fits,) = asked
    assert len(fits) == 2
    assert {fit.model.resources.threads for fit in fits} == {threads}
    first, second = (fit.sample.everything.foreground for fit in fits)
    assert not np.array_equal(first, second)
    assert_same(pairs / "alone" / "good", tmp_path / "b" / "good")


def test_an_end_without_starts_is_not_asked_for(
    pairs: Path, tmp_path: Path, asked: list[Sequence[CrossFitting]]
) -> None:
    count(pairs, tmp_path / "b", "no2")
    (fits,) = asked
    assert len(fits) == 1


def test_one_end_that_the_backend_refuses_has_no_model_while_the_other_has(
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = counterbias.load_plugins().backends["pwm"].backend.load()
    original = kind.cross_fit_together

    def second_refused(
        cls: type[BiasModel], fits: Sequence[CrossFitting]
    ) -> list[CrossFit | InputError]:
        (found,) = original(fits[:1])
        return [found, InputError("too few for me", remedy="take another model")]

    monkeypatch.setattr(kind, "cross_fit_together", classmethod(second_refused))
    count(pairs, tmp_path / "b", "good")
    reason = "too few for me; take another model"
    assert any(
        line.endswith(f"there is no model of read2, whose reads count as unbiased: {reason}")
        for line in warnings_of(capsys.readouterr().err, "good")
    )
    first, second = report(tmp_path / "b" / "good")["ends"]
    assert (first["no_model"], first["calibration"]["applied"]) == (None, True)
    assert (second["no_model"], second["calibration"]["applied"]) == (reason, False)
