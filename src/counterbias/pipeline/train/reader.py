"""The samples of a cohort, read one after the other.

The windows drawn from a sample go to the store, and its start sites are freed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.errors import InputError
from counterbias.evaluation.folds import Folds, StartTally
from counterbias.messages import Messages
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.drawing import draw_end
from counterbias.pipeline.bias.ends import ReadEnd, read_ends
from counterbias.pipeline.bias.learnable import why_unlearnable_drawn
from counterbias.pipeline.inputs import RunInputs
from counterbias.pipeline.sample import check_strandedness, count_sample, sample_context
from counterbias.pipeline.train.window_store import WindowStore
from counterbias.records import TRAINABLE, Positions, StartSites
from counterbias.sampling import DrawnWindows, Starts


@dataclass(slots=True)
class CohortSample:
    """One sample of the cohort: its number in the store, and starts and reads per read end."""

    name: str
    number: int
    starts: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)


class CohortReader:
    """Read the samples, draw their windows, and remember what the folds depend on.

    Args:
        inputs: what the samples share.
        store: takes the windows.
        messages: where progress and warnings go.
    """

    def __init__(self, inputs: RunInputs, store: WindowStore, messages: Messages) -> None:
        self.inputs, self.store, self.messages = inputs, store, messages
        self.samples: list[CohortSample] = []
        self.skipped: dict[str, str] = {}
        self.warnings: list[str] = []
        self.paths: dict[str, str] = {}
        self.labels: tuple[str, ...] = ()
        self.numbers: dict[str, int] = {}
        self._contigs: dict[str, int] = {}
        self._lengths: dict[str, int] = {}

    def read(self, number: int, name: str, path: str) -> None:
        """Count a file and draw its windows."""
        messages, inputs = self.messages, self.inputs
        self.paths[name] = path
        counts = count_sample(inputs, path, messages.about(name))
        _, hint = check_strandedness(inputs, counts, path)
        if hint is not None:
            self.warn(f"{name}: {hint}")
        context = sample_context(inputs, counts, name, messages)
        sample = self._draw(context, number, path)
        found = "nothing to learn from"
        if sample is not None:
            found = f"{sum(sample.starts.values()):,} distinct read starts"
        messages.info(f"{name} ({number + 1} of {len(inputs.options.alignments)}): {found}")

    def warn(self, text: str) -> None:
        """Warn the user, and keep the warning for the report."""
        self.warnings.append(text)
        self.messages.warn(text)

    def skip(self, name: str, reason: str) -> None:
        """Leave a sample out, and say so."""
        self.skipped[name] = reason
        self.warn(f"{name} is left out: {reason}")

    def _draw(self, context: SampleContext, number: int, path: str) -> CohortSample | None:
        """Draw the windows of all read ends.

        If one of them cannot be learnt from, the cohort is as if the sample were not there.
        """
        found: list[tuple[ReadEnd, Starts, DrawnWindows]] = []
        for reads in read_ends(context.sites, context.stranded):
            starts = sampling.find_starts(context.sites, end=reads.end)
            rng = np.random.default_rng([context.options.seed, 1, reads.numbers[0]])
            drawn = draw_end(context, reads, starts, rng)
            reason = why_unlearnable_drawn(context, reads, starts, drawn)
            if reason:
                self.skip(context.sample, reason)
                return None
            found.append((reads, starts, drawn))
        self._check_labels(tuple(reads.label for reads, *_ in found), context.sample, path)
        lookup = self._number_contigs(context.sites, path)
        self.numbers = {reads.label: reads.numbers[0] for reads, *_ in found}
        sample = CohortSample(context.sample, number)
        for reads, starts, drawn in found:
            tally = StartTally()
            tally.add(replace(starts.positions, contig=lookup[starts.positions.contig]))
            self.store.put(number, reads.label, _renumbered(drawn, lookup), tally)
            sample.starts[reads.label] = len(starts)
            sample.reads[reads.label] = sum(
                int(((context.sites.ends[i].bits & TRAINABLE) != 0).sum()) for i in reads.numbers
            )
        self.samples.append(sample)
        return sample

    def folds(self, label: str) -> Folds:
        """Split the blocks with starts of any sample into folds."""
        every = StartTally()
        for sample in self.samples:
            every.join(self.store.tally(sample.number, label))
        return every.folds()

    def _check_labels(self, labels: tuple[str, ...], name: str, path: str) -> None:
        """Refuse single-end and paired-end samples together where their read ends differ."""
        if not self.samples:
            self.labels = labels
        if labels != self.labels:
            layouts = ("single-end", "paired-end")
            this, others = layouts if len(labels) == 1 else layouts[::-1]
            stranded = self.inputs.options.counting.stranded
            raise InputError(
                f"{name} is {this} but {self.samples[0].name} is {others}: with -s {stranded} they "
                "have no model in common",
                file=path,
                remedy="train them in two runs",
            )

    def _number_contigs(self, sites: StartSites, path: str) -> NDArray[np.int32]:
        """Return the cohort's number of each contig of a sample, by its name in the genome."""
        aliases = self.inputs.bias_inputs.genome.aliases
        names = [aliases.get(name, name) for name in sites.contigs]
        if self._contigs and names and not any(name in self._contigs for name in names):
            raise InputError(
                "no contig in common with the samples before it: it has "
                f"'{sites.contigs[0]}' …, they have '{next(iter(self._contigs))}' …",
                file=path,
                remedy="train on samples aligned to one genome, or give --bias-contig-alias FILE",
            )
        for name, length in zip(names, sites.contig_lengths, strict=True):
            if self._lengths.setdefault(name, length) != length:
                raise InputError(
                    f"contig '{name}' has {length:,} bases here but {self._lengths[name]:,} in "
                    "another sample",
                    file=path,
                    remedy="train on samples aligned to one genome",
                )
            self._contigs.setdefault(name, len(self._contigs))
        return np.array([self._contigs[name] for name in names], dtype=np.int32)


def _renumbered(drawn: DrawnWindows, lookup: NDArray[np.int32]) -> DrawnWindows:
    """Return the windows with the cohort's contig numbers."""

    def renumber(positions: Positions) -> Positions:
        return replace(positions, contig=lookup[positions.contig])

    positions = sampling.DrawnPositions(
        renumber(drawn.positions.foreground),
        renumber(drawn.positions.background),
        drawn.positions.origin,
    )
    places = None if drawn.tile_positions is None else renumber(drawn.tile_positions)
    return replace(drawn, positions=positions, tile_positions=places)
