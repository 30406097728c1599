"""Running without numba's cache of compiled loops where it cannot be made, read or written.

Left to itself, numba then ends the program: in a read-only installation without a home folder, as
in containers; on a full disk; where a file of the cache is damaged. Here such loops are compiled in
memory instead. This concerns every ``@njit(cache=True)`` of the process, those of plug-ins too. No
other folder is chosen instead: a cache holds code, and only folders that the user or the
installation named are trusted.

numba offers no setting for this: ``NUMBA_CACHE_DIR`` and ``NUMBA_CACHE_LOCATOR_CLASSES`` choose
where a cache lies, not what happens when it fails. So :func:`_tolerate` replaces methods of
``numba.core.caching.Cache``, the one class of all caches, which numba's developer documentation
describes. It uses no private attribute. Checked with numba 0.61.2 and 0.68.1; a numba whose class
lacks one of these methods is left as it is, and then fails as it does by itself.
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
#: The methods of its ``Cache`` that are replaced or called.
_METHODS = ("cache_path", "load_overload", "save_overload", "disable", "flush")


class Listeners(NamedTuple):
    """Callbacks for what happens to the cache; any thread may call them.

    Args:
        compiling: takes module and name of a function that was not in the cache and is now
            compiled, and the folder in which it will be kept; empty where it cannot be kept.
        unreadable: takes that folder and what is wrong with its content, which is then compiled and
            written again.
        unwritable: takes that folder and why nothing can be written to it.
    """

    compiling: Callable[[str, str, str], None]
    unreadable: Callable[[str, str], None]
    unwritable: Callable[[str, str], None]


_listeners: list[Listeners] = []


@contextmanager
def listening(listeners: Listeners) -> Iterator[None]:
    """Call these listeners while the block runs."""
    _listeners.append(listeners)
    try:
        yield
    finally:
        _listeners.remove(listeners)


def go_on_without_cache() -> None:
    """Change numba's caches now or, if numba is not imported yet, as soon as it is.

    Importing it here would make ``import counterbias`` 0.4 s slower.
    """
    if _CACHING in sys.modules:
        _tolerate(sys.modules[_CACHING])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """A finder for ``sys.meta_path`` that has numba's module of caches changed on import."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find the module as Python does; return None for all others."""
        if name != _CACHING:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_change(module: ModuleType) -> None:
                load(module)
                _tolerate(module)

            spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


def _tolerate(caching: ModuleType) -> None:
    """Make numba's caches fail without harm."""
    cache: Any = getattr(caching, "Cache", None)
    if getattr(cache, "tolerates_failure", False):
        return
    if not all(hasattr(cache, name) for name in _METHODS):
        return
    make, load, save = cache.__init__, cache.load_overload, cache.save_overload
    path_of = cache.cache_path.fget

    def make_or_disable(self: Any, function: Any) -> None:
        self.cached_function = function
        try:
            make(self, function)
        except (RuntimeError, OSError):  # "no locator available"; a source file that is gone
            self.has_folder = False
            self.disable()

    def folder_of(self: Any) -> str:
        return str(path_of(self)) if self.has_folder else ""

    def load_or_compile(self: Any, signature: Any, context: Any) -> Any:
        try:
            found = load(self, signature, context)
        except Exception as problem:  # a damaged file of pickled code may raise anything
            found = None
            for one in _listeners:
                one.unreadable(folder_of(self), _reason(problem))
            if not isinstance(problem, OSError) or isinstance(problem, PermissionError):
                with suppress(Exception):
                    self.flush()
        if found is None:
            function = self.cached_function
            for one in _listeners:
                one.compiling(
                    getattr(function, "__module__", ""),
                    getattr(function, "__name__", ""),
                    folder_of(self),
                )
        return found

    def save_if_possible(self: Any, signature: Any, data: Any) -> None:
        try:
            save(self, signature, data)
        except Exception as problem:
            for one in _listeners:
                one.unwritable(folder_of(self), _reason(problem))

    cache.__init__, cache.load_overload = make_or_disable, load_or_compile
    cache.save_overload = save_if_possible
    cache.cache_path = property(folder_of)
    # Of caches that were made before this change, too.
    cache.cached_function, cache.has_folder = None, True
    cache.tolerates_failure = True


def _reason(problem: Exception) -> str:
    """Describe a failure on one line."""
    text = getattr(problem, "strerror", None) or f"{type(problem).__name__}: {problem}"
    return " ".join(str(text).split()).rstrip(".")
