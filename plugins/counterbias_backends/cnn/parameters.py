"""The parameters of the networks: shapes, names, and one flat vector per network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """The shape of one network.

    Args:
        width: bases per window.
        kmer: bases that the first layer sees at a time, at most ``width``.
        channels: its outputs per place.
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
        """Name → shape, in the order in which they stand in the flat vector."""
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
        """Parameters of one network."""
        return sum(math.prod(shape) for shape in self.arrays.values())

    @property
    def head(self) -> int:
        """Where the second layer's biases begin in the flat vector; readout weights and bias follow."""
        return self.size - 2 * self.units - 1

    def split(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Give the named arrays as views of flat vectors: (…, size) → (…, shape)."""
        named, start = {}, 0
        for name, shape in self.arrays.items():
            end = start + math.prod(shape)
            named[name] = flat[..., start:end].reshape(*flat.shape[:-1], *shape)
            start = end
        return named

    def join(self, named: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Give flat vectors of named arrays (networks, shape): float32 (networks, size)."""
        parts = [
            np.asarray(named[name], np.float32).reshape(len(named[name]), -1)
            for name in self.arrays
        ]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))


def word_codes(sequence: NDArray[np.uint8], kmer: int) -> NDArray[np.uint16]:
    """Number the overlapping words of ``kmer`` bases: uint8 (n, length) → uint16 (n, length − kmer + 1), first base highest."""
    words = sequence.shape[1] - kmer + 1
    codes = np.zeros((len(sequence), words), np.uint16)
    for first in range(kmer):
        codes *= 4
        codes += sequence[:, first : first + words]
    return codes
