"""Work that need not wait for a model: done by another thread meanwhile, or when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Deferred(Generic[Result]):
    """A result that ``executor`` works out at once, or, without one, the first call.

    Call it from one thread at a time. What the work needs is not kept once it is done.
    """

    def __init__(self, executor: Executor | None, work: Callable[[], Result]) -> None:
        self._work: Callable[[], Result] | None = work if executor is None else None
        self._future: Future[Result] = Future() if executor is None else executor.submit(work)

    def __call__(self) -> Result:
        """Return the result; each call raises what went wrong."""
        work, self._work = self._work, None
        if work is not None:
            try:
                self._future.set_result(work())
            except BaseException as problem:
                self._future.set_exception(problem)
        return self._future.result()
