"""The parts of ``gpu.py``, each run in a process of its own: what is trained, and its figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from gpu_compare import compare_networks
from gpu_network import Wide, WideOptions, parameters, seconds_per_step
from gpu_setting import Figure, Setting, timed
from training import planted_folds

from counterbias import BiasModel, FoldedSample, Window, load_plugins, parse_options
from counterbias.pipeline.compare.candidates import parse_label
from counterbias_torch.devices import choose_device
from counterbias_torch.lessons import make_lesson

WINDOW = Window(10, 10)
#: Targets: seconds to train `gru` and `cnn`, and how many times faster than on the processor a step
#: of the large network is to be.
SECONDS, LARGE = 3.0, 20.0
#: Epochs of the large network's whole fits.
EPOCHS = 3
#: Windows by which scores and models are compared; largest difference by rounding, nats.
SCORED, ROUNDING = 20_000, 1e-3
#: Tiles per step that fill memory, and the part of what these need that is then allowed.
MANY_TILES, ALLOWED = 2000, 0.6


# -- the parts -------------------------------------------------------------------------------------


def train_shipped(setting: Setting) -> Iterator[Figure]:
    """Time `gru` and `cnn`: one fit, and a cross-fit, which is what `count` makes."""
    yield _first_use(setting)
    for label in setting.labels("gru", "cnn"):
        make = _maker(label)
        sample = _sample(setting, make())
        small = _sample(setting, make(), starts=300)
        _cross_fit(setting, make, small, "gpu")  # libraries of the GPU are loaded when first used
        for what, fit in (("one fit", _fit), ("cross-fit", _cross_fit)):
            seconds: dict[str, list[float]] = {}
            for device, repeats in (("gpu", 1 if setting.quick else 3), ("cpu", 1)):
                seconds[device] = [
                    timed(setting.device, fit, setting, make, sample, device)
                    for _ in range(repeats)
                ]
            best = statistics.median(seconds["gpu"])
            yield Figure(
                f"{label}: {what}",
                seconds["gpu"],
                seconds["cpu"],
                target=f"≤ {SECONDS:g} s",
                met=best <= SECONDS if setting.gpu else None,
                note=f"{setting.starts:,} read starts",
            )


def train_large(setting: Setting) -> Iterator[Figure]:
    """Time a network of a million parameters: steps on either device, and whole fits."""
    options = WideOptions(channels=6, epochs=1) if setting.quick else WideOptions()
    model = Wide(WINDOW, options)
    folded = _sample(setting, model)
    job = _jobs(model, folded.without(None), 1)
    size, target = f"{parameters(model):,} parameters", f"≥ {LARGE:g} times faster"
    many, few = (3, 1) if setting.quick else (100, 3)
    on_gpu = seconds_per_step(model, job, setting.device, many)
    every = seconds_per_step(model, job, torch.device("cpu"), few, setting.threads)
    yield Figure(
        f"{size}: a step",
        [on_gpu],
        [every],
        target=target,
        met=every / on_gpu >= LARGE if setting.gpu else None,
        note=f"processor: all {setting.threads} threads for one network",
    )
    one = seconds_per_step(model, job, torch.device("cpu"), few)
    yield Figure(f"{size}: a step", [on_gpu], [one], note="processor: one thread, as in a fit")
    three = _jobs(model, folded.without(None), 3)
    yield Figure(
        f"{size}: a step of three side by side",
        [seconds_per_step(model, three, setting.device, many)],
        note="as in a cross-fit",
    )
    mixed = Wide(WINDOW, replace(options, precision="bfloat16"))
    yield Figure(
        f"{size}: a step, precision=bfloat16",
        [seconds_per_step(mixed, job, setting.device, many)],
        [every],
        note="processor: single precision, all threads",
    )
    brief = replace(options, epochs=min(EPOCHS, options.epochs))
    for what, fit in (("one fit", _fit), ("cross-fit", _cross_fit)):
        seconds = timed(setting.device, fit, setting, partial(Wide, WINDOW, brief), folded, "gpu")
        yield Figure(f"{size}: {what}", [seconds], note=f"epochs={brief.epochs}")


def repeat(setting: Setting) -> Iterator[Figure]:
    """Train each model twice on the device, and score by one of them on either device."""
    options = WideOptions(channels=6, epochs=1) if setting.quick else WideOptions(epochs=2)
    makers = {label: _maker(label) for label in setting.labels("gru", "cnn")}
    makers["the large network"] = partial(Wide, WINDOW, options)
    for label, make in makers.items():
        sample = _sample(setting, make(), starts=min(setting.starts, 20_000))
        one, two = (_fit(setting, make, sample, "gpu") for _ in range(2))
        yield Figure(
            f"{label}: the same bytes when trained twice",
            unit="",
            target="yes",
            met=_bytes_of(one) == _bytes_of(two),
        )
        copy = make()
        copy.from_arrays(one.to_arrays())
        windows = np.random.default_rng(7).integers(0, 4, (SCORED, WINDOW.width), dtype=np.uint8)
        apart = float(np.abs(one.log_bias(windows) - copy.log_bias(windows)).max())
        yield Figure(
            f"{label}: scores on the GPU and, read from its file, on the processor, apart at most",
            [apart],
            unit="nats",
            target=f"≤ {ROUNDING:g} nats",
            met=apart <= ROUNDING,
        )


def memory(setting: Setting) -> Iterator[Figure]:
    """Measure peak memory, and train with less than that."""
    if not setting.gpu:
        return
    for label in setting.labels("gru", "cnn"):
        peak = _peak(setting, _maker(label), _sample(setting, _maker(label)()), _cross_fit)
        yield Figure(f"{label}: peak memory of the GPU, cross-fit", [peak / 1e6], unit="MB")
    options = WideOptions(epochs=1, batch=MANY_TILES)
    make = partial(Wide, WINDOW, options)
    sample = _sample(setting, make())
    peak = _peak(setting, make, sample, _fit)
    yield Figure(
        "the large network: peak memory of the GPU, one fit",
        [peak / 1e6],
        unit="MB",
        note=f"{MANY_TILES:,} tiles per step",
    )
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(setting.device).total_memory
    torch.cuda.set_per_process_memory_fraction(ALLOWED * peak / total)
    model = setting.fitted(make(), "gpu")
    report = model.fit(sample.without(None), np.random.default_rng(1))
    remarks = " ".join(map(str, report.details.get("remarks", ())))
    yield Figure(
        f"the large network, allowed {ALLOWED:.0%} of that: batches are divided, and it says so",
        [torch.cuda.max_memory_reserved() / 1e6],
        unit="MB",
        target="yes",
        met="pieces" in remarks,
        note=remarks,
    )


#: Name → what measures, and the seconds that it may take on a machine with 16 cores.
PARTS: dict[str, tuple[Callable[[Setting], Iterator[Figure]], int]] = {
    "training": (train_shipped, 120),
    "large": (train_large, 75),
    "compare": (compare_networks, 240),
    "repeat": (repeat, 60),
    "memory": (memory, 45),
}


# -- what they have in common ----------------------------------------------------------------------


def _maker(label: str) -> Callable[[], BiasModel]:
    """Return what makes the model of a label, as in ``cnn:members=2``."""
    name, pairs = parse_label(label)
    model = load_plugins().backend(name).load()
    return partial(model, WINDOW, parse_options(model, list(pairs)))


def _sample(setting: Setting, model: BiasModel, starts: int | None = None) -> FoldedSample:
    return planted_folds(WINDOW, starts or setting.starts, 1, model.judging_folds)


def _fit(
    setting: Setting, make: Callable[[], BiasModel], sample: FoldedSample, device: str
) -> BiasModel:
    model = setting.fitted(make(), device)
    model.fit(sample.without(None), np.random.default_rng(1))
    return model


def _cross_fit(
    setting: Setting, make: Callable[[], BiasModel], sample: FoldedSample, device: str
) -> BiasModel:
    model = setting.fitted(make(), device)
    model.cross_fit(sample, np.random.default_rng(1))
    return model


def _peak(
    setting: Setting,
    make: Callable[[], BiasModel],
    sample: FoldedSample,
    fit: Callable[..., BiasModel],
) -> int:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    fit(setting, make, sample, "gpu")
    return int(torch.cuda.max_memory_allocated())


def _jobs(model: Wide, sample: Any, number: int) -> list[Any]:
    """Return what so many networks learn from."""
    rng = np.random.default_rng(1)
    return [
        make_lesson(sample, model.objective, model.options, model.slides, rng).jobs[0]
        for _ in range(number)
    ]


def _first_use(setting: Setting) -> Figure:
    """Time what is done once per process: reaching the GPU, loading its libraries."""

    def use() -> None:
        choose_device("cuda")
        one = torch.randn(64, 64, device=setting.device)
        (one @ one).sum().item()

    return Figure("first use of the GPU in a process", [timed(torch.device("cpu"), use)])


def _bytes_of(model: BiasModel) -> bytes:
    return b"".join(np.ascontiguousarray(one).tobytes() for one in model.to_arrays().values())
