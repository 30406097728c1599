"""Other programs that correct bias, on simulated transcripts whose truth is known."""

from __future__ import annotations

import gzip
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.validation.scripts import parsed, script


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Return a small world and its reads."""
    import argparse

    world = script("simulated").make_world(3, 40, 0.9)
    options = argparse.Namespace(pairs=4000, single=False)
    return world, script("peers_tools").draw_reads(
        world, options, True, tmp_path_factory.mktemp("peers")
    )


def test_transcripts_are_what_reads_come_from(drawn: tuple[Any, Any]) -> None:
    world, reads = drawn
    records = (reads.folder / "transcripts.fa").read_text().split(">")[1:]
    sequences = ["".join(record.splitlines()[1:]) for record in records]
    both = "N".join(
        [*sequences, *(one.translate(str.maketrans("ACGT", "TGCA"))[::-1] for one in sequences)]
    )
    lines, mates = (
        gzip.decompress(Path(path).read_bytes()).decode().splitlines() for path in reads.mates
    )
    assert len(lines) == 4 * 4000
    found = sum(line in both for line in lines[1:4000:4])
    assert found > 0.8 * 1000  # the others hold a sequencing error: 75 bases at 0.2 %
    assert [line.split("/")[0] for line in lines[::4]] == [
        line.split("/")[0] for line in mates[::4]
    ]
    assert set(reads.transcript_gene.values()) == set(world.genes.gene_ids)


@pytest.fixture
def known() -> Any:
    """Return a truth of two genes: g1 with transcripts a and b, g2 with c."""
    from counterbias.simulation import Truth

    def truth(ids: tuple[str, ...], abundance: list[float], fragments: list[float]) -> Truth:
        values = np.array(fragments)
        return Truth(
            ids,
            np.full(len(ids), 1000),
            np.array(abundance),
            values,
            values,
            np.ones(len(ids)),
            values.astype(np.int64),
            values.astype(np.int64),
        )

    tools = script("peers_tools")
    return tools.Reads(
        Path(),
        None,
        truth(("g1", "g2"), [4.0, 6.0], [80.0, 120.0]),
        truth(("a", "b", "c"), [3.0, 1.0, 6.0], [60.0, 20.0, 120.0]),
        {"a": "g1", "b": "g1", "c": "g2"},
    )


def test_transcripts_sum_to_genes_by_hand(known: Any) -> None:
    tools = script("peers_tools")
    order = np.array([5.0, 1.0, 2.0])  # of c, a, b
    molecules = tools.in_truth_order(["c", "a", "b"], known, order)
    assert molecules.tolist() == [1.0, 2.0, 5.0]
    found = tools.gene_level(
        known, tools.Isoforms(molecules, molecules), np.array([100.0, 10.0, 7.0]), 1.5
    )
    assert (found.molecules.tolist(), found.fragments.tolist(), found.seconds) == (
        [3.0, 5.0],
        [120.0, 35.0],
        1.5,
    )


def test_errors_of_transcripts_by_hand(known: Any) -> None:
    tools, judging = script("peers_tools"), script("peers_judging")
    # b has twice its molecules and a only two thirds: 50 % and 50 % instead of 75 % and 25 %.
    one = tools.Isoforms(np.array([2.0, 2.0, 6.0]), np.array([40.0, 40.0, 120.0]))
    found = judging.errors(one, known, np.array([True, True, True]))
    assert found["mard"] == pytest.approx((1 / 5 + 1 / 3 + 0) / 3)
    logs = [math.log2(41 / 61), math.log2(41 / 21), 0]
    assert found["rmse"] == pytest.approx(math.sqrt(sum(log**2 for log in logs) / 3))
    assert found["percent"] == pytest.approx(math.sqrt((25**2 + 25**2 + 0) / 3))
    # Standard errors cover a (20 fragments off, 1.96 × 11 allowed) and not b (20, 1.96 × 10).
    with_errors = tools.Isoforms(
        one.molecules, one.counts, np.array([11.0, 10.0, np.nan]), np.array([13.0, 12.0, np.nan])
    )
    covered = judging.covered(with_errors, known, np.array([True, True, True]))
    assert covered == {
        "count_covered": 0.5,
        "drawn_covered": 0.5,
        "percent_covered": 0.5,
        "without_error": pytest.approx(1 / 3),
    }
    assert set(judging.covered(one, known, np.array([True] * 3)).values()) == {None}


def test_genes_are_compared_by_their_transcripts_and_length(known: Any) -> None:
    genes = script("peers_judging").genes_of(known)
    assert {name: rows.tolist() for name, rows in genes.items()} == {
        "all": [True, True],
        "one transcript": [False, True],
        "several transcripts": [True, False],
        "below 1 kb": [False, False],
        "1 to 2 kb": [True, True],
        "2 kb and more": [False, False],
    }


def rows_of(errors: dict[tuple[str, int], float]) -> list[dict[str, Any]]:
    """Return the rows of tools and seeds with these errors, the same for both truths."""
    return [
        {
            "biased": True,
            "genes": "all",
            "truth": truth,
            "tool": tool,
            "seed": seed,
            "rmse": error,
            "number": 7,
        }
        for (tool, seed), error in errors.items()
        for truth in ("fragments", "molecules")
    ]


def test_difference_to_a_rival_is_paired_by_hand() -> None:
    tables = script("peers_tables")
    rows = rows_of(
        {
            ("corrected, pwm", 1): 0.3,
            ("corrected, pwm", 2): 0.5,
            ("salmon --seqBias", 1): 0.1,
            ("salmon --seqBias", 2): 0.5,
        }
    )
    assert (
        tables.duel(rows).splitlines()[2] == "| corrected, pwm | +0.100 ± 0.100 | +0.100 ± 0.100 |"
    )
    # Three times the rival's error in one sample, as much in the other: 2 ± 1.
    assert tables.ratios(rows, True).splitlines()[2:] == [
        "| corrected, pwm | 2.00 ± 1.00 |",
        "| genes | 7 |",
    ]
    without = [row for row in rows if row["tool"] != "salmon --seqBias"]
    assert (tables.duel(without), tables.ratios(without, True)) == ("", "")


def test_a_tool_that_is_not_installed_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = [
        "--models",
        "pwm",
        "--seeds",
        "1",
        "--pairs",
        "8000",
        "--genes",
        "50",
        "--fewest",
        "20",
        "--json",
        str(tmp_path / "p.json"),
    ]
    assert script("peers").main(options) == 0
    printed = capsys.readouterr()
    assert "salmon is not installed and is left out" in printed.err
    table = parsed(printed.out, "With bias, all genes")
    assert list(table) == [
        "raw",
        "weighted, pwm",
        "corrected, pwm",
        "none, transcripts",
        "corrected, pwm, transcripts",
        "chance",
    ]
    assert json.loads((tmp_path / "p.json").read_text())["versions"] == {
        "salmon": None,
        "kallisto": None,
    }


@pytest.mark.parametrize("program", ["salmon", "kallisto"])
def test_peer_finds_the_truth(program: str, drawn: tuple[Any, Any]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian package {program})")
    import argparse

    _, reads = drawn
    found = getattr(script("peers_tools"), program)(reads, argparse.Namespace(threads=1))
    assert list(found) == [program, f"{program} --{'seqBias' if program == 'salmon' else 'bias'}"]
    judging = script("peers_judging")
    judged = judging.judge({"raw": found[program], **found}, reads, 20, 1)
    assert all(row["pearson"] > 0.9 for row in judged if row["genes"] == "all")
    transcripts = judging.judge_isoforms(found, reads, 20)
    assert {row["genes"] for row in transcripts} == {"all", "several transcripts"}
    assert all(row["spearman"] > 0.8 for row in transcripts if row["genes"] == "all")
    for one in found.values():
        assert one.molecules.sum() == pytest.approx(1e6, rel=1e-3)
