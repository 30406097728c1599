"""The backend ``cnn``: conformance, options, arrays, training and what it imports."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from counterbias import InputError, Resources, Tiles, TrainingSet, Window, parse_options
from counterbias.testing import conformance, planted_log_bias, planted_sample
from counterbias_backends.cnn import counterbias_backends, rows, training
from counterbias_backends.cnn.model import ConvolutionalModel
from counterbias_backends.cnn.options import Options
from counterbias_backends.cnn.parameters import Shape, word_codes

(CNN,) = counterbias_backends()
QUICK = Options(
    members=2,
    units=16,
    channels=8,
    min_steps=150,
    max_steps=150,
    batch_tiles=8,
    batch_windows=64,
    decay=0.5,
    distil=False,
)
DISTILLED = dataclasses.replace(QUICK, distil=True, distil_steps=300, distil_channels=8)
WINDOW = Window(3, 4)

TestCNN = conformance(CNN, options=DISTILLED)


def fitted(
    sample: TrainingSet, options: Options = QUICK, seed: int = 1, resources: Resources | None = None
) -> tuple[ConvolutionalModel, dict[str, object]]:
    model = ConvolutionalModel(sample.window, options)
    model.resources = resources or Resources()
    report = model.fit(sample, np.random.default_rng(seed))
    return model, {"curves": report.curves, "parameters": report.parameters, **report.details}


def test_backend() -> None:
    assert (CNN.name, CNN.requires) == ("cnn", ())
    assert CNN.load() is ConvolutionalModel
    # Layers: a convolution over 5 bases to 16 channels, one over 17 places to 16 units, one output.
    assert Shape(21, 5, 16, 16).size == 4721


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        ("members=0", "members=0: must be from 1 to 32"),
        ("kmer=7", "kmer=7: must be from 1 to 6"),
        ("units=24", "units=24: must be a multiple of 16"),
        ("distil_units=8", "distil_units=8: must be a multiple of 16"),
        ("distil_channels=0", "distil_channels=0: must be from 1 to 256"),
        ("distil_steps=0", "distil_steps=0: must be at least 1"),
        ("distil=perhaps", "not of type bool"),
        ("objective=all", "objective=all: must be one of both, tiles, windows"),
        ("device=cuda", "no such option"),
        ("max_steps=0", "max_steps=0: must be at least 1"),
        ("cap=-1", "cap=-1.0: must not be below 0"),
        ("decay=inf", "decay=inf: must be a number"),
    ],
)
def test_bad_options(pair: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_options(ConvolutionalModel, [pair])


def test_word_codes_put_the_first_base_highest() -> None:
    assert word_codes(np.array([[1, 2, 3, 0]], dtype=np.uint8), 3).tolist() == [
        [1 * 16 + 2 * 4 + 3, 2 * 16 + 3 * 4]
    ]


@pytest.mark.parametrize("objective", ["both", "tiles", "windows"])
def test_learns_planted_bias(objective: str) -> None:
    options = dataclasses.replace(QUICK, objective=objective, max_steps=300, min_steps=300)
    model, details = fitted(planted_sample(WINDOW, starts=8000, seed=1), options)
    contexts = np.random.default_rng(2).integers(0, 4, (5000, WINDOW.width), dtype=np.uint8)
    truth = planted_log_bias(WINDOW, contexts)
    scores = model.log_bias(contexts)
    assert np.corrcoef(scores, truth)[0, 1] > 0.95
    # Not only the order: the scale is that of log odds.
    assert np.polyfit(scores, truth, 1)[0] == pytest.approx(1, abs=0.25)
    assert (details["tiles"] == 0) == (objective == "windows")


def test_counts_above_the_cap_change_nothing() -> None:
    sample = planted_sample(WINDOW, starts=2000, seed=1)
    assert sample.tiles is not None
    high = dataclasses.replace(
        sample,
        tiles=Tiles(
            sample.tiles.sequence, np.where(sample.tiles.counts >= 2, 50.0, sample.tiles.counts)
        ),
    )
    low = dataclasses.replace(
        sample, tiles=Tiles(sample.tiles.sequence, np.minimum(sample.tiles.counts, 2.0))
    )
    options = dataclasses.replace(
        QUICK, cap=2.0, min_steps=20, max_steps=20, learn_validation=False
    )
    one, two = (fitted(chosen, options)[0].to_arrays() for chosen in (high, low))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_same_seed_same_model_whatever_the_threads() -> None:
    sample = planted_sample(WINDOW, starts=600, seed=1)
    options = dataclasses.replace(QUICK, members=3, min_steps=30, max_steps=30)
    one, two = (
        fitted(sample, options, resources=Resources(threads))[0].to_arrays() for threads in (1, 4)
    )
    other = fitted(sample, options, seed=2)[0].to_arrays()
    for name in one:
        assert one[name].tobytes() == two[name].tobytes()
    assert not np.array_equal(one["second_weight"], other["second_weight"])
    # Networks differ from each other.
    assert not np.array_equal(one["second_weight"][0], one["second_weight"][1])


def test_distilled_network_scores_as_the_mean_of_several() -> None:
    sample = planted_sample(WINDOW, starts=4000, seed=1)
    options = dataclasses.replace(DISTILLED, members=3, distil_steps=1500, distil_channels=16)
    one, details = fitted(sample, options)
    several, mean = fitted(sample, dataclasses.replace(options, distil=False))
    assert (one.networks, several.networks) == (1, 3)
    assert (details["distilled"], mean["distilled"]) == (True, False)
    assert details["parameters"] == one.shape.size < mean["parameters"]
    # The networks are those that are trained without distillation.
    assert details["curves"] == mean["curves"]
    contexts = np.random.default_rng(2).integers(0, 4, (5000, WINDOW.width), dtype=np.uint8)
    wanted, found = several.log_bias(contexts), one.log_bias(contexts)
    assert np.sqrt(((wanted - found) ** 2).mean()) < 0.1 * wanted.std()
    assert details["distilled_difference"] < 0.1 * details["distilled_spread"]


def test_distilled_network_is_the_same_whatever_the_threads() -> None:
    sample = planted_sample(WINDOW, starts=600, seed=1)
    options = dataclasses.replace(DISTILLED, members=3, min_steps=30, max_steps=30, distil_steps=50)
    one, two = (
        fitted(sample, options, resources=Resources(threads))[0].to_arrays() for threads in (1, 4)
    )
    other = fitted(sample, options, seed=2)[0].to_arrays()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    assert not np.array_equal(one["second_weight"], other["second_weight"])


def test_model_from_before_distillation_still_scores() -> None:
    sample = planted_sample(WINDOW, starts=600, seed=1)
    options = dataclasses.replace(DISTILLED, members=3, min_steps=20, max_steps=20, distil=False)
    old, _ = fitted(sample, options)
    loaded = ConvolutionalModel(WINDOW, dataclasses.replace(options, distil=True))
    loaded.from_arrays(old.to_arrays())
    contexts = np.random.default_rng(2).integers(0, 4, (100, WINDOW.width), dtype=np.uint8)
    assert np.array_equal(loaded.log_bias(contexts), old.log_bias(contexts))
    assert all(
        np.array_equal(values, old.to_arrays()[name]) for name, values in loaded.to_arrays().items()
    )


def test_one_network_needs_no_distillation() -> None:
    sample = planted_sample(WINDOW, starts=600, seed=1)
    options = dataclasses.replace(DISTILLED, members=1, min_steps=20, max_steps=20)
    one, two = (
        fitted(sample, dataclasses.replace(options, distil=distil))[0].to_arrays()
        for distil in (True, False)
    )
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_distillation_works_without_tiles() -> None:
    model, details = fitted(planted_sample(WINDOW, starts=4000, seed=1, tiles=False), DISTILLED)
    contexts = np.random.default_rng(2).integers(0, 4, (2000, WINDOW.width), dtype=np.uint8)
    assert np.corrcoef(model.log_bias(contexts), planted_log_bias(WINDOW, contexts))[0, 1] > 0.9
    assert 0 < details["distilled_difference"] < details["distilled_spread"]


def test_validation_is_learnt_or_reported() -> None:
    sample = planted_sample(WINDOW, starts=2000, seed=1)
    _, details = fitted(sample)
    assert details["validation_learnt"]
    assert (details["starts"], details["background"]) == (2500, 5000)
    assert set(details["curves"]) == {"training_gain", "training_start_gain"}
    model, details = fitted(sample, dataclasses.replace(QUICK, learn_validation=False))
    assert (details["validation_learnt"], details["starts"]) == (False, 2000)
    curves = details["curves"]
    assert set(curves) == {
        "training_gain",
        "training_start_gain",
        "validation_gain",
        "validation_start_gain",
    }
    assert all(len(curve) == 20 for curve in curves.values())
    assert curves["validation_gain"][-1] > max(curves["validation_gain"][0], 0.1)
    assert curves["validation_start_gain"][-1] > 0.1
    assert (
        details["parameters"]
        == 2 * model.shape.size
        == sum(array.size for array in model.to_arrays().values())
    )


def test_reported_gain_is_that_of_the_model() -> None:
    """The last point of the curve, calculated from the model's scores."""
    sample = planted_sample(WINDOW, starts=2000, seed=1)
    model, details = fitted(sample, dataclasses.replace(QUICK, members=1, learn_validation=False))
    assert sample.validation is not None
    assert sample.validation.tiles is not None
    tiles = sample.validation.tiles
    views = np.lib.stride_tricks.sliding_window_view(tiles.sequence, WINDOW.width, axis=1)
    scores = model.log_bias(np.ascontiguousarray(views.reshape(-1, WINDOW.width))).reshape(
        tiles.counts.shape
    )
    reads = tiles.counts / (1 + tiles.counts.mean(axis=1, keepdims=True))
    relative = np.exp(scores) / np.exp(scores).mean(axis=1, keepdims=True)
    expected = (reads * np.log2(relative)).sum() / reads.sum()
    assert details["curves"]["validation_gain"][-1] == pytest.approx(expected, abs=1e-4)


