"""What along_genes.tsv holds and the figures along genes show."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import harmless
from counterbias.evaluation.profile import Agreement
from counterbias.figures.along import MOST_TRACKS, AlongFigure, AlongTrack
from counterbias.pipeline.compare.profiles import GeneProfiles, Profile
from counterbias.pipeline.compare.results import Comparison
from counterbias.writers.along_genes import Rows

#: What is replaced in names of files, and how long these may be.
_NOT_IN_NAMES, _LONGEST = re.compile(r"[^A-Za-z0-9._-]"), 100
#: What a reader of a figure should know.
_CAPTION = (
    "Expected: the observed number of reads, spread by models that did not learn from these "
    "places. r: correlation of observed and expected, place by place (in parentheses: what chance "
    "would\nleave of a perfect 1). Deviance: share of the observed unevenness, chance included, "
    "that is explained. No model knows that fragments must fit in the transcript and reads must "
    "map to one place."
)
#: What read ends are called in titles.
_READS = {"both": "reads", "read1": "read 1", "read2": "read 2"}


def table_rows(genes: Sequence[GeneProfiles]) -> Iterator[Rows]:
    """Yield the rows of along_genes.tsv."""
    for one in genes:
        for profile in one.profiles:
            strand = "sense" if profile.sense else "antisense"
            yield Rows(
                (profile.sample, one.gene.identifier, one.transcript, profile.end, strand),
                one.gene.contig,
                one.positions,
                one.exon,
                profile.fold,
                profile.observed,
                profile.even,
                profile.expected,
            )


def table_models(result: Comparison) -> list[str]:
    """Return the models, in the order of their columns."""
    return [result.name_of(one) for one in result.candidates]


def figures_along(genes: Sequence[GeneProfiles]) -> Iterator[tuple[str, AlongFigure]]:
    """Yield the name and the content of each figure; genes without reads have none."""
    names = file_names([one.gene.name for one in genes])
    for name, one in zip(names, genes, strict=True):
        if one.profiles:
            yield name, _figure(one)


def file_names(identifiers: Sequence[str]) -> list[str]:
    """Return a name for each identifier that any file system takes, no two alike."""
    names: list[str] = []
    taken: set[str] = set()
    for identifier in identifiers:
        plain = _NOT_IN_NAMES.sub("_", identifier)[:_LONGEST]
        numbered = (f"{plain}-{number}" for number in count(2))
        name = next(one for one in chain([plain], numbered) if one.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def _figure(one: GeneProfiles) -> AlongFigure:
    """Return what the figure of a gene shows.

    With more tracks than there is room for, those of the first samples are drawn.
    """
    samples = list(dict.fromkeys(profile.sample for profile in one.profiles))
    drawn = _with_room(one.profiles, samples)
    line = f"transcript {one.transcript}" if one.transcript else "all its exons, end to end"
    title = f"{one.gene.identifier}: where reads start along {line}, observed and expected"
    if len(drawn) < len(samples):
        title += f" (the first {len(drawn)} of {len(samples)} samples)"
    return AlongFigure(
        harmless(title),
        _axis(one),
        _CAPTION,
        one.exon,
        [_track(one, profile) for profile in one.profiles if profile.sample in drawn],
    )


def _with_room(profiles: Sequence[Profile], samples: Sequence[str]) -> set[str]:
    """Return the samples that are drawn: at least one, and as many as there is room for."""
    drawn: set[str] = set()
    tracks = 0
    for sample in samples:
        tracks += sum(profile.sample == sample for profile in profiles)
        if drawn and tracks > MOST_TRACKS:
            break
        drawn.add(sample)
    return drawn


def _axis(one: GeneProfiles) -> str:
    """Describe the horizontal axis, and what is marked on it."""
    strand = "−" if one.gene.reverse else "+"
    place = f"{one.gene.contig}:{one.positions[0] + 1:,}–{one.positions[-1] + 1:,} ({strand})"
    text = f"position in the transcript, 5′ → 3′, of {place}"
    if len(np.unique(one.exon)) > 1:
        text += "; dotted: edges of exons"
    if any(np.isnan(profile.even).any() for profile in one.profiles):
        text += "; grey: not held out, nothing is expected"
    return harmless(text)


def _track(one: GeneProfiles, profile: Profile) -> AlongTrack:
    """Return one track with its title and the numbers of its models."""
    strand = "the transcript's strand" if profile.sense else "the other strand"
    reads = int(profile.observed.sum())
    title = f"{profile.sample}: {_READS[profile.end]} on {strand}, {reads:,} starts"
    if profile.elsewhere:
        title += f" ({profile.elsewhere:,} more of the gene's lie elsewhere)"
    differing = [name for name, expected in profile.expected.items() if not _is_even(expected)]
    return AlongTrack(
        harmless(title),
        profile.observed,
        profile.even,
        {harmless(name): profile.expected[name] for name in differing},
        {harmless(name): _note(profile.agreement[name]) for name in differing},
        [harmless(name) for name in profile.expected if name not in differing],
    )


def _is_even(expected: NDArray[np.float64]) -> bool:
    """Whether reads are expected, and as many at each known place, but for rounding."""
    known = expected[np.isfinite(expected)]
    return bool(known.max(initial=0) > 0 and np.ptp(known) <= 1e-9 * known.max())


def _note(found: Agreement) -> str:
    """Write a model's numbers in words."""
    if not math.isfinite(found.pearson):
        return "no reads to compare it with"
    return (
        f"r {found.pearson:.2f} ({found.reachable:.2f} if exact), "
        f"deviance {100 * found.deviance:.0f} %"
    )
