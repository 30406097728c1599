"""Small networks of each kind that :class:`counterbias_torch.NetworkModel` takes, and fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterbias import FitReport, Resources, TrainingSet, Window
from counterbias.testing import planted_sample
from counterbias_torch import NetworkModel, TrainingOptions

WINDOW = Window(3, 4)
#: Enough to learn something from: 2 × 50 steps.
QUICK = TrainingOptions(epochs=2, learning_rate=1e-2)
PROCESSOR = torch.device("cpu")


def convolution(width: int, channels: int = 8) -> nn.Module:
    """Return a network that slides."""
    return nn.Sequential(
        nn.Conv1d(4, channels, width), nn.ReLU(), nn.Conv1d(channels, 1, 1), nn.Flatten()
    )


class Convolution(NetworkModel):
    """Learns from whole tiles."""

    slides = True

    def network(self) -> nn.Module:
        return convolution(self.window.width)


class Matrix(nn.Module):
    """Log odds of each base at each place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.log_odds = nn.Parameter(torch.zeros(width, 4))

    def forward(self, letters: Tensor) -> Tensor:
        return self.log_odds.expand(len(letters), -1, -1)


class PerBase(NetworkModel):
    """Returns outputs per base."""

    def network(self) -> nn.Module:
        return Matrix(self.window.width)


class Words(nn.Module):
    """An embedding of each base, dropout, and a score."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.base = nn.Embedding(4, 3)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(3 * width, 1)

    def forward(self, codes: Tensor) -> Tensor:
        return self.score(self.dropout(self.base(codes).flatten(1)))


class WithDropout(NetworkModel):
    """Takes codes, classifies, and draws random numbers while it learns."""

    takes = "codes"
    objective = "classification"

    def network(self) -> nn.Module:
        return Words(self.window.width, 0.2)


class Attention(nn.Module):
    """A layer of a transformer."""

    def __init__(self, width: int, size: int = 8) -> None:
        super().__init__()
        self.base = nn.Embedding(4, size)
        self.place = nn.Parameter(0.1 * torch.randn(width, size))
        self.layer = nn.TransformerEncoderLayer(size, 2, size, dropout=0.0, batch_first=True)
        self.score = nn.Linear(width * size, 1)

    def forward(self, codes: Tensor) -> Tensor:
        return self.score(self.layer(self.base(codes) + self.place).flatten(1))


class Recurrent(nn.Module):
    """A GRU that predicts each base from those before it."""

    def __init__(self, units: int = 5) -> None:
        super().__init__()
        self.base = nn.Embedding(5, 3)
        self.cell = nn.GRU(3, units, batch_first=True)
        self.readout = nn.Linear(units, 4)

    def forward(self, codes: Tensor) -> Tensor:
        before = torch.cat([torch.full_like(codes[:, :1], 4), codes[:, :-1]], dim=1)
        return self.readout(self.cell(self.base(before))[0])


class Language(NetworkModel):
    """Two language models."""

    takes = "codes"
    objective = "language"

    def network(self) -> nn.Module:
        return Recurrent()


EVERY = (Convolution, PerBase, WithDropout, Language)


def fitted(
    kind: type[NetworkModel],
    sample: TrainingSet | None = None,
    options: Any = QUICK,
    *,
    threads: int = 1,
    seed: int = 1,
) -> tuple[NetworkModel, FitReport]:
    """Fit a model, by default to 400 read starts with a planted bias."""
    sample = planted_sample(WINDOW, starts=400, seed=1) if sample is None else sample
    model = kind(sample.window, options)
    model.resources = Resources(threads)
    return model, model.fit(sample, np.random.default_rng(seed))


def random_windows(n: int, width: int = WINDOW.width, seed: int = 2) -> np.ndarray:
    """Return windows: uint8 (n, width)."""
    return np.random.default_rng(seed).integers(0, 4, (n, width), dtype=np.uint8)


def bytes_of(model: NetworkModel) -> list[bytes]:
    """Return all that a model file would hold of a model."""
    return [array.tobytes() for array in model.to_arrays().values()]
