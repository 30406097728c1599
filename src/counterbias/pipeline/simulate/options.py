"""The options of ``counterbias simulate``, checked."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterbias import options, simulation
from counterbias.errors import InputError
from counterbias.files import readable
from counterbias.pipeline.simulate.biases import GroupBias, bias_of_each_group
from counterbias.simulation.genome import SHORTEST_CONTIG

#: How the BAM files are sorted; ``both`` makes two of each sample.
ORDERS = (*options.ORDERS, "both")
#: Bases of the largest genome that can be simulated.
LARGEST_GENOME = 10**11
#: Options on which no byte of the result depends.
_UNREPORTED = ("folder", "threads", "force")


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """What ``counterbias simulate`` makes.

    Args:
        folder: where all files go; new or empty, unless ``force``.
        library, study, design: the design of reads, samples and simulated genes.
        genes, contigs: numbers of simulated genes and contigs.
        bases: size of the simulated genome, or None for one that fits the genes.
        genome, annotation: FASTA and GTF files to use instead of simulated ones.
        biases: of read starts, one per group; a single one applies to all groups.
        order: how BAM files are sorted: ``pos``, ``name`` or ``both``.
        fastq: whether reads and transcripts are also written as FASTQ and FASTA.
        seed: start of every random choice.
        threads: number of threads; no byte depends on it.
        force: whether to write into a folder that is not empty.

    Raises:
        InputError: for values out of range or that exclude each other.
    """

    folder: Path
    library: simulation.Library
    study: simulation.StudyDesign = field(default_factory=simulation.StudyDesign)
    design: simulation.AnnotationDesign = field(default_factory=simulation.AnnotationDesign)
    genes: int = 400
    contigs: int = 4
    bases: int | None = None
    genome: str | None = None
    annotation: str | None = None
    biases: tuple[GroupBias, ...] = (GroupBias(),)
    order: str = "pos"
    fastq: bool = False
    seed: int = 1
    threads: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        if (self.genome is None) != (self.annotation is None):
            raise InputError("--genome and --annotation are given together or not at all")
        if self.genes < 1 or not 1 <= self.contigs <= 10_000 or self.seed < 0 or self.threads < 1:
            raise InputError(
                "genes, contigs and threads must be at least 1, and the seed at least 0"
            )
        if self.bases is not None:
            smallest = SHORTEST_CONTIG * self.contigs
            if not smallest <= self.bases <= LARGEST_GENOME:
                raise InputError(
                    f"a genome of {self.bases} bases cannot be simulated",
                    remedy=f"give at least {SHORTEST_CONTIG} for each contig",
                )
        if self.order not in ORDERS:
            raise InputError(
                f"reads cannot be sorted by '{self.order}'", remedy=f"choose {', '.join(ORDERS)}"
            )
        for name, share in (
            ("--isoforms", self.design.second_isoform),
            ("--overlapping", self.design.overlapping),
        ):
            if not 0.0 <= share <= 1.0:
                raise InputError(f"{name} is {share:g}", remedy="give a number from 0 to 1")
        bias_of_each_group(self.biases, self.study.groups)

    @property
    def group_biases(self) -> tuple[GroupBias, ...]:
        """The bias of each group."""
        return bias_of_each_group(self.biases, self.study.groups)

    @property
    def groups_differ_in_bias(self) -> bool:
        """Whether each group was given a bias; reports then name that of each."""
        return len(self.biases) > 1

    @property
    def contig_lengths(self) -> dict[str, int]:
        """Length of each contig of a simulated genome."""
        if self.bases is None:
            each = max(60_000, self.genes * 10_000 // self.contigs)
        else:
            each = self.bases // self.contigs
        return {f"chr{number}": each for number in range(1, self.contigs + 1)}

    def reported(self) -> dict[str, Any]:
        """Return the options that the result depends on, for the report; files without folders."""
        values: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            if name == "biases":
                values["bias_model"] = _one_or_all([readable(bias.name) for bias in self.biases])
                values["strength"] = _one_or_all([bias.strength for bias in self.biases])
            elif name in ("genome", "annotation") and value:
                values[name] = readable(os.path.basename(value))
            elif name not in _UNREPORTED:
                values[name] = value
        return values


def _one_or_all(values: list[Any]) -> Any:
    """Return a single value as it is, several as a list."""
    return values[0] if len(values) == 1 else values
