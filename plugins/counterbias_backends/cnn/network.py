"""The networks in torch: the definition that compiled code is tested against, a module for GPUs."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from counterbias_backends.cnn.parameters import Shape


def scores(flat: torch.Tensor, shape: Shape, sequence: torch.Tensor) -> torch.Tensor:
    """Score every window of sequences with every network.

    Layers: convolution, ReLU, convolution, ReLU, 1 × 1 convolution.

    Args:
        flat: (networks, size).
        shape: of each network.
        sequence: integer (n, length).

    Returns: (n, networks, length − width + 1).
    """
    networks = len(flat)
    sizes = [math.prod(one) for one in shape.arrays.values()]
    named = dict(zip(shape.arrays, torch.split(flat, sizes, dim=1), strict=True))
    first = named["first_weight"].reshape(networks, shape.kmer, 4, shape.channels)
    first = first.permute(0, 3, 2, 1).reshape(-1, 4, shape.kmer)
    second = named["second_weight"].reshape(networks, shape.places, shape.channels, shape.units)
    second = second.permute(0, 3, 2, 1).reshape(-1, shape.channels, shape.places)
    readout = named["readout_weight"].reshape(networks, shape.units, 1)
    letters = functional.one_hot(sequence.long(), 4).to(flat.dtype)
    letters = letters.transpose(1, 2).contiguous()  # (n, 4, length)
    hidden = functional.conv1d(letters, first, named["first_bias"].reshape(-1))
    hidden = torch.relu(hidden)  # (n, networks · channels, length − kmer + 1)
    hidden = functional.conv1d(hidden, second, named["second_bias"].reshape(-1), groups=networks)
    hidden = torch.relu(hidden)  # (n, networks · units, length − width + 1)
    return functional.conv1d(hidden, readout, named["readout_bias"].reshape(-1), groups=networks)


class ConvolutionalNetwork(nn.Module):  # type: ignore[misc]  # torch is optional, its types are skipped
    """One network, whose scores are those of :func:`scores`, as products of matrices.

    These can be calculated for many networks side by side, which convolutions do slowly.

    Args:
        flat: its first parameters, (size,).
        shape: its shape.
    """

    def __init__(self, flat: NDArray[np.float64], shape: Shape) -> None:
        super().__init__()
        self._shape = shape
        for name, values in shape.split(flat).items():
            first = torch.from_numpy(values.astype(np.float32))
            self.register_parameter(name, nn.Parameter(first))

    def forward(self, letters: Tensor) -> Tensor:
        """Score every window: one-hot (n, 4, length) → (n, length − width + 1)."""
        words = letters.transpose(1, 2).unfold(1, self._shape.kmer, 1)  # (n, words, 4, kmer)
        first = self.first_weight.transpose(0, 1).flatten(0, 1)  # (4 · kmer, channels)
        hidden = torch.relu(words.flatten(2) @ first + self.first_bias)
        windows = hidden.unfold(1, self._shape.places, 1)  # (n, windows, channels, places)
        second = self.second_weight.transpose(0, 1).flatten(0, 1)  # (channels · places, units)
        hidden = torch.relu(windows.flatten(2) @ second + self.second_bias)
        return hidden @ self.readout_weight + self.readout_bias
