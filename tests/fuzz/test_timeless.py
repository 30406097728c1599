"""Between equal runs only times and memory are left out of the comparison, nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.timeless import timeless


def report(seconds: float, gain: float) -> bytes:
    return json.dumps({"run": {"seconds": {"training": seconds}}, "gain": [gain]}).encode()


def table(seconds: float, gain: float) -> bytes:
    return f"model\ttrain_seconds\tgain\nA model\t{seconds}\t{gain}\n".encode()


def printed(seconds: float, gain: float) -> bytes:
    return f"1 sample\n  model    train s  gain\n  A model  {seconds}      {gain}\n".encode()


@pytest.mark.parametrize(
    ("name", "content"), [("r.json", report), ("comparison.tsv", table), ("stdout", printed)]
)
def test_seconds_may_differ_and_results_may_not(
    name: str, content: Callable[[float, float], bytes], tmp_path: Path
) -> None:
    def of(seconds: float, gain: float) -> bytes:
        (tmp_path / name).write_bytes(content(seconds, gain))
        return timeless(tmp_path / name)

    assert of(1.5, 0.25) == of(2.5, 0.25)
    assert of(1.5, 0.25) != of(1.5, 0.26)


def test_kept_results_of_a_comparison(tmp_path: Path) -> None:
    def of(seconds: float, gain: float, score: float) -> bytes:
        text = np.frombuffer(report(seconds, gain), np.uint8)
        np.savez(tmp_path / "kept.npz", json=text, scores=np.array([score]))
        return timeless(tmp_path / "kept.npz")

    assert of(1.5, 0.25, 3.0) == of(2.5, 0.25, 3.0)
    assert of(1.5, 0.25, 3.0) != of(1.5, 0.26, 3.0)
    assert of(1.5, 0.25, 3.0) != of(1.5, 0.25, 3.5)


def test_all_bytes_of_other_files_count(tmp_path: Path) -> None:
    (tmp_path / "counts.tsv").write_bytes(table(1.5, 0.25))
    assert timeless(tmp_path / "counts.tsv") == table(1.5, 0.25)
