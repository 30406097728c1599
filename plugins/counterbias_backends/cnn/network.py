"""The networks in plain torch: the definition that the compiled code of this package is tested and timed against."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from counterbias_backends.cnn.parameters import Shape


def scores(flat: torch.Tensor, shape: Shape, sequence: torch.Tensor) -> torch.Tensor:
    """Score every window of sequences with every network: convolution, ReLU, convolution, ReLU, 1 × 1.

    Args:
        flat: (networks, size).
        shape: of each network.
        sequence: integer (n, length).

    Returns: (n, networks, length − width + 1).
    """
    networks = len(flat)
    named = dict(
        zip(
            shape.arrays,
            torch.split(flat, [int(np.prod(one)) for one in shape.arrays.values()], dim=1),
            strict=True,
        )
    )
    first = (
        named["first_weight"].reshape(networks, shape.kmer, 4, shape.channels).permute(0, 3, 2, 1)
    )
    second = (
        named["second_weight"]
        .reshape(networks, shape.places, shape.channels, shape.units)
        .permute(0, 3, 2, 1)
    )
    letters = (
        functional.one_hot(sequence.long(), 4).to(flat.dtype).transpose(1, 2).contiguous()
    )  # (n, 4, length)
    hidden = torch.relu(
        functional.conv1d(
            letters, first.reshape(-1, 4, shape.kmer), named["first_bias"].reshape(-1)
        )
    )
    weight = second.reshape(-1, shape.channels, shape.places)
    hidden = torch.relu(
        functional.conv1d(hidden, weight, named["second_bias"].reshape(-1), groups=networks)
    )
    readout = named["readout_weight"].reshape(networks, shape.units, 1)
    return functional.conv1d(hidden, readout, named["readout_bias"].reshape(-1), groups=networks)


def log_bias(
    flat: NDArray[np.float32], shape: Shape, contexts: NDArray[np.uint8], *, double: bool = True
) -> NDArray[np.float64]:
    """Score windows by torch, mean of the networks: uint8 (n, width) → float64 (n,); in float64 or, as fast as torch can, float32."""
    kind = torch.float64 if double else torch.float32
    with torch.no_grad():
        found = scores(
            torch.from_numpy(flat).to(kind), shape, torch.from_numpy(np.ascontiguousarray(contexts))
        )
        return np.asarray(found[:, :, 0].mean(dim=1).double().numpy())
