"""The networks in plain torch, the definition that the compiled code is tested and timed against.

Training on a GPU differentiates it, too.
"""

from __future__ import annotations

import math

import torch
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
