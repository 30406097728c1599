"""Every tensor of a training is made on its device, so that a GPU meets none of the processor's.

There is no GPU here. Instead, a tensor that is made without naming a device becomes one of
torch's device `meta`, which does not mix with those of the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch

from counterbias import BiasModel, load_plugins, parse_options
from counterbias.testing import planted_sample
from counterbias_backends.cnn import device as cnn_device
from counterbias_backends.rnn import device as rnn_device
from counterbias_torch import NetworkModel, TrainingOptions, fitting
from counterbias_torch.cross_fitting import Fit
from counterbias_torch.fitting import Pupil, Schooling, Trained
from counterbias_torch.model import fit_all
from tests.networks.examples import EVERY, PROCESSOR, WINDOW

pytestmark = pytest.mark.usefixtures("few_steps", "as_on_a_gpu")
SAMPLE = planted_sample(WINDOW, starts=120, seed=1)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train side by side, with the optimiser of GPUs; no device is a matter of course."""
    together, optimizer = fitting._side_by_side, torch.optim.AdamW

    def train(pupils: Sequence[Pupil], schooling: Schooling) -> list[Trained]:
        with torch.device("meta"):
            return together(pupils, schooling)

    def fused(groups: list[dict[str, Any]], **settings: Any) -> torch.optim.Optimizer:
        return optimizer(groups, **{**settings, "fused": True})

    monkeypatch.setattr(fitting, "_one_by_one", train)
    monkeypatch.setattr(torch.optim, "AdamW", fused)


def shipped(label: str, *options: str) -> Callable[[], BiasModel]:
    kind = load_plugins().backend(label).load()
    return lambda: kind(WINDOW, parse_options(kind, list(options)))


def test_a_tensor_without_a_device_is_noticed() -> None:
    with torch.device("meta"), pytest.raises(RuntimeError, match="meta"):
        torch.cat([torch.zeros(2, device=PROCESSOR), torch.zeros(2)])


@pytest.mark.parametrize("precision", ["single", "bfloat16"])
@pytest.mark.parametrize("kind", EVERY)
def test_networks_of_ones_own(kind: type[NetworkModel], precision: str) -> None:
    options = TrainingOptions(epochs=1, precision=precision)
    models = [kind(WINDOW, options) for _ in range(2)]
    for found in fit_all([Fit(one, SAMPLE, np.random.default_rng(1)) for one in models]):
        assert found.details["epochs" if kind.objective != "language" else "foreground_epochs"] == 1


@pytest.mark.parametrize(
    "make",
    [
        shipped("gru", "epochs=1", "min_steps=1"),
        shipped("lstm", "epochs=1", "min_steps=1", "head=position"),
        shipped("gru", "epochs=1", "objective=ratio"),
    ],
)
def test_recurrent_networks(make: Callable[[], BiasModel]) -> None:
    fits = [Fit(make(), SAMPLE, np.random.default_rng(seed)) for seed in (1, 2)]
    for found in rnn_device.fit_all(fits, PROCESSOR):
        assert found.details["device"] == "cpu"


def test_convolutional_networks() -> None:
    make = shipped("cnn", "members=2", "min_steps=20", "max_steps=20", "distil_steps=40")
    fits = [Fit(make(), SAMPLE, np.random.default_rng(seed)) for seed in (1, 2)]
    for found in cnn_device.fit_all(fits, PROCESSOR):
        assert found.details["device"] == "cpu"
