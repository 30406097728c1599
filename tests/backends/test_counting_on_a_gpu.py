"""``--bias-device cuda`` from end to end, with torch's processor as the GPU."""

from __future__ import annotations

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
def test_count(  # noqa: PLR0913
    folder: Path, tmp_path: Path, gpu: list[int], model: str, options: str, networks: int
) -> None:
    pairs = [word for pair in options.split(",") for word in ("--bias-option", pair)]
    run(folder, "count", "--bias-model", model, *pairs, "--bias-output", tmp_path / "out")
    assert gpu == [networks]
    found: dict[str, Any] = json.loads((tmp_path / "out.counterbias.json").read_text())
    assert len(found["ends"]) == 2
    for end in found["ends"]:
        details = end["training"]["details"]
        assert details["device"] == GPU
        assert details["steps"] == 20  # a quarter of 80
        assert "remarks" not in details
        # The folds are judged by networks that have not seen them.
        assert end["calibration"]["applied"]
        assert end["gain"]["cap5"]["value"] > 0.1


def test_compare(folder: Path, tmp_path: Path, gpu: list[int]) -> None:
    models = ["cnn:" + CNN.replace(",", "+"), "gru:" + GRU.replace(",", "+")]
    run(folder, "compare", "-o", tmp_path, "--models", ",".join(["pwm", *models]), "--folds", 2)
    print(gpu)
    print((tmp_path / "comparison.tsv").read_text())
    assert 0


def test_one_thread_at_a_time(
    folder: Path,
    tmp_path: Path,
    gpu: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Too little memory: the user is told that batches were cut, and the model is made."""
    evaluate = RecurrentStack.__call__

    def cramped(stack: RecurrentStack, codes: torch.Tensor) -> torch.Tensor:
        if codes.shape[1] > 1500:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return evaluate(stack, codes)

    monkeypatch.setattr(RecurrentStack, "__call__", cramped)
    pairs = [word for pair in GRU.split(",") for word in ("--bias-option", pair)]
    run(folder, "count", "--bias-model", "gru", *pairs, "--bias-output", tmp_path / "out")
    found: dict[str, Any] = json.loads((tmp_path / "out.counterbias.json").read_text())
    print(gpu, found["ends"][0]["training"]["details"])
    print(capsys.readouterr().err)
    assert 0
