"""Loss and gradient by torch, on a GPU: the equations of the compiled code, in double precision, for the same batches.

Steps are written out, since torch's own recurrent layers choose other code on each device and want their weights laid out for it.
Parameters, gradient and optimiser stay on the host.
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


class TorchGradient:
    """As :class:`~counterbias_backends.rnn.loss.CompiledGradient`, on any device of torch."""

    def __init__(self, cell: str, hidden: int, places: int, mode: int, device: str) -> None:
        self._cell, self._hidden, self._mode, self._device = (
            cell,
            hidden,
            mode,
            torch.device(device),
        )
        self._shapes = shapes(cell, hidden, places)

    def __call__(
        self,
        contexts: NDArray[np.uint8],
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        order: NDArray[np.int64],
        first: int,
        last: int,
        scale: float,
        flat: NDArray[np.float32],
        gradient: NDArray[np.float32],
    ) -> float:
        """Give the loss."""
        rows = order[first:last]
        leaf = self._tensor(flat).requires_grad_(len(gradient) > 0)
        letters = functional.one_hot(
            torch.from_numpy(contexts[rows]).to(self._device).long(), 4
        ).double()  # (n, width, 4)
        outputs = self._outputs(leaf, letters)
        loss = scale * self._loss(
            outputs, letters, self._tensor(targets[rows]), self._tensor(weights[rows])
        )
        if len(gradient):
            loss.backward()
            assert leaf.grad is not None
            gradient += leaf.grad.cpu().numpy().astype(np.float32)
        return float(loss.detach())

    def _tensor(self, values: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float64)).to(self._device)

    def _outputs(self, flat: torch.Tensor, letters: torch.Tensor) -> torch.Tensor:
        """Give the outputs of each step, (n, width, 4)."""
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        named = {
            name: part.reshape(shape)
            for (name, shape), part in zip(
                self._shapes.items(), torch.split(flat, sizes), strict=True
            )
        }
        before = torch.cat([torch.zeros_like(letters[:, :1]), letters[:, :-1]], dim=1)
        given = before @ named["weight_ih"].T + named["bias_ih"]  # (n, width, gates · hidden)
        state = cell = torch.zeros(
            len(letters), self._hidden, dtype=letters.dtype, device=self._device
        )
        states = []
        for t in range(letters.shape[1]):
            own = state @ named["weight_hh"].T + named["bias_hh"]
            if self._cell == "gru":
                state = _gru(given[:, t], own, state)
            else:
                state, cell = _lstm(given[:, t] + own, cell)
            states.append(state)
        every = torch.stack(states, dim=1)  # (n, width, hidden)
        if "skip_weight" not in named:
            return every @ named["readout_weight"].T + named["readout_bias"]
        outputs = (
            torch.einsum("nth,tlh->ntl", every, named["readout_weight"]) + named["readout_bias"]
        )
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
        scores = (outputs * letters).sum(dim=(1, 2))
        if self._mode == LOGISTIC:
            return (
                weights
                * functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
            ).sum()
        stretches = torch.log_softmax(scores.reshape(-1, LANES), dim=1).reshape(-1)
        return -(weights * targets * stretches).sum()


def _gru(given: torch.Tensor, own: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    given_r, given_z, given_n = given.chunk(3, dim=1)
    own_r, own_z, own_n = own.chunk(3, dim=1)
    new = torch.tanh(given_n + torch.sigmoid(given_r + own_r) * own_n)
    return new + torch.sigmoid(given_z + own_z) * (state - new)


def _lstm(sums: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    taken, kept, new, shown = sums.chunk(4, dim=1)
    cell = torch.sigmoid(kept) * cell + torch.sigmoid(taken) * torch.tanh(new)
    return torch.sigmoid(shown) * torch.tanh(cell), cell
