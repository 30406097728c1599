"""numba's cache of compiled loops, without which a run goes on: where none can be made, read or written, loops are compiled in memory.

numba itself ends a program in these cases: a read-only installation without a home, as in containers; a full disk; a damaged file. All
``@njit(cache=True)`` of this process are concerned, those of plug-ins too, so numba's one class of caches is changed as soon as it is
imported. No other folder is made up instead: a cache holds code, and only folders that the user or the installation named are trusted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

#: The module of numba that is changed.
_CACHING = "numba.core.caching"


class Listeners(NamedTuple):
    """Who is told of the cache; called from any thread.

    Args:
        compiling: takes the module and the name of a function that was not in the cache and is now compiled, and the folder in which it
            will be kept; empty where it cannot be kept.
        unreadable: takes that folder and what is wrong with what lies there; it is compiled and kept anew.
        unwritable: takes that folder and why nothing can be kept there; the run goes on without.
    """

    compiling: Callable[[str, str, str], None]
    unreadable: Callable[[str, str], None]
    unwritable: Callable[[str, str], None]


_listeners: list[Listeners] = []


@contextmanager
def listening(listeners: Listeners) -> Iterator[None]:
    """Tell these listeners while the block runs."""
    _listeners.append(listeners)
    try:
        yield
    finally:
        _listeners.remove(listeners)


def go_on_without_cache() -> None:
    """Change numba's caches now, or as soon as numba is imported; importing it here would cost every ``import counterbias`` 0.4 s."""
    if _CACHING in sys.modules:
        _change(sys.modules[_CACHING])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Find numba's module of caches, once, and have it changed when it is loaded (a finder as in ``sys.meta_path``)."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find the module as Python does; None for all others."""
        if name != _CACHING:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_change(module: ModuleType) -> None:
                load(module)
                _change(module)

            spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


def _change(caching: ModuleType) -> None:
    """Let the methods of numba's caches fail without harm. A numba that has other ones is left as it is."""
    cache: Any = getattr(caching, "Cache", None)
    names = ("__init__", "load_overload", "save_overload", "disable", "flush")
    if getattr(cache, "goes_on_without", False) or not all(hasattr(cache, name) for name in names):
        return
    make, load, save = cache.__init__, cache.load_overload, cache.save_overload

    def make_or_do_without(self: Any, function: Any) -> None:
        try:
            make(self, function)
        except (RuntimeError, OSError):  # "no locator available"; a source file that is gone
            self._cache_path = ""
            self.disable()

    def load_or_compile(self: Any, signature: Any, context: Any) -> Any:
        try:
            found = load(self, signature, context)
        except Exception as problem:  # a damaged file of pickled code may raise anything
            found = None
            for one in _listeners:
                one.unreadable(str(self.cache_path), _reason(problem))
            if not isinstance(problem, OSError) or isinstance(problem, PermissionError):
                with suppress(Exception):
                    self.flush()
        if found is None:
            function = getattr(self, "_py_func", None)
            for one in _listeners:
                one.compiling(
                    getattr(function, "__module__", ""),
                    getattr(function, "__name__", ""),
                    str(self.cache_path),
                )
        return found

    def save_or_leave(self: Any, signature: Any, data: Any) -> None:
        try:
            save(self, signature, data)
        except Exception as problem:
            for one in _listeners:
                one.unwritable(str(self.cache_path), _reason(problem))

    cache.__init__, cache.load_overload, cache.save_overload = (
        make_or_do_without,
        load_or_compile,
        save_or_leave,
    )
    cache.goes_on_without = True


def _reason(problem: Exception) -> str:
    """Put a failure on one line."""
    return " ".join(
        str(getattr(problem, "strerror", None) or f"{type(problem).__name__}: {problem}").split()
    ).rstrip(".")
