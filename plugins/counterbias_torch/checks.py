"""Checks of a network before it is trained: what it returns, and what that depends on.

Each problem is a ValueError that says what the network did, and what it has to do.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from counterbias_backends.arrays import LARGEST_WEIGHT
from counterbias_torch.losses import scores_of
from counterbias_torch.options import LANGUAGE
from counterbias_torch.stack import as_input

#: Windows that a network is tried with, and how far its scores may be apart by rounding.
WINDOWS, TOLERANCE = 7, 1e-3


def check_state(module: nn.Module) -> None:
    """Check that a model file can hold the parameters and buffers of a network.

    Raises:
        ValueError: it cannot.
    """
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"'{name}' of the network is a {type(value).__name__}, which a model file cannot "
                "hold: keep it in a tensor (register_buffer), or make it in network()"
            )
        if is_lazy(value):
            raise ValueError(
                f"'{name}' of the network has no shape yet: give its layer all sizes "
                "(nn.Linear, not nn.LazyLinear)"
            )
        if not (value.is_floating_point() or value.is_complex()):
            continue  # not saved
        if value.dtype != torch.float32:
            raise ValueError(
                f"'{name}' of the network is {_name(value.dtype)}, expected float32: convert the "
                "network with .float(), or what it calculates with within forward"
            )
        if not (value.abs() <= LARGEST_WEIGHT).all():
            raise ValueError(
                f"'{name}' of the network holds NaN or numbers beyond {LARGEST_WEIGHT:,.0f}, which "
                "a model file cannot hold: lower learning_rate; register a constant buffer with "
                "persistent=False"
            )


def check_network(module: nn.Module, takes: str, slides: bool, width: int, objective: str) -> None:
    """Try a network with a few random windows, dropout and the like switched off.

    Raises:
        ValueError: its outputs have a wrong shape or are not finite, depend on the other windows of
            the batch, or on bases that they must not depend on; or it has no parameters, or
            cannot be copied or saved.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"network() returned a {type(module).__name__}, expected a torch.nn.Module"
        )
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise ValueError(
            "the network is compiled by torch.jit, of which torch makes no copies that can be "
            "trained: return the module as it is"
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError("the network has no parameters that could be trained")
    check_state(module)
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, 4, (WINDOWS, width), dtype=np.uint8))
    before, names = module.training, set(module.state_dict())
    module.train(False)
    with torch.no_grad():
        outputs = _outputs(module, takes, codes)
        _check_shape(outputs, codes, slides, objective)
        if not torch.isfinite(outputs).all():
            raise ValueError("the network returned NaN or infinity for windows of bases")
        backwards = _outputs(module, takes, codes.flip(0)).flip(0)
        alone = _outputs(module, takes, codes[:1])
        if not (_close(backwards, outputs) and _close(alone, outputs[:1])):
            raise ValueError("the network's output for a window depends on the rest of its batch")
        if objective == LANGUAGE:
            _check_order(module, takes, codes, outputs)
        if slides:
            _check_sliding(module, takes, width, rng)
    module.train(before)
    late = sorted(set(module.state_dict()) ^ names)
    if late:
        raise ValueError(
            f"the network made '{late[0]}' when it was first called: make parameters and buffers "
            "in __init__"
        )


def _outputs(module: nn.Module, takes: str, codes: Tensor) -> Tensor:
    outputs = module(as_input(codes, takes))
    if not isinstance(outputs, Tensor):
        raise ValueError(f"the network returned a {type(outputs).__name__}, expected a tensor")
    if not outputs.is_floating_point():
        raise ValueError(
            f"the network returned {_name(outputs.dtype)}, expected floating-point numbers"
        )
    return outputs


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _check_shape(outputs: Tensor, codes: Tensor, slides: bool, objective: str) -> None:
    n, width = codes.shape
    per_base: tuple[int, ...] = (n, width, 4)
    per_window: list[tuple[int, ...]] = [(n,), (n, 1)]
    if objective == LANGUAGE:
        allowed = [per_base]
    elif slides:
        allowed = per_window[1:]
    else:
        allowed = [*per_window, per_base]
    if tuple(outputs.shape) not in allowed:
        expected = " or ".join(map(str, allowed))
        raise ValueError(
            f"the network returned shape {tuple(outputs.shape)} for {n} windows of {width} bases, "
            f"expected {expected}"
        )


def _check_order(module: nn.Module, takes: str, codes: Tensor, outputs: Tensor) -> None:
    """Check that a language model predicts each base from those before it alone."""
    for place in range(codes.shape[1]):
        changed = codes.clone()
        changed[:, place:] = (changed[:, place:] + 1) % 4
        if not _close(_outputs(module, takes, changed)[:, place], outputs[:, place]):
            raise ValueError(
                f"the network's output for base {place + 1} depends on that base or later ones: a "
                "language model may look at the bases before it only"
            )


def _check_sliding(module: nn.Module, takes: str, width: int, rng: np.random.Generator) -> None:
    """Check that a network gives the windows of a sequence the scores that they have alone."""
    sequence = torch.from_numpy(rng.integers(0, 4, (1, width + WINDOWS), dtype=np.uint8))
    found = _outputs(module, takes, sequence)
    if tuple(found.shape) != (1, WINDOWS + 1):
        raise ValueError(
            f"the network returned shape {tuple(found.shape)} for a sequence of {width + WINDOWS} "
            f"bases, expected (1, {WINDOWS + 1}), one score per window of {width}: correct it, or "
            "set slides = False"
        )
    windows = sequence[0].unfold(0, width, 1)
    if not _close(scores_of(_outputs(module, takes, windows), windows), found[0]):
        raise ValueError(
            "the network scores the windows of a sequence otherwise than each alone: correct it "
            "(padding?), or set slides = False"
        )


def _close(one: Tensor, two: Tensor) -> bool:
    return bool(torch.allclose(one, two, rtol=TOLERANCE, atol=TOLERANCE))


def draws_random_numbers(module: nn.Module, takes: str, width: int) -> bool:
    """Return whether a network draws random numbers while it is trained, as dropout does.

    It draws them from torch's global generator.
    """
    codes = torch.zeros(2, width, dtype=torch.uint8)
    copy = deepcopy(module).train(True)  # whose running means may change
    state = torch.get_rng_state()
    with torch.no_grad():
        copy(as_input(codes, takes))
    return not torch.equal(state, torch.get_rng_state())
