"""Which samples failed is read from their folders, named in one line, and forgotten."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.cohort.project import load


@pytest.fixture(scope="module")
def outcomes() -> ModuleType:
    return load("outcomes")


def record(folder: Path, step: str, ending: str, message: str = "") -> str:
    folder.mkdir(parents=True)
    (folder / "outcome.tsv").write_text(f"{step}\t{ending}\t{folder.name}.log\t{message}\n")
    return str(folder)


def test_failures_are_named_and_forgotten(outcomes: ModuleType, tmp_path: Path) -> None:
    folders = [
        record(tmp_path / "screened" / "A", "screen", "ok"),
        record(tmp_path / "screened" / "B", "screen", "failed", "B.bam is truncated"),
        record(tmp_path / "models" / "kit1", "train", "failed", "no reads"),
        record(tmp_path / "samples" / "A", "train", "failed", "no reads"),
        str(tmp_path / "samples" / "B"),
    ]
    assert outcomes.forget_failures(folders, ["A", "B"]) == (
        "counterbias workflow: 2 of 2 samples failed: B (B.log: B.bam is truncated); "
        "A (A.log: no reads); train of kit1 (kit1.log: no reads). When this is mended, the same "
        "command tries them again."
    )
    assert [Path(folder).exists() for folder in folders] == [True, False, False, False, False]
    assert outcomes.forget_failures(folders, ["A", "B"]) == ""


def test_hundreds_of_failures_stay_one_line(outcomes: ModuleType, tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(300)]
    folders = [record(tmp_path / name, "count", "failed", "no genome") for name in names]
    line = outcomes.forget_failures(folders, names)
    assert "300 of 300 samples failed: s0 (s0.log: no genome); s1 " in line
    assert "s19 (s19.log: no genome); 280 more (results/outcomes.tsv)." in line
    assert "\n" not in line


def test_tables_and_lists_have_what_there_is(outcomes: ModuleType, tmp_path: Path) -> None:
    folders = [
        record(tmp_path / "A", "count", "ok"),
        record(tmp_path / "B", "screen", "failed", "a = b"),
    ]
    samples = [outcomes.read_outcome(folder) for folder in folders]
    written = tmp_path / "written"
    outcomes.list_successful(folders, ["A.bam", "B.bam"], str(written))
    assert written.read_text() == "A.bam\n"
    outcomes.write_outcomes(samples, [], str(written))
    assert written.read_text() == (
        "name\tstep\toutcome\tlog\tmessage\nA\tcount\tok\tA.log\t\n"
        "B\tscreen\tfailed\tB.log\ta = b\n"
    )
    outcomes.write_missing(samples, str(written))
    assert "1 of 2 samples could not be counted" in written.read_text()
    assert written.read_text().endswith("Sample\tStep\tMessage\tLog\nB\tscreen\ta = b\tB.log\n")
    outcomes.write_missing(samples[:1], str(written))
    assert written.read_text() == ""
