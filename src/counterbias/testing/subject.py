"""A backend under test, with its fitted models."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.hookspecs import hookimpl
from counterbias.model import Backend, BiasModel
from counterbias.plugins import Manager, load_plugins, missing_modules
from counterbias.records import FitReport, TrainingSet, Window
from counterbias.testing.samples import planted_sample

#: The windows that are tested by default.
WINDOWS = (Window(10, 10), Window(0, 5), Window(3, 0))


class Subject:
    """A backend under test. Fitted models are kept, so that most checks share one.

    Args:
        backend: the backend, or the name of an installed one.
        options: an instance of the model's ``Options``; None for its defaults.
        starts: foreground windows to learn from.
        windows: windows to test; checks that need only one use the first.
        learns: least Pearson correlation with the true log bias on new windows.
        seed: seed of everything random.
    """

    def __init__(
        self,
        backend: str | Backend,
        *,
        options: Any = None,
        starts: int = 2000,
        windows: tuple[Window, ...] = WINDOWS,
        learns: float = 0.5,
        seed: int = 1,
    ) -> None:
        self._backend = backend
        self.options = options
        self.starts = starts
        self.windows = windows
        self.learns = learns
        self.seed = seed
        self._fitted: dict[Window, tuple[BiasModel, FitReport]] = {}
        self._manager: Manager | None = None

    @property
    def manager(self) -> Manager:
        """The installed plug-ins, or a manager with nothing but the given backend."""
        if self._manager is None:
            if isinstance(self._backend, str):
                self._manager = load_plugins()
            else:
                self._manager = Manager()
                self._manager.register(OneBackend(self._backend), name="under-test")
        return self._manager

    @property
    def backend(self) -> Backend:
        """The backend. Raises unittest.SkipTest if packages that it trains with are missing."""
        backend = self._backend
        if isinstance(backend, str):
            backend = self.manager.backend(backend)
        missing = missing_modules(backend)
        if missing:
            raise unittest.SkipTest(
                f"backend '{backend.name}' trains with {', '.join(missing)}, not installed here"
            )
        return backend

    @property
    def model_class(self) -> type[BiasModel]:
        """The model class."""
        return self.backend.load()

    def new(self, window: Window) -> BiasModel:
        """Return a model that is not fitted."""
        return self.model_class(window, self.options)

    def sample(self, window: Window) -> TrainingSet:
        """Return the sample that the models of a window learn from."""
        return planted_sample(window, starts=self.starts, seed=self.seed)

    def fit(self, window: Window) -> tuple[BiasModel, FitReport]:
        """Fit a new model; return it and its report."""
        model = self.new(window)
        return model, model.fit(self.sample(window), np.random.default_rng(self.seed))

    def fitted(self, window: Window | None = None) -> BiasModel:
        """Return the fitted model of a window, by default of the first."""
        return self.fitted_with_report(self.windows[0] if window is None else window)[0]

    def fitted_with_report(self, window: Window) -> tuple[BiasModel, FitReport]:
        """Return the fitted model of a window and its report."""
        if window not in self._fitted:
            self._fitted[window] = self.fit(window)
        return self._fitted[window]

    def contexts(self, window: Window, n: int = 400) -> NDArray[np.uint8]:
        """Return random contexts that no model has learnt from: uint8 (n, width)."""
        return np.random.default_rng(self.seed + 1000).integers(
            0, 4, (n, window.width), dtype=np.uint8
        )


class OneBackend:
    """A plug-in that offers one backend, to be registered by hand.

    Args:
        backend: the backend.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @hookimpl
    def counterbias_backends(self) -> list[Backend]:
        """Return the backend."""
        return [self.backend]
