"""Networks of one architecture, evaluated side by side as if they were one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from counterbias_torch.devices import is_out_of_memory

#: How a module takes its windows: one-hot letters, float (n, 4, length), or codes, int64
#: (n, length), 0-3 = A, C, G, T.
INPUTS = LETTERS, CODES = ("letters", "codes")


def as_input(codes: Tensor, takes: str) -> Tensor:
    """Return bases, uint8 (…, length), as a module takes them."""
    if takes == CODES:
        return codes.long()
    bases = torch.arange(4, dtype=torch.uint8, device=codes.device)
    return (codes.unsqueeze(-2) == bases[:, None]).to(torch.float32)


class Stack(ABC):
    """Several networks: each sees its own windows and has its own parameters."""

    @abstractmethod
    def parameters(self) -> list[tuple[str, Tensor]]:
        """Return all parameters, each with its name in a network."""

    @abstractmethod
    def __call__(self, codes: Tensor) -> Tensor:
        """Evaluate all networks: uint8 (networks, n, length) → (networks, n, …)."""

    @abstractmethod
    def train(self, mode: bool) -> None:
        """Switch dropout and the like on or off."""

    @abstractmethod
    def snapshot(self, number: int) -> dict[str, Tensor]:
        """Return a copy of one network's state, by the names of its ``state_dict``."""


class Modules(Stack):
    """Modules evaluated one after another: a single one, or those that cannot be vectorised."""

    def __init__(self, modules: Sequence[nn.Module], takes: str) -> None:
        self._modules, self._takes = list(modules), takes

    def parameters(self) -> list[tuple[str, Tensor]]:
        """Return the parameters of one module after another."""
        return [named for module in self._modules for named in module.named_parameters()]

    def __call__(self, codes: Tensor) -> Tensor:
        """Evaluate all networks."""
        inputs = as_input(codes, self._takes)
        return torch.stack([module(own) for module, own in zip(self._modules, inputs, strict=True)])

    def train(self, mode: bool) -> None:
        """Switch dropout and the like on or off."""
        for module in self._modules:
            module.train(mode)

    def snapshot(self, number: int) -> dict[str, Tensor]:
        """Return a copy of one network's state."""
        state: Mapping[str, Tensor] = self._modules[number].state_dict()
        return {name: value.detach().clone() for name, value in state.items()}


class Vectorised(Stack):
    """Modules evaluated at once by ``torch.func.vmap``: one operation does the work of all."""

    def __init__(self, modules: Sequence[nn.Module], takes: str) -> None:
        self._takes = takes
        self._values, self._buffers = stack_module_state(list(modules))
        self._skeleton = deepcopy(modules[0])  # whose own values are never used
        self._names = _names_of_state(modules[0])
        self._evaluate = vmap(self._evaluate_one, randomness="different")

    def _evaluate_one(
        self, values: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor
    ) -> Tensor:
        found: Tensor = functional_call(self._skeleton, (values, buffers), (inputs,))
        return found

    def parameters(self) -> list[tuple[str, Tensor]]:
        """Return the parameters; the first axis is that of the networks."""
        return list(self._values.items())

    def __call__(self, codes: Tensor) -> Tensor:
        """Evaluate all networks."""
        outputs: Tensor = self._evaluate(self._values, self._buffers, as_input(codes, self._takes))
        return outputs

    def train(self, mode: bool) -> None:
        """Switch dropout and the like on or off."""
        self._skeleton.train(mode)

    def snapshot(self, number: int) -> dict[str, Tensor]:
        """Return a copy of one network's state."""
        every = self._values | self._buffers
        return {name: every[own][number].detach().clone() for name, own in self._names.items()}


def _names_of_state(module: nn.Module) -> dict[str, str]:
    """Return the names in a module's ``state_dict`` → those of its parameters and buffers.

    They differ where a parameter has several names, and there are buffers that are not saved.
    """
    names = {
        id(value): name for name, value in (*module.named_parameters(), *module.named_buffers())
    }
    return {name: names[id(value)] for name, value in module.state_dict(keep_vars=True).items()}


def stack_modules(modules: Sequence[nn.Module], takes: str, codes: Tensor) -> Stack:
    """Stack modules, vectorised where torch can do that.

    Args:
        modules: of one architecture, on their device.
        takes: one of :data:`INPUTS`.
        codes: windows to try it with, uint8 (n, length).
    """
    if len(modules) == 1:
        return Modules(modules, takes)
    trial = Vectorised(modules, takes)
    trial.train(True)
    try:
        trial(codes.expand(len(modules), *codes.shape)).sum().backward()
    except RuntimeError as problem:
        if is_out_of_memory(problem):
            raise
        return Modules(modules, takes)  # recurrent layers, for instance
    return Vectorised(modules, takes)  # whose running means the trial has not changed
