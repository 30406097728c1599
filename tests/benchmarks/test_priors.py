"""The benchmark of blending with a prior, on two small simulated samples instead of real ones."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from counterbias import simulation
from counterbias.annotation import load_annotation
from counterbias.genome import Genome
from counterbias.model_file import EndModel
from counterbias.options import AnnotationOptions, CountingOptions
from counterbias.pipeline.bias.choice import choose_model
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, fold_sample
from counterbias.pipeline.counting import count_alignments
from counterbias.plugins import load_plugins
from counterbias.records import Window
from tests.helpers.scripts import load as load_script


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
        genes = simulation.simulate_annotation(
            rng, genome.lengths, 90, design=simulation.AnnotationDesign(overlapping=0.0)
        )
        abundance = simulation.simulate_abundance(rng, genes, spread=0.5)
        simulation.write_fasta(folder / "genome.fa", genome)
        simulation.write_gtf(folder / "genes.gtf", genes)
        library = simulation.Library(15_000, read_length=50)
        simulation.write_bam(
            folder / "reads.bam",
            simulation.simulate_reads(rng, genome, genes, abundance, library, bias),
            order="pos",
        )
        annotation = load_annotation(AnnotationOptions(str(folder / "genes.gtf")), stranded=False)
        options = CountingOptions(order="pos", stranded="no")
        counts = count_alignments(str(folder / "reads.bam"), annotation, options, want_sites=True)
        sites = counts.sites
        assert sites is not None
        found[name] = fold_sample(
            sites,
            annotation.features,
            annotation.features,
            Genome(str(folder / "genome.fa")),
            block=20_000,
        )
    return found


def test_a_prior_helps_where_starts_are_few(
    script: ModuleType,
    samples: dict[str, FoldSample],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "load_sample", lambda name, reads: samples[name])
    assert script.main(["--models", "vlmm", "--starts", "500,all", "--folds", "0,1"]) == 0
    few, every = (
        line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]
    )
    assert few[:4] == ["rlp5", "fly", "vlmm", "500"]
    own, prior, blend = (float(cell) for cell in few[4:7])
    assert prior > own
    assert blend > own
    assert float(every[6]) > float(every[4]) - 0.02


def test_partner_is_fitted_to_the_same_starts(
    script: ModuleType,
    samples: dict[str, FoldSample],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "load_sample", lambda name, reads: samples[name])
    assert (
        script.main(
            ["--models", "pwm", "--partner", "pwm:pseudocount=1", "--starts", "all", "--folds", "1"]
        )
        == 0
    )
    (row,) = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:])
    assert row[4] == row[5]  # the same model twice


def test_what_is_blended_and_how_is_found_without_the_held_out_fold(
    script: ModuleType, samples: dict[str, FoldSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bases in the held-out fold change no bit of models, shares and calibrations."""
    used: list[dict[str, Any]] = []
    monkeypatch.setattr(
        script, "measure", lambda sample, fold, models, threads: used.append(models) or {}
    )
    kind, partner = (
        choose_model(name, load_plugins(), window=Window(10, 10)) for name in ("vlmm", "pwm")
    )
    prior = EndModel("both", script.fit(kind, samples["fly"], Trial(0), 1)[0].model)
    sample = samples["rlp5"]
    codes = sample.genome.codes("chr1").copy()
    place = np.arange(len(codes))
    inner = (place // sample.block % 5 == 2) & (
        np.abs(place % sample.block - sample.block / 2) < sample.block / 2 - 250
    )
    codes[inner] = np.random.default_rng(3).integers(0, 4, int(inner.sum()))
    for other in (prior, partner):
        for genome in (sample.genome, SimpleNamespace(codes=lambda contig: codes)):
            script.run_trial(kind, replace(sample, genome=genome), Trial(2), other, 1)
    windows = np.random.default_rng(1).integers(0, 4, (500, 21)).astype(np.uint8)
    for first, second in (used[:2], used[2:]):
        for name in script.COLUMNS:
            (model, calibration), (again, calibrated) = first[name], second[name]
            assert np.array_equal(model.log_bias(windows), again.log_bias(windows)), name
            assert calibration == calibrated, name
