"""Each start is judged by a model that did not see it: what judges learn from, and what fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import counterbias
from counterbias import (
    BiasModel,
    FoldedSample,
    Resources,
)
from counterbias.pipeline.bias.cross_fitting import CrossFitted, score_unseen
from counterbias.sampling import FoldedWindows
from tests.bias.cross_fitted import QUICK, WINDOW, Spy, sample_of
from tests.helpers.folded_samples import Written

# -- what judges learn -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_no_judge_has_seen_what_it_judges(number: int) -> None:
    made, model = sample_of(number), Spy(WINDOW)
    found = model.cross_fit(made.sample, np.random.default_rng(1))
    assert len(found.judges) == number
    scores = score_unseen(found.judges, made.sample, made.windows)
    assert all((part == 1).all() for part in scores), (
        "every start and background window has a judge"
    )
    # Together they see what the model sees, but for the edges of other blocks.
    together = set().union(*(judge.seen for judge in found.judges if isinstance(judge, Spy)))
    assert len(together) == pytest.approx(len(model.seen), rel=0.02)
    with pytest.raises(AssertionError):
        model.log_bias(made.windows.foreground)


def test_judges_are_of_the_models_kind_with_its_options_and_resources() -> None:
    kind = counterbias.load_plugins().backends["pwm"].backend.load()
    model = kind(WINDOW, counterbias.parse_options(kind, ["pseudocount=3"]))
    model.resources = Resources(threads=2)
    found = model.cross_fit(sample_of(3).sample, np.random.default_rng(1))
    for judge in found.judges:
        assert isinstance(judge, kind)
        assert judge is not model
        assert (judge.window, judge.options, judge.resources) == (
            model.window,
            model.options,
            model.resources,
        )


def test_the_model_itself_is_the_one_that_fit_gives() -> None:
    """Judges are fitted after it, and leave it alone."""
    kind = counterbias.load_plugins().backends["vlmm"].backend.load()
    sample = sample_of(5).sample
    alone, judged = kind(WINDOW), kind(WINDOW)
    alone.fit(sample.without(None), np.random.default_rng(3))
    judged.cross_fit(sample, np.random.default_rng(3))
    for name, array in alone.to_arrays().items():
        assert np.array_equal(array, judged.to_arrays()[name]), name


# -- networks that leave a fold out each -------------------------------------------------------


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the networks that `cnn` trains, with the data of each as ``seen``."""
    from counterbias_backends.cnn import training

    made: list[Any] = []
    begin = training.Trainer.__init__

    def remembered(self: Any, shape: Any, data: Any, *rest: Any) -> None:
        begin(self, shape, data, *rest)
        self.seen = data
        made.append(self)

    monkeypatch.setattr(training.Trainer, "__init__", remembered)
    return made


def cnn(*options: str) -> BiasModel:
    kind = counterbias.load_plugins().backends["cnn"].backend.load()
    return kind(WINDOW, counterbias.parse_options(kind, [*QUICK, *options]))


def bases_of(data: Any) -> set[tuple[int, int]]:
    """Return the bases of all rows that a network learns from."""
    written = Written(WINDOW)
    windows = data.windows.sequence[data.windows.chosen].reshape(-1, WINDOW.width)
    found = written.bases(windows)
    return (
        found
        if data.tiles is None
        else found | written.bases(data.tiles.sequence[data.tiles.chosen], 99)
    )


