"""Options of our own that change nothing beside the others given: a line for each reason, so that nobody believes in an effect.

htseq-count's options stay silent, as they are there. An option counts as given where it is not None: parsers leave defaults to those who
use them. What only a backend or the data can tell is said where that is known (:mod:`counterbias.pipeline`).
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable

#: Options of ``count`` that are about the model or the weights alone.
_OF_THE_MODEL = (
    "output",
    "window",
    "option",
    "device",
    "sampling",
    "cap",
    "ends",
    "fragment_length",
    "context",
)
#: Endings of alignment files that need no reference.
_NO_REFERENCE = (".bam", ".sam", ".sam.gz")


def idle_in_count(arguments: Namespace) -> list[str]:
    """Say which options of ``count`` change nothing; ``bias_model`` is None where there is no model."""
    if arguments.bias_model is not None:
        return []
    lines = _lines(
        arguments, [f"bias_{name}" for name in _OF_THE_MODEL], "without a bias model (--bias-model)"
    )
    if arguments.nonunique != "random":
        lines += _lines(arguments, ["bias_seed"], "without a bias model or --nonunique random")
    if all(name.lower().endswith(_NO_REFERENCE) for name in arguments.samfilenames):
        lines += _lines(
            arguments, ["bias_genome"], "without a bias model (--bias-model) or CRAM files"
        )
    return lines


def idle_in_train(arguments: Namespace, pool: str) -> list[str]:
    """Say which options of ``train`` change nothing; ``pool`` is the default of ``--bias-pool``."""
    return (
        _lines(arguments, ["bias_pool"], "where there is one sample")
        if _one_file(arguments) and arguments.bias_pool != pool
        else []
    )


def idle_in_compare(arguments: Namespace) -> list[str]:
    """Say which options of ``compare`` change nothing."""
    models = [label.strip() for label in arguments.models.split(",") if label.strip()]
    if models and all(os.path.isfile(label) for label in models):
        return _lines(arguments, ["windows"], "where all models are files: each has its own window")
    return []


def idle_in_simulate(arguments: Namespace) -> list[str]:
    """Say which options of ``simulate`` change nothing."""
    lines = []
    if not os.path.exists(arguments.bias_model) and set(arguments.bias_model.split(",")) == {
        "none"
    }:
        lines += _lines(arguments, ["strength", "biased_ends"], "with --bias-model none")
    elif arguments.strength is not None and not any(arguments.strength):
        lines += _lines(arguments, ["biased_ends"], "with --strength 0")
    if arguments.groups == 1:
        lines += _lines(
            arguments, ["changed", "fold_changes"], "where all samples are of one group (--groups)"
        )
    if arguments.samples == 1:
        lines += _lines(arguments, ["variation"], "where there is one sample (--samples)")
    return lines


def _one_file(arguments: Namespace) -> bool:
    return len(arguments.samfilenames) == 1


def _lines(arguments: Namespace, names: Iterable[str], reason: str) -> list[str]:
    """Name those of some options that were given, in one line; none where none was."""
    given = [
        f"--{name.replace('_', '-')}"
        for name in names
        if getattr(arguments, name) not in (None, [])
    ]
    if not given:
        return []
    named = (
        f"{', '.join(given[:-1])} and {given[-1]} change"
        if len(given) > 1
        else f"{given[0]} changes"
    )
    return [f"{named} nothing {reason}"]
