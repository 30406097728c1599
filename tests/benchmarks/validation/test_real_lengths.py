"""Effective lengths of real genes against salmon's: its input and tximport's mean by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.validation.scripts import number, parsed, script

HEADER = "@HD\tVN:1.6\n@SQ\tSN:c\tLN:1000\n"


def record(name: str, flag: int, bases: str, qualities: str, position: int = 10) -> str:
    fields = (name, flag, "c", position, 50, f"{len(bases)}M", "=", 20, 0, bases, qualities)
    return "\t".join(map(str, fields)) + "\n"


def test_pairs_are_written_as_they_were_sequenced(tmp_path: Path) -> None:
    lines = [
        record("both", 83, "AACG", "ABCD"),  # read 1 on the minus strand
        record("both", 163, "TTTA", "EFGH"),
        record("alone", 73, "GGGG", "IIII"),  # its mate is not aligned
        record("alone", 133, "CCCC", "IIII"),
        record("again", 99, "ACAC", "IIII"),
        record("again", 147, "GTGC", "JKLM"),
        record("again", 99, "ACAC", "IIII", 500),
        record("again", 147 + 256, "GTGC", "JKLM", 520),
    ]
    (tmp_path / "a.sam").write_text(HEADER + "".join(lines))
    mates = [tmp_path / "1.fq", tmp_path / "2.fq"]
    written = script("real_lengths").write_pairs(tmp_path / "a.sam", mates)
    assert dict(written) == {"pairs": 2, "one mate": 1}
    first, second = (path.read_text().splitlines() for path in mates)
    assert first == ["@again/1", "ACAC", "+", "IIII", "@both/1", "CGTT", "+", "DCBA"]
    assert second == ["@again/2", "GCAC", "+", "MLKJ", "@both/2", "TTTA", "+", "EFGH"]


def test_average_length_is_that_of_tximport_by_hand() -> None:
    table = {
        "Name": ["a", "b", "c"],
        "TPM": ["300", "100", "0"],
        "EffectiveLength": ["1000", "200", "700"],
        "NumReads": ["30", "2", "0"],
    }
    gene_of = {"a": "g", "b": "g", "c": "h"}
    found = script("real_lengths").average_lengths(table, gene_of, ["h", "g"])
    assert found.length[1] == (300 * 1000 + 100 * 200) / 400
    assert np.isnan(found.length[0])
    assert (found.tpm.tolist(), found.counts.tolist()) == ([0.0, 400.0], [0.0, 32.0])


def test_a_common_factor_does_not_count_by_hand() -> None:
    own, other = np.array([1.0, 2.0, 4.0, 8.0, np.nan]), np.array([3.0, 6.0, 12.0, 0.0, 1.0])
    found = script("real_lengths").compare(own, other, np.ones(5, bool))
    assert found == pytest.approx({"number": 3, "spearman": 1, "pearson": 1, "spread": 0}, abs=1e-9)


def test_lengths_of_the_fly_library(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("salmon") is None:
        pytest.skip("salmon is not installed (Debian package salmon)")
    path = tmp_path / "l.json"
    assert script("real_lengths").main(["--models", "pwm", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    rows = json.loads(path.read_text())["rows"]
    assert {row["lengths"] for row in rows} == {
        f"{model}, {lengths}" for model in ("none", "pwm") for lengths in ("union", "transcripts")
    }
    table = parsed(printed, "Fragments of genes, against salmon")
    assert number(table["none, union"]["Spearman"]) > 0.9
