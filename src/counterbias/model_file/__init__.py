"""Save fitted models and load them again: one zip file of JSON and plain arrays.

Loading runs no code from the file: ``model.json`` is data, arrays are ``.npy`` read without pickle, and the class comes from the
plug-in that the user has installed. Whatever is not known is refused. The same model gives the same bytes: members are sorted,
stored without compression, and bear a fixed time. ``docs/reference/model-file.md`` describes the format.
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
