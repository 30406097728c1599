"""Load the scripts under ``benchmarks/``, which is no package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests import ROOT

BENCHMARKS = ROOT / "benchmarks"


def load(script: str) -> ModuleType:
    """Load a script by its name, without ``.py``."""
    name = f"benchmark_{script}"
    specification = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{script}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module
