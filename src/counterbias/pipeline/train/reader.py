"""The samples of a cohort, read one after the other: what each can teach goes into the stash, its start sites are let go of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.errors import InputError
from counterbias.evaluation.folds import Folds, StartTally
from counterbias.pipeline.bias.drawing import draw_end
from counterbias.pipeline.bias.fitting import ReadEnd, SampleContext, read_ends
from counterbias.pipeline.bias.learnable import why_nothing_drawn
from counterbias.pipeline.count import Job, Say, processed
from counterbias.pipeline.counting.counter import count_alignments
from counterbias.pipeline.train.window_store import WindowStore
from counterbias.records import TRAINABLE, Positions, StartSites
from counterbias.sampling import DrawnWindows, Starts


@dataclass(slots=True)
class CohortSample:
    """One sample of the cohort: its number in the stash, and starts and reads per end class."""

    name: str
    number: int
    starts: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)


class CohortReader:
    """Read the samples one after the other, draw their windows, and remember what the folds depend on."""

    def __init__(self, job: Job, stash: WindowStore, say: Say) -> None:
        assert job.plan is not None
        self.job, self.plan, self.stash, self.say = job, job.plan, stash, say
        self.members: list[CohortSample] = []
        self.skipped: dict[str, str] = {}
        self.warnings: list[str] = []
        self.paths: dict[str, str] = {}
        self.labels: tuple[str, ...] = ()
        self.numbers: dict[str, int] = {}
        self._contigs: dict[str, int] = {}
        self._lengths: dict[str, int] = {}

    def take(self, number: int, sample: str, path: str, count: int) -> None:
        """Count a file and put what it can teach into the stash; its start sites are let go of."""
        job = self.job
        self.paths[sample] = path
        result, _ = count_alignments(
            path,
            job.annotation,
            job.options,
            threads=job.threads,
            want_sites=True,
            reference=job.reference,
            on_header=lambda header: job.check_header(path, header),
            progress=lambda done, paired: self._tell(processed(done, paired)),
            warn=lambda text: self.say(f"Warning: {sample}: {text}"),
        )
        assert result.sites is not None
        self._tell(processed(result.fragments, result.paired))
        _, hint = job.strandedness(result, path)
        if hint is not None:
            self.warn(f"{sample}: {hint}")
        context = job.context(result.sites, self.plan.kind, sample)
        member = self._draw(context, sample, number, path)
        what = (
            "nothing to learn from"
            if member is None
            else f"{sum(member.starts.values()):,} distinct read starts"
        )
        self._tell(f"{sample} ({number + 1} of {count}): {what}")

    def warn(self, text: str) -> None:
        """Warn the user, and keep the warning for the report."""
        self.warnings.append(text)
        self.say(f"Warning: {text}")

    def skip(self, sample: str, reason: str) -> None:
        """Leave a sample out, and say so."""
        self.skipped[sample] = reason
        self.warn(f"{sample} is left out: {reason}")

    def _tell(self, text: str) -> None:
        if not self.job.quiet:
            self.say(text)

    def _draw(
        self, context: SampleContext, sample: str, number: int, path: str
    ) -> CohortSample | None:
        """Draw the windows of all end classes, unless one of them teaches nothing: then the cohort is as if the sample were not there."""
        found: list[tuple[ReadEnd, Starts, DrawnWindows]] = []
        for reads in read_ends(context.sites, self.job.options.stranded):
            starts = sampling.find_starts(context.sites, end=reads.end)
            drawn = draw_end(
                context, reads, starts, np.random.default_rng([context.seed, 1, reads.numbers[0]])
            )
            nothing = why_nothing_drawn(context, reads, starts, drawn)
            if nothing:
                self.skip(sample, nothing)
                return None
            found.append((reads, starts, drawn))
        self._check_labels(tuple(reads.label for reads, *_ in found), sample, path)
        lookup = self._number_contigs(context.sites, path)
        self.numbers = {reads.label: reads.numbers[0] for reads, *_ in found}
        member = CohortSample(sample, number)
        for reads, starts, drawn in found:
            tally = StartTally()
            tally.add(replace(starts.positions, contig=lookup[starts.positions.contig]))
            self.stash.put(number, reads.label, _renumbered(drawn, lookup), tally)
            member.starts[reads.label] = len(starts)
            member.reads[reads.label] = sum(
                int(((context.sites.ends[i].bits & TRAINABLE) != 0).sum()) for i in reads.numbers
            )
        self.members.append(member)
        return member

    def folds(self, label: str) -> Folds:
        """Split the blocks with starts of any member into folds."""
        every = StartTally()
        for member in self.members:
            every.join(self.stash.tally(member.number, label))
        return every.folds()

    def _check_labels(self, labels: tuple[str, ...], sample: str, path: str) -> None:
        """Refuse single-end and paired-end samples in one stranded cohort: their end classes differ."""
        if not self.members:
            self.labels = labels
        if labels != self.labels:
            kinds = (
                ("single-end", "paired-end") if len(labels) == 1 else ("paired-end", "single-end")
            )
            raise InputError(
                f"{sample} is {kinds[0]} but {self.members[0].name} is {kinds[1]}: with -s {self.job.options.stranded} they have no model "
                "in common",
                file=path,
                remedy="train them in two runs",
            )

    def _number_contigs(self, sites: StartSites, path: str) -> NDArray[np.int32]:
        """Give the cohort's number of each contig of a sample, by its name in the genome."""
        aliases = self.plan.genome.aliases
        names = [aliases.get(name, name) for name in sites.contigs]
        if self._contigs and names and not any(name in self._contigs for name in names):
            raise InputError(
                f"no contig in common with the samples before it: it has '{sites.contigs[0]}' …, they have '{next(iter(self._contigs))}' …",
                file=path,
                remedy="train on samples aligned to one genome, or give --bias-contig-alias FILE",
            )
        for name, length in zip(names, sites.contig_lengths, strict=True):
            if self._lengths.setdefault(name, length) != length:
                raise InputError(
                    f"contig '{name}' has {length:,} bases here but {self._lengths[name]:,} in another sample",
                    file=path,
                    remedy="train on samples aligned to one genome",
                )
            self._contigs.setdefault(name, len(self._contigs))
        return np.array([self._contigs[name] for name in names], dtype=np.int32)


def _renumbered(drawn: DrawnWindows, lookup: NDArray[np.int32]) -> DrawnWindows:
    """Give windows the cohort's contig numbers."""

    def renumber(positions: Positions) -> Positions:
        return replace(positions, contig=lookup[positions.contig])

    positions = sampling.DrawnPositions(
        renumber(drawn.positions.foreground),
        renumber(drawn.positions.background),
        drawn.positions.origin,
    )
    places = None if drawn.tile_positions is None else renumber(drawn.tile_positions)
    return replace(drawn, positions=positions, tile_positions=places)
