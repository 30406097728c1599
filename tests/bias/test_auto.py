"""``--bias-model auto``: the ladder, what is skipped, and the choice per sample."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from counterbias import Backend
from counterbias.errors import InputError
from counterbias.options import AUTO
from counterbias.pipeline.bias import auto
from counterbias.pipeline.bias.auto import (
    LADDER,
    Rung,
    backend_for,
    distinct_starts,
    trainable,
)
from counterbias.pipeline.bias.choice import choice_for_sample, choose_model
from counterbias.plugins import Manager, load_plugins
from counterbias.records import PRESENT, TRAINABLE, EndSites, StartSites, Window

STEPS = (Rung("best", 1000), Rung("plain", 5000), Rung("least", 10))


def manager_with(**requires: tuple[str, ...]) -> Manager:
    """Return a manager with backends of these names, each needing some modules to be trained."""
    backends = {}
    for name, modules in requires.items():
        backends[name] = SimpleNamespace(
            backend=Backend(name, "", lambda: pytest.fail("loaded"), requires=modules)
        )
    return SimpleNamespace(backends=backends)  # type: ignore[return-value]


def sites_with(*numbers: int) -> StartSites:
    """Return start sites with this many distinct starts per end, each twice."""
    rows = 2 * max(numbers)
    ends = []
    for number in numbers:
        position = (np.arange(rows) % number).astype(np.int32)
        ends.append(
            EndSites(
                np.zeros(rows, np.int32), position, np.full(rows, PRESENT | TRAINABLE, np.uint8)
            )
        )
    return StartSites(("one",), (rows,), np.zeros(rows, np.int32), None, tuple(ends))


def test_the_ladder_goes_down_to_a_backend_for_any_sample() -> None:
    assert [rung.backend for rung in LADDER] == ["cnn", "pwm", "heptamer"]
    assert min(rung.fewest for rung in LADDER) == 0
    manager = load_plugins()
    assert {rung.backend for rung in trainable(manager)} <= set(manager.backends)
    assert backend_for(0, manager) == "heptamer"


@pytest.mark.parametrize(
    ("starts", "expected"),
    [(10**6, "best"), (1000, "best"), (999, "least"), (10, "least"), (9, "least"), (0, "least")],
)
def test_steps_down_by_sample_size(starts: int, expected: str) -> None:
    assert backend_for(starts, manager_with(best=(), plain=(), least=()), STEPS) == expected


@pytest.mark.parametrize(
    ("starts", "expected"), [(10**6, "plain"), (5000, "plain"), (4999, "least")]
)
def test_what_cannot_be_trained_is_skipped(starts: int, expected: str) -> None:
    assert (
        backend_for(
            starts, manager_with(best=("no_such_module",), plain=(), least=("numpy",)), STEPS
        )
        == expected
    )
    assert backend_for(starts, manager_with(plain=(), least=()), STEPS) == expected


def test_nothing_to_train_is_said() -> None:
    with pytest.raises(InputError, match="can train none of best, plain, least"):
        backend_for(5000, manager_with(best=("no_such_module",)), STEPS)


def test_distinct_starts_are_counted_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = sites_with(700, 300)
    assert (
        distinct_starts(sites, 0),
        distinct_starts(sites, 1),
        distinct_starts(sites, "both"),
    ) == (700, 300, 700)
    monkeypatch.setattr(auto, "FIRST_LOOK", 200)
    assert distinct_starts(sites, 0, enough=200) == 200
    assert distinct_starts(sites, 0, enough=201) == 700


def test_options_need_a_name() -> None:
    with pytest.raises(InputError, match="--bias-option pseudocount=2 needs a model's name"):
        choose_model(AUTO, load_plugins(), model_options=("pseudocount=2",))


def test_each_sample_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "counterbias.pipeline.bias.choice.backend_for",
        lambda starts, manager, window: "vlmm" if starts >= 500 else "pwm",
    )
    manager = load_plugins()
    kind = choose_model(AUTO, manager, window=Window(8, 9))
    assert (kind.auto, kind.backend, kind.window) == (True, "vlmm", Window(8, 9))
    sites = sites_with(700, 300)
    assert choice_for_sample(kind, sites, "no", manager) is kind
    smaller = choice_for_sample(
        kind, sites, "yes", manager
    )  # one model per end: the smaller end decides for both
    assert (smaller.auto, smaller.backend, smaller.window) == (True, "pwm", Window(8, 9))
    assert choice_for_sample(smaller, sites, "no", manager).backend == "vlmm"
    named = choose_model("pwm", manager)
    assert choice_for_sample(named, sites, "no", manager) is named
