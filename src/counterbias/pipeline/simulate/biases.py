"""Which bias the reads of each group of a simulated study have: what the options say → one bias of read starts per group."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from counterbias import simulation
from counterbias.errors import InputError
from counterbias.inputs import is_input
from counterbias.model_file import load_models
from counterbias.plugins import load_plugins
from counterbias.simulation.fragments import Biases

#: The stream of random numbers, beside the seed, that the built-in bias is drawn from.
BIAS_STREAM = 2
#: Standard deviation of the built-in log bias over random sequence at strength 1, nats.
BUILTIN_STRENGTH = 0.9


@dataclass(frozen=True, slots=True)
class GroupBias:
    """The bias of read starts in one group of samples.

    Args:
        model: ``builtin``, ``none`` or a model file.
        strength: factor on the log bias, from 0 to 100; 0 is no bias.
    """

    model: str = "builtin"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not self.model:
            raise InputError(
                "--bias-model holds a bias without a name",
                remedy="give builtin, none or a model file for each group",
            )
        if not 0.0 <= self.strength <= 100.0:
            raise InputError(
                f"--strength is {self.strength:g}", remedy="give a number from 0 to 100"
            )

    @property
    def name(self) -> str:
        """The model as reports name it: a file without its folder."""
        return os.path.basename(self.model)

    def make(self, rng: np.random.Generator, say: Callable[[str], None]) -> Biases:
        """Draw the built-in bias from ``rng``, or read a model file; None for no bias.

        Raises:
            InputError: where the file is missing or holds no model.
        """
        if self.model == "none" or self.strength == 0.0:
            return None
        if self.model == "builtin":
            return simulation.simulate_priming_bias(rng, strength=BUILTIN_STRENGTH * self.strength)
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
            say(
                f"Warning: {self.model}: there is no model in this file, so that reads are unbiased: {models.no_model}"
            )
        elif all(end.slope == 0.0 for end in models.ends):
            say(
                f"Warning: {self.model}: this model gained nothing on its sample, so that it has no bias: reads are unbiased"
            )
        return ends[0] if len(ends) == 1 else (ends[0], ends[1])


def read_biases(models: str, strengths: Sequence[float]) -> tuple[GroupBias, ...]:
    """Read ``--bias-model`` and ``--strength``: one bias for all groups, or one for each.

    ``models`` is separated by commas, unless it is the name of a file as it stands. Where only one of the two options has several
    values, the other one's value holds for all groups.

    Raises:
        InputError: for a nameless model, a strength out of bounds, or as many models as strengths do not fit.
    """
    names = [models] if is_input(models) else models.split(",")
    if len(names) > 1 and len(strengths) > 1 and len(names) != len(strengths):
        problem = (
            f"--bias-model holds {len(names)} biases, but --strength holds {len(strengths)} values"
        )
        raise InputError(problem, remedy="give one for each group in both, or one alone in either")
    size = max(len(names), len(strengths))
    named = names * size if len(names) == 1 else names
    strong = list(strengths) * size if len(strengths) == 1 else strengths
    return tuple(GroupBias(*one) for one in zip(named, strong, strict=True))


def per_group(biases: tuple[GroupBias, ...], groups: int) -> tuple[GroupBias, ...]:
    """Give each group its bias; a single one holds for all. Raises InputError where there are more or fewer biases than groups."""
    if len(biases) == 1:
        return biases * groups
    if len(biases) != groups:
        group = "group" if groups == 1 else "groups"
        remedy = "give one bias for each group, in their order, or one alone for all"
        raise InputError(
            f"--bias-model and --strength describe {len(biases)} biases for {groups} {group}",
            remedy=remedy,
        )
    return biases
