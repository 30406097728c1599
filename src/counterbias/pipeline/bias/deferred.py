"""What no model is waited for: done by a thread of its own while models are fitted, or when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Deferred(Generic[Result]):
    """A result that is worked out by ``executor``, begun at once; without one in the first call. Ask from one thread at a time.

    Nothing that the work needs is kept once it is done.
    """

    def __init__(self, executor: Executor | None, work: Callable[[], Result]) -> None:
        self._work: Callable[[], Result] | None = work if executor is None else None
        self._future: Future[Result] = Future() if executor is None else executor.submit(work)

    def __call__(self) -> Result:
        """Give the result; raises what went wrong, each time."""
        work, self._work = self._work, None
        if work is not None:
            try:
                self._future.set_result(work())
            except BaseException as problem:
                self._future.set_exception(problem)
        return self._future.result()
