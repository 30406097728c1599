"""Where the scripts behind "Does it work?" find each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.benchmarks.validation.scripts import SCRIPTS


@pytest.fixture(scope="module", autouse=True)
def _paths() -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(SCRIPTS), str(SCRIPTS.parent)]
    yield
    sys.path[:] = before
