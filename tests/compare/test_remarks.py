"""What ``counterbias compare`` recommends, and its remarks on samples, truths and folds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import counterbias
from counterbias.cli import main
from counterbias.evaluation.truth import Joined, TruthTable
from counterbias.pipeline.compare import trials
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.pipeline.compare.jobs import noting
from counterbias.pipeline.compare.outcome import Outcome
from counterbias.pipeline.compare.recommended import recommendation
from counterbias.pipeline.compare.remarks import remarks
from counterbias.pipeline.compare.results import Comparison
from tests.compare.running import command, document, rows


def comparison(candidates: list[Candidate], samples: list[Any], **more: Any) -> Comparison:
    """Return a comparison of which only some parts are there."""
    parts: dict[str, Any] = {"features": None, "options": None, "bias": None, **more}
    return Comparison(candidates=candidates, samples=samples, **parts)


def test_only_a_model_measured_in_every_sample_is_recommended() -> None:
    """Gains of different samples do not compare: a model seen only in the easy one must not win."""

    def outcome(label: str, gain: float, status: str = "ok") -> Outcome:
        candidate = Candidate(label, counterbias.Window(), None)
        measured = [{"fold": fold, "values": {"gain_cap5": gain}} for fold in range(3)]
        return Outcome(candidate, status, "", measured, {}, {"applied": True, "parameters": 5})

    hard = SimpleNamespace(
        name="hard", outcomes=[outcome("both", 0.1), outcome("easy only", 0.0, "skipped")]
    )
    easy = SimpleNamespace(name="easy", outcomes=[outcome("both", 0.6), outcome("easy only", 0.5)])
    nothing = SimpleNamespace(
        name="nothing",
        outcomes=[outcome("both", 0.0, "skipped"), outcome("easy only", 0.0, "skipped")],
    )
    candidates = [one.candidate for one in hard.outcomes]
    found = recommendation(comparison(candidates, [hard, easy, nothing]))
    assert found.model == "both"


def test_the_truth_is_remarked_on_per_column_and_only_where_it_lacks_something() -> None:
    table = TruthTable("t.tsv", "id", {"A": {}, "B": {}}, {"A": 0, "B": 2}, ("x",))
    truth = Joined(np.ones(3), 3, 0, 0)

    def remarks_with(columns: tuple[str, ...]) -> list[str]:
        samples = [
            SimpleNamespace(name=name, outcomes=[], truth=truth, group=None) for name in columns
        ]
        options = SimpleNamespace(truth=SimpleNamespace(columns=columns))
        return remarks(comparison([], samples, options=options, truth=table))

    assert remarks_with(("A", "A")) == []
    (line,) = remarks_with(("A", "B"))
    assert "2 cells without a value" in line


def test_reasons_of_folds_do_not_depend_on_which_ended_first() -> None:
    outcome = Outcome(Candidate("pwm", counterbias.Window(), None))
    places = [f"fold {fold}, seed 1" for fold in range(2)]
    jobs: list[Any] = [SimpleNamespace(outcome=outcome, place=place) for place in places]
    problems: dict[int, str] = {}
    for number in (1, 0):
        with noting(jobs[number], number, problems):
            raise counterbias.InputError("nothing to learn from")
    trials._note_problems(jobs, problems)
    assert outcome.reason.startswith("fold 0, seed 1: ")


def test_a_sample_with_hardly_a_read(folder: Path, tmp_path: Path) -> None:
    import pysam

    few = str(tmp_path / "few.bam")
    with (
        pysam.AlignmentFile(str(folder / "one.bam")) as source,
        pysam.AlignmentFile(few, "wb", template=source) as target,
    ):
        for number, read in enumerate(source):
            if number < 20:
                target.write(read)
    words = command(
        folder, tmp_path / "out", "--folds", "2", "--seeds", "1", "--no-figures", samples=()
    )
    assert main([*words[:-1], few, words[-1]]) == 0
    found = rows(tmp_path / "out")
    assert [row["status"] for row in found] == ["skipped"] * 3
    assert all(row["reason"] != "NA" for row in found)
    assert document(tmp_path / "out")["recommendation"]["model"] is None


def test_one_sample_alone_in_its_group(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "groups.tsv"
    sheet.write_text("sample\tgroup\none\ta\n")
    words = command(
        folder,
        tmp_path / "out",
        "--folds",
        "1",
        "--seeds",
        "1",
        "--no-figures",
        "--groups",
        sheet,
        models="pwm",
    )
    assert main(words) == 0
    assert "one is alone in group 'a'" in capsys.readouterr().err
    (row,) = rows(tmp_path / "out")
    assert (row["group"], row["replicate_rmse_raw"]) == ("a", "NA")
