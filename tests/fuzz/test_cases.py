"""Inputs that once failed, as files ``cases/TARGET/NAME.json`` whose names are what was wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.case import Case
from tests.fuzz.shrinking import outcome_in_child

CASES = sorted(Path(__file__).with_name("cases").glob("*/*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_kept_input(path: Path) -> None:
    pytest.importorskip("HTSeq", reason="HTSeq is the oracle of some targets")
    target = targets.load(path.parent.name)
    # In another process, because some of these once hung in loops that nothing can interrupt.
    assert outcome_in_child(target.check, Case.load(path), limit=20) == ""


def test_cases_are_read_as_they_were_written(tmp_path: Path) -> None:
    case = Case([bytes(range(256)), b""], {"order": "name", "index": None, "text": "é\ud800"})
    (tmp_path / "case.json").write_text(case.dump())
    assert Case.load(tmp_path / "case.json") == case
