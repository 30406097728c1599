"""The targets by name."""

from __future__ import annotations

import importlib
from typing import Protocol

from tests.fuzz.case import Case


class Target(Protocol):
    """What a target's module offers."""

    def mutate(self, rng: object) -> Case: ...

    def check(self, case: Case) -> str: ...


NAMES = (
    "bam_counts",
    "bam_loops",
    "bgzf",
    "annotation",
    "models",
    "fasta",
    "multiqc",
    "tables",
    "processes",
)


#: Seconds after which an input counts as one that hangs, where a target says nothing else with ``HANG``.
HANG = 10


def hang(target: Target) -> float:
    """Give a target's seconds."""
    return float(getattr(target, "HANG", HANG))


def load(name: str) -> Target:
    """Import a target, one of :data:`NAMES` or any other module that can be imported."""
    return importlib.import_module(f"tests.fuzz.targets.{name}" if name in NAMES else name)  # type: ignore[return-value]
