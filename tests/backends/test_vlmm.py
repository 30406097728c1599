"""``vlmm``: values calculated by hand, layouts, speed."""

from __future__ import annotations

import numpy as np
import pytest

from counterbias import InputError, TrainingSet, Window, parse_options
from counterbias.testing import conformance, planted_log_bias, planted_sample
from counterbias_backends import vlmm

A, C, G, T = range(4)

TestVlmm = conformance("vlmm", learns=0.9)
TestAsInCufflinks = conformance("vlmm", options=vlmm.Options(backoff=0.0), windows=(Window(8, 12),))


def bases(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.uint8)


@pytest.fixture
def sample() -> TrainingSet:
    held_out = TrainingSet(
        Window(0, 1), bases([A, A]), np.array([3.0]), bases([C, G], [A, A]), np.array([1.0, 0.0])
    )
    return TrainingSet(
        Window(0, 1),
        bases([A, A], [A, C]),
        np.array([2.0, 1.0]),
        bases([C, G], [A, T]),
        np.ones(2),
        validation=held_out,
    )


def fitted(sample: TrainingSet, *options: str) -> tuple[vlmm.MarkovModel, object]:
    model = vlmm.MarkovModel(sample.window, parse_options(vlmm.MarkovModel, list(options)))
    return model, model.fit(sample, np.random.default_rng(1))


def test_known_answer_worked_out_by_hand(sample: TrainingSet) -> None:
    # First base, order 0: starts (3+1, 1, 1, 1)/7, nearby (1+1, 1+1, 1, 1)/6.
    # Second base, order 1: after A at starts (2+1, 1+1, 1, 1)/7 and nearby (1, 1, 1, 1+1)/5; after
    # C nearby (1, 1, 1+1, 1)/5; after any other base 1/4.
    model, report = fitted(sample, "layout=0,1", "backoff=0")
    expected = {
        (A, A): (4 / 7) / (2 / 6) * (3 / 7) / (1 / 5),  # 180 / 49
        (C, G): (1 / 7) / (2 / 6) * (1 / 4) / (2 / 5),  # 15 / 56
        (G, T): (1 / 7) / (1 / 6),  # 6 / 7
    }
    assert list(expected.values()) == pytest.approx([180 / 49, 15 / 56, 6 / 7])
    np.testing.assert_allclose(
        model.log_bias(bases(*map(list, expected))), np.log(list(expected.values())), rtol=1e-14
    )
    assert report.parameters == 2 * (3 + 12)
    # P(AA) = 4/7 · 3/7 at starts; P(CG) = 2/6 · 2/5 nearby (the other window has weight 0).
    assert report.perplexity == pytest.approx(
        {"foreground": np.sqrt(49 / 12), "background": np.sqrt(30 / 4)}
    )


def test_backoff_worked_out_by_hand(sample: TrainingSet) -> None:
    # Second base at order 0: starts (2+1, 1+1, 1, 1)/7, nearby (1, 1, 1+1, 1+1)/6; four windows
    # with these frequencies are added after each base.
    model, _ = fitted(sample, "layout=1", "backoff=4")
    first = (4 / 7) / (2 / 6)
    expected = {
        (A, A): first * ((2 + 4 * 3 / 7) / (3 + 4)) / ((4 * 1 / 6) / (1 + 4)),
        (G, A): (1 / 7) / (1 / 6) * (3 / 7) / (1 / 6),  # after G nothing was seen: order 0 alone
    }
    np.testing.assert_allclose(
        model.log_bias(bases(*map(list, expected))), np.log(list(expected.values())), rtol=1e-14
    )


def test_layouts_are_placed_at_the_read_start() -> None:
    window = Window(10, 10)
    cufflinks = vlmm.orders("cufflinks", window)
    # Offsets -8 … 10: -10 and -9 are left out, 11 and 12 lie outside the window.
    assert list(cufflinks) == list(range(2, 21))
    assert list(cufflinks.values()) == [0] * 5 + [1] * 3 + [2] * 8 + [1] * 3
    assert (
        list(vlmm.orders("cufflinks", Window(8, 12)).values())
        == [0] * 5 + [1] * 3 + [2] * 8 + [1] * 3 + [0] * 2
    )
    assert (
        list(vlmm.orders("roberts", Window(8, 12)).values())
        == [0] * 5 + [1] * 3 + [2] * 7 + [1] * 3 + [0] * 3
    )
    assert vlmm.orders("salmon", window) == dict(zip(range(7, 16), [0, 1, *[2] * 7], strict=True))
    # No order reaches beyond the window.
    assert list(vlmm.orders("salmon", Window(0, 3)).values()) == [0, 1, 2, 2]
    assert list(vlmm.orders("3", Window(1, 4)).values()) == [0, 1, 2, 3, 3, 3]
    assert list(vlmm.orders("0, 1,0", Window(1, 1)).values()) == [0, 1, 0]


def test_list_that_does_not_fit_the_window_is_refused() -> None:
    with pytest.raises(InputError, match="3 orders for a window of 21 bases"):
        vlmm.MarkovModel(Window(), vlmm.Options(layout="0,1,2"))


@pytest.mark.parametrize(
    "pair",
    [
        "layout=kallisto",
        "layout=0,x",
        "layout=8",
        "layout=-1",
        "layout=",
        "pseudocount=0",
        "backoff=-1",
    ],
)
def test_options_out_of_range_are_refused(pair: str) -> None:
    with pytest.raises(InputError, match=pair):
        parse_options(vlmm.MarkovModel, [pair])


def test_anything_but_bases_is_refused(sample: TrainingSet) -> None:
    model, _ = fitted(sample, "layout=1")
    with pytest.raises(ValueError, match="not 0, 1, 2 or 3"):
        model.log_bias(bases([A, 4]))
    with pytest.raises(ValueError, match="not 0, 1, 2 or 3"):
        vlmm.MarkovModel(sample.window).fit(
            TrainingSet(Window(0, 1), bases([A, 9]), np.ones(1), bases([A, A]), np.ones(1)), None
        )


def test_backoff_helps_small_samples() -> None:
    window = Window(10, 10)
    small = planted_sample(window, starts=500, seed=1)
    contexts = np.random.default_rng(2).integers(0, 4, (5000, window.width), dtype=np.uint8)
    truth = planted_log_bias(window, contexts)

    def error(*options: str) -> float:
        scores = fitted(small, *options)[0].log_bias(contexts)
        return float(np.std(scores - truth))

    assert error() < 0.5 * error("backoff=0")
