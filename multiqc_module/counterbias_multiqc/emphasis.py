"""Which samples a plot brings out: those that need a look are coloured, many others are grey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from counterbias_multiqc.checks import LEVELS
from counterbias_multiqc.colours import MUTED
from counterbias_multiqc.text import number_of_samples
from counterbias_multiqc.view import View

#: Up to so many samples each have a colour of their own, and up to so many if none stands out.
MAX_COLOURED, MAX_COLOURED_IF_ALIKE = 4, 8


@dataclass(frozen=True, slots=True)
class Emphasis:
    """The colours of the samples of a plot."""

    #: In the order in which they are drawn: those that need a look last, on top of grey ones.
    colours: Mapping[str, str]
    #: A sentence on what grey means, empty if nothing is grey.
    note: str
    #: The samples that need a look.
    marked: frozenset[str]

    def marked_first(self) -> list[str]:
        """Return all samples, sorted, with those that need a look first."""
        return sorted(self.colours, key=lambda name: (name not in self.marked, name))


def by_checks(view: View, samples: Iterable[str], *checks: str) -> Emphasis:
    """Bring out the samples that do not pass one of the checks."""
    return _bring_out(
        view, samples, view.concerning(*checks), "that pass the checks of this section"
    )


def by_difference(
    view: View, values: Mapping[str, float | None], tolerance: float, words: str
) -> Emphasis:
    """Bring out the samples whose value differs from the median by more than ``tolerance``.

    ``words`` say what the others have in common.
    """
    known = {name: value for name, value in values.items() if value is not None}
    middle = median(known.values()) if known else 0.0
    differing = {name for name, value in known.items() if abs(value - middle) > tolerance}
    return _bring_out(view, values, differing, words)


def _bring_out(view: View, samples: Iterable[str], chosen: Iterable[str], words: str) -> Emphasis:
    """Colour all of a few samples, and only those that are chosen of many."""
    names = list(dict.fromkeys(samples))
    marked = frozenset(names) & frozenset(chosen)
    if len(names) <= (MAX_COLOURED if marked else MAX_COLOURED_IF_ALIKE):
        return Emphasis({name: view.colours[name] for name in names}, "", marked)
    ordered = sorted(names, key=lambda name: name in marked)
    colours = {name: view.colours[name] if name in marked else MUTED for name in ordered}
    number = sum(colour == MUTED for colour in colours.values())
    note = f" Grey: {number_of_samples(number)} {words}." if number else ""
    return Emphasis(colours, note, marked)


def worst_first(view: View, names: Iterable[str], *checks: str) -> list[str]:
    """Return samples with those first that fail one of the checks, then those with a warning."""

    def rank(name: str) -> int:
        found = view.findings.get(name, {})
        levels = (LEVELS.index(found[check].level) for check in checks if check in found)
        return -max(levels, default=0)

    return sorted(dict.fromkeys(names), key=rank)
