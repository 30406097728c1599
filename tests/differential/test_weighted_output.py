"""With a bias model htseq-count's outputs stay the same; ``-o`` gains a weight."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.harness import Outcome, require_oracle, run_ours, run_theirs


@pytest.fixture(scope="module")
def outcomes(
    data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, Outcome, Path]:
    """Count with htseq-count, and with a model by ours."""
    require_oracle()
    source = data_dir / "human_trimmed"
    line = [
        "-s",
        "no",
        "-r",
        "pos",
        "--nonunique",
        "all",
        "-o",
        "{out}/x.sam",
        str(source / "SRR1039508.bam"),
        str(source / "genes.gtf"),
    ]
    model = [
        "--bias-model",
        "pwm",
        "--bias-genome",
        str(source / "genome.fa"),
        "--bias-output",
        "{out}/weighted",
    ]
    theirs, ours = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("ours")
    return run_theirs(line, theirs), run_ours([*model, *line], ours), ours


def test_table_and_records_are_unchanged(outcomes: tuple[Outcome, Outcome, Path]) -> None:
    theirs, ours, _ = outcomes
    assert theirs.status == ours.status == 0
    assert ours.stdout == theirs.stdout
    assert set(theirs.stderr) <= set(ours.stderr)
    without = [
        b"\t".join(field for field in line.split(b"\t") if not field.startswith(b"ZW:"))
        for line in ours.files["x.sam"].splitlines()
    ]
    assert without == theirs.files["x.sam"].splitlines()


def records(outcome: Outcome) -> Iterator[list[str]]:
    for line in outcome.files["x.sam"].decode().splitlines():
        if not line.startswith("@"):
            yield line.split("\t")


def test_weight_stands_before_the_assignment_of_what_was_counted(
    outcomes: tuple[Outcome, Outcome, Path],
) -> None:
    weights = []
    for fields in records(outcomes[1]):
        tags = [field.split(":", 2) for field in fields[11:]]
        assert tags[-1][0] == "XF"
        weighed = [place for place, tag in enumerate(tags) if tag[0] == "ZW"]
        counted = not tags[-1][2].startswith("__") or tags[-1][2].startswith("__ambiguous[")
        assert len(weighed) == counted
        if weighed:
            assert all(tag[0] == "XF" for tag in tags[weighed[0] + 1 :])
            assert tags[weighed[0]][1] == "f"
            weights.append(float(tags[weighed[0]][2]))
    assert len(weights) > 10000
    assert min(weights) > 0
