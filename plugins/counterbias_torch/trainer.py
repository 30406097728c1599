"""The training loop: networks side by side, AdamW, early stopping, batches that fit in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterbias_torch.data import Form, Stream
from counterbias_torch.devices import is_out_of_memory
from counterbias_torch.rows import Part
from counterbias_torch.stack import Stack

#: Fraction of the steps in which the learning rate rises.
WARM_UP = 0.05


@dataclass(frozen=True)
class Job:
    """What one network learns from.

    Args:
        parts: of its training data; every step takes a batch of each, and adds their losses.
        validation: likewise, to decide when to stop; empty for no early stopping.
        seed: of the order of rows.
    """

    parts: tuple[Part, ...]
    validation: tuple[Part, ...]
    seed: int


@dataclass(frozen=True)
class Plan:
    """How networks are trained.

    Args:
        epochs: at most; the curves have a point for each.
        steps: optimiser steps per epoch.
        batches: rows per step, of each part.
        learning_rate: the highest: it rises during the first steps, then falls to 0 along half a
            cosine.
        decay: weight decay of the parameters named in ``decayed``.
        patience: a network stops after this many epochs without a lower validation loss.
        early_stopping: whether validation decides when to stop, and which epoch's state is kept.
        mixed: whether most is calculated in bfloat16.
    """

    epochs: int
    steps: int
    batches: tuple[int, ...]
    learning_rate: float
    decay: float = 0.0
    patience: int = 1
    early_stopping: bool = True
    mixed: bool = False
    decayed: frozenset[str] = frozenset()

    @property
    def total(self) -> int:
        """Optimiser steps of all epochs."""
        return self.epochs * self.steps

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, numbered from 1."""
        progress = step / self.total
        wave = 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * min(1.0, progress / WARM_UP) * wave


@dataclass
class Course:
    """One network's course of training.

    Attributes:
        state: its parameters and buffers: those of the best epoch, or of the last one where there
            is no validation.
        training, validation: mean loss of each part, after each epoch.
        best: number of the epoch whose state it is, from 1.
        waited: epochs since then.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    training: list[list[float]] = field(default_factory=list)
    validation: list[list[float]] = field(default_factory=list)
    best: int = 0
    waited: int = 0
    lowest: float = math.inf
    done: bool = False

    def add(self, training: list[float], validation: list[float], loss: float) -> bool:
        """Add an epoch; return whether its loss, by which epochs are judged, is the lowest."""
        self.training.append(training)
        if validation:
            self.validation.append(validation)
        if loss >= self.lowest:
            self.waited += 1
            return False
        self.lowest, self.best, self.waited = loss, len(self.training), 0
        return True


class Trainer:
    """Train networks side by side.

    Args:
        stack: the networks.
        jobs: what they learn from, one each; all have the same parts.
        plan: how.
        form: of the windows.
        device: where stack and data are.

    Attributes:
        courses: of the networks.
        pieces: into how many pieces each batch is cut to fit in memory, 1, 2, 4 …
    """

    def __init__(
        self, stack: Stack, jobs: Sequence[Job], plan: Plan, form: Form, device: torch.device
    ) -> None:
        self._stack, self._plan, self._device = stack, plan, device
        self._rngs = [np.random.default_rng(job.seed) for job in jobs]
        self._streams, self._checks = (
            [Stream(parts, form, device) for parts in zip(*every, strict=True)]
            for every in ([job.parts for job in jobs], [job.validation for job in jobs])
        )
        groups = [
            {
                "params": [
                    value for name, value in stack.parameters() if (name in plan.decayed) is on
                ],
                "weight_decay": plan.decay if on else 0.0,
            }
            for on in (True, False)
        ]
        self._optimizer = torch.optim.AdamW(groups, fused=device.type == "cuda")
        self.courses = [Course() for _ in jobs]
        self.pieces = 1

    def run(self, advance: Callable[[int], None] = lambda steps: None) -> None:
        """Train until every network has stopped.

        ``advance`` is called with numbers of steps that were taken, or saved by stopping early.
        """
        plan, taken = self._plan, 0
        for epoch in range(plan.epochs):
            self._stack.train(True)
            orders = [
                stream.draw(self._rngs, plan.steps, batch)
                for stream, batch in zip(self._streams, plan.batches, strict=True)
            ]
            total = torch.zeros(len(orders), len(self.courses), device=self._device)
            for step in range(plan.steps):
                self._set_rate(plan.rate(epoch * plan.steps + step + 1))
                total += self._take_step([order[step] for order in orders])
                advance(1)
            taken += plan.steps
            self._record(total.double().cpu().numpy() / plan.steps)
            if all(course.done for course in self.courses):
                break
        advance(plan.total - taken)

    def _set_rate(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _take_step(self, rows: Sequence[Tensor]) -> Tensor:
        """Take one step; return the losses of each part, (parts, networks)."""
        while True:
            try:
                losses = self._add_gradients(rows)
                break
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem) or self.pieces >= max(map(_rows_of, rows)):
                    raise
            self.pieces *= 2
        self._optimizer.step()
        return losses

    def _add_gradients(self, rows: Sequence[Tensor]) -> Tensor:
        """Set the gradients to those of the mean losses, calculated piece by piece."""
        self._optimizer.zero_grad(set_to_none=True)
        losses = torch.zeros(len(rows), len(self.courses), device=self._device)
        for number, (stream, batch) in enumerate(zip(self._streams, rows, strict=True)):
            for piece in batch.chunk(self.pieces, dim=1):
                with _precision(self._device, mixed=self._plan.mixed):
                    found = stream.losses(self._stack, piece) / _rows_of(batch)
                if not found.requires_grad:
                    raise ValueError(
                        "the network's output does not depend on its parameters while it is "
                        "trained: look for torch.no_grad, detach and .data in forward"
                    )
                found.sum().backward()  # networks share no parameter
                losses[number] += found.detach()
        return losses

    def _record(self, training: NDArray[np.float64]) -> None:
        """Add an epoch to the courses that still run."""
        self._stack.train(False)
        checked = [stream.evaluate(self._stack) for stream in self._checks]
        for me, course in enumerate(self.courses):
            if course.done:
                continue
            losses = training[:, me].tolist()
            held_out = [float(losses_of[me]) for losses_of in checked]
            if not all(map(math.isfinite, losses + held_out)):
                raise ValueError(
                    f"the network's loss is not finite in epoch {len(course.training) + 1}: lower "
                    "learning_rate, or look for NaN in what it returns"
                )
            judged = bool(held_out) and self._plan.early_stopping
            if course.add(losses, held_out, sum(held_out) if judged else -len(course.training)):
                course.state = self._stack.snapshot(me)
            course.done = course.waited >= self._plan.patience


def _precision(device: torch.device, *, mixed: bool) -> torch.autocast:
    """Return the context in which networks are evaluated, in bfloat16 for the most part if mixed.

    torch's cache of converted weights is the process's, and any thread that leaves the context
    empties it: whether gradients of weights used twice are added before or after the conversion
    would depend on the other threads. On a GPU one thread trains.
    """
    on_gpu = device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed, cache_enabled=on_gpu)


def _rows_of(batch: Tensor) -> int:
    """Return the rows of a batch, int64 (networks, rows)."""
    return int(batch.shape[1])
