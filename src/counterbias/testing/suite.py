"""The checks as a class of tests for pytest, or all in one call."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from counterbias.model import Backend
from counterbias.testing.checks import CHECKS, WINDOW_CHECKS
from counterbias.testing.subject import Subject


def conformance(backend: str | Backend, **settings: Any) -> type:
    """Return a class of tests for pytest; assign it to a name that begins with ``Test``.

    Args:
        backend: the name of an installed backend, or a Backend.
        settings: further arguments of :class:`Subject`: options, starts, windows, learns, seed.
    """
    subject = Subject(backend, **settings)
    tests: dict[str, Any] = {}
    for check in CHECKS:
        tests[check.__name__.replace("check_", "test_")] = _as_test(check, subject)
    for window in subject.windows:
        for window_check in WINDOW_CHECKS:
            name = window_check.__name__.replace("check_", "test_")
            tests[f"{name}_{window.upstream}_{window.downstream}"] = _as_test(
                window_check, subject, window
            )
    return type("Conformance", (), tests)


def _as_test(check: Callable[..., None], *arguments: object) -> Callable[[object], None]:
    def test(_: object) -> None:
        check(*arguments)

    test.__doc__ = check.__doc__
    return test


def check_backend(backend: str | Backend, **settings: Any) -> None:
    """Make all checks in turn, without pytest, skipping those that do not apply.

    Args:
        backend, settings: as for :func:`conformance`.

    Raises:
        AssertionError: at the first check that fails.
    """
    subject = Subject(backend, **settings)
    runs: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        (check, (subject,)) for check in CHECKS
    ]
    runs += [(check, (subject, window)) for window in subject.windows for check in WINDOW_CHECKS]
    for check, arguments in runs:
        try:
            check(*arguments)
        except unittest.SkipTest:
            continue
