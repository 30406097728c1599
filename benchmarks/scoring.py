"""Time the scoring of windows with every bias model, and the networks against torch.

    python benchmarks/scoring.py --threads 2

Models are hardly trained, if at all, since their speed does not depend on what they have learnt.
Windows are random bases. Torch scores the same networks, with the same number of threads, in single
precision and with the best of three batch sizes. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import BiasModel, Window, load_plugins, parse_options
from counterbias.scoring import STRETCH, score
from counterbias.testing import planted_sample

#: Label → backend and options.
MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gru": ("gru", ()),
    "lstm": ("lstm", ()),
    "gru:head=position": ("gru", ("head=position",)),
    "gru:objective=ratio+hidden=20": ("gru", ("objective=ratio", "hidden=20")),
    "cnn": ("cnn", ()),
    "cnn:distil=false": ("cnn", ("distil=false",)),
    "cnn:distil_units=32": ("cnn", ("distil_units=32",)),
    "cnn:members=1+units=16+kmer=5": ("cnn", ("members=1", "units=16", "kmer=5")),
    "heptamer": ("heptamer", ()),
    "pwm": ("pwm", ()),
    "vlmm": ("vlmm", ()),
    "bayesnet": ("bayesnet", ()),
}
BATCHES = (4096, 16_384, 65_536)
#: The networks that cnn trains; the distilled one, its default, does less work per window.
NETWORKS = "cnn:distil=false"
#: Target speeds: of networks relative to torch; of tables relative to the default cnn, and relative
#: to the networks that it trains.
WANTED_TORCH = {"gru": 12.0, "cnn": 15.0, NETWORKS: 15.0}
WANTED_CNN = {"pwm": 5.0, "vlmm": 5.0}
WANTED_NETWORKS = {"heptamer": 5.0, "pwm": 5.0, "vlmm": 5.0, "bayesnet": 5.0}
#: Largest difference allowed between scores and those of torch in double precision.
TOLERANCE = 1e-5

Scoring = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def make_model(
    name: str, pairs: Sequence[str], window: Window
) -> tuple[BiasModel, Callable[[bool], Scoring] | None]:
    """Return a model with arbitrary parameters and, for networks, its scoring by torch.

    The latter takes whether to use double precision; it is None for tables.
    """
    model_class = load_plugins().backend(name).load()
    model = model_class(window, parse_options(model_class, list(pairs)))
    if name in ("gru", "lstm"):
        return model, _random_recurrent(model)
    if name == "cnn":
        return model, _random_convolutional(model)
    model.fit(planted_sample(window, starts=20_000, seed=1), np.random.default_rng(1))
    return model, None


def _random_recurrent(model: Any) -> Callable[[bool], Scoring]:
    from counterbias_backends.rnn.parameters import Parameters, parameter_count

    rng, hidden = np.random.default_rng(1), model.options.hidden
    size = parameter_count(model.cell, hidden, model.places)
    networks = tuple(
        Parameters(
            model.cell, hidden, rng.uniform(-0.4, 0.4, size).astype(np.float32), model.places
        )
        for _ in model.roles
    )
    arrays: dict[str, NDArray[Any]] = {
        "hidden": np.array([hidden]),
        "width": np.array([model.window.width]),
    }
    for role, network in zip(model.roles, networks, strict=True):
        arrays.update({f"{role}_{name}": values for name, values in network.arrays().items()})
    model.from_arrays(arrays)
    return lambda double: _torch_scoring(networks, double)


def _torch_scoring(parameters: Sequence[Any], double: bool) -> Scoring:
    """Return the score of one network, or the difference between those of two, by torch."""
    import torch

    from counterbias_backends.rnn.network import CharacterNetwork, PositionNetwork

    ratio = len(parameters) == 1
    networks = [
        PositionNetwork.from_parameters(one, ratio=ratio)
        if one.places
        else CharacterNetwork.from_parameters(one)
        for one in parameters
    ]
    networks = [one.to(torch.float64 if double else torch.float32) for one in networks]

    def scoring(contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        letters = torch.from_numpy(np.ascontiguousarray(contexts))
        with torch.no_grad():
            scores = [network(letters) for network in networks]
            total = scores[0] if len(scores) == 1 else scores[0] - scores[1]
            return np.asarray(total.double().numpy())

    return scoring


def _random_convolutional(model: Any) -> Callable[[bool], Scoring]:
    import torch

    from counterbias_backends.cnn.network import scores

    flat = (
        np.random.default_rng(1)
        .normal(0, 0.2, (model.networks, model.shape.size))
        .astype(np.float32)
    )
    model.from_arrays(model.shape.split(flat))

    def scoring(double: bool, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        parameters = torch.from_numpy(flat).to(torch.float64 if double else torch.float32)
        letters = torch.from_numpy(np.ascontiguousarray(contexts))
        with torch.no_grad():
            found = scores(parameters, model.shape, letters)
            return np.asarray(found[:, :, 0].mean(dim=1).double().numpy())

    return lambda double: lambda contexts: scoring(double, contexts)


def timed(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of ``repeats`` calls in seconds, after one that is not timed."""
    call()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def torch_rate(scoring: Scoring, contexts: NDArray[np.uint8], repeats: int) -> float:
    """Return windows per second of torch, with its best batch size."""
    found = []
    for batch in BATCHES:

        def whole(batch: int = batch) -> None:
            for first in range(0, len(contexts), batch):
                scoring(contexts[first : first + batch])

        found.append(len(contexts) / timed(whole, repeats))
    return max(found)


