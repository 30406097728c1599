"""The targets by name."""

from __future__ import annotations

import importlib
from typing import Protocol

from tests.fuzz.case import Case


class Target(Protocol):
    """The functions of a target's module."""

    def mutate(self, rng: object) -> Case: ...

    def check(self, case: Case) -> str: ...


NAMES = (
    "bam_counts",
    "bam_loops",
    "bam_tags",
    "bgzf",
    "annotation",
    "models",
    "fasta",
    "multiqc",
    "tables",
    "collect",
    "processes",
    "loops",
)


#: Seconds after which an input counts as a hang, unless the target defines its own ``HANG``.
HANG = 10


def hang(target: Target) -> float:
    """Return the seconds after which an input of a target counts as a hang."""
    return float(getattr(target, "HANG", HANG))


def load(name: str) -> Target:
    """Import a target: one of :data:`NAMES`, or any other module."""
    path = f"tests.fuzz.targets.{name}" if name in NAMES else name
    return importlib.import_module(path)  # type: ignore[return-value]
