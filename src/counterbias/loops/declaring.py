"""What loops, helpers and intrinsics are, and the decorators that make them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, update_wrapper
from types import FunctionType
from typing import Any

from counterbias.loops import at_run_time, library

#: How compiled code divides by zero: as Python does, with an exception, or as numpy does.
PYTHON, NUMPY = "python", "numpy"


class _Compilable:
    """A Python function that numba can compile, and can call from what it compiles.

    numba finds what a global name in compiled code stands for by ``_numba_type_``, and what to
    inline by ``py_func`` and ``targetoptions``. All are made when numba asks for them.
    """

    def __init__(self, function: FunctionType, **options: Any) -> None:
        self.py_func, self.targetoptions = function, {"nogil": True, **options}
        update_wrapper(self, function)  # type: ignore[arg-type]  # not called itself

    @property
    def _numba_type_(self) -> Any:
        return self.dispatcher._numba_type_

    @cached_property
    def dispatcher(self) -> Any:
        """The function as numba knows it; importing numba takes half a second."""
        return at_run_time.dispatcher(self.py_func, cache=False, **self.targetoptions)


class Helper(_Compilable):
    """A function that is compiled into the loops that call it, with whatever types they pass."""

    def __init__(self, function: FunctionType, **options: Any) -> None:
        super().__init__(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


class Loop(_Compilable):
    """A compiled function that Python code calls.

    Args:
        function: what is compiled. It may use numbers, arrays, tuples of them, and other loops and
            helpers; what it raises reaches the caller as RuntimeError without its message.
        signatures: the types of its arguments in numba's notation, one text for each set of types.
        options: numba's options.
    """

    def __init__(self, function: FunctionType, signatures: tuple[str, ...], **options: Any) -> None:
        super().__init__(function, no_cfunc_wrapper=True, **options)
        self.signatures = signatures
        self._run: Callable[..., Any] = self._first

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function.

        Raises:
            InputError: it is compiled neither before nor now; the message says why.
        """
        result = self._run(*arguments)
        return self._compiled_now(arguments) if result is NotImplemented else result

    def _first(self, *arguments: Any) -> Any:
        """Find the compiled function, or what takes its place, and call it."""
        self._run = library.find(self) or self._unfitting
        return self._run(*arguments)

    @staticmethod
    def _unfitting(*arguments: Any) -> Any:
        return NotImplemented

    def _compiled_now(self, arguments: tuple[Any, ...]) -> Any:
        library.refuse_compiling(self, arguments)
        if self._run is Loop._unfitting:
            self._run = self.dispatcher  # from now on
        return self.dispatcher(*arguments)

    @cached_property
    def key(self) -> str:
        """Module and name."""
        return f"{self.py_func.__module__}.{self.py_func.__qualname__}"

    @cached_property
    def fingerprint(self) -> str:
        """Eight digits that change where the loop must be compiled anew."""
        from counterbias.loops.fingerprints import fingerprint

        return fingerprint(self.py_func, self.signatures, sorted(self.targetoptions.items()))

    @cached_property
    def dispatcher(self) -> Any:
        """The function as numba knows it, with its cache.

        Its name there has the fingerprint: numba itself looks at the file of the function only, not
        at those of its helpers, and would go on with outdated ones.
        """
        function = self.py_func
        copy = FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        copy.__module__ = function.__module__
        copy.__qualname__ = f"{function.__qualname__}-{self.fingerprint}"
        return at_run_time.dispatcher(copy, cache=True, **self.targetoptions)


class Intrinsic:
    """An instruction for compiled code, made when numba asks for it.

    Args:
        function: what :func:`numba.extending.intrinsic` decorates.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        update_wrapper(self, function)  # type: ignore[arg-type]  # not called itself

    @cached_property
    def _numba_type_(self) -> Any:
        return at_run_time.intrinsic_type(self.function)


def loop(*signatures: str, error_model: str = PYTHON) -> Callable[[Any], Any]:
    """Make a loop of a function.

    Args:
        signatures: the types of its arguments, in numba's short notation and without brackets:
            ``"u1[::1], i8, f8[:, ::1]"`` are bytes, an integer and a matrix of doubles.
        error_model: PYTHON or NUMPY.
    """
    return lambda function: Loop(function, signatures, error_model=error_model)


def helper(function: Any = None, *, error_model: str = PYTHON, inline: bool = False) -> Any:
    """Make a helper of a function.

    Args:
        function: what is compiled.
        error_model: PYTHON or NUMPY.
        inline: whether numba inlines it, before it knows its types.
    """
    options = {"error_model": error_model, "inline": "always" if inline else "never"}
    if function is None:
        return lambda function: Helper(function, **options)
    return Helper(function, **options)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make an intrinsic of a function (see :class:`Intrinsic`)."""
    return Intrinsic(function)