def test_small_samples_are_regularised_more() -> None:
    decays = [
        fitted(planted_sample(WINDOW, starts=starts, seed=1))[1]["weight_decay"]
        for starts in (200,)
    ]
    assert decays == [0.5]
    automatic = dataclasses.replace(QUICK, decay=-1.0, max_steps=2, min_steps=1)
    decays = [
        fitted(planted_sample(WINDOW, starts=starts, seed=1), automatic)[1]["weight_decay"]
        for starts in (200, 8000)
    ]
    assert decays == [5.0, pytest.approx(1.0)]


@pytest.mark.parametrize(
    ("known", "curve"), [(True, "training_start_gain"), (False, "training_log_loss")]
)
def test_without_tiles_windows_are_enough(known: bool, curve: str) -> None:
    sample = planted_sample(WINDOW, starts=4000, seed=1, tiles=False)
    assert sample.validation is not None
    if not known:
        sample = dataclasses.replace(
            sample, origin=None, validation=dataclasses.replace(sample.validation, origin=None)
        )
    model, details = fitted(sample)
    contexts = np.random.default_rng(2).integers(0, 4, (2000, WINDOW.width), dtype=np.uint8)
    assert np.corrcoef(model.log_bias(contexts), planted_log_bias(WINDOW, contexts))[0, 1] > 0.9
    assert set(details["curves"]) == {curve}


