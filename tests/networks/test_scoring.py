"""Scores: along a sequence as of its windows, the same bytes whatever the threads, any shape."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from counterbias import InputError, Tiles, TrainingSet, Window
from counterbias.testing import TOLERANCE, planted_log_bias, planted_sample
from counterbias_torch import NetworkModel, TrainingOptions, lessons
from counterbias_torch import model as networks
from tests.networks.examples import (
    EVERY,
    QUICK,
    WINDOW,
    Convolution,
    Language,
    PerBase,
    WithDropout,
    fitted,
    random_windows,
)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.usefixtures("few_steps")
def test_along_a_sequence_as_of_its_windows(
    kind: type[NetworkModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(networks.AT_ONCE, "cpu", 50)
    model, _ = fitted(kind)
    for n in (1, 49, 50, 51, 101, 230):
        sequence = np.random.default_rng(n).integers(0, 4, n + WINDOW.width - 1, dtype=np.uint8)
        sequence.setflags(write=False)
        windows = sliding_window_view(sequence, WINDOW.width)
        scores = model.log_bias(windows)
        assert (scores.dtype, scores.shape) == (np.float64, (n,))
        np.testing.assert_allclose(model.along(sequence), scores, rtol=TOLERANCE, atol=TOLERANCE)
    assert model.log_bias(random_windows(0)).shape == (0,)
    with pytest.raises(ValueError, match="window shape cannot be larger"):
        model.along(sequence[: WINDOW.width - 1])


@pytest.mark.parametrize("kind", [Convolution, Language])
@pytest.mark.usefixtures("few_steps")
def test_same_bytes_whatever_the_threads(kind: type[NetworkModel]) -> None:
    model, _ = fitted(kind)
    sequences = [
        np.random.default_rng(seed).integers(0, 4, 9000, dtype=np.uint8) for seed in range(4)
    ]
    expected = [model.along(sequence) for sequence in sequences]
    with ThreadPoolExecutor(2) as pool:
        for one, other in zip(expected, pool.map(model.along, sequences), strict=True):
            assert one.tobytes() == other.tobytes()


def test_outputs_per_base_become_the_planted_log_odds() -> None:
    sample = planted_sample(WINDOW, starts=4000, seed=1)
    windows = random_windows(2000)
    truth = planted_log_bias(WINDOW, windows)
    options = TrainingOptions(epochs=4, learning_rate=0.05, weight_decay=0)
    scores = fitted(PerBase, sample, options)[0].log_bias(windows)
    assert np.corrcoef(scores, truth)[0, 1] > 0.97
    assert np.polyfit(scores, truth, 1)[0] == pytest.approx(1, abs=0.15)


def test_half_precision_is_close() -> None:
    sample = planted_sample(WINDOW, starts=1000, seed=1)
    windows = random_windows(1000)
    scores, reports = [], []
    for precision in ("single", "bfloat16"):
        model, report = fitted(
            Convolution, sample, dataclasses.replace(QUICK, precision=precision, epochs=3)
        )
        scores.append(model.log_bias(windows))
        reports.append(report)
        assert all(array.dtype == np.float32 for array in model.to_arrays().values())
    assert np.corrcoef(*scores)[0, 1] > 0.98
    assert not np.array_equal(*scores)
    gains = [report.curves["validation_gain"][-1] for report in reports]
    assert gains[0] == pytest.approx(gains[1], abs=0.05)
    assert [report.details["precision"] for report in reports] == ["single", "bfloat16"]
    assert reports[0].details["device"] == "cpu"


@dataclass(frozen=True)
class Size:
    """The size of a sample; ``validation`` are read starts, None for no validation part."""

    starts: int
    tiles: int
    positions: int
    validation: int | None = None
    origin: bool = True


def sample_of(window: Window, size: Size, seed: int = 1) -> TrainingSet:
    """Return starts with two background windows each, and tiles, some without reads."""
    rng, starts = np.random.default_rng(seed), size.starts
    found = planted_sample(window, starts=max(starts, 1), seed=seed, tiles=False)
    length = size.positions + window.width - 1
    sequence = rng.integers(0, 4, (size.tiles, length), dtype=np.uint8)
    counts = rng.poisson(0.3, (size.tiles, size.positions)).astype(np.float32)
    validation = None
    if size.validation is not None:
        part = dataclasses.replace(size, starts=size.validation, validation=None)
        validation = sample_of(window, part, seed + 1)
    return dataclasses.replace(
        found,
        foreground=found.foreground[:starts],
        foreground_weight=found.foreground_weight[:starts],
        background=found.background[: 2 * starts],
        background_weight=found.background_weight[: 2 * starts],
        origin=np.repeat(np.arange(starts), 2) if size.origin else None,
        tiles=Tiles(sequence, counts) if size.tiles else None,
        validation=validation,
    )


SIZES = st.builds(
    Size,
    starts=st.integers(0, 30),
    tiles=st.integers(0, 3),
    positions=st.sampled_from([1, 2, 24, 25, 26, 60]),
    validation=st.sampled_from([None, 0, 1, 250]),
    origin=st.booleans(),
)


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(EVERY),
    window=st.builds(Window, st.integers(0, 20), st.integers(0, 20)),
    size=SIZES,
)
def test_samples_of_any_size_give_finite_scores(
    kind: type[NetworkModel], window: Window, size: Size
) -> None:
    sample, starts = sample_of(window, size), size.starts
    if (size.validation or 0) < lessons.LEAST_VALIDATION:  # it is learnt from
        starts += size.validation or 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "LEAST_STEPS", 2)
        if not starts:
            with pytest.raises(InputError, match="no read starts to train a network with"):
                fitted(kind, sample, TrainingOptions(epochs=1))
            return
        model, report = fitted(kind, sample, TrainingOptions(epochs=1))
    assert report.details["starts"] == starts
    assert np.isfinite(model.log_bias(random_windows(20, window.width))).all()


@pytest.mark.parametrize("kind", [Convolution, WithDropout, Language])
def test_one_side_alone_is_refused(kind: type[NetworkModel]) -> None:
    sample = sample_of(WINDOW, Size(20, 2, 25, origin=False))
    none = np.zeros((0, WINDOW.width), np.uint8)
    for side, words in (("foreground", "read starts"), ("background", "background windows")):
        empty = {side: none, f"{side}_weight": np.zeros(0)}
        with pytest.raises(InputError, match=f"no {words} to train a network with"):
            fitted(kind, dataclasses.replace(sample, **empty))


def test_reads_that_no_stretch_of_a_tile_holds_are_no_tiles() -> None:
    """A tile of 30 positions has one stretch of 25; its only read begins beyond."""
    counts = np.zeros((1, 30), np.float32)
    counts[0, 29] = 1
    sequence = np.zeros((1, 30 + WINDOW.width - 1), np.uint8)
    sample = dataclasses.replace(sample_of(WINDOW, Size(20, 0, 1)), tiles=Tiles(sequence, counts))
    _, report = fitted(PerBase, sample, TrainingOptions(epochs=1))
    assert report.details["rows"] == [18]  # sets, less those held out
    _, report = fitted(Convolution, sample, TrainingOptions(epochs=1))
    assert report.details["rows"] == [1, 18]
