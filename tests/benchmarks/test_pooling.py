"""The benchmark of pooled models runs on tiny samples and reports its measurements."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.helpers.scripts import load as load_script
from tests.train.cohorts import rows


@pytest.fixture(scope="module")
def pooling() -> ModuleType:
    return load_script("pooling")


def test_benchmark_runs(
    pooling: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [
        "--models",
        "pwm",
        "--sets",
        "one,unequal",
        "--reads",
        "600",
        "--samples",
        "2",
        "--seeds",
        "1",
    ]
    assert pooling.main([*argv, "--json", str(tmp_path / "p.json")]) == 0
    found = rows(capsys.readouterr().out)
    assert [row["set"] for row in found] == ["one", "unequal, large", "unequal, small"]
    written = json.loads((tmp_path / "p.json").read_text())
    assert float(found[0]["pooled"]) == pytest.approx(
        np.mean([row["pooled"] for row in written[:2]]), abs=1e-3
    )
