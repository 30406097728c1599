"""Two simulated samples, and a comparison of models on one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import counterbias
from counterbias import simulation
from counterbias.cli import main
from counterbias.model import Backend
from counterbias.pipeline.compare import run as comparison
from counterbias.plugins import Manager, load_plugins
from tests.compare.running import command, truth_of


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate two samples of one library with a known abundance and a strong bias."""
    root = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(5)
    genome = simulation.simulate_genome(rng, {"chr1": 400_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 60, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.0)
    abundance = simulation.simulate_abundance(rng, genes)
    simulation.write_fasta(root / "genome.fa", genome)
    simulation.write_gtf(root / "genes.gtf", genes)
    for name in ("one", "two"):
        library = simulation.Library(12_000, spliced_context=False)
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library, bias)
        simulation.write_bam(root / f"{name}.bam", reads, order="pos")
        simulation.write_truth(root / f"{name}.truth.tsv", reads.truth)
    return root


@pytest.fixture(scope="session")
def done(folder: Path) -> Path:
    """Compare the quick models, against the truth of well-covered genes."""
    out = folder / "done"
    assert main(command(folder, out, "--folds", "3", *truth_of(folder), "--bias-threads", "2")) == 0
    return out


@pytest.fixture
def with_plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[counterbias.BiasModel]], None]:
    """Install a plug-in with one backend, ``mine``."""

    def install(model: type[counterbias.BiasModel]) -> None:
        class Plugin:
            @counterbias.hookimpl
            def counterbias_backends(self) -> list[Backend]:
                return [Backend("mine", "a model of one's own", lambda: model)]

        def load() -> Manager:
            manager = load_plugins()
            manager.register(Plugin(), name="mine")
            return manager

        monkeypatch.setattr(comparison, "load_plugins", load)

    return install
