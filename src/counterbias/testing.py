"""The conformance suite: what every backend must do, for its author to run with one line.

In a test module::

    from counterbias.testing import conformance
    TestMyBackend = conformance("my-backend")

or, without pytest, ``check_backend("my-backend")``. Data are small and made here: windows drawn base by base from a known
composition, so that the true log_bias is known. Slow backends pass in seconds with fewer ``starts`` and lighter ``options``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.hookspecs import hookimpl
from counterbias.model import Backend, BiasModel
from counterbias.model_file import EndModel, ModelFile, Training, load_models, save_models
from counterbias.plugins import Manager, load_plugins, missing_modules
from counterbias.records import FitReport, Tiles, TrainingSet, Window

WINDOWS = (Window(10, 10), Window(0, 5), Window(3, 0))
#: How far scores may differ where the order of summation may: strand symmetry, one window alone or among others.
TOLERANCE = 1e-5


def planted_effects(window: Window) -> NDArray[np.float64]:
    """Give a known log_bias per offset and base, float64 (width, 4), nats: strong at the read start, fading to both sides."""
    offsets = np.arange(window.width) - window.upstream
    strength = 0.8 * np.exp(-np.abs(offsets) / 4.0)
    phases = offsets[:, None] * 1.3 + np.arange(4) * 1.9
    return np.asarray(strength[:, None] * np.sin(phases), dtype=np.float64)


def planted_log_bias(window: Window, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Score contexts with :func:`planted_effects`: the truth, up to a constant."""
    return np.asarray(
        planted_effects(window)[np.arange(window.width), contexts].sum(axis=1), dtype=np.float64
    )


