"""``heptamer``: values calculated by hand for both schemes, its window, its options."""

from __future__ import annotations

import numpy as np
import pytest

from counterbias import InputError, TrainingSet, Window, parse_options
from counterbias.testing import conformance
from counterbias_backends import heptamer

WINDOWS = (Window(10, 10), Window(0, 7), Window(2, 34))

TestHeptamer = conformance("heptamer", windows=(WINDOWS[0], Window(0, 6), Window(3, 7)))
TestPublished = conformance(
    "heptamer",
    options=heptamer.Options(scheme="published"),
    starts=40_000,
    windows=WINDOWS,
    learns=0.3,
)


def bases(*rows: str) -> np.ndarray:
    return np.array([["ACGT".index(base) for base in row] for row in rows], dtype=np.uint8)


def fitted(
    window: Window,
    foreground: np.ndarray,
    background: np.ndarray,
    weights: list[float],
    *options: str,
) -> heptamer.Heptamer:
    model = heptamer.Heptamer(window, parse_options(heptamer.Heptamer, list(options)))
    ones = np.ones(len(foreground))
    model.fit(
        TrainingSet(window, foreground, ones, background, np.array(weights)),
        np.random.default_rng(1),
    )
    return model


def test_robust_worked_out_by_hand() -> None:
    model = fitted(Window(0, 6), bases("AAAAAAA"), bases("CCCCCCC"), [1.0], "pseudocount=0.5")
    # Composition with one window per base: 2/5 for the base seen, 1/5 for each other. Pseudocounts:
    # 0.5 · 4^7 · composition. Both sides have the same total, so the ratio is that of weights.
    expected = {
        "AAAAAAA": (1 + 0.5 * 1.6**7) / (0.5 * 0.8**7),
        "CCCCCCC": (0.5 * 0.8**7) / (1 + 0.5 * 1.6**7),
        "ACAAAAG": (0.5 * 1.6**5 * 0.8**2) / (0.5 * 0.8**6 * 1.6),
        "GTGTGTG": 1.0,
    }
    np.testing.assert_allclose(
        model.log_bias(bases(*expected)), np.log(list(expected.values())), rtol=1e-12, atol=1e-12
    )


def test_published_worked_out_by_hand_from_background() -> None:
    foreground, background = bases("AAAAAAAA", "CCCCCCCT"), bases("AAAAAAAA", "GGGGGGGG")
    model = fitted(Window(0, 7), foreground, background, [1.0, 3.0], "scheme=published")
    # Positions 1 and 2: A7 twice, C7 and CCCCCCT once each, of four; nearby A7 a quarter, G7 three
    # quarters. What either side lacks has no bias; only the first heptamer of a read decides.
    scores = model.log_bias(bases("AAAAAAAC", "CCCCCCCC", "CCCCCCTA", "GGGGGGGG", "TTTTTTTT"))
    np.testing.assert_allclose(np.exp(scores), [2, 1, 1, 1, 1], rtol=1e-12)


def test_published_worked_out_by_hand_from_the_reads_themselves() -> None:
    # Read positions 24 to 29 hold C7 only: 1. At positions 1 and 2, A7 is a half and C7 a half.
    foreground = bases("A" * 8 + "C" * 27, "C" * 35)
    model = fitted(Window(0, 34), foreground, bases("A" * 35), [1.0], "scheme=published")
    scores = model.log_bias(bases("C" * 35, "A" * 35, "G" * 35))
    np.testing.assert_allclose(np.exp(scores), [0.5, 1, 1], rtol=1e-12)


@pytest.mark.parametrize(
    ("window", "scheme"),
    [(Window(20, 5), "robust"), (Window(20, 6), "published"), (Window(0, 0), "robust")],
)
def test_window_that_is_too_small_is_refused(window: Window, scheme: str) -> None:
    with pytest.raises(InputError, match="too small for heptamer"):
        heptamer.Heptamer(window, heptamer.Options(scheme=scheme))


@pytest.mark.parametrize(
    "pair", ["pseudocount=0", "pseudocount=inf", "pseudocount=nan", "scheme=none"]
)
def test_options_out_of_range_are_refused(pair: str) -> None:
    with pytest.raises(InputError, match=pair):
        parse_options(heptamer.Heptamer, [pair])


def test_report_says_where_unbiased_heptamers_came_from() -> None:
    rng = np.random.default_rng(1)
    for window, expected in (
        (Window(0, 33), "background windows"),
        (Window(0, 34), "the reads' positions 24-29"),
    ):
        contexts = rng.integers(0, 4, (50, window.width), dtype=np.uint8)
        sample = TrainingSet(window, contexts, np.ones(50), contexts, np.ones(50))
        report = heptamer.Heptamer(window, heptamer.Options(scheme="published")).fit(sample, rng)
        assert report.details["elsewhere"] == expected
