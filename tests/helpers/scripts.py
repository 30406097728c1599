"""Load the scripts under ``benchmarks/``, which is no package."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from tests import ROOT

BENCHMARKS = ROOT / "benchmarks"


def load(script: str) -> ModuleType:
    """Import a script, or a part of one, by its name without ``.py``.

    While it is imported, it finds the modules next to it, as it does when it is run as a file.
    """
    before = list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(script)
    finally:
        sys.path[:] = before
