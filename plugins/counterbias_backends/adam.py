"""The optimiser of the networks, compiled. This module is no backend.

torch's own would have its threads wait for each other at each of some thousand tiny steps, which takes tens of times as long as soon as
another process wants a processor.
"""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[misc]
def adam_step(flat, gradient, first, second, step, rate, decay):
    """Take one step of Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019), and set ``gradient`` to 0.

    Args:
        flat, gradient, first, second: float (size,), parameters, their gradient, running means of it and of its square.
        step: number of this step, from 1.
        rate: learning rate.
        decay: float (size,), weight decay of each parameter.
    """
    whole_first = 1.0 - 0.9**step
    whole_second = 1.0 - 0.999**step
    for i in range(len(flat)):
        first[i] += 0.1 * (gradient[i] - first[i])
        second[i] += 0.001 * (gradient[i] * gradient[i] - second[i])
        flat[i] -= rate * (
            first[i] / whole_first / (math.sqrt(second[i] / whole_second) + 1e-8)
            + decay[i] * flat[i]
        )
        gradient[i] = 0.0
