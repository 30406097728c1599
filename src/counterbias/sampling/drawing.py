"""Foreground and background positions: where reads start, and nearby where they could have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.options import SAMPLING_SCHEMES
from counterbias.records import Positions, StartSites
from counterbias.sampling.start_weights import LOCAL_REACH, Starts
from counterbias.sampling.starts import End, find_starts, read_starts

#: Standard deviation of the offset in the scheme ``seqbias``.
SEQBIAS_SIGMA = 500.0


@dataclass(frozen=True, slots=True)
class DrawnPositions:
    """Foreground positions, and the background positions drawn for them.

    Args:
        foreground: n positions with their training weight.
        background: m positions; each has the weight of the start that it was drawn for.
        origin: int64 (m,), the row of ``foreground`` that each background position was drawn for.
    """

    foreground: Positions
    background: Positions
    origin: NDArray[np.int64]


def draw(
    sites: StartSites,
    rng: np.random.Generator,
    *,
    scheme: str = "local",
    end: End = "both",
    most: int = 100_000,
    starts: Starts | None = None,
) -> DrawnPositions:
    """Draw foreground and background positions.

    Schemes:

    - ``local``: distinct starts, weighted by the fragments that begin there
      (:meth:`Starts.learning_weights`); two background positions each, at uniform ±1…100 on the
      same strand.
    - ``paper`` (Zhang et al. 2017): reads as they are, duplicates included; one background position
      each at ±1…100; windows that leave the exon (:func:`inside_exons`) are to be left out.
    - ``seqbias`` (Jones et al. 2012, its code): distinct starts of weight 1; two background
      positions each, at a Gaussian offset of σ = 500.

    Positions may lie off the contig: their windows are not valid, and :class:`DrawnWindows` leaves
    them out.

    Args:
        sites: where reads start.
        rng: source of all random choices.
        scheme: one of :data:`~counterbias.options.SAMPLING_SCHEMES`.
        end: whose starts are drawn.
        most: foreground positions kept, chosen at random.
        starts: the end's :func:`find_starts`, if known already.

    Raises:
        InputError: there is no such scheme.
    """
    if scheme not in SAMPLING_SCHEMES:
        raise InputError(
            f"'{scheme}' is not a sampling scheme",
            remedy=f"choose one of {', '.join(SAMPLING_SCHEMES)}",
        )
    if scheme == "paper":
        places = read_starts(sites, end=end)
        weight = places.weight
    else:
        known = find_starts(sites, end=end) if starts is None else starts
        places = known.positions
        weight = known.learning_weights() if scheme == "local" else np.ones(len(places))
    rows = (
        np.arange(len(places))
        if len(places) <= most
        else np.sort(rng.choice(len(places), size=most, replace=False))
    )
    copies = 1 if scheme == "paper" else 2
    foreground = Positions(
        places.contig[rows], places.position[rows], places.strand[rows], weight[rows]
    )
    origin = np.repeat(np.arange(len(rows), dtype=np.int64), copies)
    near = foreground.take(origin)
    offsets = (
        _gaussian_offsets(rng, len(origin))
        if scheme == "seqbias"
        else _local_offsets(rng, len(origin))
    )
    background = Positions(near.contig, near.position + offsets, near.strand, near.weight)
    return DrawnPositions(foreground, background, origin)


def _local_offsets(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Draw uniform offsets from -100…-1 and 1…100."""
    offsets = rng.integers(1, 2 * LOCAL_REACH + 1, size=n)
    return np.where(offsets > LOCAL_REACH, offsets - 2 * LOCAL_REACH - 1, offsets)


def _gaussian_offsets(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Draw Gaussian offsets, rounded; 0 becomes 1: a start is not its own background."""
    offsets = np.rint(rng.normal(0.0, SEQBIAS_SIGMA, size=n)).astype(np.int64)
    return np.where(offsets == 0, 1, offsets)