def test_sets_need_not_be_of_one_size() -> None:
    """One start with more background than the others does not exclude these."""
    shape, rng = Shape(5, 3, 4, 16), np.random.default_rng(1)
    origin = np.concatenate([np.repeat(np.arange(200), 2), [7, 7, 9]])
    windows = [rng.integers(0, 4, (number, 5), dtype=np.uint8) for number in (200, len(origin))]
    sample = TrainingSet(
        Window(2, 2), windows[0], np.ones(200), windows[1], np.ones(len(origin)), origin=origin
    )
    sets = rows.window_rows(sample, shape)
    assert (len(sets), sets.counts.shape[1]) == (200, 3)
    assert (
        sets.sequence[7].tolist()
        == np.concatenate([windows[0][7], windows[1][14], windows[1][15]]).tolist()
    )
    for wrong in (origin[:-1], np.where(origin == 9, 999, origin), origin - 1):
        with pytest.raises(ValueError, match="origin does not name"):
            rows.window_rows(dataclasses.replace(sample, origin=wrong), shape)


def test_narrow_window_has_both_curves() -> None:
    _, details = fitted(
        planted_sample(Window(1, 1), starts=500, seed=1), dataclasses.replace(QUICK, kmer=3)
    )
    assert {name: len(values) for name, values in details["curves"].items()} == {
        "training_gain": 20,
        "training_start_gain": 20,
    }


