"""``--bias-device cuda`` from end to end, with torch's processor as the GPU."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks are trained on GPUs by torch")

import torch

from counterbias import simulation
from counterbias.cli import main
from counterbias_backends.rnn import ratio
from counterbias_backends.rnn.stack import RecurrentStack

GPU = "a processor as a GPU"
CNN = "members=5,units=16,channels=4,min_steps=80,max_steps=80,distil=false"
ANEW = "members=2,units=16,channels=4,min_steps=80,max_steps=80,distil=false"
GRU = "objective=ratio,hidden=2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a few thousand fragments; return the folder."""
    root = tmp_path_factory.mktemp("gpu")
    rng = np.random.default_rng(3)
    genome = simulation.simulate_genome(rng, {"chr1": 100_000})
    genes = simulation.simulate_annotation(rng, genome.lengths, 15)
    reads = simulation.simulate_reads(
        rng,
        genome,
        genes,
        simulation.simulate_abundance(rng, genes),
        simulation.Library(4000, paired=True, stranded="yes"),
        simulation.simulate_priming_bias(rng),
    )
    simulation.write_fasta(root / "genome.fa", genome)
    simulation.write_gtf(root / "genes.gtf", genes)
    simulation.write_bam(root / "one.bam", reads, order="pos")
    return root


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST_STEPS", "MOST_STEPS"):
        monkeypatch.setattr(ratio, name, 80)


def run(folder: Path, *words: object) -> None:
    files = [folder / "one.bam", folder / "genes.gtf"]
    more = ["-q", "-s", "yes", "-r", "pos", "--bias-genome", folder / "genome.fa"]
    assert main([str(word) for word in [*words, *more, "--bias-device", "cuda", *files]]) == 0


@pytest.mark.parametrize(
    ("model", "options", "networks"),
    [
        # Both read ends at once: five networks each, all of which leave out one fold.
        ("cnn", CNN, 10),
        # Two networks for everything, and two more for each of five folds.
        ("cnn", ANEW, 24),
        # One network for everything, and one more for each of two folds.
        ("gru", GRU, 6),
    ],
)
def test_count(
    folder: Path, tmp_path: Path, gpu: list[int], model: str, options: str, networks: int
) -> None:
    pairs = [word for pair in options.split(",") for word in ("--bias-option", pair)]
    run(folder, "count", "--bias-model", model, *pairs, "--bias-output", tmp_path / "out")
    assert sum(gpu) == networks
    assert len(gpu) <= 3  # side by side
    found: dict[str, Any] = json.loads((tmp_path / "out.counterbias.json").read_text())
    assert len(found["ends"]) == 2
    for end in found["ends"]:
        details = end["training"]["details"]
        assert details["device"] == GPU
        assert details["steps"] == (40 if model == "cnn" else 20)  # instead of 80
        assert "remarks" not in details
        # The folds are judged by networks that have not seen them.
        assert end["calibration"]["applied"]
        assert end["gain"]["cap5"]["value"] > 0.1


def test_compare(folder: Path, tmp_path: Path, gpu: list[int]) -> None:
    brief = CNN.replace("80", "30").replace(",", "+")
    models = ["pwm", "cnn:" + brief, "gru:" + GRU.replace(",", "+")]
    run(folder, "compare", "-o", tmp_path, "--models", ",".join(models), "--folds", 2)
    # Networks of both ends for all reads, and those of both ends in both trials.
    assert sum(gpu) == 10 + 6 + 2 * 2 * 10 + 2 * 2 * 6
    assert len(gpu) < 20  # side by side
    with (tmp_path / "comparison.tsv").open(encoding="utf-8", newline="") as file:
        found = {row["model"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert list(found) == models
    for row in found.values():
        assert row["status"] == "ok"
        assert float(row["gain_cap5"]) > 0.1


def test_too_little_memory_is_a_warning(
    folder: Path,
    tmp_path: Path,
    gpu: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate = RecurrentStack.__call__

    def cramped(stack: RecurrentStack, codes: torch.Tensor) -> torch.Tensor:
        if codes.shape[1] > 1500:  # windows of 64 stretches of 32 positions are more
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return evaluate(stack, codes)

    monkeypatch.setattr(RecurrentStack, "__call__", cramped)
    pairs = [word for pair in GRU.split(",") for word in ("--bias-option", pair)]
    run(folder, "count", "--bias-model", "gru", *pairs, "--bias-output", tmp_path / "out")
    assert sum(gpu) == 6
    remark = (
        "memory was too small for batches of 64 and 1024 rows: "
        "their gradients were added up from 2 pieces each"
    )
    found: dict[str, Any] = json.loads((tmp_path / "out.counterbias.json").read_text())
    assert [end["training"]["details"]["remarks"] for end in found["ends"]] == [[remark]] * 2
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "memory" in line] == [
        f"Warning: one: fitting gru to read{read}: {remark}" for read in (1, 2)
    ]
