"""The check of a wheel sees what differs, and does not see what is measured."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def check_wheel(root: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("check_wheel", root / ".ci" / "check_wheel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_wheel"] = module  # its dataclass looks there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_wheel"]


FILES = {
    "counts.tsv": "geneA\t1\ngeneB\t2\n",
    "compared/comparison.tsv": "sample\ttrain_seconds\tgain_all\na\t0.5\t0.25\n",
    "compared/cache/1.npz": "measured",
    "cnn.json": '{"run": {"seconds": {"counting": 1.5}, "threads": 1}, "gains": [0.25, 0.5]}',
    "reads.bam": "bytes",
}


def made(folder: Path, changes: dict[str, str]) -> Path:
    for name, text in {**FILES, **changes}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_what_is_measured_may_differ(
    tmp_path: Path, check_wheel: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {
        "compared/comparison.tsv": "sample\ttrain_seconds\tgain_all\na\t0.75\t0.25\n",
        "compared/cache/1.npz": "measured again",
        "cnn.json": '{"run": {"seconds": {"counting": 2}, "threads": 1}, "gains": [0.25, 0.5]}',
    }
    check_wheel._compare(made(tmp_path / "wheel", changes), made(tmp_path / "reference", {}))
    assert capsys.readouterr().out == "wheel: 4 files are the same as the reference's\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("counts.tsv", "geneA\t1\ngeneB\t3\n"),
        ("counts.tsv", "geneA\t1\n"),
        ("compared/comparison.tsv", "sample\ttrain_seconds\tgain_all\na\t0.5\t0.26\n"),
        ("cnn.json", '{"run": {"seconds": {}, "threads": 2}, "gains": [0.25, 0.5]}'),
        ("cnn.json", '{"run": {"seconds": {}, "threads": 1}, "gains": [0.25, 0.51]}'),
        ("reads.bam", "byteS"),
    ],
)
def test_anything_else_is_named(
    tmp_path: Path, check_wheel: ModuleType, name: str, text: str
) -> None:
    wheel, reference = made(tmp_path / "wheel", {name: text}), made(tmp_path / "reference", {})
    with pytest.raises(SystemExit, match=f"not what the reference writes: {name}$"):
        check_wheel._compare(wheel, reference)


def test_a_file_too_many_is_named(tmp_path: Path, check_wheel: ModuleType) -> None:
    wheel, reference = made(tmp_path / "wheel", {"more.tsv": ""}), made(tmp_path / "reference", {})
    with pytest.raises(SystemExit, match=r"other files: \['more.tsv'\]"):
        check_wheel._compare(wheel, reference)


def test_a_command_that_fails_ends_the_check_with_what_it_said(
    tmp_path: Path, check_wheel: ModuleType
) -> None:
    variables = {"COUNTERBIAS_LOOPS": "compiled"}
    installation = check_wheel.Installation("the wheel", Path(sys.executable), variables)
    code = "import os, sys; print(sorted(os.environ), file=sys.stderr); sys.exit(3)"
    with pytest.raises(SystemExit) as caught:
        check_wheel._run(installation, [sys.executable, "-c", code], tmp_path)
    assert "the wheel: exit status 3 of: -c" in str(caught.value)
    assert "HOME" not in str(caught.value)
    assert "'COUNTERBIAS_LOOPS'" in str(caught.value)