def test_sets_by_hand() -> None:
    """Three starts; the second has only one background window and is left out."""
    window, shape = Window(0, 2), Shape(3, 2, 4, 16)
    foreground = np.array([[0, 1, 2], [3, 3, 3], [2, 2, 1]], np.uint8)
    background = np.array([[1, 1, 1], [0, 0, 0], [3, 2, 1], [2, 3, 2], [0, 3, 0]], np.uint8)
    sample = TrainingSet(
        window,
        foreground,
        np.array([1.0, 9.0, 2.0]),
        background,
        np.ones(5),
        origin=np.array([2, 0, 1, 2, 0]),
    )
    sets = rows.window_rows(sample, shape)
    expected = [[0, 1, 2, 0, 0, 0, 0, 3, 0], [2, 2, 1, 1, 1, 1, 2, 3, 2]]
    assert sets.sequence.tolist() == expected
    assert sets.codes.tolist() == [[1, 6, 0, 0, 3, 12], [10, 9, 5, 5, 11, 14]]
    assert sets.counts.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert (sets.weights.tolist(), sets.mass, sets.stride) == ([1.0, 2.0], 1.5, 2)


def test_empty_sample_is_refused() -> None:
    sample = planted_sample(WINDOW, starts=200, seed=1)
    empty = dataclasses.replace(
        sample, background=sample.background[:0], background_weight=sample.background_weight[:0]
    )
    with pytest.raises(InputError, match="no background windows to train"):
        fitted(empty)


def test_anything_but_bases_is_refused() -> None:
    sample = planted_sample(WINDOW, starts=200, seed=1)
    with pytest.raises(ValueError, match="not 0, 1, 2 or 3"):
        fitted(dataclasses.replace(sample, foreground=sample.foreground + np.uint8(1)))


def test_training_stops_when_told_to() -> None:
    stop = threading.Event()
    stop.set()
    shape = Shape(8, 3, 8, 16)
    data = rows.Data(rows.window_rows(planted_sample(WINDOW, starts=50, seed=1), shape), None)
    trainer = training.Trainer(shape, data, training.Plan(QUICK, 5, 0.1), seed=1)
    with pytest.raises(RuntimeError, match="stopped"):
        training.train_all([trainer], 1, stop)


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
from counterbias_backends import cnn
for backend in cnn.counterbias_backends():
    backend.load()
print(sorted({"numba", "torch"} & set(sys.modules)))
"""
    assert run_python(code, tmp_path).strip() == "[]"


def test_training_and_scoring_work_without_torch(tmp_path: Path) -> None:
    code = """
sys.modules["torch"] = None  # importing it raises ImportError
import numpy as np
from counterbias import InputError, Resources, Window
from counterbias.testing import planted_sample
from counterbias_backends.cnn.model import ConvolutionalModel
from counterbias_backends.cnn.options import Options
window = Window(3, 4)
options = dict(members=1, units=16, channels=8, min_steps=5, max_steps=5)
model = ConvolutionalModel(window, Options(**options))
model.fit(planted_sample(window, starts=100, seed=1), np.random.default_rng(1))
print(np.isfinite(model.log_bias(np.zeros((1, 8), dtype=np.uint8))[0]))
model.resources = Resources(device="cuda")
try:
    model.fit(planted_sample(window, starts=100, seed=1), np.random.default_rng(1))
except InputError as problem:
    print("needs torch" in str(problem))
"""
    assert run_python(code, tmp_path).split() == ["True", "True"]