def planted_sample(window: Window, *, starts: int, seed: int, tiles: bool = True) -> TrainingSet:
    """Draw a sample whose bias is :func:`planted_effects`, with a validation part of a quarter of its size.

    Args:
        window: its window.
        starts: foreground windows; there are twice as many background windows.
        seed: same seed, same sample.
        tiles: with False there are none, as in a sample too small for any.
    """
    rng = np.random.default_rng(seed)
    validation = _planted_part(window, max(starts // 4, 2), rng, tiles)
    return dataclasses.replace(_planted_part(window, starts, rng, tiles), validation=validation)


def _planted_part(
    window: Window, starts: int, rng: np.random.Generator, tiles: bool
) -> TrainingSet:
    effects = planted_effects(window)
    odds = np.exp(effects) * 0.25
    edges = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)[:, :3]
    foreground = (rng.random((starts, window.width, 1)) > edges).sum(axis=2).astype(np.uint8)
    background = rng.integers(0, 4, (2 * starts, window.width), dtype=np.uint8)
    tile_set = None
    if tiles:
        sequence = rng.integers(
            0, 4, (max(starts // 40, 2), 100 + window.width - 1), dtype=np.uint8
        )
        views = sliding_window_view(sequence, window.width, axis=1)
        truth = planted_log_bias(window, views.reshape(-1, window.width)).reshape(views.shape[:2])
        tile_set = Tiles(sequence, rng.poisson(0.4 * np.exp(truth)).astype(np.float32))
    weights = np.sqrt(rng.integers(1, 4, starts)).astype(np.float64)
    origin = np.repeat(np.arange(starts, dtype=np.int64), 2)
    return TrainingSet(
        window, foreground, weights, background, np.ones(2 * starts), tile_set, origin=origin
    )


def reverse_complement(sample: TrainingSet) -> TrainingSet:
    """Give the sample as the other strand has it: every window reversed and complemented, upstream and downstream swapped."""
    tiles = sample.tiles
    return TrainingSet(
        window=Window(sample.window.downstream, sample.window.upstream),
        foreground=_other_strand(sample.foreground),
        foreground_weight=sample.foreground_weight,
        background=_other_strand(sample.background),
        background_weight=sample.background_weight,
        tiles=None
        if tiles is None
        else Tiles(_other_strand(tiles.sequence), tiles.counts[:, ::-1].copy()),
        validation=None if sample.validation is None else reverse_complement(sample.validation),
        origin=sample.origin,
    )


def _other_strand(bases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(3 - bases[:, ::-1])


class Subject:
    """A backend under test. Fits are kept, so that most checks share one.

    Args:
        backend: the backend, or the name of an installed one.
        options: for the model, instead of its defaults.
        starts: foreground windows to learn from.
        windows: windows to try; the first one serves the checks that need only one.
        learns: the least Pearson correlation with the planted log_bias on new windows.
        seed: of all random draws.
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
        self._given = backend
        self.options = options
        self.starts = starts
        self.windows = windows
        self.learns = learns
        self.seed = seed
        self._fitted: dict[Window, tuple[BiasModel, FitReport]] = {}
        self._manager: Manager | None = None

    @property
    def manager(self) -> Manager:
        """A manager that has the backend: the installed plug-ins, or one that holds only what was given."""
        if self._manager is None:
            if isinstance(self._given, str):
                self._manager = load_plugins()
            else:
                self._manager = Manager()
                self._manager.register(_Only(self._given), name="under-test")
        return self._manager

    @property
    def backend(self) -> Backend:
        """The backend; raises unittest.SkipTest where the packages that it trains with are missing."""
        backend = self.manager.backend(self._given) if isinstance(self._given, str) else self._given
        missing = missing_modules(backend)
        if missing:
            raise unittest.SkipTest(
                f"backend '{backend.name}' trains with {', '.join(missing)}, which is not installed"
            )
        return backend

    @property
    def kind(self) -> type[BiasModel]:
        """The model class."""
        return self.backend.load()

    def new(self, window: Window) -> BiasModel:
        """Make a model that is not fitted."""
        return self.kind(window, self.options)

    def sample(self, window: Window) -> TrainingSet:
        """Draw the sample that the models of a window learn from."""
        return planted_sample(window, starts=self.starts, seed=self.seed)

    def fit(self, window: Window) -> tuple[BiasModel, FitReport]:
        """Fit a model afresh."""
        model = self.new(window)
        return model, model.fit(self.sample(window), np.random.default_rng(self.seed))

    def fitted(self, window: Window | None = None) -> BiasModel:
        """Give the model of a window (by default the first), fitted once."""
        return self.fitted_with_report(self.windows[0] if window is None else window)[0]

    def fitted_with_report(self, window: Window) -> tuple[BiasModel, FitReport]:
        """Give the model of a window and its report, fitted once."""
        if window not in self._fitted:
            self._fitted[window] = self.fit(window)
        return self._fitted[window]

    def contexts(self, window: Window, n: int = 400) -> NDArray[np.uint8]:
        """Draw windows that no model has learnt from."""
        return np.random.default_rng(self.seed + 1000).integers(
            0, 4, (n, window.width), dtype=np.uint8
        )


class _Only:
    """A plug-in of one backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @hookimpl
    def counterbias_backends(self) -> list[Backend]:
        """Offer the backend under test."""
        return [self.backend]


def _expect(condition: object, message: str) -> None:
    """Raise AssertionError, under ``python -O`` too."""
    if not condition:
        raise AssertionError(message)


def _refused(call: Callable[[], object], kind: type[Exception], what: str) -> None:
    """Expect an exception of exactly this kind or a subclass."""
    try:
        call()
    except kind:
        return
    except Exception as other:
        raise AssertionError(
            f"{what}: expected {kind.__name__}, got {type(other).__name__}: {other}"
        ) from other
    raise AssertionError(f"{what}: expected {kind.__name__}, nothing was raised")


# -- the checks: each takes a Subject, and a window where it is tried on several -----------------------------------------


def check_declaration(subject: Subject) -> None:
    """The class is a BiasModel; options are a frozen dataclass with plain defaults; the summary is one line."""
    backend, kind = subject.backend, subject.kind
    _expect(
        isinstance(kind, type) and issubclass(kind, BiasModel),
        "load() must give a subclass of BiasModel",
    )
    _expect(backend.summary and "\n" not in backend.summary, "the summary must be one line")
    _expect(dataclasses.is_dataclass(kind.Options), "Options must be a dataclass")
    parameters = getattr(kind.Options, "__dataclass_params__", None)
    _expect(parameters is not None and parameters.frozen, "Options must be frozen")
    for field in dataclasses.fields(kind.Options):
        plain = isinstance(field.default, bool | int | float | str | tuple)
        _expect(
            plain, f"option '{field.name}' needs a default of type bool, int, float, str or tuple"
        )
    json.dumps(dataclasses.asdict(kind.Options()), allow_nan=False)


def check_scores(subject: Subject, window: Window) -> None:
    """log_bias gives float64 (n,), finite, of windows seen and never seen; n = 0 and n = 1 work."""
    model = subject.fitted(window)
    for n in (0, 1, 400):
        scores = model.log_bias(subject.contexts(window, n))
        _expect(
            isinstance(scores, np.ndarray) and scores.dtype == np.float64,
            f"n = {n}: log_bias must give float64",
        )
        _expect(
            scores.shape == (n,), f"n = {n}: log_bias gave shape {scores.shape}, expected ({n},)"
        )
        _expect(np.isfinite(scores).all(), f"n = {n}: log_bias gave a value that is not finite")
    rows = [np.full(window.width, base) for base in range(4)] + [
        np.arange(window.width) * step % 4 for step in (1, 2, 3)
    ]
    _expect(
        np.isfinite(model.log_bias(np.array(rows, dtype=np.uint8))).all(),
        "log_bias of repeats is not finite",
    )


def check_learns(subject: Subject, window: Window) -> None:
    """log_bias correlates with the planted one on windows that it did not learn from."""
    contexts = subject.contexts(window, 2000)
    scores = subject.fitted(window).log_bias(contexts)
    _expect(scores.std() > 0, "log_bias is the same for all windows")
    correlation = float(np.corrcoef(scores, planted_log_bias(window, contexts))[0, 1])
    _expect(
        correlation >= subject.learns,
        f"correlation with the planted log_bias is {correlation:.3f}, below {subject.learns}",
    )


def check_report(subject: Subject) -> None:
    """Fit gives a FitReport of finite numbers and JSON types."""
    _, report = subject.fitted_with_report(subject.windows[0])
    _expect(isinstance(report, FitReport), "fit must give a FitReport")
    _expect(
        report.seconds >= 0 and math.isfinite(report.seconds),
        "seconds must be finite and not negative",
    )
    _expect(
        type(report.parameters) is int and report.parameters > 0,
        "parameters must be a whole number above 0",
    )
    json.dumps(
        [
            {k: list(v) for k, v in report.curves.items()},
            dict(report.perplexity),
            dict(report.details),
        ],
        allow_nan=False,
    )


def check_determinism(subject: Subject) -> None:
    """Same sample and seed: identical arrays and scores."""
    window = subject.windows[0]
    first, second = subject.fitted(), subject.fit(window)[0]
    one, two = first.to_arrays(), second.to_arrays()
    _expect(list(one) == list(two), "two fits gave different arrays")
    for name in one:
        _expect(
            np.array_equal(one[name], two[name]),
            f"two fits with one seed gave different arrays '{name}'",
        )
    contexts = subject.contexts(window)
    _expect(
        np.array_equal(first.log_bias(contexts), second.log_bias(contexts)),
        "two fits with one seed score differently",
    )


def check_threads(subject: Subject) -> None:
    """Calls from several threads give what calls in turn give."""
    model = subject.fitted()
    parts = np.array_split(subject.contexts(model.window, 2000), 16)
    expected = [model.log_bias(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            same = [
                np.array_equal(*pair)
                for pair in zip(expected, pool.map(model.log_bias, parts), strict=True)
            ]
            _expect(all(same), "calls from several threads give other scores")


def check_rows_are_independent(subject: Subject) -> None:
    """A window's score does not depend on the windows beside it, nor on how the array lies in memory."""
    model = subject.fitted()
    contexts = subject.contexts(model.window)
    scores = model.log_bias(contexts)
    alone = np.concatenate([model.log_bias(contexts[row : row + 1]) for row in range(20)])
    _expect(
        np.allclose(alone, scores[:20], rtol=TOLERANCE, atol=TOLERANCE),
        "a window scores otherwise when it is alone",
    )
    _expect(
        np.allclose(model.log_bias(contexts[::-3]), scores[::-3], rtol=TOLERANCE, atol=TOLERANCE),
        "strided rows",
    )
    fortran = model.log_bias(np.asfortranarray(contexts))
    _expect(
        np.allclose(fortran, scores, rtol=TOLERANCE, atol=TOLERANCE),
        "column-major contexts score otherwise",
    )
    sequence = np.random.default_rng(subject.seed).integers(0, 4, 300, dtype=np.uint8)
    views = sliding_window_view(sequence, model.window.width)  # overlapping and read-only
    _expect(
        np.allclose(
            model.log_bias(views), model.log_bias(views.copy()), rtol=TOLERANCE, atol=TOLERANCE
        ),
        "views score otherwise",
    )


def check_along(subject: Subject, window: Window) -> None:
    """``along`` gives what ``log_bias`` gives for the windows of a sequence, changes nothing, and refuses what is shorter than one."""
    model = subject.fitted(window)
    for size in (window.width, window.width + 1, 3000):
        sequence = np.random.default_rng(subject.seed).integers(0, 4, size, dtype=np.uint8)
        before = sequence.copy()
        scores = model.along(sequence)
        _expect(np.array_equal(sequence, before), "along changed its sequence")
        _expect(
            scores.dtype == np.float64 and scores.shape == (size - window.width + 1,),
            "along must give float64 (n,)",
        )
        expected = model.log_bias(sliding_window_view(sequence, window.width).copy())
        _expect(
            np.allclose(scores, expected, rtol=TOLERANCE, atol=TOLERANCE),
            "windows along a sequence score otherwise than one by one",
        )
    _refused(
        lambda: model.along(sequence[: window.width - 1]),
        ValueError,
        "along with less than a window",
    )
    _refused(lambda: subject.new(window).along(sequence), RuntimeError, "along before fit")


def check_input_untouched(subject: Subject) -> None:
    """Neither fit nor log_bias changes what it is given."""
    window = subject.windows[0]
    model, sample = subject.new(window), subject.sample(window)
    model.fit(sample, np.random.default_rng(subject.seed))
    fresh = subject.sample(window)
    for part, untouched in ((sample, fresh), (sample.validation, fresh.validation)):
        for name in ("foreground", "foreground_weight", "background", "background_weight"):
            _expect(
                np.array_equal(getattr(part, name), getattr(untouched, name)), f"fit changed {name}"
            )
    contexts = subject.contexts(window)
    model.log_bias(contexts)
    _expect(np.array_equal(contexts, subject.contexts(window)), "log_bias changed its contexts")


def check_not_fitted(subject: Subject) -> None:
    """log_bias before fit raises RuntimeError."""
    window = subject.windows[0]
    _refused(
        lambda: subject.new(window).log_bias(subject.contexts(window)),
        RuntimeError,
        "log_bias before fit",
    )


def check_round_trip(subject: Subject, window: Window) -> None:
    """A model saved and loaded scores exactly as before, and its file's bytes are the same each time."""
    model = subject.fitted(window)
    file = ModelFile(
        subject.backend.name,
        "",
        "",
        window,
        (EndModel("both", model, 0.25, 0.5, 7, 0.125),),
        Training(("s",)),
    )
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        save_models(first, file)
        loaded = load_models(first, subject.manager, window=window)
        save_models(second, loaded)
        _expect(
            first.read_bytes() == second.read_bytes(),
            "a model saved, loaded and saved again gives other bytes",
        )
    contexts = subject.contexts(window)
    again = loaded.ends[0].model
    _expect(again.options == model.options, "options are lost when saved and loaded")
    _expect(
        np.array_equal(again.log_bias(contexts), model.log_bias(contexts)),
        "a loaded model scores otherwise",
    )


def check_arrays_refused(subject: Subject) -> None:
    """from_arrays raises InputError for an array that is missing, unknown, too short or of another rank."""
    model = subject.fitted()
    arrays = model.to_arrays()
    _expect(
        arrays and all(array.dtype.kind in "biuf" for array in arrays.values()),
        "to_arrays must give plain numeric arrays",
    )

    def given(changed: dict[str, NDArray[Any]]) -> Callable[[], None]:
        return lambda: subject.new(model.window).from_arrays(changed)

    _refused(
        given({**arrays, "not_an_array_of_yours": np.zeros(1)}),
        InputError,
        "from_arrays with an unknown array",
    )
    for name, array in arrays.items():
        others = {other: value for other, value in arrays.items() if other != name}
        _refused(given(others), InputError, f"from_arrays without '{name}'")
        _refused(
            given({**others, name: array[None]}),
            InputError,
            f"from_arrays with '{name}' of another rank",
        )
        if array.ndim and len(array):
            _refused(
                given({**others, name: array[:-1]}),
                InputError,
                f"from_arrays with '{name}' cut by one row",
            )


def check_small_samples(subject: Subject) -> None:
    """A sample of few starts, without tiles, either fits and scores finitely or is refused with InputError."""
    window = subject.windows[0]
    for starts in (1, 20):
        model = subject.new(window)
        try:
            model.fit(
                planted_sample(window, starts=starts, seed=subject.seed, tiles=False),
                np.random.default_rng(subject.seed),
            )
        except InputError:
            continue
        _expect(
            np.isfinite(model.log_bias(subject.contexts(window))).all(),
            f"scores after {starts} starts are not finite",
        )


def check_strand_symmetry(subject: Subject, window: Window) -> None:
    """Where declared: trained on the other strand's sample, a model scores the other strand's windows alike.

    That is, with ``rc`` for reversing and complementing, and the same seed:
    ``fit(rc(sample)).log_bias(rc(contexts)) = fit(sample).log_bias(contexts)`` within :data:`TOLERANCE`.
    """
    if not subject.kind.strand_symmetric:
        raise unittest.SkipTest(
            f"backend '{subject.backend.name}' does not declare strand symmetry"
        )
    mirrored = reverse_complement(subject.sample(window))
    model = subject.new(mirrored.window)
    model.fit(mirrored, np.random.default_rng(subject.seed))
    contexts = subject.contexts(window)
    one, two = subject.fitted(window).log_bias(contexts), model.log_bias(_other_strand(contexts))
    _expect(
        np.allclose(one, two, rtol=TOLERANCE, atol=TOLERANCE),
        "declared strand symmetric, but the strands score differently",
    )


#: Checks made once, and checks made for each window.
CHECKS = (
    check_declaration,
    check_report,
    check_determinism,
    check_threads,
    check_rows_are_independent,
    check_input_untouched,
    check_not_fitted,
    check_arrays_refused,
    check_small_samples,
)
WINDOW_CHECKS = (check_scores, check_learns, check_along, check_round_trip, check_strand_symmetry)


def conformance(backend: str | Backend, **settings: Any) -> type:
    """Give a class of tests for pytest to collect, assigned to a name that begins with ``Test``.

    Args:
        backend: name of an installed backend, or a Backend.
        settings: as :class:`Subject` takes them: options, starts, windows, learns, seed.
    """
    subject = Subject(backend, **settings)
    tests: dict[str, Any] = {}
    for check in CHECKS:
        tests[check.__name__.replace("check_", "test_")] = _as_test(check, subject)
    for window in subject.windows:
        for window_check in WINDOW_CHECKS:
            name = f"{window_check.__name__.replace('check_', 'test_')}_{window.upstream}_{window.downstream}"
            tests[name] = _as_test(window_check, subject, window)
    return type("Conformance", (), tests)


def _as_test(check: Callable[..., None], *arguments: object) -> Callable[[object], None]:
    def test(_: object) -> None:
        check(*arguments)

    test.__doc__ = check.__doc__
    return test


def check_backend(backend: str | Backend, **settings: Any) -> None:
    """Make all checks in turn, without pytest; raises AssertionError at the first that fails.

    Checks that do not apply are passed over. Arguments as for :func:`conformance`.
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
