"""``--bias-model auto``: which backend a sample gets, by the number of its distinct read starts.

The table is here and nowhere else. It was derived from ``docs/explanation/accuracy.md``: the bias
of genes that is left in simulations, and the gain on held-out blocks of real reads, by the number
of starts. A sample in which the chosen model gains nothing on held-out blocks keeps weights of 1,
as with any model (:mod:`counterbias.weights`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from counterbias import sampling
from counterbias.errors import InputError
from counterbias.model import Backend
from counterbias.options import AUTO
from counterbias.plugins import Manager, missing_modules
from counterbias.records import StartSites, Window

#: Rows looked at first: in a large sample they hold enough distinct starts.
FIRST_LOOK = 200_000


@dataclass(frozen=True, slots=True)
class Rung:
    """A backend, and the fewest distinct starts of a sample for which it is taken."""

    backend: str
    fewest: int


#: Best first. The first one that is installed, can be trained, and has enough starts is taken.
LADDER = (Rung("cnn", 2_000), Rung("pwm", 700), Rung("heptamer", 0))
#: Number of starts beyond which more of them change nothing.
ENOUGH = max(step.fewest for step in LADDER)


def trainable(
    manager: Manager, ladder: Sequence[Rung] = LADDER, *, window: Window | None = None
) -> tuple[Rung, ...]:
    """Return the rungs whose backend is installed with all that training needs.

    A backend that does not take ``window`` is left out; None is taken by all.
    """
    backends = manager.backends
    able = (
        rung
        for rung in ladder
        if rung.backend in backends and not missing_modules(backends[rung.backend].backend)
    )
    return tuple(
        rung for rung in able if window is None or _takes(backends[rung.backend].backend, window)
    )


def _takes(backend: Backend, window: Window) -> bool:
    try:
        backend.load()(window)
    except InputError:
        return False
    return True


def backend_for(
    starts: int, manager: Manager, ladder: Sequence[Rung] = LADDER, *, window: Window | None = None
) -> str:
    """Return the backend for a sample with this many distinct starts.

    With too few for any, it is the backend that needs the fewest.

    Raises:
        InputError: none of them can be trained.
    """
    able = trainable(manager, ladder, window=window)
    if not able:
        names = ", ".join(rung.backend for rung in ladder)
        raise InputError(
            f"--bias-model {AUTO} can train none of {names}", remedy="`counterbias models` says why"
        )
    for rung in able:
        if starts >= rung.fewest:
            return rung.backend
    return min(able, key=lambda rung: rung.fewest).backend


def distinct_starts(sites: StartSites, end: sampling.End, *, enough: int = ENOUGH) -> int:
    """Count distinct trainable starts; counting may stop once there are ``enough``."""
    if len(sites) > FIRST_LOOK:
        found = len(sampling.unique_starts(sites.of_rows(slice(FIRST_LOOK)), end=end))
        if found >= enough:
            return found
    return len(sampling.unique_starts(sites, end=end))
