"""Recurrent networks side by side: layers of torch, and so of cuDNN, that hold many of them.

The cells of several networks make one layer whose weights are block-diagonal, so that the networks
do not see each other. A GPU is to take about as long for it as for a single small cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from counterbias_torch.stack import LETTERS, Stack, as_input

#: Units of a layer, at most: of its products, all but one part in as many networks are with zeros.
UNITS = 160


class RecurrentStack(Stack):
    """Networks of :mod:`.network`, of one class, cell and size."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._values, _ = stack_module_state(list(modules))
        cell = modules[0].cell
        self._hidden, self._gates = cell.hidden_size, len(cell.bias_ih_l0) // cell.hidden_size
        self._kind, self._together = type(cell), max(1, UNITS // cell.hidden_size)
        self._layers: dict[int, nn.Module] = {}  # by the number of networks

    def parameters(self) -> list[tuple[str, Tensor]]:
        """Return the parameters; the first axis is that of the networks."""
        return list(self._values.items())

    def __call__(self, codes: Tensor) -> Tensor:
        """Return the outputs per base: uint8 (networks, n, width) → (networks, n, width, 4)."""
        letters = as_input(codes, LETTERS).transpose(-1, -2)  # (networks, n, width, 4)
        before = torch.cat([torch.zeros_like(letters[:, :, :1]), letters[:, :, :-1]], dim=2)
        states = torch.cat(
            [
                self._states(slice(first, first + self._together), before)
                for first in range(0, len(before), self._together)
            ]
        )
        if "skip_weight" not in self._values:
            weight, bias = self._values["readout.weight"], self._values["readout.bias"]
            return torch.einsum("nbth,nlh->nbtl", states, weight) + bias[:, None, None]
        outputs = torch.einsum("nbth,ntlh->nbtl", states, self._values["readout_weight"])
        outputs = outputs + self._values["readout_bias"][:, None]
        return outputs + torch.einsum("nbtk,ntlk->nbtl", before, self._values["skip_weight"])

    def _states(self, those: slice, before: Tensor) -> Tensor:
        """Return the states of some networks' cells, (networks, n, width, hidden), by one layer."""
        before = before[those]
        networks, n, width, letters = before.shape
        if networks not in self._layers:
            self._layers[networks] = self._kind(
                letters * networks, self._hidden * networks, batch_first=True, device="meta"
            )
        weights = {
            "weight_ih_l0": _joined(self._by_gate("cell.weight_ih_l0", those)),
            "weight_hh_l0": _joined(self._by_gate("cell.weight_hh_l0", those)),
            "bias_ih_l0": self._by_gate("cell.bias_ih_l0", those).flatten(),
            "bias_hh_l0": self._by_gate("cell.bias_hh_l0", those).flatten(),
        }
        inputs = before.permute(1, 2, 0, 3).reshape(n, width, -1)
        states, _ = functional_call(self._layers[networks], weights, (inputs,))
        return states.reshape(n, width, networks, self._hidden).permute(2, 0, 1, 3)

    def _by_gate(self, name: str, those: slice) -> Tensor:
        """Return a parameter of some networks as (gates, networks, hidden, …)."""
        value = self._values[name][those]
        parts = value.reshape(len(value), self._gates, self._hidden, *value.shape[2:])
        return parts.transpose(0, 1)

    def train(self, mode: bool) -> None:
        """Do nothing: the networks have no dropout."""

    def snapshot(self, number: int) -> dict[str, Tensor]:
        """Return a copy of one network's state."""
        return {name: value[number].detach().clone() for name, value in self._values.items()}


def _joined(parts: Tensor) -> Tensor:
    """Return weights as one block-diagonal matrix per gate, one above the other.

    (gates, networks, hidden, inputs) → (gates · networks · hidden, networks · inputs).
    """
    own = torch.eye(parts.shape[1], device=parts.device)
    apart = parts[:, :, :, None, :] * own[None, :, None, :, None]
    return apart.reshape(parts.shape[0] * parts.shape[1] * parts.shape[2], -1)
