"""The parameters of the networks: shapes, names, first values, one flat vector per network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

#: Units that are calculated side by side; a second layer has a multiple of these.
LANES = 16

Float = TypeVar("Float", np.float32, np.float64)


@dataclass(frozen=True)
class Shape:
    """The shape of one network.

    Args:
        width: bases per window.
        kmer: bases that the first layer sees at a time, at most ``width``.
        channels: outputs of the first layer per place.
        units: outputs of the second layer, which sees all places of a window.
    """

    width: int
    kmer: int
    channels: int
    units: int

    @property
    def places(self) -> int:
        """Places of the first layer in a window."""
        return self.width - self.kmer + 1

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Name → shape of each array, in their order in the flat vector."""
        return {
            "first_weight": (self.kmer, 4, self.channels),
            "first_bias": (self.channels,),
            "second_weight": (self.places, self.channels, self.units),
            "second_bias": (self.units,),
            "readout_weight": (self.units,),
            "readout_bias": (1,),
        }

    @property
    def size(self) -> int:
        """Number of parameters of one network."""
        return sum(math.prod(shape) for shape in self.arrays.values())

    @property
    def head(self) -> int:
        """Index of the second layer's biases in the flat vector; the readout follows them."""
        return self.size - 2 * self.units - 1

    def split(self, flat: NDArray[Float]) -> dict[str, NDArray[Float]]:
        """Return the named arrays as views of flat vectors: (…, size) → (…, shape)."""
        named, start = {}, 0
        for name, shape in self.arrays.items():
            end = start + math.prod(shape)
            named[name] = flat[..., start:end].reshape(*flat.shape[:-1], *shape)
            start = end
        return named

    def join(self, named: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        """Join named arrays (networks, shape) to flat vectors, float32 (networks, size)."""
        parts = [
            np.asarray(named[name], np.float32).reshape(len(named[name]), -1)
            for name in self.arrays
        ]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))


@dataclass(frozen=True)
class Networks:
    """Several networks of one shape. Args: flat: float64 (networks, size)."""

    flat: NDArray[np.float64]
    shape: Shape


def initial_parameters(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the parameters that training starts from, float64 (size,).

    Weights are Gaussian with a variance that preserves that of the layers (He et al. 2015), those
    of the readout small; biases are 0.
    """
    flat = np.zeros(shape.size)
    named = shape.split(flat)
    for name, variance in (
        ("first_weight", 2 / shape.kmer),
        ("second_weight", 2 / (shape.places * shape.channels)),
        ("readout_weight", 0.09 / shape.units),
    ):
        named[name][...] = rng.normal(0.0, math.sqrt(variance), named[name].shape)
    return flat


def word_codes(sequence: NDArray[np.uint8], kmer: int) -> NDArray[np.uint16]:
    """Number the overlapping words of ``kmer`` bases, the first base counting most.

    uint8 (n, length) → uint16 (n, length − kmer + 1).
    """
    words = sequence.shape[1] - kmer + 1
    codes = np.zeros((len(sequence), words), np.uint16)
    for first in range(kmer):
        codes *= 4
        codes += sequence[:, first : first + words]
    return codes
