"""Options of our own that have no effect together with the others given: one warning per reason.

htseq-count's own options cause no warning, as in htseq-count, but for those that an option of ours
has made idle. An option counts as given if it is not None: the options' classes hold the defaults,
not the parsers. What only a backend or the data can show is reported where that is known
(:mod:`counterbias.pipeline`).
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Sequence

from counterbias.options import NONE, UNION, VERDICTS, CountingOptions

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
#: htseq-count's options on what becomes of an alignment, which a verdict in its tags has decided.
_DECIDED = ("mode", "minaqual", "secondary_alignments", "supplementary_alignments")
#: Endings of alignment files that need no reference.
_NO_REFERENCE = (".bam", ".sam", ".sam.gz")


def idle_with_assigned(arguments: Namespace) -> list[str]:
    """List the options without effect on counts by ``--bias-assigned``, in all commands that count.

    They are htseq-count's, and regarded as given where they are not their defaults.
    """
    tag, defaults = arguments.bias_assigned, CountingOptions()
    if tag not in VERDICTS:
        return []
    given = Namespace(
        **{
            name: value if (value := getattr(arguments, name)) != getattr(defaults, name) else None
            for name in _DECIDED
        }
    )
    return _lines(given, _DECIDED, f"with --bias-assigned {tag}")


def idle_in_count(arguments: Namespace) -> list[str]:
    """List the options of ``count`` without effect.

    ``bias_model`` is None to count only, and ``none`` to measure lengths alone.
    """
    return [*idle_with_assigned(arguments), *_idle_without_model(arguments)]


def _idle_without_model(arguments: Namespace) -> list[str]:
    """List the options of ``count`` that have no effect because there is no bias model."""
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
    lines = idle_with_assigned(arguments)
    if len(arguments.samfilenames) == 1:
        lines += _lines(arguments, ["bias_pool"], "where there is one sample")
    return lines


def idle_in_compare(arguments: Namespace, models: Sequence[str]) -> list[str]:
    """List the options of ``compare`` without effect; ``models`` are those of ``--models``."""
    lines = idle_with_assigned(arguments)
    if models and all(os.path.isfile(label) for label in models):
        lines += _lines(
            arguments, ["windows"], "where all models are files: each has its own window"
        )
    return lines


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