@pytest.mark.parametrize(
    ("members", "objective"), [(5, "both"), (10, "both"), (5, "windows"), (5, "tiles")]
)
def test_each_network_leaves_out_the_fold_that_it_judges(
    networks: list[Any], members: int, objective: str
) -> None:
    made = sample_of(5)
    model = cnn(f"members={members}", f"objective={objective}")
    found = model.cross_fit(made.sample, np.random.default_rng(1))
    assert len(networks) == members, "no model is fitted besides"
    for number, network in enumerate(networks):
        fold = number % 5
        judged, seen = made.sample.of_fold(fold), bases_of(network.seen)
        assert not seen & (
            Written(WINDOW).bases(judged.foreground) | Written(WINDOW).bases(judged.background)
        )
        # Nearly all of the other folds is learnt from, including what would be validation.
        front, *_ = made.sample.learnable(fold)
        learnt = made.sample.everything.foreground[front]
        assert len(Written(WINDOW).bases(learnt) & seen) > 0.9 * len(Written(WINDOW).bases(learnt))
    for fold, judge in enumerate(found.judges):
        assert judge is not None
        own = np.stack([network.flat for network in networks[fold::5]]).astype(np.float32)
        assert np.array_equal(
            np.concatenate(
                [one.reshape(len(own), -1) for one in judge.to_arrays().values()], axis=1
            ),
            own,
        )
    assert model.to_arrays()["readout_bias"].shape[0] == 1, "one network stands for all"


@pytest.mark.parametrize(
    "options", [("members=1",), ("members=3",), ("members=5", "learn_validation=no")]
)
def test_networks_that_cannot_be_shared_out_are_trained_anew_for_each_fold(
    networks: list[Any], options: tuple[str, ...]
) -> None:
    made = sample_of(5)
    members = int(options[0].partition("=")[2])
    found = cnn(*options).cross_fit(made.sample, np.random.default_rng(1))
    assert len(networks) == 6 * members
    for fold, judge in enumerate(found.judges):
        assert judge is not None
        judged = made.sample.of_fold(fold)
        for network in networks[members * (fold + 1) : members * (fold + 2)]:
            assert not bases_of(network.seen) & Written(WINDOW).bases(
                np.concatenate([judged.foreground, judged.background])
            )


# -- what cannot be judged ---------------------------------------------------------------------


def alone_in_a_part(reads: int) -> tuple[FoldedSample, FoldedWindows]:
    """Return a sample all of whose windows lie in one part: its reads start within 1 kb."""
    made = sample_of(5, reads=reads)
    parts = [
        np.full_like(one, 4)
        for one in (
            made.sample.foreground_parts,
            made.sample.background_parts,
            made.sample.tile_parts,
        )
    ]
    sample = FoldedSample(made.sample.everything, *parts, 5)
    return sample, replace(made, sample=sample)


@pytest.mark.parametrize("model", ["pwm", "vlmm", "heptamer", "bayesnet", "cnn"])
def test_where_a_fold_holds_everything_nobody_judges_it(model: str) -> None:
    sample, made = alone_in_a_part(300)
    kind = counterbias.load_plugins().backends[model].backend.load()
    options = counterbias.parse_options(kind, [*QUICK] if model == "cnn" else [])
    fitted = kind(WINDOW, options)
    found = fitted.cross_fit(sample, np.random.default_rng(1))
    assert [judge is None for judge in found.judges] == [False, False, True, False, False]
    foreground, background = CrossFitted(fitted, found.report, found.judges, sample).score(
        made.windows
    )
    assert np.isnan(foreground).all()
    assert np.isnan(background).all()
    assert np.isfinite(fitted.log_bias(made.windows.foreground)).all()


def test_of_several_folds_those_are_judged_that_can_be() -> None:
    made = sample_of(5)
    front, back = made.sample.foreground_parts.copy(), made.sample.background_parts.copy()
    near = (front[:, 0] != 4) & (front[:, 0] != 5)
    # All other windows lie within reach of fold 2: without it, there is nothing to learn from.
    front[near, 1] = 4
    back[(back[:, 0] != 4) & (back[:, 0] != 5), 1] = 4
    sample = FoldedSample(made.sample.everything, front, back, made.sample.tile_parts, 5)
    model = Spy(WINDOW)
    judges = model.cross_fit(sample, np.random.default_rng(1)).judges
    assert [judge is None for judge in judges] == [False, False, True, False, False]
    foreground, _ = score_unseen(
        [None if judge is None else Ones(WINDOW) for judge in judges], sample, made.windows
    )
    assert np.array_equal(np.isnan(foreground), ~near)


class Ones(Spy):
    """A judge that ignores its input."""

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.ones(len(contexts))
