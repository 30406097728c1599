"""Work done alongside a fit: when it begins, what it raises, and that none of it is kept."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from counterbias.pipeline.bias.deferred import Deferred


class Large:
    """Stands for windows and tiles."""


def fails() -> None:
    raise ValueError("no genome")


def test_without_an_executor_the_first_call_does_the_work() -> None:
    done: list[int] = []
    result = Deferred(None, lambda: done.append(1) or 7)
    assert done == []
    assert (result(), result(), done) == (7, 7, [1])


def test_with_an_executor_work_begins_at_once() -> None:
    with ThreadPoolExecutor(1) as pool:
        first = Deferred(pool, lambda: 3)
        assert Deferred(pool, lambda: first() + 1)() == 4


@pytest.mark.parametrize("aside", [True, False])
def test_what_went_wrong_is_raised_each_time(aside: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = Deferred(pool if aside else None, fails)
        for _ in range(2):
            with pytest.raises(ValueError, match="no genome"):
                result()


@pytest.mark.parametrize("aside", [True, False])
def test_what_the_work_needed_is_let_go(aside: bool) -> None:
    large = Large()
    seen = weakref.ref(large)
    with ThreadPoolExecutor(1) as pool:
        result = Deferred(pool if aside else None, lambda kept=large: type(kept).__name__)
        del large
        assert result() == "Large"
        pool.submit(int).result()  # the thread has forgotten its last task
        gc.collect()
        assert seen() is None
