"""Options of our own that have no effect together with the others given: one warning per reason.

htseq-count's own options cause no warning, as in htseq-count. An option counts as given if it is
not None: the options' classes hold the defaults, not the parsers. What only a backend or the data
can show is reported where that is known (:mod:`counterbias.pipeline`).
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Sequence

from counterbias.options import NONE, UNION

#: Options of ``count`` that concern the model, the weights or the lengths alone.
_ON_THE_MODEL = (
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
#: Of these, those that matter to lengths without a model.
_ON_LENGTHS = ("output", "fragment_length")
#: Endings of alignment files that need no reference.
_NO_REFERENCE = (".bam", ".sam", ".sam.gz")


def idle_in_count(arguments: Namespace) -> list[str]:
    """List the options of ``count`` without effect.

    ``bias_model`` is None to count only, and ``none`` to measure lengths alone.
    """
    if arguments.bias_model not in (None, NONE):
        return []
    used = _ON_LENGTHS if arguments.bias_model == NONE else ()
    lines = _lines(
        arguments,
        [f"bias_{name}" for name in _ON_THE_MODEL if name not in used],
        "without a bias model (--bias-model)",
    )
    if used and arguments.bias_lengths == UNION:
        lines += _lines(
            arguments, ["bias_fragment_length"], "with --bias-lengths union and no bias model"
        )
    if arguments.nonunique != "random":
        lines += _lines(arguments, ["bias_seed"], "without a bias model or --nonunique random")
    if all(name.lower().endswith(_NO_REFERENCE) for name in arguments.samfilenames):
        lines += _lines(
            arguments, ["bias_genome"], "without a bias model (--bias-model) or CRAM files"
        )
    return lines


def idle_in_train(arguments: Namespace) -> list[str]:
    """List the options of ``train`` without effect."""
    if len(arguments.samfilenames) > 1:
        return []
    return _lines(arguments, ["bias_pool"], "where there is one sample")


def idle_in_compare(arguments: Namespace, models: Sequence[str]) -> list[str]:
    """List the options of ``compare`` without effect; ``models`` are those of ``--models``."""
    if models and all(os.path.isfile(label) for label in models):
        return _lines(arguments, ["windows"], "where all models are files: each has its own window")
    return []


def idle_in_simulate(arguments: Namespace) -> list[str]:
    """List the options of ``simulate`` without effect."""
    lines = []
    if not os.path.exists(arguments.bias_model) and set(arguments.bias_model.split(",")) == {NONE}:
        lines += _lines(arguments, ["strength", "biased_ends"], f"with --bias-model {NONE}")
    elif arguments.strength is not None and not any(arguments.strength):
        lines += _lines(arguments, ["biased_ends"], "with --strength 0")
    if arguments.groups == 1:
        lines += _lines(
            arguments,
            ["changed", "fold_changes", "switched"],
            "where all samples are of one group (--groups)",
        )
    if arguments.samples == 1:
        lines += _lines(arguments, ["variation"], "where there is one sample (--samples)")
    return lines


def _lines(arguments: Namespace, names: Iterable[str], reason: str) -> list[str]:
    """Name those of some options that were given, in one line; no line where none was."""
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
