"""Saving fitted models and loading them again: a ZIP file of JSON and plain arrays.

Loading runs no code from the file: ``model.json`` is data, arrays are ``.npy`` read without pickle,
and the model's class comes from an installed plug-in. Anything unknown is refused. The same models
give the same bytes: members are sorted, stored without compression, and have a fixed time.
``docs/reference/model-file.md`` describes the format.
"""

from counterbias.model_file.contents import EndModel, ModelFile, Prior, Training
from counterbias.model_file.reading import is_model_file, load_model, load_models
from counterbias.model_file.writing import save_models

__all__ = [
    "EndModel",
    "ModelFile",
    "Prior",
    "Training",
    "is_model_file",
    "load_model",
    "load_models",
    "save_models",
]
