"""Count reads per feature as htseq-count does, and weight them for sequence bias.

This module is the public face: scripts and plug-ins import from here only. Names are looked up on first use, so that
``import counterbias`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from counterbias.compiled_code import go_on_without_cache

if TYPE_CHECKING:
    from counterbias.api import count_reads, fit_model, train_cohort
    from counterbias.blend import Blend
    from counterbias.errors import InputError
    from counterbias.hookspecs import hookimpl
    from counterbias.model import (
        Backend,
        BiasModel,
        CrossFit,
        Resources,
        parse_options,
        take_arrays,
    )
    from counterbias.model_file import (
        EndModel,
        ModelFile,
        Training,
        load_model,
        load_models,
        save_models,
    )
    from counterbias.plugins import load_plugins
    from counterbias.records import FitReport, FoldedSample, Tiles, TrainingSet, Window
    from counterbias.weigher import Weigher

__version__ = "0.1.0"

go_on_without_cache()

#: Public name → the module that has it.
_HOMES = {
    "Backend": "counterbias.model",
    "BiasModel": "counterbias.model",
    "Blend": "counterbias.blend",
    "CrossFit": "counterbias.model",
    "EndModel": "counterbias.model_file",
    "FitReport": "counterbias.records",
    "FoldedSample": "counterbias.records",
    "InputError": "counterbias.errors",
    "ModelFile": "counterbias.model_file",
    "Resources": "counterbias.model",
    "Tiles": "counterbias.records",
    "Training": "counterbias.model_file",
    "TrainingSet": "counterbias.records",
    "Weigher": "counterbias.weigher",
    "Window": "counterbias.records",
    "count_reads": "counterbias.api",
    "fit_model": "counterbias.api",
    "hookimpl": "counterbias.hookspecs",
    "load_model": "counterbias.model_file",
    "load_models": "counterbias.model_file",
    "load_plugins": "counterbias.plugins",
    "parse_options": "counterbias.model",
    "save_models": "counterbias.model_file",
    "take_arrays": "counterbias.model",
    "train_cohort": "counterbias.api",
}

__all__ = [
    "Backend",
    "BiasModel",
    "Blend",
    "CrossFit",
    "EndModel",
    "FitReport",
    "FoldedSample",
    "InputError",
    "ModelFile",
    "Resources",
    "Tiles",
    "Training",
    "TrainingSet",
    "Weigher",
    "Window",
    "__version__",
    "count_reads",
    "fit_model",
    "hookimpl",
    "load_model",
    "load_models",
    "load_plugins",
    "parse_options",
    "save_models",
    "take_arrays",
    "train_cohort",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'counterbias' has no attribute '{name}'")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, looked up yet or not."""
    return sorted(set(__all__) | set(globals()))
