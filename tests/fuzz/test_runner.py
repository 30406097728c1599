"""The runner notices and shrinks failures, crashes and hangs in the processes that it started."""

from __future__ import annotations

import os
import random
import signal
import time
import types
from pathlib import Path

import pytest

from tests.fuzz import runner, shrinking
from tests.fuzz.case import Case
from tests.fuzz.runner import Run, draw


def mutate(rng: random.Random) -> Case:
    """Draw letters that pass the check."""
    return Case([bytes([rng.choice(b"abcdefgh")]) for _ in range(20)])


def check(case: Case) -> str:
    """Fail, crash or hang at some letters."""
    text = b"".join(case.parts)
    if b"XY" in text:
        raise ValueError(f"at {text.index(b'XY')}")
    if b"C" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"H" in text:
        time.sleep(60)
    return "fine"


def mutate_to_failures(rng: random.Random) -> Case:
    """Draw letters that fail, crash or pass the check."""
    case = mutate(rng)
    case.parts[7:7] = rng.choice(([b"X", b"Y"], [b"C"], []))
    return case


@pytest.mark.parametrize(
    ("letters", "failure"), [(b"XY", "ValueError: at N"), (b"C", "crash: SIGSEGV"), (b"H", "hang")]
)
def test_all_failures_are_noticed_and_shrunk(letters: bytes, failure: str) -> None:
    case = mutate(random.Random(1))
    case.parts[5:5] = [bytes([letter]) for letter in letters]
    assert shrinking.outcome_in_child(check, case, limit=0) == failure
    if failure != "hang":
        assert b"".join(shrinking.shrink(check, case, failure, 10, hang=5).parts) == letters


def test_a_run_keeps_shrunk_inputs_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes import the target by its name; here, a module that is put on their path."""
    module = tmp_path / "path" / "fuzz_trouble.py"
    module.parent.mkdir()
    module.write_text("from tests.fuzz.test_runner import check, mutate_to_failures as mutate\n")
    monkeypatch.syspath_prepend(str(module.parent))
    monkeypatch.setattr(runner, "SHRINK", 5.0)
    result = Run("fuzz_trouble", 3, tmp_path / "failures", inputs=12, workers=2).run()
    assert result.inputs == 12
    drawn = [
        b"".join(mutate_to_failures(random.Random((3 << 40) + number)).parts)
        for number in range(12)
    ]
    crashes = sum(b"C" in text for text in drawn)
    assert crashes > 1
    assert result.failures["crash: SIGSEGV"] == crashes
    assert result.outcomes.total() + result.failures.total() == 12
    kept = {
        path.with_suffix(".txt").read_text().partition("\n")[0]: Case.load(path)
        for path in sorted(result.files, reverse=True)
    }
    assert b"".join(kept["crash: SIGSEGV"].parts) == b"C"
    assert "FAILED: crash: SIGSEGV" in result.report()


def test_an_input_depends_on_seed_and_number_only() -> None:
    target = types.SimpleNamespace(mutate=mutate, check=check)
    assert draw(target, 1, 5) == draw(target, 1, 5)
    assert draw(target, 1, 5) != draw(target, 1, 6) != draw(target, 2, 6)
