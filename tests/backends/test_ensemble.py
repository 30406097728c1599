"""``ensemble``: the mean of its members, each found by name and fitted with its own options."""

from __future__ import annotations

import numpy as np
import pytest

from counterbias import (
    Backend,
    BiasModel,
    FitReport,
    InputError,
    Window,
    parse_options,
    take_arrays,
)
from counterbias.plugins import Manager
from counterbias.testing import OneBackend, conformance, planted_sample
from counterbias_backends import ensemble, pwm, vlmm
from counterbias_backends.ensemble import Ensemble

TestEnsemble = conformance("ensemble", starts=800, learns=0.8)
THREE = ensemble.Options(members=("vlmm:layout=1", "pwm", "pwm:pseudocount=9"))
TestOfThree = conformance("ensemble", options=THREE, starts=500, learns=0.8)

WINDOW = Window(5, 5)


def fitted(*options: str):
    model = Ensemble(WINDOW, parse_options(Ensemble, list(options)))
    return model, model.fit(planted_sample(WINDOW, starts=500, seed=1), np.random.default_rng(1))


def test_score_is_the_mean_of_the_members() -> None:
    model, report = fitted(
        "members=vlmm:layout=salmon;backoff=5,pwm:pseudocount=2,vlmm:layout=0/0/0/1/1/1/0/0/0/0/0"
    )
    sample = planted_sample(WINDOW, starts=500, seed=1)
    parts = [
        vlmm.MarkovModel(WINDOW, vlmm.Options(layout="salmon", backoff=5.0)),
        pwm.PositionWeightMatrix(WINDOW, pwm.Options(pseudocount=2.0)),
        vlmm.MarkovModel(WINDOW, vlmm.Options(layout="0,0,0,1,1,1,0,0,0,0,0")),
    ]
    reports = [part.fit(sample, np.random.default_rng(9)) for part in parts]
    contexts = np.random.default_rng(1).integers(0, 4, (100, WINDOW.width), dtype=np.uint8)
    np.testing.assert_allclose(
        model.log_bias(contexts),
        np.mean([part.log_bias(contexts) for part in parts], axis=0),
        rtol=1e-12,
    )
    assert report.parameters == sum(one.parameters for one in reports)
    assert report.perplexity["2-pwm_foreground"] == reports[1].perplexity["foreground"]
    assert set(report.details) == {"1-vlmm", "2-pwm", "3-vlmm"}
    assert {name.partition("_")[0] for name in model.to_arrays()} == {"1-vlmm", "2-pwm", "3-vlmm"}


class Guess(BiasModel):
    """A model of random numbers."""

    effects = None

    def fit(self, sample, rng):
        self.effects = rng.normal(size=4)
        return FitReport(0.0, 4)

    def log_bias(self, contexts):
        return self.effects[contexts[:, 0]]

    def to_arrays(self):
        return {"effects": self.effects}

    def from_arrays(self, arrays):
        self.effects = take_arrays(arrays, {"effects": (4,)})["effects"]


def test_members_have_independent_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager()
    manager.register(OneBackend(Backend("guess", "random numbers", lambda: Guess)), name="guess")
    manager.register(
        OneBackend(
            Backend("far", "random numbers", lambda: Guess, "far", ("no_such_module_anywhere",))
        ),
        name="far",
    )
    monkeypatch.setattr(ensemble, "load_plugins", lambda: manager)
    first = fitted("members=guess,guess")[0].to_arrays()
    again = fitted("members=guess,guess")[0].to_arrays()
    assert not np.array_equal(first["1-guess_effects"], first["2-guess_effects"])
    assert all(np.array_equal(first[name], again[name]) for name in first)
    # A member that cannot be trained here can still be used.
    with pytest.raises(InputError, match="Backend 'far' needs"):
        fitted("members=guess,far")
    model = Ensemble(WINDOW, ensemble.Options(members=("guess", "far")))
    model.from_arrays({"1-guess_effects": np.zeros(4), "2-far_effects": np.ones(4)})
    assert (model.log_bias(np.zeros((3, WINDOW.width), np.uint8)) == 0.5).all()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("", "at least one member"),
        ("pwm,ensemble", "cannot hold an ensemble"),
        ("pwm,nonesuch", "no backend 'nonesuch'"),
        ("pwm:layout=2", "no such option"),
        ("pwm:pseudocount=-1", "above 0"),
        ("vlmm:layout=0/1", "2 orders for a window of 11"),
    ],
)
def test_impossible_members_are_refused_before_anything_is_counted(
    members: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Ensemble(WINDOW, parse_options(Ensemble, [f"members={members}"]))
