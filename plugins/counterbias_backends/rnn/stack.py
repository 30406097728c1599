"""Recurrent networks side by side: one layer of torch, and so of cuDNN, that holds them all.

The cells of all networks make one layer whose weights are block-diagonal, so that the networks do
not see each other. A GPU takes about as long for it as for a single small cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from counterbias_torch.stack import LETTERS, Stack, as_input


class RecurrentStack(Stack):
    """Networks of :mod:`.network`, of one class, cell and size."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._values, _ = stack_module_state(list(modules))
        cell, count = modules[0].cell, len(modules)
        self._hidden, self._gates = cell.hidden_size, len(cell.bias_ih_l0) // cell.hidden_size
        layer = type(cell)
        self._layer = layer(4 * count, cell.hidden_size * count, batch_first=True, device="meta")
        self._own = torch.eye(count, device=cell.weight_hh_l0.device)

    def parameters(self) -> list[tuple[str, Tensor]]:
        """Return the parameters; the first axis is that of the networks."""
        return list(self._values.items())

    def __call__(self, codes: Tensor) -> Tensor:
        """Return the outputs per base: uint8 (networks, n, width) → (networks, n, width, 4)."""
        letters = as_input(codes, LETTERS).transpose(-1, -2)  # (networks, n, width, 4)
        before = torch.cat([torch.zeros_like(letters[:, :, :1]), letters[:, :, :-1]], dim=2)
        states = self._states(before)
        if "skip_weight" not in self._values:
            weight, bias = self._values["readout.weight"], self._values["readout.bias"]
            return torch.einsum("nbth,nlh->nbtl", states, weight) + bias[:, None, None]
        outputs = torch.einsum("nbth,ntlh->nbtl", states, self._values["readout_weight"])
        outputs = outputs + self._values["readout_bias"][:, None]
        return outputs + torch.einsum("nbtk,ntlk->nbtl", before, self._values["skip_weight"])

    def _states(self, before: Tensor) -> Tensor:
        """Return the states of all cells, (networks, n, width, hidden)."""
        networks, n, width, _ = before.shape
        weights = {
            "weight_ih_l0": self._joined("cell.weight_ih_l0"),
            "weight_hh_l0": self._joined("cell.weight_hh_l0"),
            "bias_ih_l0": self._by_gate("cell.bias_ih_l0").flatten(),
            "bias_hh_l0": self._by_gate("cell.bias_hh_l0").flatten(),
        }
        inputs = before.permute(1, 2, 0, 3).reshape(n, width, -1)
        states, _ = functional_call(self._layer, weights, (inputs,))
        return states.reshape(n, width, networks, self._hidden).permute(2, 0, 1, 3)

    def _by_gate(self, name: str) -> Tensor:
        """Return a parameter as (gates, networks, hidden, …)."""
        value = self._values[name]
        parts = value.reshape(len(value), self._gates, self._hidden, *value.shape[2:])
        return parts.transpose(0, 1)

    def _joined(self, name: str) -> Tensor:
        """Return a weight as one block-diagonal matrix per gate, one above the other."""
        parts = self._by_gate(name)  # (gates, networks, hidden, inputs)
        apart = parts[:, :, :, None, :] * self._own[None, :, None, :, None]
        return apart.reshape(self._gates * len(self._own) * self._hidden, -1)

    def train(self, mode: bool) -> None:
        """Do nothing: the networks have no dropout."""

    def snapshot(self, number: int) -> dict[str, Tensor]:
        """Return a copy of one network's state."""
        return {name: value[number].detach().clone() for name, value in self._values.items()}
