"""Too little memory: batches are cut into pieces, and the report says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch
from torch import Tensor, nn

from counterbias.testing import planted_sample
from counterbias_torch import NetworkModel, TrainingOptions
from counterbias_torch.devices import is_out_of_memory
from tests.networks.examples import WINDOW, Convolution, PerBase, fitted, random_windows

pytestmark = pytest.mark.usefixtures("few_steps")
OPTIONS = TrainingOptions(epochs=2, batch=20, learning_rate=1e-2)


class Cramped(nn.Module):
    """Runs out of memory where it is given too many windows at once."""

    def __init__(self, module: nn.Module, windows: int) -> None:
        super().__init__()
        self.module, self.windows = module, windows

    def forward(self, letters: Tensor) -> Tensor:
        if len(letters) > self.windows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.module(letters)


class CrampedPerBase(PerBase):
    limit = 100

    def network(self) -> nn.Module:
        return Cramped(super().network(), self.limit)


class CrampedConvolution(Convolution):
    limit = 100

    def network(self) -> nn.Module:
        return Cramped(super().network(), self.limit)


@pytest.mark.parametrize(
    ("cramped", "roomy", "pieces"),
    # At most 100 windows: 3 of 20 stretches of 25 windows; 33 of 819 sets of 3 windows.
    [(CrampedPerBase, PerBase, 8), (CrampedConvolution, Convolution, 32)],
)
def test_batches_are_cut_to_what_fits(
    cramped: type[PerBase], roomy: type[PerBase], pieces: int
) -> None:
    sample = planted_sample(WINDOW, starts=900, seed=1)
    found, report = fitted(cramped, sample, OPTIONS)
    expected, usual = fitted(roomy, sample, OPTIONS)
    (remark,) = report.details["remarks"]
    rows = " and ".join(map(str, report.details["batches"]))
    assert remark == (
        f"memory was too small for batches of {rows} rows: their gradients were added up from "
        f"{pieces} pieces each"
    )
    assert "remarks" not in usual.details
    # Nor do so many windows fit when they are scored.
    windows = random_windows(300)
    scores = [model.log_bias(windows) for model in (found, expected)]
    sequence = np.concatenate(windows)
    centred = [one - one.mean() for one in scores]
    along = [model.along(sequence)[:: WINDOW.width] for model in (found, expected)]
    for one, other in zip(along, scores, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert centred[1].std() > 0.05
    np.testing.assert_allclose(*centred, rtol=0, atol=1e-3)
    for name, curve in usual.curves.items():
        np.testing.assert_allclose(report.curves[name], curve, rtol=1e-3, atol=1e-4)


def test_count_says_that_memory_was_too_small(
    install: Callable[[type[NetworkModel]], None],
    count: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(CrampedPerBase)
    assert count("--bias-option", "epochs=1") == 0
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "memory" in text]
    assert line.startswith("Warning: good: fitting mine: memory was too small for batches of ")


def test_one_row_that_does_not_fit_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrampedPerBase, "limit", 24)  # a stretch has 25 windows
    with pytest.raises(
        MemoryError,
        match=r"^memory is too small to train the network with one row at a time: make it smaller$",
    ):
        fitted(CrampedPerBase, planted_sample(WINDOW, starts=100, seed=1), OPTIONS)


def test_what_torch_raises_on_a_processor_is_recognised() -> None:
    with pytest.raises(RuntimeError) as refusal:
        torch.empty(2**60)
    assert is_out_of_memory(refusal.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("DefaultCPUAllocator"))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be reported at some other call",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_what_the_libraries_of_a_gpu_say_is_recognised(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


def test_other_errors_are_passed_on() -> None:
    class Faulty(PerBase):
        def network(self) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(5, 1))

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fitted(Faulty)
