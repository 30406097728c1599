"""The loss and its gradient by torch, on a GPU: the equations of the compiled code, in float64.

Steps are written out, since torch's own recurrent layers choose other code on each device and want
their weights laid out for it. Parameters, gradient and optimiser stay on the host.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from counterbias_backends.rnn.lanes import LANES
from counterbias_backends.rnn.parameters import shapes
from counterbias_backends.rnn.position import LOGISTIC, PROBABILITY
from counterbias_backends.rnn.windows import Batch


class TorchLoss:
    """Calculate what ``CompiledLoss`` of :mod:`.loss` does, on any device of torch."""

    def __init__(self, cell: str, hidden: int, places: int, mode: int, device: str) -> None:
        self._cell, self._hidden, self._mode = cell, hidden, mode
        self._device = torch.device(device)
        self._shapes = shapes(cell, hidden, places)

    def __call__(
        self, flat: NDArray[np.float32], batch: Batch, gradient: NDArray[np.float32]
    ) -> float:
        """Return the loss, and add its gradient to ``gradient``."""
        windows, rows = batch.windows, batch.order[batch.first : batch.last]
        targets, weights = self._tensor(windows.targets[rows]), self._tensor(windows.weights[rows])
        leaf = self._tensor(flat).requires_grad_(len(gradient) > 0)
        contexts = torch.from_numpy(windows.contexts[rows]).to(self._device)
        letters = functional.one_hot(contexts.long(), 4).double()  # (n, width, 4)
        loss = batch.scale * self._loss(self._outputs(leaf, letters), letters, targets, weights)
        if len(gradient):
            loss.backward()
            assert leaf.grad is not None
            gradient += leaf.grad.cpu().numpy().astype(np.float32)
        return float(loss.detach())

    def _tensor(self, values: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float64)).to(self._device)

    def _outputs(self, flat: torch.Tensor, letters: torch.Tensor) -> torch.Tensor:
        """Return the outputs of each step, (n, width, 4)."""
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        parts = zip(self._shapes.items(), torch.split(flat, sizes), strict=True)
        named = {name: part.reshape(shape) for (name, shape), part in parts}
        before = torch.cat([torch.zeros_like(letters[:, :1]), letters[:, :-1]], dim=1)
        given = before @ named["weight_ih"].T + named["bias_ih"]  # (n, width, gates · hidden)
        state = cell = torch.zeros(
            len(letters), self._hidden, dtype=letters.dtype, device=self._device
        )
        states = []
        for t in range(letters.shape[1]):
            recurrent = state @ named["weight_hh"].T + named["bias_hh"]
            if self._cell == "gru":
                state = _gru(given[:, t], recurrent, state)
            else:
                state, cell = _lstm(given[:, t] + recurrent, cell)
            states.append(state)
        every = torch.stack(states, dim=1)  # (n, width, hidden)
        weight, bias = named["readout_weight"], named["readout_bias"]
        if "skip_weight" not in named:
            return every @ weight.T + bias
        outputs = torch.einsum("nth,tlh->ntl", every, weight) + bias
        return outputs + torch.einsum("ntk,tlk->ntl", before, named["skip_weight"])

    def _loss(
        self,
        outputs: torch.Tensor,
        letters: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        if self._mode == PROBABILITY:
            return -(weights * (torch.log_softmax(outputs, dim=-1) * letters).sum(dim=(1, 2))).sum()
        scores = (outputs * letters).sum(dim=(1, 2))  # (n,)
        if self._mode == LOGISTIC:
            each = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
            return (weights * each).sum()
        stretches = torch.log_softmax(scores.reshape(-1, LANES), dim=1).reshape(-1)
        return -(weights * targets * stretches).sum()


def _gru(given: torch.Tensor, recurrent: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    given_r, given_z, given_n = given.chunk(3, dim=1)
    recurrent_r, recurrent_z, recurrent_n = recurrent.chunk(3, dim=1)
    new = torch.tanh(given_n + torch.sigmoid(given_r + recurrent_r) * recurrent_n)
    return new + torch.sigmoid(given_z + recurrent_z) * (state - new)


def _lstm(sums: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    gate_in, gate_forget, new, gate_out = sums.chunk(4, dim=1)
    cell = torch.sigmoid(gate_forget) * cell + torch.sigmoid(gate_in) * torch.tanh(new)
    return torch.sigmoid(gate_out) * torch.tanh(cell), cell
