"""Other programs that correct bias, on simulated transcripts whose truth is known."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.validation.scripts import parsed, script


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Return a small world and its reads."""
    import argparse

    peers = script("peers")
    world = peers.make_world(3, 40, 0.9)
    return world, peers.draw_reads(
        world, argparse.Namespace(pairs=4000), True, tmp_path_factory.mktemp("peers")
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


def test_transcripts_sum_to_genes_by_hand() -> None:
    peers = script("peers")

    class Truth:
        gene_ids = ("g1", "g2")

    class Reads:
        truth = Truth
        transcript_gene = {"a": "g1", "b": "g1", "c": "g2"}  # noqa: RUF012

    found = peers.gene_level(
        Reads, ["c", "a", "b"], ["5", "1", "2"], {"a": "100", "b": "10", "c": "7"}, 1.5
    )
    assert (found.molecules.tolist(), found.fragments.tolist(), found.seconds) == (
        [3.0, 5.0],
        [120.0, 35.0],
        1.5,
    )


def test_difference_to_a_rival_is_paired_by_hand() -> None:
    peers = script("peers")
    errors = {
        ("corrected, pwm", 1): 0.3,
        ("corrected, pwm", 2): 0.5,
        ("salmon --seqBias", 1): 0.1,
        ("salmon --seqBias", 2): 0.5,
    }
    rows = [
        {"biased": True, "genes": "all", "truth": truth, "tool": tool, "seed": seed, "rmse": error}
        for (tool, seed), error in errors.items()
        for truth in ("fragments", "molecules")
    ]
    assert (
        peers.duel(rows).splitlines()[2] == "| corrected, pwm | +0.100 ± 0.100 | +0.100 ± 0.100 |"
    )
    assert peers.duel([row for row in rows if row["tool"] != "salmon --seqBias"]) == ""


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
    assert list(table) == ["raw", "weighted, pwm", "corrected, pwm", "chance"]
    assert json.loads((tmp_path / "p.json").read_text())["versions"] == {
        "salmon": None,
        "kallisto": None,
    }


@pytest.mark.parametrize("program", ["salmon", "kallisto"])
def test_peer_finds_the_truth(program: str, drawn: tuple[Any, Any]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian package {program})")
    import argparse

    peers = script("peers")
    _, reads = drawn
    found = getattr(peers, program)(reads, argparse.Namespace(threads=1))
    assert list(found) == [program, f"{program} --{'seqBias' if program == 'salmon' else 'bias'}"]
    judged = peers.judge({"raw": found[program], **found}, reads, 20, 1)
    assert all(row["pearson"] > 0.9 for row in judged)
    for one in found.values():
        assert one.molecules.sum() == pytest.approx(1e6, rel=1e-3)
