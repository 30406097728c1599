"""The checks: each takes a Subject, and those made for several windows a window.

They raise AssertionError, and unittest.SkipTest where they do not apply.
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
from counterbias.model import BiasModel
from counterbias.model_file import EndModel, ModelFile, Training, load_models, save_models
from counterbias.records import FitReport, Window
from counterbias.scoring import TOLERANCE, batch_dependence
from counterbias.testing.samples import (
    other_strand,
    planted_log_bias,
    planted_sample,
    reverse_complement,
)
from counterbias.testing.subject import Subject


def _expect(condition: object, message: str) -> None:
    """Raise AssertionError unless the condition holds, under ``python -O`` too."""
    if not condition:
        raise AssertionError(message)


def _refused(call: Callable[[], object], expected: type[Exception], what: str) -> None:
    """Raise AssertionError unless the call raises the expected exception."""
    try:
        call()
    except expected:
        return
    except Exception as other:
        raise AssertionError(
            f"{what}: expected {expected.__name__}, got {type(other).__name__}: {other}"
        ) from other
    raise AssertionError(f"{what}: expected {expected.__name__}, nothing was raised")


def check_declaration(subject: Subject) -> None:
    """The class is a BiasModel, its options are frozen with plain defaults, the summary a line."""
    backend, model_class = subject.backend, subject.model_class
    _expect(
        isinstance(model_class, type) and issubclass(model_class, BiasModel),
        "load() must return a subclass of BiasModel",
    )
    _expect(backend.summary and "\n" not in backend.summary, "the summary must be one line")
    _expect(dataclasses.is_dataclass(model_class.Options), "Options must be a dataclass")
    parameters = getattr(model_class.Options, "__dataclass_params__", None)
    _expect(parameters is not None and parameters.frozen, "Options must be frozen")
    for field in dataclasses.fields(model_class.Options):
        plain = isinstance(field.default, bool | int | float | str | tuple)
        _expect(
            plain, f"option '{field.name}' needs a default of type bool, int, float, str or tuple"
        )
    json.dumps(dataclasses.asdict(model_class.Options()), allow_nan=False)


def check_scores(subject: Subject, window: Window) -> None:
    """log_bias returns finite float64 (n,), also for windows never seen, and for n = 0 and 1."""
    model = subject.fitted(window)
    for n in (0, 1, 400):
        scores = model.log_bias(subject.contexts(window, n))
        _expect(
            isinstance(scores, np.ndarray) and scores.dtype == np.float64,
            f"n = {n}: log_bias must return float64",
        )
        _expect(
            scores.shape == (n,),
            f"n = {n}: log_bias returned shape {scores.shape}, expected ({n},)",
        )
        _expect(np.isfinite(scores).all(), f"n = {n}: log_bias returned a value that is not finite")
    rows = [np.full(window.width, base) for base in range(4)] + [
        np.arange(window.width) * step % 4 for step in (1, 2, 3)
    ]
    _expect(
        np.isfinite(model.log_bias(np.array(rows, dtype=np.uint8))).all(),
        "log_bias of repeats is not finite",
    )


def check_learns(subject: Subject, window: Window) -> None:
    """log_bias correlates with the true one on windows that the model did not learn from."""
    contexts = subject.contexts(window, 2000)
    scores = subject.fitted(window).log_bias(contexts)
    _expect(scores.std() > 0, "log_bias is the same for all windows")
    correlation = float(np.corrcoef(scores, planted_log_bias(window, contexts))[0, 1])
    _expect(
        correlation >= subject.learns,
        f"the correlation with the true log bias is {correlation:.3f}, below {subject.learns}",
    )


def check_report(subject: Subject) -> None:
    """Fit returns a FitReport of finite numbers and JSON types."""
    _, report = subject.fitted_with_report(subject.windows[0])
    _expect(isinstance(report, FitReport), "fit must return a FitReport")
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
    """The same sample and seed give identical arrays and scores."""
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
    """Concurrent calls from several threads return what calls one after the other do."""
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
    """A window's score depends neither on the other rows nor on the array's memory layout."""
    model = subject.fitted()
    contexts = subject.contexts(model.window)
    scores = model.log_bias(contexts)
    alone = np.concatenate([model.log_bias(contexts[row : row + 1]) for row in range(20)])
    _expect(
        np.allclose(alone, scores[:20], rtol=TOLERANCE, atol=TOLERANCE),
        "log_bias() depends on the other windows in the batch: a window has another score when it "
        "is alone",
    )
    difference = batch_dependence(model, contexts)
    _expect(not difference, difference)
    _expect(
        np.allclose(model.log_bias(contexts[::-3]), scores[::-3], rtol=TOLERANCE, atol=TOLERANCE),
        "strided contexts have other scores",
    )
    fortran = model.log_bias(np.asfortranarray(contexts))
    _expect(
        np.allclose(fortran, scores, rtol=TOLERANCE, atol=TOLERANCE),
        "column-major contexts have other scores",
    )
    sequence = np.random.default_rng(subject.seed).integers(0, 4, 300, dtype=np.uint8)
    views = sliding_window_view(sequence, model.window.width)  # overlapping and read-only
    _expect(
        np.allclose(
            model.log_bias(views), model.log_bias(views.copy()), rtol=TOLERANCE, atol=TOLERANCE
        ),
        "views have other scores",
    )


def check_along(subject: Subject, window: Window) -> None:
    """``along`` returns the ``log_bias`` of the windows of a sequence.

    It does not change the sequence, and refuses one shorter than a window.
    """
    model = subject.fitted(window)
    for size in (window.width, window.width + 1, 3000):
        sequence = np.random.default_rng(subject.seed).integers(0, 4, size, dtype=np.uint8)
        before = sequence.copy()
        scores = model.along(sequence)
        _expect(np.array_equal(sequence, before), "along changed its sequence")
        _expect(
            scores.dtype == np.float64 and scores.shape == (size - window.width + 1,),
            "along must return float64 (n,)",
        )
        expected = model.log_bias(sliding_window_view(sequence, window.width).copy())
        _expect(
            np.allclose(scores, expected, rtol=TOLERANCE, atol=TOLERANCE),
            "along and log_bias give a window different scores",
        )
    _refused(
        lambda: model.along(sequence[: window.width - 1]),
        ValueError,
        "along with a sequence shorter than a window",
    )
    _refused(lambda: subject.new(window).along(sequence), RuntimeError, "along before fit")


def check_input_untouched(subject: Subject) -> None:
    """Neither fit nor log_bias changes its arguments."""
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
    """A model that is saved and loaded has the same scores, and saved again the same bytes."""
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
            "a model saved, loaded and saved again has other bytes",
        )
    contexts = subject.contexts(window)
    restored = loaded.ends[0].model
    _expect(restored.options == model.options, "options are lost when saved and loaded")
    _expect(
        np.array_equal(restored.log_bias(contexts), model.log_bias(contexts)),
        "a loaded model has other scores",
    )


def check_arrays_refused(subject: Subject) -> None:
    """from_arrays raises InputError for an array that is missing, unknown or of another shape."""
    model = subject.fitted()
    arrays = model.to_arrays()
    _expect(
        arrays and all(array.dtype.kind in "biuf" for array in arrays.values()),
        "to_arrays must return plain numeric arrays",
    )

    def loading(changed: dict[str, NDArray[Any]]) -> Callable[[], None]:
        return lambda: subject.new(model.window).from_arrays(changed)

    _refused(
        loading({**arrays, "not_an_array_of_yours": np.zeros(1)}),
        InputError,
        "from_arrays with an unknown array",
    )
    for name, array in arrays.items():
        others = {other: value for other, value in arrays.items() if other != name}
        _refused(loading(others), InputError, f"from_arrays without '{name}'")
        _refused(
            loading({**others, name: array[None]}),
            InputError,
            f"from_arrays with '{name}' of another rank",
        )
        if array.ndim and len(array):
            _refused(
                loading({**others, name: array[:-1]}),
                InputError,
                f"from_arrays with '{name}' cut by one row",
            )


def check_small_samples(subject: Subject) -> None:
    """A small sample without tiles either gives finite scores or is refused with InputError."""
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
    """Where declared: fitted to the other strand, a model scores its windows alike.

    That is, with ``rc`` for the reverse complement and the same seed,
    ``fit(rc(sample)).log_bias(rc(contexts)) = fit(sample).log_bias(contexts)``, within
    :data:`TOLERANCE`.
    """
    if not subject.model_class.strand_symmetric:
        raise unittest.SkipTest(
            f"backend '{subject.backend.name}' does not declare strand symmetry"
        )
    mirrored = reverse_complement(subject.sample(window))
    model = subject.new(mirrored.window)
    model.fit(mirrored, np.random.default_rng(subject.seed))
    contexts = subject.contexts(window)
    one, two = subject.fitted(window).log_bias(contexts), model.log_bias(other_strand(contexts))
    _expect(
        np.allclose(one, two, rtol=TOLERANCE, atol=TOLERANCE),
        "declared strand symmetric, but the strands have different scores",
    )


#: The checks that are made once.
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
#: The checks that are made for each window.
WINDOW_CHECKS = (check_scores, check_learns, check_along, check_round_trip, check_strand_symmetry)
