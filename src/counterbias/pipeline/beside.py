"""What no model is waited for: done by a thread of its own while models are fitted, or when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Beside(Generic[Result]):
    """A result that is worked out by ``executor``, begun at once; without one in the first call. Ask from one thread at a time."""

    def __init__(self, executor: Executor | None, work: Callable[[], Result]) -> None:
        self._future: Future[Result] | None = None if executor is None else executor.submit(work)
        self._work = work

    def __call__(self) -> Result:
        """Give the result; raises what went wrong."""
        if self._future is None:
            self._future = Future()
            self._future.set_result(self._work())
        return self._future.result()
