"""The parameters of one character network: names, shapes, and one flat vector that holds them all.

Names, order and meaning are those of ``torch.nn.GRU`` and ``torch.nn.LSTM`` (one layer) followed by
``torch.nn.Linear``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def gate_count(cell: str) -> int:
    """Return the number of gates: GRU reset, update, new; LSTM in, forget, new, out."""
    return 3 if cell == "gru" else 4


def shapes(cell: str, hidden: int, places: int = 0) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array, in their order in the flat vector.

    ``places`` is 0 where all steps share one output layer. Otherwise it is the number of bases of a
    window, each with its own output layer, and ``skip_weight`` is what the previous base adds to
    each letter.
    """
    rows = gate_count(cell) * hidden
    gates = {
        "weight_ih": (rows, 4),
        "weight_hh": (rows, hidden),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }
    if not places:
        return {**gates, "readout_weight": (4, hidden), "readout_bias": (4,)}
    return {
        **gates,
        "readout_weight": (places, 4, hidden),
        "readout_bias": (places, 4),
        "skip_weight": (places, 4, 4),
    }


def parameter_count(cell: str, hidden: int, places: int = 0) -> int:
    """Return the length of the flat vector."""
    return sum(math.prod(shape) for shape in shapes(cell, hidden, places).values())


@dataclass(frozen=True)
class Parameters:
    """The parameters of one network.

    Args:
        cell: ``gru`` or ``lstm``.
        hidden: number of hidden units.
        flat: float32 (parameter_count,).
        places: number of output layers, or 0 for one that all steps share (:func:`shapes`).
    """

    cell: str
    hidden: int
    flat: NDArray[np.float32]
    places: int = 0

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the named arrays, as views of the flat vector."""
        named, start = {}, 0
        for name, shape in shapes(self.cell, self.hidden, self.places).items():
            end = start + math.prod(shape)
            named[name] = self.flat[start:end].reshape(shape)
            start = end
        return named

    @classmethod
    def from_arrays(
        cls,
        cell: str,
        hidden: int,
        arrays: Mapping[str, NDArray[np.floating]],
        places: int = 0,
    ) -> Parameters:
        """Join named arrays.

        Raises ValueError, naming the array, where one is missing, misshapen or not finite.
        """
        parts = []
        for name, shape in shapes(cell, hidden, places).items():
            if name not in arrays:
                raise ValueError(f"{name} is missing")
            values = np.asarray(arrays[name], dtype=np.float32)
            if values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape} instead of {shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"{name} holds values that are not finite")
            parts.append(values.ravel())
        return cls(cell, hidden, np.concatenate(parts), places)
