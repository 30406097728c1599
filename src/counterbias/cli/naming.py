"""The names of samples and output files."""

from __future__ import annotations

import os
from collections.abc import Sequence

from counterbias.errors import InputError
from counterbias.writers.endings import MODEL

#: Endings that an alignment file's name loses to give the sample's name.
ENDINGS = (".bam", ".sam", ".cram", ".sam.gz")
#: What ``featureCounts -R`` appends to the name, that ending included.
FEATURECOUNTS = (".featurecounts.bam", ".featurecounts.sam")

#: Ending of the report of ``train``, in place of the model's.
TRAINING_REPORT = ".counterbias-train.json"


def sample_name(path: str) -> str:
    """Return a sample's name: that of its alignment file, without folder and ending."""
    if path == "-":
        return "stdin"
    name = os.path.basename(path.rstrip(os.sep))
    if name.lower().endswith(FEATURECOUNTS):
        name = name[: -len(FEATURECOUNTS[0])] or name
    ending = max((end for end in ENDINGS if name.lower().endswith(end)), key=len, default="")
    return name[: len(name) - len(ending)] or name


def distinct_sample_names(paths: Sequence[str]) -> list[str]:
    """Return the samples' names. Raises InputError where two are the same."""
    names = [sample_name(path) for path in paths]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise InputError(
                f"two alignment files are both named '{name}'",
                file=paths[position],
                remedy="copy or link one of them to another name",
            )
    return names


def bias_prefixes(paths: Sequence[str], prefix: str | None) -> list[str]:
    """Return the start of the names of each alignment file's bias files.

    One file has ``prefix`` itself, several have ``prefix.SAMPLE``; without a prefix it is the
    sample's name, in the current folder. A prefix that ends in ``/`` is a folder. Raises InputError
    where two samples would share their files.
    """
    names = [sample_name(path) for path in paths]
    if prefix is None:
        prefixes = names
    elif prefix.endswith(os.sep):
        prefixes = [prefix + name for name in names]
    else:
        prefixes = [prefix] if len(paths) == 1 else [f"{prefix}.{name}" for name in names]
    for position, name in enumerate(prefixes):
        if name in prefixes[:position]:
            raise InputError(
                f"two alignment files are both named '{names[position]}', so that their bias files "
                "would be the same",
                file=paths[position],
                remedy="count them in two runs, with a --bias-output each",
            )
    return prefixes


def training_report_name(model: str) -> str:
    """Return the name of the report that is written next to a trained model."""
    has_ending = model.endswith(MODEL) and os.path.basename(model) != MODEL
    stem = model[: -len(MODEL)] if has_ending else model
    return stem + TRAINING_REPORT
