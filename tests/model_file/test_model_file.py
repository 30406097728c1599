"""Model files are read back exactly as written; what is unknown is refused in one clear line."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias import (
    Backend,
    EndModel,
    InputError,
    ModelFile,
    Training,
    Window,
    load_model,
    load_models,
    save_models,
)
from counterbias.hookspecs import hookimpl
from counterbias.plugins import Manager
from counterbias.testing import planted_sample
from counterbias_backends import pwm

WINDOW = Window(2, 3)


@pytest.fixture(scope="module")
def manager() -> Manager:
    manager = Manager()
    manager.register(pwm, name="pwm", distribution="counterbias", version="0.1.0")
    return manager


def fitted(seed: int, window: Window = WINDOW) -> pwm.PositionWeightMatrix:
    model = pwm.PositionWeightMatrix(window, pwm.Options(pseudocount=0.5))
    model.fit(planted_sample(window, starts=100, seed=seed), np.random.default_rng(seed))
    return model


def two_ends() -> ModelFile:
    ends = (
        EndModel("read1", fitted(1), 0.25, 0.875, 1234, 0.1),
        EndModel("read2", fitted(2), -0.5, 1.0, 1200, None),
    )
    return ModelFile(
        "pwm",
        "counterbias",
        "0.1.0",
        WINDOW,
        ends,
        Training(("a", "b"), 7, "local", "0.1.0"),
        cap=12.5,
        factor=0.75,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sample.model"
    save_models(path, two_ends())
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = members(path)
    description = json.loads(content["model.json"])
    change(description)
    write(path, {**content, "model.json": json.dumps(description).encode()})


def npy(array: np.ndarray, **how: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **how)
    return buffer.getvalue()


def refused(path: Path, manager: Manager, match: str) -> InputError:
    with pytest.raises(InputError, match=match) as caught:
        load_models(path, manager)
    assert caught.value.line().startswith(str(path))
    assert "\n" not in caught.value.line()
    return caught.value


# -- what is right ----------------------------------------------------------------------------


def test_round_trip_is_exact(path: Path, manager: Manager) -> None:
    given, found = two_ends(), load_models(path, manager, window=WINDOW)
    for field in ("backend", "distribution", "version", "window", "training", "cap", "factor"):
        assert getattr(found, field) == getattr(given, field)
    assert found.options == pwm.Options(pseudocount=0.5)
    contexts = np.random.default_rng(5).integers(0, 4, (200, WINDOW.width), dtype=np.uint8)
    assert len(found.ends) == 2
    for one, two in zip(given.ends, found.ends, strict=True):
        assert replace(one, model=two.model) == two
        assert np.array_equal(one.model.log_bias(contexts), two.model.log_bias(contexts))
        assert np.array_equal(
            two.log_bias(contexts), two.slope * two.model.log_bias(contexts) + two.offset
        )
    assert found.end(0).label == "read1"
    assert found.end(1).label == "read2"
    log_bias = np.array(
        [0.0, -np.log(4), -np.log(50)]
    )  # weights 1, 4 and 50, of which the cap leaves 12.5
    np.testing.assert_allclose(found.weights(log_bias), [0.75, 3.0, 9.375], rtol=1e-14)
    pooled = ModelFile("pwm", "", "", WINDOW, (EndModel("both", fitted(1)),))
    assert pooled.end(1) is pooled.end(0)


def test_file_without_cap_or_gain(tmp_path: Path, manager: Manager) -> None:
    unused = EndModel("both", fitted(1), offset=0.0, slope=0.0, held_out_gain=float("nan"))
    save_models(tmp_path / "m", ModelFile("pwm", "", "", WINDOW, (unused,)))
    found = load_models(tmp_path / "m", manager)
    assert (found.cap, found.factor, found.ends[0].held_out_gain) == (float("inf"), 1.0, None)
    scores = found.ends[0].log_bias(np.zeros((3, WINDOW.width), dtype=np.uint8))
    assert found.weights(scores).tolist() == [1.0, 1.0, 1.0]


def test_same_model_gives_the_same_bytes(path: Path, tmp_path: Path, manager: Manager) -> None:
    other = tmp_path / "other.model"
    save_models(other, two_ends())
    assert other.read_bytes() == path.read_bytes()
    save_models(other, load_models(path, manager))
    assert other.read_bytes() == path.read_bytes()
    assert list(members(path)) == [
        "model.json",
        *(
            f"{end}/log_{ground}.npy"
            for end in ("read1", "read2")
            for ground in ("background", "foreground")
        ),
    ]


def test_file_is_plain_json_and_arrays(path: Path) -> None:
    content = members(path)
    description = json.loads(content["model.json"])
    assert description["counterbias_model"] is True
    assert description["schema"] == [1, 0]
    assert description["window"] == [2, 3]
    assert description["options"] == {"pseudocount": 0.5}
    array = np.load(io.BytesIO(content["read1/log_foreground.npy"]), allow_pickle=False)
    np.testing.assert_allclose(np.exp(array).sum(axis=1), 1)


def test_load_model_finds_plugins_itself_or_takes_a_manager(path: Path, manager: Manager) -> None:
    assert load_model(path, manager=manager).backend == "pwm"
    with pytest.raises(InputError, match="there is no backend 'pwm'"):
        load_model(path, manager=Manager())


def test_newer_minor_schema_passes_without_additions_only(path: Path, manager: Manager) -> None:
    edit(path, lambda d: d.update(schema=[1, 7]))
    assert load_models(path, manager).backend == "pwm"
    edit(path, lambda d: d.update(added_in_1_7=0))
    assert "schema 1.7" in refused(path, manager, "'added_in_1_7' is unknown").place


def test_option_that_a_newer_plugin_added_gets_its_default(path: Path, manager: Manager) -> None:
    edit(path, lambda d: d.update(options={}))
    assert load_models(path, manager).options == pwm.Options(pseudocount=1.0)
    edit(path, lambda d: d.update(options={"pseudocount": 2}))
    assert load_models(path, manager).options == pwm.Options(pseudocount=2.0)


def test_tuples_among_the_options_come_back(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Several:
        sizes: tuple[int, ...] = (4, 10)
        pseudocount: float = 1.0
        name: str = "x"
        flag: bool = False

    class Model(pwm.PositionWeightMatrix):
        Options = Several

    class Plugin:
        @hookimpl
        def counterbias_backends(self):
            return [Backend("several", "s", lambda: Model)]

    manager = Manager()
    manager.register(Plugin(), name="several")
    model = Model(WINDOW, Several(sizes=(5,), flag=True))
    model.fit(planted_sample(WINDOW, starts=50, seed=1), np.random.default_rng(1))
    save_models(tmp_path / "m", ModelFile("several", "", "", WINDOW, (EndModel("both", model),)))
    assert load_models(tmp_path / "m", manager).options == Several(sizes=(5,), flag=True)


# -- what is refused --------------------------------------------------------------------------


def test_another_window_is_refused(path: Path, manager: Manager) -> None:
    with pytest.raises(InputError, match="has the window 2,3, not 10,10") as caught:
        load_models(path, manager, window=Window())
    assert "--bias-window 2,3" in caught.value.remedy


def test_missing_empty_text_and_folder_are_refused(tmp_path: Path, manager: Manager) -> None:
    refused(tmp_path / "none.model", manager, "there is no such model file")
    refused(tmp_path, manager, "cannot read the model")
    for content in (b"", b"gene\tcount\n", b"PK\x03\x04"):
        (tmp_path / "x.model").write_bytes(content)
        refused(tmp_path / "x.model", manager, "not a model file")


def test_every_truncation_is_refused(path: Path, manager: Manager) -> None:
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        refused(path, manager, "not a model file")


def test_flipped_bytes_never_raise_anything_but_input_error(path: Path, manager: Manager) -> None:
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    refusals = 0
    for position in rng.integers(0, len(content), 400):
        changed = bytearray(content)
        changed[position] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        try:
            load_models(path, manager)
        except InputError:
            refusals += 1
    assert refusals > 300  # the rest hit bytes without a meaning, such as the members' time


CHANGES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d.pop("counterbias_model"), "no tag 'counterbias_model'"),
    (lambda d: d.update(counterbias_model=1), "no tag 'counterbias_model'"),
    (lambda d: d.update(schema=[2, 0]), r"schema 2\.0 is newer than 1\.2"),
    (lambda d: d.update(schema=[0, 9]), r"schema 0\.9 is older"),
    (lambda d: d.update(schema="1.0"), r"not \[major, minor\]"),
    (lambda d: d.update(schema=[True, False]), r"not \[major, minor\]"),
    (lambda d: d.pop("training"), "'training' is missing"),
    (lambda d: d["training"].update(more=1), "'more' is unknown"),
    (lambda d: d["training"].update(samples=[1]), "not strings"),
    (lambda d: d["training"].update(seed=-1), "'seed' is not a whole number"),
    (lambda d: d.update(training=[]), "expected an object"),
    (lambda d: d["weighting"].update(more=1), "'more' is unknown"),
    (lambda d: d["weighting"].update(factor=None), "'factor' is not a number"),
    (lambda d: d["ends"][0].update(more=1), "'more' is unknown"),
    (lambda d: d["ends"][0].pop("slope"), "'slope' is missing"),
    (lambda d: d["ends"][0].update(slope="1"), "'slope' is not a number"),
    (lambda d: d["ends"][0].update(offset=True), "'offset' is not a number"),
    (lambda d: d["ends"][0].update(offset=10**400), "'offset' is not a number"),
    (lambda d: d["ends"][0].update(starts=1.5), "'starts' is not a whole number"),
    (lambda d: d["ends"][0].update(label="read9"), "missing"),
    (lambda d: d["ends"][0].update(label=["read1"]), "'label' is not a string"),
    (lambda d: d["ends"][0].update(arrays=["../../etc/passwd"]), "missing"),
    (lambda d: d["ends"][0].update(arrays=[["log_foreground"]]), "missing"),
    (lambda d: d["ends"][0]["arrays"].append("log_foreground"), "missing"),
    (lambda d: d["ends"][0]["arrays"].pop(), "missing"),
    (lambda d: d["ends"][0].update(arrays={}), "not a list"),
    (lambda d: d["ends"].reverse(), "ends are"),
    (lambda d: d["ends"].pop(), "which model.json does not list"),
    (lambda d: d.update(ends=7), "not a list"),
    (lambda d: d.update(backend="pwn"), "there is no backend 'pwn'. Did you mean pwm"),
    (lambda d: d.update(backend=None), "'backend' is not a string"),
    (
        lambda d: d.update(distribution="elsewhere"),
        "of elsewhere, but the one installed is of counterbias",
    ),
    (lambda d: d.update(window=[2, 4]), "has shape"),
    (lambda d: d.update(window=[2, -1]), "cannot be used"),
    (lambda d: d.update(window=[10**9, 0]), "cannot be used"),
    (lambda d: d.update(window=[2.0, 3]), "'window' is not"),
    (lambda d: d.update(options={"pseudocounts": 1.0}), "does not know"),
    (lambda d: d.update(options={"pseudocount": "1"}), "pseudocount is not of type float"),
    (lambda d: d.update(options={"pseudocount": -1.0}), "above 0"),
    (lambda d: d.update(options=[]), "does not know"),
]


@pytest.mark.parametrize(("change", "match"), CHANGES)
def test_changed_description_is_refused(path: Path, manager: Manager, change, match: str) -> None:
    edit(path, change)
    refused(path, manager, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"[]", "no tag"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"counterbias_model": true, "counterbias_model": true}', "a key is repeated"),
        (b'{"counterbias_model": NaN}', "NaN is not a number"),
        (b"[" * 200_000, "not valid JSON"),
        (b" " * (5 << 20), "no usable model.json"),
    ],
)
def test_unusable_json_is_refused(path: Path, manager: Manager, text: bytes, match: str) -> None:
    write(path, {**members(path), "model.json": text})
    refused(path, manager, match)


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def header(text: str) -> bytes:
    """Return .npy bytes with a header of our own and no data."""
    padded = text + " " * (63 - (10 + len(text)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode()


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (npy(np.array([[1.0]], dtype=object), allow_pickle=True), r"type '\|O'"),
        (npy(np.zeros((6, 4), "U3")), "type "),
        (npy(np.zeros((6, 4), ">f8")), "type "),
        (npy(np.asfortranarray(np.ones((6, 4)))), "type "),
        (npy(np.zeros((6, 4), "M8[s]")), "type "),
        (npy(np.zeros((6, 4), complex)), "type "),
        (npy(np.zeros((6, 4), [("a", "f8")])), "type "),
        (npy(np.zeros((5, 4))), "has shape"),
        (npy(np.full((6, 4), np.nan)), "not finite"),
        (npy(np.zeros((6, 4)), version=(2, 0)), "another .npy version"),
        (npy(np.zeros((6, 4)))[:-8], "with 184 bytes"),
        (npy(np.zeros((6, 4))) + b"12345678", "with 200 bytes"),
        (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 4), }"),
            "with 0 bytes",
        ),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4), }"), "not an array"),
        (header("__import__('os').mkdir('/tmp/never')"), "not an array"),
        (b"", "not an array"),
        (b"text", "not an array"),
    ],
)
def test_unusable_array_is_refused(path: Path, manager: Manager, array: bytes, match: str) -> None:
    write(path, {**members(path), "read1/log_foreground.npy": array})
    refused(path, manager, match)


def test_no_code_runs(path: Path, tmp_path: Path, manager: Manager) -> None:
    trap = tmp_path / "sprung"
    hostile = pickle.dumps(Trap(trap))
    for array in (hostile, npy(np.array([Trap(trap)], dtype=object), allow_pickle=True)):
        write(path, {**members(path), "read1/log_foreground.npy": array})
        refused(path, manager, "not an array of plain numbers")
    path.write_bytes(hostile)
    refused(path, manager, "not a model file")
    assert not trap.exists()


def test_unknown_member_is_refused(path: Path, tmp_path: Path, manager: Manager) -> None:
    content = members(path)
    for name in ("../escape.txt", "/etc/escape", "read1/extra.npy", "code.py"):
        write(path, {**content, name: b"x"})
        refused(path, manager, "which model.json does not list")
    assert sorted(tmp_path.iterdir()) == [path]


def test_zip_bombs_are_refused(path: Path, manager: Manager) -> None:
    content = members(path)
    write(path, {**content, "read1/log_foreground.npy": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    refused(path, manager, "larger than the file, or too many")
    write(path, {"model.json": os.urandom(4000)}, zipfile.ZIP_DEFLATED)
    refused(path, manager, "compressed, encrypted or repeated")
    write(path, {**content, **{f"x{i}": b"" for i in range(5000)}})
    refused(path, manager, "larger than the file, or too many")


def test_file_beyond_the_limit_is_refused(
    path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterbias.model_file.container.MAX_BYTES", 1 << 20)
    with path.open("ab") as stream:
        stream.truncate(2 << 20)
    refused(path, manager, "larger than 1 MiB")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_member_is_refused(path: Path, manager: Manager) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.json", b"{}")
    refused(path, manager, "doubled")


def test_backend_that_cannot_be_loaded_is_reported(path: Path) -> None:
    def load() -> type:
        raise ModuleNotFoundError("No module named 'torch'")

    class Plugin:
        @hookimpl
        def counterbias_backends(self):
            return [Backend("pwm", "s", load, requires=("no_such_module",))]

    manager = Manager()
    manager.register(Plugin(), name="p")
    problem = refused(path, manager, "backend 'pwm' cannot be loaded: No module named 'torch'")
    assert problem.remedy == "run: pip install no_such_module"


def test_backend_that_checks_nothing_is_no_reason_to_crash(path: Path) -> None:
    class Careless(pwm.PositionWeightMatrix):
        def from_arrays(self, arrays):
            raise KeyError("weights")

    class Plugin:
        @hookimpl
        def counterbias_backends(self):
            return [Backend("pwm", "s", lambda: Careless)]

    manager = Manager()
    manager.register(Plugin(), name="p")
    refused(path, manager, "refuses the arrays of end 'read1'")


# -- writing ----------------------------------------------------------------------------------


def test_unwritable_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: No such file") as caught:
        save_models(tmp_path / "none" / "x.model", two_ends())
    assert caught.value.file.endswith("x.model")
    with pytest.raises(InputError, match="cannot be written"):
        save_models(tmp_path, two_ends())


def test_nothing_is_left_half_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("counterbias.model_file.writing.os.replace", full)
    with pytest.raises(InputError, match="No space left"):
        save_models(path, replace(two_ends(), version="9"))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_written_file_has_the_usual_permissions(path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    "arrays", [{"x": np.array([None])}, {"../x": np.zeros(1)}, {"x": np.array(["text"])}]
)
def test_arrays_that_are_not_plain_numbers_are_not_saved(tmp_path: Path, arrays) -> None:
    class Odd(pwm.PositionWeightMatrix):
        def to_arrays(self):
            return arrays

    with pytest.raises(InputError, match="which cannot be saved"):
        save_models(
            tmp_path / "x", ModelFile("odd", "", "", WINDOW, (EndModel("both", Odd(WINDOW)),))
        )
    assert list(tmp_path.iterdir()) == []


def test_ends_that_do_not_belong_together_are_refused() -> None:
    one = EndModel("read1", fitted(1))
    for ends in (
        (),
        (one,),
        (one, one),
        (EndModel("both", fitted(1)), EndModel("read2", fitted(1))),
    ):
        with pytest.raises(ValueError, match="ends are"):
            ModelFile("pwm", "", "", WINDOW, ends)
    with pytest.raises(ValueError, match="the file's window"):
        ModelFile("pwm", "", "", Window(), (EndModel("both", fitted(1)),))
