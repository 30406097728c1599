"""Which model a sample gets: a backend to be fitted, or the models of a file.

What ``auto`` means is decided in :mod:`counterbias.pipeline.bias.auto`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from counterbias.errors import InputError
from counterbias.model import BiasModel, parse_options
from counterbias.model_file import ModelFile, is_model_file, load_models
from counterbias.no_model import NoModel
from counterbias.options import AUTO, Device
from counterbias.pipeline.bias.auto import ENOUGH, backend_for, distinct_starts
from counterbias.pipeline.bias.ends import ReadEnd, read_ends
from counterbias.plugins import Manager
from counterbias.records import StartSites
from counterbias.window import Window

_DEFAULT_WINDOW = Window()


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A backend to be fitted, or the models of a file.

    Args:
        backend, distribution, version: as in :class:`~counterbias.model_file.ModelFile`.
        model: the class, for fitting.
        options: its options.
        window: the window.
        fitted: the models of a file, or None.
        path: that file, or None.
        auto: whether the backend is chosen per sample (:func:`choice_for_sample`).
    """

    backend: str
    distribution: str
    version: str
    model: type[BiasModel]
    options: Any
    window: Window
    fitted: ModelFile | None = None
    path: str | None = None
    auto: bool = False


def choose_model(
    name: str,
    manager: Manager,
    *,
    window: Window | None = None,
    model_options: Sequence[str] = (),
) -> ModelChoice:
    """Find a backend, or load a model file, before anything is counted.

    Args:
        name: a backend, ``auto``, or a model file.
        manager: plug-ins.
        window: None for the default, or that of the file.
        model_options: ``key=value`` texts for the backend.

    Raises:
        InputError: there is no such backend or option, or the file cannot be used.
    """
    if is_model_file(name):
        if model_options:
            raise InputError(
                f"--bias-option {model_options[0]} cannot change a model that is already fitted",
                file=name,
                remedy="leave it out",
            )
        return _load_choice(name, manager, window)
    window = window or _DEFAULT_WINDOW
    if name != AUTO:
        return _choose_backend(name, manager, window, model_options)
    if model_options:
        raise InputError(
            f"--bias-option {model_options[0]} needs a model's name",
            remedy=f"name one instead of '{AUTO}'",
        )
    best = backend_for(ENOUGH, manager, window=window)
    return replace(_choose_backend(best, manager, window), auto=True)


def _load_choice(path: str, manager: Manager, window: Window | None) -> ModelChoice:
    file = load_models(path, manager, window=window)
    models = [end.model for end in file.ends]
    return ModelChoice(
        backend=file.backend,
        distribution=file.distribution,
        version=file.version,
        model=next((type(one) for one in models if not isinstance(one, NoModel)), NoModel),
        options=file.options,
        window=file.window,
        fitted=file,
        path=path,
    )


def _choose_backend(
    name: str, manager: Manager, window: Window, model_options: Sequence[str] = ()
) -> ModelChoice:
    found = manager.registration(name)
    manager.require(name)
    model = manager.load(name)
    try:
        options = parse_options(model, list(model_options))
        model(window, options)  # refuses a window that it cannot take
    except (ImportError, OSError, MemoryError, InputError):
        raise
    except Exception as problem:  # a plug-in may refuse with any
        raise InputError(
            f"backend '{name}' does not take its options, or the window {window}: "
            f"{type(problem).__name__}: {problem}"
        ) from problem
    return ModelChoice(
        name, found.plugin.distribution, found.plugin.version, model, options, window
    )


def idle_device(device: Device, choices: Sequence[ModelChoice]) -> str | None:
    """Return a warning where a GPU was asked for and no model would be trained on it."""
    if device != "cuda" or any(one.fitted is None and one.model.uses_gpu for one in choices):
        return None
    named = ", ".join(dict.fromkeys(one.backend for one in choices if one.fitted is None))
    return f"--bias-device cuda changes nothing: {named or 'a saved model'} is not trained on a GPU"


def choice_for_sample(
    choice: ModelChoice,
    sites: StartSites,
    stranded: str,
    manager: Manager,
    *,
    is_learnable: Callable[[ReadEnd], bool] = lambda reads: True,
) -> ModelChoice:
    """Return the choice for a sample.

    With ``--bias-model auto`` that is the model for the read end with the fewest starts. An end
    that cannot be learnt from is ignored: the other gets the model that it would get alone.
    """
    if not choice.auto:
        return choice
    found = [(distinct_starts(sites, reads.end), reads) for reads in read_ends(sites, stranded)]
    usable = [starts for starts, reads in found if starts >= ENOUGH or is_learnable(reads)]
    return choice_for_starts(choice, min(usable, default=0), manager)


def choice_for_starts(choice: ModelChoice, starts: int, manager: Manager) -> ModelChoice:
    """Return the choice for this many distinct starts."""
    if not choice.auto:
        return choice
    name = backend_for(starts, manager, window=choice.window)
    if name == choice.backend:
        return choice
    return replace(_choose_backend(name, manager, choice.window), auto=True)
