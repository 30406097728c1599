"""The same bytes whatever the threads and whatever else uses torch; its settings are put back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch

from counterbias import CrossFitting, FoldedSample, Resources, TrainingSet
from counterbias.testing import planted_sample
from counterbias_torch import PRECISIONS, NetworkModel, TrainingOptions
from counterbias_torch.devices import one_thread, precise, reproducible
from tests.networks.examples import (
    EVERY,
    WINDOW,
    Convolution,
    Language,
    WithDropout,
    bytes_of,
    fitted,
    random_windows,
)

pytestmark = pytest.mark.usefixtures("few_steps")
SHORT = TrainingOptions(epochs=1)


def folded_sample(starts: int = 240) -> FoldedSample:
    sample = planted_sample(WINDOW, starts=starts, seed=1)
    everything = TrainingSet(
        WINDOW,
        sample.foreground,
        sample.foreground_weight,
        sample.background,
        sample.background_weight,
        sample.tiles,
        origin=sample.origin,
    )
    rng = np.random.default_rng(2)
    assert sample.tiles is not None
    assert sample.origin is not None

    def parts(n: int) -> np.ndarray:
        return np.repeat(rng.integers(0, 20, (n, 1), dtype=np.int8), 2, axis=1)

    front = parts(starts)
    return FoldedSample(
        everything, front, front[sample.origin], parts(len(sample.tiles.counts)), folds=2
    )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", [Convolution, WithDropout, Language])
def test_same_bytes_whatever_the_threads(kind: type[NetworkModel], precision: str) -> None:
    """Language uses its weights once per base, which mixed precision could convert once, or not."""
    found = []
    for threads in (1, 4):
        model = kind(WINDOW, replace(SHORT, precision=precision))
        model.resources = Resources(threads)
        cross = model.cross_fit(folded_sample(), np.random.default_rng(1))
        judges = [judge for judge in cross.judges if isinstance(judge, NetworkModel)]
        assert len(judges) == 2
        found.append([bytes_of(one) for one in (model, *judges)])
    assert found[0] == found[1]
    assert len(set(map(tuple, found[0]))) == 3


def test_fits_together_are_those_made_alone() -> None:
    samples, found = [folded_sample(starts) for starts in (120, 300)], []
    for together in (True, False):
        fits = [
            CrossFitting(Convolution(WINDOW, SHORT), sample, np.random.default_rng(seed))
            for seed, sample in enumerate(samples)
        ]
        if together:
            Convolution.cross_fit_together(fits)
        else:
            for one in fits:
                one.model.cross_fit(one.sample, one.rng)
        found.append([bytes_of(one.model) for one in fits])
    assert found[0] == found[1]


def test_another_seed_gives_another_network() -> None:
    one, two = (fitted(Convolution, options=SHORT, seed=seed)[0] for seed in (1, 2))
    assert bytes_of(one) != bytes_of(two)


def settings() -> tuple[object, ...]:
    return (
        torch.get_rng_state().numpy().tobytes(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_grad_enabled(),
        np.random.get_state()[1].tobytes(),  # noqa: NPY002
    )


@pytest.mark.parametrize("kind", EVERY)
def test_no_global_state_is_touched(kind: type[NetworkModel]) -> None:
    torch.manual_seed(7)
    before = settings()
    model, _ = fitted(kind, options=SHORT, threads=2)
    model.log_bias(random_windows(5))
    model.along(random_windows(1, 20)[0])
    other = kind(WINDOW, SHORT)
    other.from_arrays(model.to_arrays())
    assert settings() == before


def settings_of_gpus() -> tuple[bool, ...]:
    """Return settings that can be made without a GPU."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch.backends.cuda.cudnn_sdp_enabled(),
    )


#: Deterministic where that is possible; attention by plain products; nothing of less precision.
ON_A_GPU = (True,) * 3 + (False,) * 7


def test_settings_for_a_gpu_are_put_back() -> None:
    before = settings_of_gpus()
    with reproducible(torch.device("cuda")):
        assert settings_of_gpus() == ON_A_GPU
    assert settings_of_gpus() == before
    assert before[0] is False


def test_settings_for_a_gpu_last_until_the_last_thread_ends() -> None:
    """Scores are calculated on several threads, which begin and end at different times."""
    before, begun, first_ended = settings_of_gpus(), threading.Event(), threading.Event()

    def second() -> tuple[bool, ...]:
        with precise(torch.device("cuda")):
            begun.set()
            assert first_ended.wait(60)
            return settings_of_gpus()

    with ThreadPoolExecutor(1) as pool:
        with precise(torch.device("cuda")):
            found = pool.submit(second)
            assert begun.wait(60)
        first_ended.set()
        assert found.result() == ON_A_GPU
    assert settings_of_gpus() == before


def in_new_thread(call: Callable[[], int]) -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def test_number_of_threads_is_put_back_whoever_ends_last() -> None:
    """A thread that begins while another calculates finds the number that this one has set."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        begun, first_ended = threading.Event(), threading.Event()

        def second() -> int:
            with one_thread():
                begun.set()
                assert first_ended.wait(60)
                return torch.get_num_threads()

        with ThreadPoolExecutor(1) as pool:
            with one_thread():
                found = pool.submit(second)
                assert begun.wait(60)
                assert torch.get_num_threads() == 1
            first_ended.set()
            assert found.result() == 1
        assert torch.get_num_threads() == 3
        assert in_new_thread(torch.get_num_threads) == 3
    finally:
        torch.set_num_threads(before)


def test_one_thread_within_one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread():
            with one_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_others_that_use_torch_at_the_same_time_do_no_harm() -> None:
    """Several fits with dropout, and scores, on threads of the caller's."""
    expected = bytes_of(fitted(WithDropout, options=SHORT)[0])
    scorer, ended = fitted(Convolution, options=SHORT)[0], threading.Event()
    windows = random_windows(500)
    scores = scorer.log_bias(windows)

    def use() -> bool:
        same = True
        while not ended.wait(0.002):
            torch.ones(50, 50) @ torch.ones(50, 50)
            same &= np.array_equal(scorer.log_bias(windows), scores)
        return same

    with ThreadPoolExecutor(4) as pool:
        other = pool.submit(use)
        fits = [pool.submit(fitted, WithDropout, options=SHORT) for _ in range(4)]
        try:
            assert all(bytes_of(one.result()[0]) == expected for one in fits)
        finally:
            ended.set()
        assert other.result()


def test_failure_of_one_network_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does an interrupted program train them to the end."""
    taken = []

    def progress(stage: str, done: int, total: int) -> None:
        taken.append(done)
        raise KeyboardInterrupt

    model = Language(WINDOW, TrainingOptions(epochs=50))
    model.resources = Resources(2, progress=progress)
    with pytest.raises(KeyboardInterrupt):
        model.fit(planted_sample(WINDOW, starts=400, seed=1), np.random.default_rng(1))
    # Of 2 · 50 · 15 steps, reported 15 at a time; the end is reported, too.
    assert sorted(taken)[:-1] in ([15], [15, 30])
