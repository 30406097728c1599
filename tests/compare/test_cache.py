"""What ``counterbias compare`` does not compute again; threads change no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import counterbias
from counterbias.cli import main
from counterbias.pipeline.compare import cache as comparison_cache
from tests.compare.running import command, rows, truth_of


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the fits of pwm."""
    from counterbias_backends import pwm

    model = pwm.counterbias_backends()[0].load()
    seen: list[str] = []
    own = model.fit

    def fit(self: Any, sample: Any, rng: Any) -> Any:
        seen.append("pwm")
        return own(self, sample, rng)

    monkeypatch.setattr(model, "fit", fit)
    return seen


def test_a_second_run_fits_nothing(
    folder: Path, tmp_path: Path, fits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(folder, tmp_path, "--folds", "2", "--no-figures", models="pwm")
    assert main(words) == 0
    assert len(fits) == 6 * (1 + 2 * 2), "each for the whole and without each of five folds"
    first = {
        name: (tmp_path / name).read_bytes()
        for name in ("comparison.tsv", "comparison.json", "per_gene.tsv")
    }
    assert main(words) == 0
    assert len(fits) == 30
    assert {name: (tmp_path / name).read_bytes() for name in first} == first
    assert main([*words[:1], "--seeds", "1,2,7", *words[1:]]) == 0  # only the new seed's trials
    assert len(fits) == 6 * (5 + 2)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert main(words) == 0
    assert len(fits) == 6 * (7 + 5)  # damaged entries are computed again
    assert main([*words[:1], "--no-cache", *words[1:]]) == 0
    assert len(fits) == 6 * (12 + 5)


def test_results_are_kept_apart_by_the_programs_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in's version does not show what the program around it computes."""
    cache = comparison_cache.Cache(tmp_path)
    cache.store({"what": "trial"}, {"gain": 1})
    assert cache.load({"what": "trial"}) == ({"gain": 1}, {})
    monkeypatch.setattr(comparison_cache, "version", lambda distribution: "99.0")
    assert cache.load({"what": "trial"}) is None


def test_threads_change_no_number(folder: Path, tmp_path: Path, done: Path) -> None:
    assert main(command(folder, tmp_path, "--folds", "3", *truth_of(folder), "--no-figures")) == 0
    timed = {"train_seconds", "windows_per_second", "memory_mb"}
    strip = [
        [{k: v for k, v in row.items() if k not in timed} for row in rows(out)]
        for out in (tmp_path, done)
    ]
    assert strip[0] == strip[1]
    assert (tmp_path / "per_gene.tsv").read_bytes() == (done / "per_gene.tsv").read_bytes()


def test_a_fitted_model_takes_part_without_a_fit(
    folder: Path, tmp_path: Path, fits: list[str]
) -> None:
    model = counterbias.fit_model(
        folder / "two.bam",
        folder / "genes.gtf",
        counterbias.BiasOptions("pwm", str(folder / "genome.fa")),
    )
    counterbias.save_models(tmp_path / "other.model", model)
    fits.clear()
    assert (
        main(
            command(
                folder,
                tmp_path / "out",
                "--folds",
                "2",
                "--no-figures",
                models=str(tmp_path / "other.model"),
            )
        )
        == 0
    )
    assert fits == []
    (row,) = rows(tmp_path / "out")
    assert float(row["gain_cap5"]) > 0.1
    assert row["parameters"] == "0"
