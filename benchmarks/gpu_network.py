"""The network of a million parameters that ``gpu.py`` trains, and the time of one of its steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from gpu_setting import wait_for
from torch import nn

from counterbias_torch import NetworkModel, TrainingOptions
from counterbias_torch.data import Form
from counterbias_torch.devices import one_thread, reproducible
from counterbias_torch.fitting import matrices
from counterbias_torch.lessons import make_plan
from counterbias_torch.stack import stack_modules
from counterbias_torch.trainer import Job, Trainer

#: Bases that each convolution covers.
KERNEL = 5


@dataclass(frozen=True)
class WideOptions(TrainingOptions):
    """With as many channels the network has a million parameters."""

    channels: int = 264
    learning_rate: float = 1e-3


class Wide(NetworkModel):
    """Convolutions of many channels, without padding."""

    Options = WideOptions
    slides = True

    def network(self) -> nn.Module:
        """Return an untrained network."""
        channels, left, before, layers = self.options.channels, self.window.width - 1, 4, []
        while left >= KERNEL:
            layers += [nn.Conv1d(before, channels, KERNEL), nn.ReLU()]
            before, left = channels, left - KERNEL + 1
        return nn.Sequential(*layers, nn.Conv1d(before, 1, left + 1), nn.Flatten())


def parameters(model: NetworkModel) -> int:
    """Return the number of a model's parameters."""
    return sum(value.numel() for value in model.network().parameters())


def seconds_per_step(
    model: NetworkModel, jobs: Sequence[Job], device: torch.device, steps: int, threads: int = 1
) -> float:
    """Return the time of a training step of networks side by side, the first one left out.

    Args:
        model: whose networks they are.
        jobs: what they learn from, one each.
        device: where.
        steps: how many are timed.
        threads: of the processor; 1 is what the project trains a network with.
    """
    modules = [model.network().to(device) for _ in jobs]
    plan = replace(make_plan(jobs[0], model.options), epochs=1, steps=steps + 1)
    trial = torch.zeros(2, model.window.width, dtype=torch.uint8, device=device)
    stack = stack_modules(modules, model.takes, trial)
    trainer = Trainer(
        stack,
        [replace(job, validation=()) for job in jobs],
        replace(plan, decayed=matrices(modules[0])),
        Form(model.window.width, model.slides),
        device,
    )
    begun: list[float] = []

    def advance(taken: int) -> None:
        if not begun:
            wait_for(device)
            begun.append(time.perf_counter())

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            one_thread() if threads == 1 else nullcontext(),
            nullcontext() if device.type == "cpu" else reproducible(device),
        ):
            trainer.run(advance)
        wait_for(device)
        return (time.perf_counter() - begun[0]) / steps
    finally:
        torch.set_num_threads(before)
