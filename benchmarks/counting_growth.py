"""Time and memory of counterbias by the number of read pairs, without and with a bias model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from counting_files import Files
from counting_programs import counterbias_command
from processes import Figures, Runner, median, spread, warm
from shared import Variant, assigned_fragments, log, markdown

from counterbias.options import LENGTHS

#: Sort order of the files.
ORDER = "pos"
PLAIN = "no model"


@dataclass
class Size:
    """The runs on one file.

    Args:
        pairs: read pairs in the file.
        assigned: fragments assigned to genes.
        runs: without a model (:data:`PLAIN`), or the model's name → runs.
    """

    pairs: int
    assigned: int = 0
    runs: dict[str, list[Figures]] = field(default_factory=dict)


def measure_growth(
    files: Files, runner: Runner, sizes: Sequence[int], run: tuple[str, int, int]
) -> list[Size]:
    """Count files of several sizes without and with a model, in turn.

    Args:
        files, runner: where the samples are, and what runs the commands.
        sizes: read pairs.
        run: model, threads, and rounds.
    """
    model, threads, rounds = run
    bias = Variant(model, LENGTHS[0]).options(files.folder)
    options: dict[str, list[str]] = {PLAIN: [], model: bias}
    found = [Size(pairs, runs={label: [] for label in options}) for pairs in sorted(sizes)]
    small = files.bam(ORDER, found[0].pairs)
    for words in options.values():  # untimed, for what is compiled or indexed on first use
        runner.run(counterbias_command(files, ORDER, threads, small, words))
    for number in range(rounds):
        for size in found:
            bam = files.bam(ORDER, size.pairs)
            warm(bam)
            for label, words in options.items():
                log(f"growth, round {number + 1} of {rounds}: {size.pairs:,} pairs, {label}")
                command = counterbias_command(files, ORDER, threads, bam, words)
                size.runs[label].append(runner.run(command))
            size.assigned = assigned_fragments(runner.output().decode())
    return found


def bytes_per_fragment(sizes: Sequence[Size]) -> dict[str, float]:
    """Return by how many bytes peak memory grows per assigned fragment, smallest to largest."""
    small, large = sizes[0], sizes[-1]
    more = large.assigned - small.assigned
    return {
        label: (median(runs, "peak") - median(small.runs[label], "peak")) / more
        for label, runs in large.runs.items()
    }


def growth_table(sizes: Sequence[Size]) -> str:
    """Format time per pair and peak memory of every size, and the growth."""
    labels = list(sizes[0].runs)
    rows = [["pairs", "assigned"]]
    for label in labels:
        rows[0] += [f"{label}: wall, s", "µs per pair", "CPU, µs per pair", "peak MB"]
    for size in sizes:
        cells = [f"{size.pairs:,}", f"{size.assigned:,}"]
        for label in labels:
            runs = size.runs[label]
            cells.append(spread(runs, "wall"))
            cells += [f"{median(runs, key) / size.pairs * 1e6:.2f}" for key in ("wall", "cpu")]
            cells.append(f"{median(runs, 'peak') / 1e6:.0f}")
        rows.append(cells)
    lines = [markdown(rows)]
    if len(sizes) > 1:
        lines += [
            f"peak memory, {label}: {value:.1f} bytes for each additional assigned fragment"
            for label, value in bytes_per_fragment(sizes).items()
        ]
        small, large = sizes[0], sizes[-1]
        for label in labels:
            more = median(large.runs[label], "cpu") - median(small.runs[label], "cpu")
            each = more / (large.pairs - small.pairs) * 1e6
            lines.append(f"CPU time, {label}: {each:.2f} µs for each additional pair")
    return "\n".join([lines[0], "", *lines[1:]])
