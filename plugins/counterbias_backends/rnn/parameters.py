"""The parameters of one character network: names, shapes, one flat vector, and how training begins.

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


def initial_parameters(
    cell: str, hidden: int, width: int, places: int, rng: np.random.Generator
) -> Parameters:
    """Draw the parameters that training starts from; let every other unit be slow to forget.

    Parameters are uniform within ± 1 / √hidden, as torch draws them for these layers. In every
    other unit, however, the biases of the gate that preserves the state are drawn so that the unit
    forgets over 1 to ``width`` bases (Tallec & Ollivier 2018, arXiv:1804.11188). Such states
    indicate the position in the window, which a network has to find out before anything else;
    without them, one of two networks trained on 10,000 starts stayed on that plateau until training
    was stopped.
    """
    bound = hidden**-0.5
    drawn = rng.uniform(-bound, bound, parameter_count(cell, hidden, places))
    parameters = Parameters(cell, hidden, drawn.astype(np.float32), places)
    arrays = parameters.arrays()
    if places:
        # Many outputs per unit: they begin small, and those that need no unit at 0.
        arrays["readout_weight"] *= np.float32(0.1)
        arrays["readout_bias"][...] = arrays["skip_weight"][...] = 0
    slow = np.arange(0, hidden, 2)
    bases = np.log(rng.uniform(1, max(width - 1, 2), len(slow)))
    keep = hidden + slow  # rows of a GRU's update gate, an LSTM's forget gate
    arrays["bias_ih"][keep], arrays["bias_hh"][keep] = bases, 0
    if cell == "lstm":
        arrays["bias_ih"][slow], arrays["bias_hh"][slow] = -bases, 0
    return parameters
