"""Time the training of every bias model on simulated windows and tiles.

    python benchmarks/training.py --windows 100000 --threads 2

What is timed is all fits of a counting run: the model and those that evaluate it, each without a
fold (``BiasModel.cross_fit``). The time of the model alone (``BiasModel.fit``) is given as well.
Each model is trained in a separate process. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from counterbias import (
    FoldedSample,
    Resources,
    Tiles,
    TrainingSet,
    Window,
    load_plugins,
    parse_options,
)
from counterbias.plugins import missing_modules
from counterbias.records import PARTS
from counterbias.testing import planted_log_bias, planted_sample

#: Label → backend, options, and the target for its training time in seconds: 100,000 windows, two
#: cores, the models for evaluation included.
MODELS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "pwm": ("pwm", (), 1),
    "heptamer": ("heptamer", (), 1),
    "vlmm": ("vlmm", (), 1),
    "bayesnet": ("bayesnet", (), 60),
    "ensemble": ("ensemble", (), 60),
    "cnn": ("cnn", (), 20),
    "gru": ("gru", (), 60),
    "lstm": ("lstm", (), 60),
    "gru:head=position": ("gru", ("head=position",), 60),
    "gru:objective=ratio+hidden=20": ("gru", ("objective=ratio", "hidden=20"), 60),
    "lstm:objective=ratio+hidden=20": ("lstm", ("objective=ratio", "hidden=20"), 60),
}
#: The number of windows for which the targets hold.
STATED = 100_000
#: Tiles per read start, as in real libraries of 100,000 starts; positions and reads per tile.
TILES, LENGTH, TILE_READS = 0.3, 100, 3.3


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the training of bias models.")
    parser.add_argument("--models", help=f"comma-separated, from {', '.join(MODELS)} [all]")
    parser.add_argument(
        "--windows",
        type=int,
        default=STATED,
        help="read starts; twice as many background windows [%(default)s]",
    )
    parser.add_argument(
        "--window", default="10,10", help="window, as in --bias-window [%(default)s]"
    )
    parser.add_argument("--threads", type=int, default=2, help="as in --bias-threads [%(default)s]")
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda", "auto"),
        default="cpu",
        help="as in --bias-device [%(default)s]",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="training runs, whose median is reported [%(default)s]",
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    arguments.labels = arguments.models.split(",") if arguments.models else list(MODELS)
    for label in arguments.labels:
        if label not in MODELS:
            parser.error(f"there is no model '{label}' here; choose from {', '.join(MODELS)}")
    return arguments


def planted_folds(
    window: Window, starts: int, seed: int, folds: int, *, tiles: bool = True
) -> FoldedSample:
    """Draw a sample with a known bias, split into folds.

    It has windows and, unless ``tiles`` is false, as many tiles as a library of this size.
    """
    whole, rng = (
        planted_sample(window, starts=starts, seed=seed, tiles=False),
        np.random.default_rng([seed, 1]),
    )
    number = tiles_of(starts) if tiles else 0
    sequence = rng.integers(0, 4, (number, LENGTH + window.width - 1), dtype=np.uint8)
    counts = np.empty((number, LENGTH), np.float32)
    for first in range(0, number, 1000):
        part = sequence[first : first + 1000]
        views = np.lib.stride_tricks.sliding_window_view(part, window.width, axis=1)
        bias = np.exp(planted_log_bias(window, views.reshape(-1, window.width))).reshape(
            len(part), LENGTH
        )
        counts[first : first + len(part)] = rng.poisson(
            TILE_READS * bias / bias.sum(axis=1, keepdims=True)
        )
    everything = TrainingSet(
        window,
        whole.foreground,
        whole.foreground_weight,
        whole.background,
        whole.background_weight,
        Tiles(sequence, counts) if tiles else None,
        None,
        whole.origin,
    )
    front, tile_parts = (
        np.repeat(rng.integers(0, PARTS, (size, 1), dtype=np.int8), 2, axis=1)
        for size in (starts, number)
    )
    return FoldedSample(everything, front, front[whole.origin], tile_parts, folds)


def tiles_of(starts: int) -> int:
    """Return the number of tiles of a library with this many read starts."""
    return max(round(TILES * starts), 2)


def measure_alone(label: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one model in this process, after a small untimed run for compilation and imports."""
    name, pairs, _ = MODELS[label]
    window = Window.parse(arguments.window)
    backend = load_plugins().backend(name)
    if missing_modules(backend):
        return {"label": label, "missing": f"needs {', '.join(missing_modules(backend))}"}
    model_class = backend.load()
    options = parse_options(model_class, list(pairs))

    def train(sample: FoldedSample, judged: bool) -> tuple[float, float]:
        model = model_class(window, options)
        model.resources = Resources(arguments.threads, arguments.device)
        begun, used = time.perf_counter(), os.times()
        if judged:
            model.cross_fit(sample, np.random.default_rng(1))
        else:
            model.fit(sample.without(None), np.random.default_rng(1))
        seconds, after = time.perf_counter() - begun, os.times()
        return seconds, after.user + after.system - used.user - used.system

    train(
        planted_folds(window, 300, 2, model_class.judging_folds, tiles=model_class.needs_tiles),
        True,
    )
    sample = planted_folds(
        window, arguments.windows, 1, model_class.judging_folds, tiles=model_class.needs_tiles
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runs = [(train(sample, True), train(sample, False)) for _ in range(arguments.repeats)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "label": label,
        "folds": model_class.judging_folds,
        "wall": [judged[0] for judged, _ in runs],
        "cpu": [judged[1] for judged, _ in runs],
        "alone": [alone[0] for _, alone in runs],
        "peak": peak * unit,
        "grown": (peak - before) * unit,
    }


def measure(label: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one model in a separate process, so that peak memory is that of this model."""
    words = [sys.executable, __file__, "--alone", label]
    words += [
        f"--{name}={getattr(arguments, name)}"
        for name in ("windows", "window", "threads", "device", "repeats")
    ]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{label} failed with status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(results: Sequence[dict[str, Any]]) -> str:
    """Format the results as a Markdown table."""
    headings = [
        "model",
        "wall s",
        "CPU s",
        "all wall s",
        "model alone, wall s",
        "peak MB",
        "of which training",
        "target, s",
    ]
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    for one in results:
        if "missing" in one:
            lines.append(f"| {one['label']} | {one['missing']} | | | | | | |")
            continue
        cells = [
            one["label"],
            f"{statistics.median(one['wall']):.2f}",
            f"{statistics.median(one['cpu']):.2f}",
        ]
        cells += [
            ", ".join(f"{wall:.2f}" for wall in one["wall"]),
            f"{statistics.median(one['alone']):.2f}",
        ]
        cells += [f"{one['peak'] / 1e6:.0f}", f"{one['grown'] / 1e6:.0f}"]
        lines.append("| " + " | ".join([*cells, f"< {MODELS[one['label']][2]:g}"]) + " |")
    return "\n".join(lines)


def shortcomings(results: Sequence[dict[str, Any]]) -> list[str]:
    """List the models that are slower than their target."""
    found = []
    for one in results:
        most = MODELS[one["label"]][2]
        if "wall" in one and statistics.median(one["wall"]) > most:
            found.append(f"{one['label']}: {statistics.median(one['wall']):.1f} s, not {most:g}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if arguments.alone:
        print(json.dumps(measure_alone(arguments.alone, arguments)))
        return 0
    try:
        results = [measure(label, arguments) for label in arguments.labels]
    except RuntimeError as problem:
        print(f"training.py: {problem}", file=sys.stderr)
        return 1
    load = os.getloadavg()[0]
    width = Window.parse(arguments.window).width
    print(
        f"{arguments.windows:,} read starts of {width} bases, twice as many background windows,",
        end=" ",
    )
    print(f"{tiles_of(arguments.windows):,} tiles for models that learn from them,", end=" ")
    print(f"{arguments.threads} threads, device {arguments.device}, load average {load:.1f}\n")
    print(table(results))
    if arguments.windows >= STATED:
        short = shortcomings(results)
        print("\nSlower than the target: " + ("; ".join(short) if short else "nothing") + ".")
    if arguments.json:
        about = {
            name: getattr(arguments, name) for name in ("windows", "window", "threads", "device")
        }
        arguments.json.write_text(
            json.dumps({**about, "load": load, "results": results}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
