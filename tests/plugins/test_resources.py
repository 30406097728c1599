"""What models may use while they are fitted: threads, a device, and a progress callback."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest

from counterbias import (
    BiasModel,
    InputError,
    Resources,
    TrainingSet,
    Window,
    load_plugins,
    parse_options,
)
from counterbias.model_file import EndModel, ModelFile, Training, save_models
from counterbias.pipeline.bias.choice import ModelChoice, idle_device
from counterbias.testing import planted_sample

WINDOW = Window(4, 4)
LIGHT = {
    "cnn": (
        "members=2",
        "units=16",
        "channels=4",
        "min_steps=60",
        "max_steps=60",
        "distil_steps=200",
    ),
    "bayesnet": (),
    "gru": ("hidden=3", "epochs=2", "min_steps=0", "batch=32"),
    "gru-ratio": ("objective=ratio", "hidden=3"),
    "lstm": ("hidden=3", "epochs=6", "min_steps=0", "batch=32", "patience=1"),
    "ensemble": ("members=bayesnet,cnn:members=1;units=16;channels=4;min_steps=20;max_steps=20",),
}


def fit(label: str, resources: Resources, sample: TrainingSet | None = None) -> BiasModel:
    name = label.partition("-")[0]
    kind = load_plugins().backend(name).load()
    model = kind(WINDOW, parse_options(kind, list(LIGHT[label])))
    model.resources = resources
    model.fit(sample or planted_sample(WINDOW, starts=400, seed=1), np.random.default_rng(1))
    return model


@pytest.mark.parametrize(
    ("given", "problem"),
    [({"threads": 0}, "at least 1"), ({"device": "tpu"}, "must be one of cpu, cuda, auto")],
)
def test_resources_that_are_none(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Resources(**given)


def test_models_have_one_thread_and_no_listener_unless_told() -> None:
    assert BiasModel.resources == Resources() == Resources(1, "cpu", None)


@pytest.mark.parametrize("label", LIGHT)
def test_progress_rises_to_its_end(label: str) -> None:
    reported: dict[str, list[tuple[int, int]]] = {}
    lock = threading.Lock()

    def progress(stage: str, done: int, total: int) -> None:
        with lock:
            reported.setdefault(stage, []).append((done, total))

    fit(label, Resources(2, "cpu", progress))
    stages = {
        "bayesnet": {"finding the graph of bayesnet"}, "gru-ratio": {"training gru"},
        "cnn": {"training cnn", "distilling cnn"},
    }.get(label, {f"training {label}"})  # fmt: skip
    assert set(reported) == (
        {"finding the graph of bayesnet", "training cnn"} if label == "ensemble" else stages
    )
    for steps in reported.values():
        done = [one for one, _ in steps]
        assert done == sorted(done)
        assert len(done) > 3
        assert steps[-1][0] == steps[-1][1] > 0
        assert len(done) <= 2 * 101


@pytest.mark.parametrize("label", LIGHT)
def test_model_file_tells_neither_threads_nor_device(label: str, tmp_path: Any) -> None:
    contents = []
    for number, resources in enumerate(
        (Resources(), Resources(3, "auto", lambda stage, done, total: None))
    ):
        model = fit(label, resources)
        end = EndModel("both", model, 0.0, 1.0, 400, None)
        path = tmp_path / f"{number}.model"
        save_models(
            str(path),
            ModelFile(
                label.partition("-")[0],
                "counterbias",
                "1",
                WINDOW,
                (end,),
                Training(("s",), 1, "local", "1"),
            ),
        )
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("label", ["cnn", "gru", "gru-ratio", "ensemble"])
def test_gpu_that_is_not_there(label: str) -> None:
    torch = pytest.importorskip("torch", reason="without torch another message is given")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="--bias-device cuda: torch finds no GPU"):
        fit(label, Resources(device="cuda"))
    name = label.partition("-")[0]
    kind = load_plugins().backend(name).load()
    model = kind(WINDOW, parse_options(kind, list(LIGHT[label])))
    model.check_resources()
    model.resources = Resources(device="cuda")
    with pytest.raises(InputError, match="--bias-device cuda: torch finds no GPU"):
        model.check_resources()


def test_models_declare_that_they_use_a_gpu() -> None:
    backends = load_plugins().backends
    using = {name for name in backends if backends[name].backend.load().uses_gpu}
    assert using == {"cnn", "gru", "lstm", "ensemble"}


def test_a_gpu_is_idle_where_no_model_declares_that_it_uses_one() -> None:
    class Checking(Listing):
        def check_resources(self) -> None:
            """Threads, say."""

    class OnGpu(Listing):
        uses_gpu = True

    checking, on_gpu = (
        ModelChoice(kind.__name__, "mine", "1", kind, Lists(), WINDOW) for kind in (Checking, OnGpu)
    )
    assert idle_device("cuda", [checking]) == (
        "--bias-device cuda changes nothing: Checking is not trained on a GPU"
    )
    assert idle_device("cuda", [checking, on_gpu]) is None
    assert idle_device("auto", [checking]) is None


@dataclasses.dataclass(frozen=True)
class Lists:
    whole: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    flags: tuple[bool, ...] = ()
    names: tuple[str, ...] = ()
    bare: tuple = ()  # type: ignore[type-arg]
    first: tuple[int, ...] = (3,)


class Listing(BiasModel):
    Options = Lists

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> Any: ...

    def log_bias(self, contexts: Any) -> Any: ...

    def to_arrays(self) -> Any: ...

    def from_arrays(self, arrays: Any) -> None: ...


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("whole=5,10,20", {"whole": (5, 10, 20)}),
        ("whole=", {"whole": ()}),
        ("shares=0.5,1", {"shares": (0.5, 1.0)}),
        ("flags=yes,0", {"flags": (True, False)}),
        ("names=5,b", {"names": ("5", "b")}),
        ("bare=5,b", {"bare": ("5", "b")}),
        ("first=7", {"first": (7,)}),
    ],
)
def test_lists_have_the_type_that_they_are_annotated_with(
    pair: str, expected: dict[str, Any]
) -> None:
    found = parse_options(Listing, [pair])
    assert found == Lists(**expected)
    (name,) = expected
    assert [type(part) for part in getattr(found, name)] == [type(part) for part in expected[name]]


@pytest.mark.parametrize(
    ("pair", "kind"),
    [("whole=5,x", "int"), ("whole=1.5", "int"), ("shares=a", "float"), ("flags=maybe", "bool")],
)
def test_lists_of_another_type_are_refused(pair: str, kind: str) -> None:
    with pytest.raises(InputError, match=f"{pair}: the value is not a list of {kind}, as in a,b"):
        parse_options(Listing, [pair])