def measure(label: str, window: Window, windows: int, threads: int, repeats: int) -> dict[str, Any]:
    """Time one model."""
    name, pairs = MODELS[label]
    model, reference = make_model(name, pairs, window)
    contexts = np.random.default_rng(2).integers(0, 4, (windows, window.width), dtype=np.uint8)
    began = time.perf_counter()
    model.log_bias(contexts[:1])
    result: dict[str, Any] = {"label": label, "first_call_seconds": time.perf_counter() - began}
    result["per_second"] = windows / timed(lambda: score(model, contexts, threads=threads), repeats)
    sequence = np.random.default_rng(3).integers(0, 4, windows + window.width - 1, dtype=np.uint8)
    firsts = range(0, windows, STRETCH)

    def along() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(
                pool.map(
                    lambda first: model.along(sequence[first : first + STRETCH + window.width - 1]),
                    firsts,
                )
            )

    result["along_per_second"] = windows / timed(along, repeats)
    if reference is not None:
        few = contexts[:131_072]
        result["torch_per_second"] = torch_rate(reference(False), few, repeats)
        result["difference"] = float(
            np.abs(model.log_bias(few[:4096]) - reference(True)(few[:4096])).max()
        )
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Format the results as a Markdown table."""
    rates = {one["label"]: one["per_second"] for one in results}
    titles = [
        "model",
        "M windows/s",
        "M/s along",
        "torch",
        "times torch",
        "largest difference",
        f"times {NETWORKS}",
        "times cnn",
    ]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for one in results:
        rate, other = one["per_second"], one.get("torch_per_second")
        cells = [one["label"], f"{rate / 1e6:.2f}", f"{one['along_per_second'] / 1e6:.2f}"]
        cells += (
            ["", "", ""]
            if other is None
            else [f"{other / 1e6:.3f}", f"{rate / other:.1f}", f"{one['difference']:.1e}"]
        )
        cells += [
            f"{rate / rates[peer]:.1f}" if peer in rates else "" for peer in (NETWORKS, "cnn")
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shortcomings(results: Sequence[dict[str, Any]]) -> list[str]:
    """List the models that are slower than their target, or inaccurate."""
    of = {one["label"]: one for one in results}
    found = [
        f"{label}: {one['difference']:.1e} from torch"
        for label, one in of.items()
        if one.get("difference", 0) > TOLERANCE
    ]
    for wanted, than in ((WANTED_TORCH, "torch"), (WANTED_CNN, "cnn"), (WANTED_NETWORKS, NETWORKS)):
        for label, least in wanted.items():
            other = (
                of.get(label, {}).get("torch_per_second")
                if than == "torch"
                else of.get(than, {}).get("per_second")
            )
            if label in of and other and of[label]["per_second"] < least * other:
                found.append(
                    f"{label}: {of[label]['per_second'] / other:.1f} times {than}, not {least:g}"
                )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Time the scoring of windows.")
    parser.add_argument("--models", help=f"comma-separated, from {', '.join(MODELS)} [all]")
    parser.add_argument(
        "--windows", type=int, default=2_000_000, help="windows to score [%(default)s]"
    )
    parser.add_argument(
        "--window", default="10,10", help="window, as in --bias-window [%(default)s]"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads, also for torch [%(default)s]"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=5,
        help="timed repeats, whose median is reported [%(default)s]",
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args(argv)
    labels = arguments.models.split(",") if arguments.models else list(MODELS)
    for label in labels:
        if label not in MODELS:
            parser.error(f"there is no model '{label}' here; choose from {', '.join(MODELS)}")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        window = Window.parse(arguments.window)
        results = [
            measure(label, window, arguments.windows, arguments.threads, arguments.repeats)
            for label in labels
        ]
    finally:
        torch.set_num_threads(before)
    print(
        f"{arguments.windows:,} windows of {window.width} bases, {arguments.threads} threads, "
        f"torch {torch.__version__}\n"
    )
    print(table(results))
    short = shortcomings(results)
    print("\nBelow target: " + ("; ".join(short) if short else "nothing") + ".")
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {"threads": arguments.threads, "windows": arguments.windows, "results": results},
                indent=1,
            )
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
