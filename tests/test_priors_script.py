"""The benchmark of blending with a prior, on two small simulated samples in the place of the real ones."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterbias import simulation
from counterbias.annotation import load_annotation
from counterbias.contexts import Genome
from counterbias.pipeline.counting import count_alignments
from counterbias.pipeline.evaluating import FoldSample, fold_sample
from counterbias.records import CountingOptions, Positions
from counterbias.sampling import Windows
from scripts import load as load_script

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("priors")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FoldSample]:
    """Two genomes, one bias."""
    found = {}
    bias = simulation.simulate_priming_bias(np.random.default_rng(1))
    for seed, name in enumerate(("rlp5", "fly")):
        rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp(name)
        genome = simulation.simulate_genome(rng, {"chr1": 600_000})
        genes = simulation.simulate_annotation(rng, genome.lengths, 90, design=simulation.AnnotationDesign(overlapping=0.0))
        abundance = simulation.simulate_abundance(rng, genes, spread=0.5)
        simulation.write_fasta(folder / "genome.fa", genome)
        simulation.write_gtf(folder / "genes.gtf", genes)
        library = simulation.Library(15_000, read_length=50)
        simulation.write_bam(folder / "reads.bam", simulation.simulate_reads(rng, genome, genes, abundance, library, bias), order="pos")
        annotation = load_annotation(str(folder / "genes.gtf"), stranded=False)
        sites = count_alignments(
            str(folder / "reads.bam"), annotation, CountingOptions(order="pos", stranded="no"), want_sites=True
        )[0].sites  # fmt: skip
        assert sites is not None
        found[name] = fold_sample(sites, annotation.features, annotation.features, Genome(str(folder / "genome.fa")), block=20_000)
    return found


def test_a_prior_helps_where_starts_are_few(
    script: ModuleType, samples: dict[str, FoldSample], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "load_sample", lambda name, reads: samples[name])
    assert script.main(["--models", "vlmm", "--starts", "500,all", "--folds", "0,1"]) == 0
    few, every = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:])
    assert few[:4] == ["rlp5", "fly", "vlmm", "500"]
    own, prior, blend = (float(cell) for cell in few[4:7])
    assert prior > own
    assert blend > own
    assert float(every[6]) > float(every[4]) - 0.02


def test_partner_is_fitted_to_the_same_starts(
    script: ModuleType, samples: dict[str, FoldSample], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "load_sample", lambda name, reads: samples[name])
    assert script.main(["--models", "pwm", "--partner", "pwm:pseudocount=1", "--starts", "all", "--folds", "1"]) == 0
    (row,) = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:])
    assert row[4] == row[5]  # the same model twice


def test_halves_share_no_block_and_no_more_than_wanted(script: ModuleType) -> None:
    rng = np.random.default_rng(1)
    places = np.sort(rng.integers(0, 300_000, 400))
    starts = Positions(np.zeros(400, np.int32), places, np.zeros(400, np.uint8), np.ones(400))
    windows = Windows(
        np.zeros((400, 21), np.uint8), np.ones(400), np.zeros((800, 21), np.uint8), np.ones(800), np.repeat(np.arange(400), 2), starts
    )
    whole = [script.half_of(windows, odd, None, rng) for odd in (False, True)]
    assert sum(len(part) for part in whole) == 400
    assert not set(whole[0].starts.position // 10_000) & set(whole[1].starts.position // 10_000)
    few = script.half_of(windows, True, 30, rng)
    assert (len(few), len(few.background)) == (30, 60)
    assert np.array_equal(np.unique(few.origin), np.arange(30))
