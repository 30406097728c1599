"""The bias of read starts in each group of a simulated study, as the options define it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterbias import simulation
from counterbias.errors import InputError
from counterbias.inputs import is_input
from counterbias.messages import Messages
from counterbias.model_file import load_models
from counterbias.plugins import load_plugins
from counterbias.simulation.bias import PRIMING_STRENGTH
from counterbias.simulation.fragments import Biases

#: Largest factor on a log bias.
LARGEST_STRENGTH = 100.0


@dataclass(frozen=True, slots=True)
class GroupBias:
    """The bias of read starts in one group of samples.

    Args:
        model: ``builtin``, ``none`` or a model file.
        strength: factor on the log bias, from 0 to 100; 0 is no bias.

    Raises:
        InputError: for an empty name or a strength out of range.
    """

    model: str = "builtin"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not self.model:
            raise InputError(
                "--bias-model holds a bias without a name",
                remedy="give builtin, none or a model file for each group",
            )
        if not 0.0 <= self.strength <= LARGEST_STRENGTH:
            raise InputError(
                f"--strength is {self.strength:g}",
                remedy=f"give a number from 0 to {LARGEST_STRENGTH:g}",
            )

    @property
    def name(self) -> str:
        """The model's name in reports: a file without its folder."""
        return os.path.basename(self.model)

    def make(self, rng: np.random.Generator, messages: Messages) -> Biases:
        """Draw the built-in bias from ``rng`` or read a model file; None is no bias.

        Raises:
            InputError: if the file is missing or not a model file.
        """
        if self.model == "none" or self.strength == 0.0:
            return None
        if self.model == "builtin":
            return simulation.simulate_priming_bias(rng, strength=PRIMING_STRENGTH * self.strength)
        if not is_input(self.model):
            raise InputError(
                "there is no such model file",
                file=self.model,
                remedy="give builtin, none or a PREFIX.model file",
            )
        models = load_models(self.model, load_plugins())
        ends = [
            simulation.ScoredBias(models.window, end.log_bias, self.strength) for end in models.ends
        ]
        if models.no_model:
            messages.about(self.model).warn(
                f"this file holds no model, so reads are unbiased: {models.no_model}"
            )
        elif all(end.slope == 0.0 for end in models.ends):
            messages.about(self.model).warn(
                "this model gained nothing on its sample and has no bias, so reads are unbiased"
            )
        return ends[0] if len(ends) == 1 else (ends[0], ends[1])


def read_biases(models: str, strengths: Sequence[float]) -> tuple[GroupBias, ...]:
    """Read ``--bias-model`` and ``--strength``: one bias for all groups, or one for each.

    ``models`` is divided at commas, unless a file has that very name. If only one of the options
    has several values, the single value of the other applies to all groups.

    Raises:
        InputError: for an empty name, a strength out of range, or different numbers of models and
            strengths.
    """
    names = [models] if is_input(models) else models.split(",")
    if len(names) > 1 and len(strengths) > 1 and len(names) != len(strengths):
        problem = (
            f"--bias-model holds {len(names)} biases, but --strength holds {len(strengths)} values"
        )
        raise InputError(problem, remedy="give one per group in both, or a single one in either")
    count = max(len(names), len(strengths))
    all_names = names * count if len(names) == 1 else names
    all_strengths = list(strengths) * count if len(strengths) == 1 else strengths
    return tuple(
        GroupBias(name, strength) for name, strength in zip(all_names, all_strengths, strict=True)
    )


def bias_of_each_group(biases: tuple[GroupBias, ...], groups: int) -> tuple[GroupBias, ...]:
    """Return one bias per group; a single one applies to all.

    Raises:
        InputError: if there are several biases, but not one per group.
    """
    if len(biases) == 1:
        return biases * groups
    if len(biases) != groups:
        group = "group" if groups == 1 else "groups"
        remedy = "give one bias for each group, in their order, or a single one for all"
        raise InputError(
            f"--bias-model and --strength describe {len(biases)} biases for {groups} {group}",
            remedy=remedy,
        )
    return biases
