"""Training data on the device: moved there once, drawn from there in random batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterbias_torch.devices import halved_to_fit
from counterbias_torch.losses import log_probabilities, row_losses, scores_of
from counterbias_torch.rows import BASES, Part, Rows
from counterbias_torch.stack import Stack

#: Windows, or positions along a sequence, that are evaluated at a time where no gradient is needed,
#: on a processor and on a GPU.
AT_ONCE = {"cpu": 8192, "cuda": 131_072}


@dataclass(frozen=True)
class Form:
    """How the networks' windows lie in a row.

    Args:
        width: bases per window.
        slides: whether a network takes a whole row of overlapping windows at once.
    """

    width: int
    slides: bool


class Stream:
    """The rows that networks side by side learn from, each network its own part of them.

    Args:
        parts: of the networks, one each, with the same loss.
        form: of their windows.
        device: where the rows are kept.
    """

    def __init__(self, parts: Sequence[Part], form: Form, device: torch.device) -> None:
        self.loss, self.places = parts[0].rows.loss, parts[0].rows.places
        self._overlapping, self._form, self._device = parts[0].rows.overlapping, form, device
        every: dict[int, Rows] = {id(part.rows): part.rows for part in parts}
        first = dict(zip(every, np.cumsum([0, *map(len, every.values())]), strict=False))
        self._sequence, self._targets, self._weights = (
            torch.from_numpy(np.concatenate([getattr(rows, name) for rows in every.values()])).to(
                device
            )
            for name in ("sequence", "targets", "weights")
        )
        self._chosen = [part.chosen + first[id(part.rows)] for part in parts]
        self._waiting = [np.zeros(0, np.int64) for _ in parts]
        self.sizes = tuple(len(part.chosen) for part in parts)
        masses = np.array([part.mass for part in parts])
        self._scale = torch.from_numpy(1 / masses).to(device, torch.float32)  # (networks,)

    def draw(self, rngs: Sequence[np.random.Generator], steps: int, batch: int) -> Tensor:
        """Draw the rows of an epoch: int64 (steps, networks, batch), on the device.

        Each network goes through its own rows in random order, over and over.
        """
        wanted = steps * batch
        drawn = np.empty((len(rngs), wanted), np.int64)
        for number, rng in enumerate(rngs):
            own, waiting = self._chosen[number], self._waiting[number]
            passes = math.ceil((wanted - len(waiting)) / len(own))
            order = np.concatenate([waiting, *(rng.permutation(own) for _ in range(passes))])
            drawn[number], self._waiting[number] = order[:wanted], order[wanted:]
        by_step = drawn.reshape(len(rngs), steps, batch).transpose(1, 0, 2)
        return torch.from_numpy(np.ascontiguousarray(by_step)).to(self._device)

    def losses(self, stack: Stack, rows: Tensor, factors: Tensor | float = 1.0) -> Tensor:
        """Return the sum of each network's losses over some of its rows.

        Args:
            stack: the networks.
            rows: int64 (networks, n).
            factors: multiply the rows' losses, (networks, n) or one for all.

        Returns: (networks,), in nats per read, read start or base.
        """
        codes = self._sequence[rows]  # (networks, n, length)
        networks, n = rows.shape
        if self._overlapping and not self._form.slides:
            codes = codes.unfold(2, self._form.width, 1)  # (networks, n, places, width)
        whole = self._overlapping and self._form.slides
        windows = codes.reshape(networks, -1, codes.shape[-1] if whole else self._form.width)
        values = log_probabilities if self.loss == BASES else scores_of
        scores = values(stack(windows), windows).float().reshape(networks, n, self.places)
        each = row_losses(scores, self._targets[rows], self.loss) * self._weights[rows] * factors
        return each.sum(dim=1) * self._scale

    def evaluate(self, stack: Stack) -> NDArray[np.float64]:
        """Return each network's mean loss over all its rows: float64 (networks,)."""
        windows = AT_ONCE[self._device.type] // len(self.sizes)
        at_once = max(1, windows // self.places)
        return halved_to_fit(lambda rows: self._evaluate(stack, rows), at_once)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is optional, its types are skipped
    def _evaluate(self, stack: Stack, at_once: int) -> NDArray[np.float64]:
        total = torch.zeros(len(self.sizes), dtype=torch.float64, device=self._device)
        for start in range(0, max(self.sizes), at_once):
            # Networks with fewer rows take their last one again, which then counts nothing.
            places = np.arange(start, min(start + at_once, max(self.sizes)))
            rows = [one[np.minimum(places, len(one) - 1)] for one in self._chosen]
            counted = [places < len(one) for one in self._chosen]
            total += self.losses(
                stack,
                torch.from_numpy(np.stack(rows)).to(self._device),
                torch.from_numpy(np.stack(counted)).to(self._device),
            )
        means: NDArray[np.float64] = total.cpu().numpy() / np.array(self.sizes)
        return means
