"""``--nonunique random``: htseq-count draws without a seed, so distributions are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.harness import OUT, run_ours, run_theirs

READS = 3000
#: The 99.9 % point of chi-square with two degrees of freedom.
LIMIT = 13.816


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Make reads that lie under three genes, and some under one of them only."""
    folder = tmp_path_factory.mktemp("random")
    exon = 'chr1\tsrc\texon\t{}\t{}\t.\t+\t.\tgene_id "{}";\n'
    (folder / "g.gtf").write_text(
        exon.format(1, 500, "a") + exon.format(1, 500, "b") + exon.format(1, 900, "c")
    )
    reads = [
        f"r{row}\t0\tchr1\t{1 + row % 400}\t60\t50M\t*\t0\t0\t*\t*\tNH:i:1\n"
        for row in range(READS)
    ]
    reads += [f"s{row}\t0\tchr1\t700\t60\t50M\t*\t0\t0\t*\t*\tNH:i:1\n" for row in range(100)]
    (folder / "x.sam").write_text("@SQ\tSN:chr1\tLN:5000\n" + "".join(reads))
    return ["--nonunique", "random", str(folder / "x.sam"), str(folder / "g.gtf")]


def counts(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split("\t") for line in text.splitlines())}


def chi_square(found: dict[str, int]) -> float:
    drawn = [found["a"], found["b"], found["c"] - 100]
    return sum((number - READS / 3) ** 2 / (READS / 3) for number in drawn)


def test_each_feature_is_drawn_equally_often(inputs: list[str], tmp_path: Path) -> None:
    seeds = {}
    for seed in ("1", "2", "3"):
        table = counts(run_ours(["--bias-seed", seed, *inputs], tmp_path).stdout)
        assert table["a"] + table["b"] + table["c"] == READS + 100
        assert table["__ambiguous"] == READS
        assert chi_square(table) < LIMIT
        seeds[seed] = table
    assert seeds["1"] != seeds["2"] != seeds["3"]


def test_the_same_seed_draws_the_same(inputs: list[str], tmp_path: Path) -> None:
    first = run_ours(inputs, tmp_path)
    assert run_ours([*inputs, "--bias-seed", "1"], tmp_path).stdout == first.stdout
    assert run_ours([*inputs, "--bias-threads", "2"], tmp_path).stdout == first.stdout


def test_all_that_is_not_drawn_equals_htseq_count(inputs: list[str], tmp_path: Path) -> None:
    pytest.importorskip(
        "HTSeq.scripts.count", reason="htseq-count is the oracle of the differential tests"
    )
    folders = [tmp_path / "theirs", tmp_path / "ours"]
    for folder in folders:
        folder.mkdir()
    line = ["-o", f"{OUT}/x.bam", "-p", "bam", *inputs]
    # htseq-count needs qualities to write a BAM file; it gets none here, so only its table is
    # compared.
    theirs, ours = run_theirs(inputs, folders[0]), run_ours(line, folders[1])
    assert chi_square(counts(theirs.stdout)) < 2 * LIMIT
    assert {
        name: value for name, value in counts(ours.stdout).items() if name.startswith("__")
    } == {name: value for name, value in counts(theirs.stdout).items() if name.startswith("__")}
    assert ours.stderr == theirs.stderr
    assert ours.files["x.bam"].count(b"XFZ__ambiguous[a+b+c]\0") == READS
