"""Networks trained as on a GPU, by torch on the processor."""

from __future__ import annotations

from collections.abc import Sequence

import pytest


@pytest.fixture
def side_by_side(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let torch's processor train networks side by side; return the numbers of those that were."""
    torch = pytest.importorskip("torch", reason="networks are trained on GPUs by torch")
    from counterbias_torch import fitting
    from counterbias_torch.devices import reproducible

    sizes: list[int] = []
    together = fitting._together

    def as_on_a_gpu(pupils: Sequence[fitting.Pupil], device: object) -> list[list[int]]:
        return together(pupils, torch.device("cuda"))

    def train(
        pupils: Sequence[fitting.Pupil], schooling: fitting.Schooling
    ) -> list[fitting.Trained]:
        trained: dict[int, fitting.Trained] = {}
        for numbers in as_on_a_gpu(pupils, schooling.device):
            sizes.append(len(numbers))
            with reproducible(schooling.device):
                found = fitting._side_by_side([pupils[number] for number in numbers], schooling)
            trained.update(zip(numbers, found, strict=True))
        return [trained[number] for number in range(len(pupils))]

    monkeypatch.setattr(fitting, "_together", as_on_a_gpu)
    monkeypatch.setattr(fitting, "_one_by_one", train)
    return sizes


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, side_by_side: list[int]) -> list[int]:
    """Let torch's processor be the GPU of ``--bias-device cuda``."""
    import torch

    from counterbias_backends.cnn import model as cnn
    from counterbias_backends.rnn import model as rnn
    from counterbias_torch import session

    def choose(wanted: str) -> torch.device:
        assert wanted == "cuda"
        return torch.device("cpu")

    monkeypatch.setattr(session, "choose_device", choose)
    monkeypatch.setattr(session, "device_name", lambda device: "a processor as a GPU")
    for module in (cnn, rnn):
        monkeypatch.setattr(module, "require_gpu", lambda: "cuda")
    return side_by_side
