"""The bias of read starts in each group of a simulated study, as the options define it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from counterbias import simulation
from counterbias.errors import InputError
from counterbias.inputs import is_input
from counterbias.messages import Messages
from counterbias.model_file import load_models
from counterbias.plugins import load_plugins
from counterbias.simulation.bias import PRIMING_STRENGTH
from counterbias.simulation.fragments import Biases
from counterbias.simulation_options import GroupBias


def make_bias(bias: GroupBias, rng: np.random.Generator, messages: Messages) -> Biases:
    """Draw the built-in bias from ``rng`` or read a model file; None is no bias.

    Raises:
        InputError: if the file is missing or not a model file.
    """
    if bias.model == "none" or bias.strength == 0.0:
        return None
    if bias.model == "builtin":
        return simulation.simulate_priming_bias(rng, strength=PRIMING_STRENGTH * bias.strength)
    if not is_input(bias.model):
        raise InputError(
            "there is no such model file",
            file=bias.model,
            remedy="give builtin, none or a PREFIX.model file",
        )
    models = load_models(bias.model, load_plugins())
    ends = [
        simulation.ScoredBias(models.window, end.log_bias, bias.strength) for end in models.ends
    ]
    if models.no_model:
        messages.about(bias.model).warn(
            f"this file holds no model, so reads are unbiased: {models.no_model}"
        )
    elif all(end.slope == 0.0 for end in models.ends):
        messages.about(bias.model).warn(
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
