"""Networks in model files: every parameter and running mean, by names that a file can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch
from torch import Tensor, nn

from counterbias import Backend, InputError
from counterbias.model_file import EndModel, ModelFile, Training, load_models, save_models
from counterbias.plugins import Manager
from counterbias.testing import OneBackend
from counterbias_torch import NetworkModel
from tests.networks.examples import (
    EVERY,
    WINDOW,
    Convolution,
    Language,
    Recurrent,
    Words,
    bytes_of,
    fitted,
    random_windows,
)

pytestmark = pytest.mark.usefixtures("few_steps")


class Nested(nn.Module):
    """Modules within modules, with long names, and running means."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        if depth:
            self.a_module_with_a_rather_long_name = Nested(depth - 1)
        else:
            self.größe = nn.Conv1d(4, 1, WINDOW.width)

    def forward(self, letters: Tensor) -> Tensor:
        inner = getattr(self, "a_module_with_a_rather_long_name", None) or self.größe
        return inner(self.norm(letters)).reshape(len(letters))


class Deep(NetworkModel):
    objective = "classification"

    def network(self) -> nn.Module:
        return Nested(3)


def save(path: Path, model: NetworkModel) -> Manager:
    manager = Manager()
    backend = Backend("mine", "a network", lambda: type(model))
    manager.register(OneBackend(backend), name="mine")
    end = EndModel("both", model, 0.25, 0.5, 7, 0.125)
    save_models(path, ModelFile("mine", "", "", model.window, (end,), Training(("s",))))
    return manager


@pytest.mark.parametrize("kind", [*EVERY, Deep])
def test_what_is_loaded_is_what_was_saved(kind: type[NetworkModel], tmp_path: Path) -> None:
    model, _ = fitted(kind)
    manager = save(tmp_path / "one", model)
    loaded = load_models(tmp_path / "one", manager, window=WINDOW).ends[0].model
    assert isinstance(loaded, kind)
    assert loaded.options == model.options
    assert bytes_of(loaded) == bytes_of(model)
    windows = random_windows(100)
    assert np.array_equal(loaded.log_bias(windows), model.log_bias(windows))
    save(tmp_path / "two", loaded)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_running_means_are_saved_and_counters_are_not() -> None:
    arrays = fitted(Deep)[0].to_arrays()
    means = [array for name, array in arrays.items() if name.endswith("running_mean")]
    assert len(means) == 4
    assert not any(name.endswith("tracked") for name in arrays)
    # A base is each of the four in about a quarter of the places.
    assert means[0] == pytest.approx([0.25] * 4, abs=0.1)


def test_both_language_models_are_saved_by_the_names_of_their_sides() -> None:
    arrays = fitted(Language)[0].to_arrays()
    sides = [name.partition("-")[0] for name in arrays]
    assert sides == ["foreground"] * 7 + ["background"] * 7


def changed(arrays: dict[str, Any], name: str, value: np.ndarray | None) -> dict[str, Any]:
    others = {other: array for other, array in arrays.items() if other != name}
    return others if value is None else {**others, name: value}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("0-0-weight", None, "array '0-0-weight' of the model is missing"),
        ("0-0-weight", np.zeros((8, 4, 7)), r"has shape \(8, 4, 7\), expected \(8, 4, 8\)"),
        ("1-0-bias", np.full(8, np.nan), "'1-0-bias' of the model holds a value that is not fin"),
        ("1-0-bias", np.full(8, 2e4), "'1-0-bias' of the model holds a value beyond 10000"),
        ("9-more", np.zeros(1), "array '9-more' of the model is unknown"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    name: str, value: np.ndarray | None, message: str
) -> None:
    arrays = fitted(Convolution)[0].to_arrays()
    with pytest.raises(InputError, match=message):
        Convolution(WINDOW).from_arrays(changed(arrays, name, value))


@pytest.mark.parametrize("objective", ["classification", "language"])
def test_a_network_that_is_kept_is_trained_anew_each_time(objective: str) -> None:
    """``network`` may return the same module every time; models do not share it."""
    kept = Recurrent() if objective == "language" else Words(WINDOW.width, 0.0)

    class Keeping(NetworkModel):
        takes = "codes"

        def network(self) -> nn.Module:
            return kept

    kind = type("Kind", (Keeping,), {"objective": objective})
    before = [value.clone() for value in kept.parameters()]
    (one, _), (two, _) = (fitted(kind, seed=seed) for seed in (1, 2))
    first = bytes_of(one)
    assert first != bytes_of(two)
    assert first == bytes_of(fitted(kind, seed=1)[0])
    other = kind(WINDOW)
    other.from_arrays(two.to_arrays())
    assert (bytes_of(one), bytes_of(other)) == (first, bytes_of(two))
    assert one.log_bias(random_windows(100)).std() > 0
    assert all(map(torch.equal, before, kept.parameters()))


def test_loading_draws_nothing_from_the_callers_generator() -> None:
    model, _ = fitted(Convolution)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Convolution(WINDOW).from_arrays(model.to_arrays())
    assert torch.equal(torch.rand(1), expected)


def test_nothing_is_saved_before_it_is_fitted() -> None:
    with pytest.raises(RuntimeError, match="before fit"):
        Convolution(WINDOW).to_arrays()
