"""How long fragments are, as far as pairs of reads show it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

from counterbias_multiqc import plots
from counterbias_multiqc.colours import INTENSITY
from counterbias_multiqc.emphasis import Emphasis, by_difference
from counterbias_multiqc.plots import Line
from counterbias_multiqc.records import FragmentLengths
from counterbias_multiqc.text import number_of_samples
from counterbias_multiqc.view import View

#: A sample stands out if its mean differs from the median of all means by more than this share.
_TOLERANCE = 0.2
#: Over how many of the lengths a value of the line is taken, fewer at both ends.
_INTERVAL = 4
#: Most columns of the heat map, and the widths from which theirs is chosen, bases.
_MAX_COLUMNS = 40
_WIDTHS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000)
_HELP = """
The lengths of the fragments that were sequenced, from one end of a pair of reads to the other,
along the spliced transcript. A gene's effective length, by which *corrected* counts are divided, is
reckoned with these lengths. They are measured from pairs: single reads do not show how long their
fragment was, so that a length has to be assumed for them (`--bias-fragment-length`). The lines
leave out the shortest and the longest few percent.

**Good**: one smooth hump, at the length that the library was made for (often 150 to 400), alike in
all samples of an experiment.

**Bad, and what to do**: a hump far to the left of the others (degraded RNA, or too much
fragmentation), a shoulder at the read length (adapters were read: trim them and align again), or
samples of two groups with different lengths. Counts of short genes then differ between the groups:
use *corrected* counts, and put the batch into the model of your test.
"""


@dataclass(frozen=True, slots=True)
class _Distribution:
    """Ascending lengths, with the share of fragments that are no longer than each of them."""

    lengths: Sequence[float]
    shares: Sequence[float]

    @classmethod
    def of(cls, fragments: FragmentLengths) -> _Distribution:
        """Put each representative length in the middle of the share that it stands for."""
        total = sum(fragments.shares)
        upto = accumulate(fragments.shares)
        middles = [
            (end - share / 2) / total for end, share in zip(upto, fragments.shares, strict=True)
        ]
        return cls(fragments.lengths, middles)

    def share_up_to(self, length: float) -> float:
        """Return the share of fragments up to a length, linear in between and outside."""
        places = max(1, min(bisect_left(self.lengths, length), len(self.lengths) - 1))
        left, right = self.lengths[places - 1], self.lengths[places]
        low, high = self.shares[places - 1], self.shares[places]
        return min(max(low + (high - low) * (length - left) / (right - left), 0.0), 1.0)

    def density(self) -> dict[float, float]:
        """Map lengths to % of the fragments per 10 bases.

        Each value is that of an interval between lengths that are not next to each other, in its
        middle: rounding to whole bases would make the line ragged.
        """
        last = len(self.lengths) - 1
        intervals = [
            (max(end - _INTERVAL, 0), min(end, last)) for end in range(1, last + _INTERVAL)
        ]
        density = {}
        for first, end in intervals:
            share = self.shares[end] - self.shares[first]
            width = self.lengths[end] - self.lengths[first]
            density[(self.lengths[first] + self.lengths[end]) / 2] = round(1000 * share / width, 4)
        return density


def add(view: View) -> None:
    """Add the section, if any sample has measured lengths."""
    measured = {
        name: report.fragments
        for name, report in view.reports.items()
        if len(report.fragments.lengths) > 1 and report.fragments.assumed is False
    }
    distributions = {name: _Distribution.of(fragments) for name, fragments in measured.items()}
    means = {name: fragments.mean for name, fragments in measured.items()}
    middle = median([mean for mean in means.values() if mean] or [0.0])
    emphasis = by_difference(
        view, means, _TOLERANCE * middle, "whose mean is within 20% of the median"
    )
    draw, note = (_heat_map, "") if view.uses_heat_maps else (_line_plot, emphasis.note)
    view.add_section(
        "Fragment lengths",
        "fragment-lengths",
        draw(view, distributions, emphasis) if distributions else None,
        description="How long the sequenced fragments are, measured from pairs of reads."
        f"{note}{_note_on_assumed(view)}",
        helptext=_HELP,
        docs="fragment-lengths",
    )


def _note_on_assumed(view: View) -> str:
    """Return a sentence on the samples that are not drawn because their lengths are assumed."""
    means = [
        report.fragments.mean or 0.0
        for report in view.reports.values()
        if report.fragments.assumed is True
    ]
    if not means:
        return ""
    samples = number_of_samples(len(means))
    same = f" of {means[0]:.0f} bases on average" if len(set(means)) == 1 and means[0] else ""
    return f" Not shown: {samples} whose lengths{same} are assumed, not measured."


def _line_plot(
    view: View, distributions: Mapping[str, _Distribution], emphasis: Emphasis
) -> object:
    lines: dict[str, Line] = {name: distributions[name].density() for name in emphasis.colours}
    return plots.line_plot(
        [lines],
        {
            "id": view.plot_id("fragment_lengths_plot"),
            "title": "Counterbias: Fragment lengths",
            "xlab": "Fragment length (bases)",
            "ylab": "Fragments (% per 10 bases)",
            "ymin": 0,
            "tt_label": "<b>%{x:.0f} bases</b>: %{y:.2f}% of fragments per 10 bases",
            "showlegend": True,
        },
        colours=emphasis.colours,
    )


def _heat_map(view: View, distributions: Mapping[str, _Distribution], emphasis: Emphasis) -> object:
    """Draw samples × lengths; those that stand out come first."""
    edges = _edges(
        min(found.lengths[0] for found in distributions.values()),
        max(found.lengths[-1] for found in distributions.values()),
    )
    rows = {}
    for name in emphasis.marked_first():
        upto = [distributions[name].share_up_to(edge) for edge in edges]
        rows[name] = [round(100 * (after - before), 3) for before, after in pairwise(upto)]
    return plots.heat_map(
        rows,
        [f"{low}–{high - 1} nt" for low, high in pairwise(edges)],
        {
            "id": view.plot_id("fragment_lengths_heatmap"),
            "title": "Counterbias: Fragment lengths",
            "xlab": "Fragment length (bases)",
            "ylab": "Sample",
            "zlab": "Fragments (%)",
            "min": 0,
            "colstops": INTENSITY,
            "angled_xticks": True,
        },
    )


def _edges(shortest: float, longest: float) -> list[int]:
    """Divide the lengths into columns of one width."""
    fitting = (width for width in _WIDTHS if (longest - shortest) / width < _MAX_COLUMNS - 1)
    width = next(fitting, int((longest - shortest) / _MAX_COLUMNS) + 1)
    first = int(shortest // width) * width
    return list(range(first, int(longest) + 2 * width, width))
