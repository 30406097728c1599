"""Adam, the networks' optimiser: the state that it keeps, and one compiled step. Not a backend.

torch's own optimiser makes its threads wait for each other at each of thousands of tiny steps,
which takes tens of times as long as soon as another process wants a processor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias_backends.lanes import aligned

Float = TypeVar("Float", np.float32, np.float64)


@dataclass
class Adam(Generic[Float]):
    """A network's parameters and the state of their optimiser; every array is (size,).

    Args:
        flat: the parameters, changed in place.
        gradient: of the loss with respect to them; losses add to it, each step sets it to 0.
        first, second: running means of the gradient and of its square.
        decays: weight decay of each parameter.
        taken: steps taken so far.
    """

    flat: NDArray[Float]
    gradient: NDArray[Float]
    first: NDArray[Float]
    second: NDArray[Float]
    decays: NDArray[Float]
    taken: int = 0

    @classmethod
    def of(cls, flat: NDArray[Float]) -> Adam[Float]:
        """Start from these parameters, without weight decay."""
        gradient, first, second, decays = (aligned(np.zeros_like(flat)) for _ in range(4))
        return cls(flat, gradient, first, second, decays)

    def step(self, rate: float) -> None:
        """Take one step with this learning rate."""
        self.taken += 1
        adam_step(
            self.flat, self.gradient, self.first, self.second, self.taken, rate, self.decays
        )  # fmt: skip


@loop(
    "f4[::1], f4[::1], f4[::1], f4[::1], i8, f8, f4[::1]",
    "f8[::1], f8[::1], f8[::1], f8[::1], i8, f8, f8[::1]",
    error_model="numpy",
)
def adam_step(
    flat: NDArray[Float],
    gradient: NDArray[Float],
    first: NDArray[Float],
    second: NDArray[Float],
    step: int,
    rate: float,
    decays: NDArray[Float],
) -> None:
    """Take one step of Adam with decoupled weight decay, and set ``gradient`` to 0.

    Arguments are those of :class:`Adam`; ``step`` is the number of this step, from 1, and ``rate``
    its learning rate. Sources: Kingma & Ba 2015; Loshchilov & Hutter 2019.
    """
    whole_first = 1.0 - 0.9**step
    whole_second = 1.0 - 0.999**step
    for i in range(len(flat)):
        first[i] += 0.1 * (gradient[i] - first[i])
        second[i] += 0.001 * (gradient[i] * gradient[i] - second[i])
        flat[i] -= rate * (
            first[i] / whole_first / (math.sqrt(second[i] / whole_second) + 1e-8)
            + decays[i] * flat[i]
        )
        gradient[i] = 0.0
