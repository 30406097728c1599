"""Count reads per feature as htseq-count does, and weight them for sequence bias.

This module is the public face: scripts and plug-ins import from here only. Names are imported on
first use, so that ``import counterbias`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from counterbias.loops.numba_cache import go_on_without_cache

if TYPE_CHECKING:
    from counterbias.api import count_reads, fit_model, train_cohort
    from counterbias.blend import Blend
    from counterbias.errors import InputError
    from counterbias.hookspecs import hookimpl
    from counterbias.model import (
        Backend,
        BiasModel,
        CrossFit,
        CrossFitting,
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
    from counterbias.options import (
        AnnotationOptions,
        AssumedLengths,
        BiasOptions,
        CountingOptions,
        TrainOptions,
    )
    from counterbias.pipeline.bias.sample import SampleBias
    from counterbias.pipeline.count import CountRun
    from counterbias.pipeline.train import Cohort, SampleGain
    from counterbias.plugins import load_plugins
    from counterbias.records import (
        Annotation,
        Features,
        FitReport,
        FoldedSample,
        Isoforms,
        SampleCounts,
        Tiles,
        TrainingSet,
        Window,
    )
    from counterbias.weigher import Weigher

__version__ = "0.2.0"

go_on_without_cache()

#: Public name → the module that has it.
_HOMES = {
    "Annotation": "counterbias.records",
    "AnnotationOptions": "counterbias.options",
    "AssumedLengths": "counterbias.options",
    "Backend": "counterbias.model",
    "BiasModel": "counterbias.model",
    "BiasOptions": "counterbias.options",
    "Blend": "counterbias.blend",
    "Cohort": "counterbias.pipeline.train",
    "CountRun": "counterbias.pipeline.count",
    "CountingOptions": "counterbias.options",
    "CrossFit": "counterbias.model",
    "CrossFitting": "counterbias.model",
    "EndModel": "counterbias.model_file",
    "Features": "counterbias.records",
    "FitReport": "counterbias.records",
    "FoldedSample": "counterbias.records",
    "InputError": "counterbias.errors",
    "Isoforms": "counterbias.records",
    "ModelFile": "counterbias.model_file",
    "Resources": "counterbias.model",
    "SampleBias": "counterbias.pipeline.bias.sample",
    "SampleCounts": "counterbias.records",
    "SampleGain": "counterbias.pipeline.train",
    "Tiles": "counterbias.records",
    "TrainOptions": "counterbias.options",
    "Training": "counterbias.model_file",
    "TrainingSet": "counterbias.records",
    "Weigher": "counterbias.weigher",
    "Window": "counterbias.window",
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
    "Annotation",
    "AnnotationOptions",
    "AssumedLengths",
    "Backend",
    "BiasModel",
    "BiasOptions",
    "Blend",
    "Cohort",
    "CountRun",
    "CountingOptions",
    "CrossFit",
    "CrossFitting",
    "EndModel",
    "Features",
    "FitReport",
    "FoldedSample",
    "InputError",
    "Isoforms",
    "ModelFile",
    "Resources",
    "SampleBias",
    "SampleCounts",
    "SampleGain",
    "Tiles",
    "TrainOptions",
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
