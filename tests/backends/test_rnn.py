"""The backends ``gru`` and ``lstm``: conformance, options, arrays, and what they import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from counterbias import InputError, Window, parse_options
from counterbias.testing import conformance
from counterbias_backends.rnn import counterbias_backends
from counterbias_backends.rnn.model import GRUModel, LSTMModel
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import parameter_count, shapes

GRU, LSTM = counterbias_backends()
QUICK = Options(hidden=8, epochs=8, min_steps=0, batch=16, learning_rate=1e-2)

TestGRU = conformance(GRU, options=QUICK)
TestLSTM = conformance(LSTM, options=QUICK)


def any_arrays(cell: str, hidden: int, width: int) -> dict[str, np.ndarray]:
    """Make arrays of a model that was never trained."""
    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {"hidden": np.array([hidden]), "width": np.array([width])}
    for role in ("foreground", "background"):
        for name, shape in shapes(cell, hidden).items():
            arrays[f"{role}_{name}"] = rng.uniform(-1, 1, shape).astype(np.float32)
    return arrays


def test_backends() -> None:
    assert [(one.name, one.extra, one.requires) for one in (GRU, LSTM)] == [
        ("gru", "", ()),
        ("lstm", "", ()),
    ]
    assert (GRU.load(), LSTM.load()) == (GRUModel, LSTMModel)
    # The paper's network: 4-10-4.
    assert parameter_count("gru", 10) == 3 * 10 * (4 + 10 + 2) + 4 * 10 + 4


def test_options_from_the_command_line() -> None:
    options = parse_options(
        GRUModel, ["hidden=12", "candidates=5,10,20", "learning_rate=0.01", "epochs=3"]
    )
    assert options == Options(hidden=12, candidates=(5, 10, 20), learning_rate=0.01, epochs=3)
    assert Options(candidates=[5, 10]).candidates == (5, 10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        ("hidden=0", "hidden=0: must be from 1 to 20"),
        ("hidden=21", "hidden=21: must be from 1 to 20"),
        ("candidates=5,30", "candidates=5,30: must be from 1 to 20"),
        ("candidates=5,many", "not a list of int, as in a,b"),
        ("epochs=0", "epochs=0: must be at least 1"),
        ("min_steps=-1", "must not be below 0"),
        ("batch=-1", "batch=-1: must be at least 1"),
        ("learning_rate=0", "must be above 0"),
        ("learning_rate=nan", "must be above 0"),
        ("hidden=ten", "not of type int"),
    ],
)
def test_bad_options(pair: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_options(LSTMModel, [pair])


def test_hidden_size_comes_from_the_arrays() -> None:
    """With candidates, a model has another size than its options say."""
    model = GRUModel(Window(2, 2), Options(hidden=10, candidates=(3, 7)))
    arrays = any_arrays("gru", 7, 5)
    model.from_arrays(arrays)
    back = model.to_arrays()
    assert back["hidden"].tolist() == [7]
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)
    assert np.isfinite(model.log_bias(np.zeros((3, 5), dtype=np.uint8))).all()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hidden": np.array([21])}, "'hidden' of the model is 21"),
        ({"hidden": np.array([2.5])}, "'hidden' of the model is 2.5"),
        ({"hidden": np.array([3])}, "has shape"),
        ({"width": np.array([9])}, "windows of 9 bases, not of 5"),
        ({"background_bias_hh": np.full(12, np.nan)}, "not finite"),
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        GRUModel(Window(2, 2)).from_arrays({**any_arrays("gru", 4, 5), **change})


def test_arrays_of_the_other_cell_are_refused() -> None:
    with pytest.raises(InputError, match="has shape"):
        LSTMModel(Window(2, 2)).from_arrays(any_arrays("gru", 4, 5))


def run_python(code: str, folder: Path) -> str:
    """Run code in a new interpreter that finds the same packages."""
    paths = [path for path in sys.path if path]
    prelude = f"import sys; sys.path[:0] = {paths!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + code],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_listing_imports_neither_numba_nor_torch(tmp_path: Path) -> None:
    code = """
from counterbias_backends import rnn
for backend in rnn.counterbias_backends():
    backend.load()
print(sorted({"numba", "torch"} & set(sys.modules)))
"""
    assert run_python(code, tmp_path).strip() == "[]"


def test_scoring_works_without_torch(tmp_path: Path) -> None:
    arrays = any_arrays("gru", 10, 21)
    np.savez(tmp_path / "arrays.npz", **arrays)
    code = """
sys.modules["torch"] = None  # importing it raises ImportError
import numpy as np
from counterbias import Window
from counterbias_backends.rnn.model import GRUModel
model = GRUModel(Window(10, 10))
model.from_arrays(dict(np.load("arrays.npz")))
print(model.log_bias(np.zeros((1, 21), dtype=np.uint8))[0])
"""
    model = GRUModel(Window(10, 10))
    model.from_arrays(arrays)
    assert float(run_python(code, tmp_path)) == model.log_bias(np.zeros((1, 21), dtype=np.uint8))[0]
