"""How much of genes' bias the correction removes, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias import (
    EndModel,
    ModelFile,
    count_reads,
    load_model,
    load_plugins,
    sampling,
    save_models,
    simulation,
)
from counterbias.options import BiasOptions, CountingOptions
from counterbias.pipeline.count import CountRun
from tests.bias import isochores
from tests.bias.isochores import WINDOW, gc

#: A `cnn` with networks of half the usual size, trained half as long; the defaults do as well.
QUICK = (
    "units=16",
    "channels=8",
    "min_steps=450",
    "max_steps=450",
    "distil_steps=1500",
    "distil_channels=8",
)
LIBRARIES: dict[str, dict[str, Any]] = {
    "pairs": {},
    "copies": {"duplicates": 0.3},
    "single": {"paired": False},
    "deep": {"fragments": 300_000},
    "unbiased": {},
}


@dataclass(frozen=True)
class World:
    """Samples ``NAME.bam`` of one annotation and genome, with the truth of each."""

    folder: Path
    truth: dict[str, simulation.Truth]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("size")
    genome, genes, abundance = isochores.simulated(folder, rng, spread=0.7)
    truth = {}
    for name, made in LIBRARIES.items():
        library = simulation.Library(**{"fragments": 40_000, "read_length": 50, **made})
        bias = None if name == "unbiased" else simulation.ScoredBias(WINDOW, gc)
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library, bias)
        simulation.write_bam(folder / f"{name}.bam", reads, order="pos")
        truth[name] = reads.truth
    return World(folder, truth)


def count(
    world: World, sample: str, model: str, *options: str, lengths: str | None = "union"
) -> CountRun:
    """Count; along unions, effective lengths differ from lengths by bias alone."""
    window = None if model.endswith(".model") else WINDOW
    genome = str(world.folder / "genome.fa")
    bias = BiasOptions(model, genome, window=window, model_options=options, lengths=lengths)
    chosen = CountingOptions(order="pos", stranded="no")
    return count_reads(
        world.folder / f"{sample}.bam", world.folder / "genes.gtf", options=chosen, bias=bias
    )


def error_and_share(run: CountRun, truth: simulation.Truth) -> tuple[float, float]:
    """Return the RMSE of log2 corrected density, and how much of genes' bias is removed.

    That is the slope of log2(corrected / raw) on −log2 of the true mean bias: 1 is all of it.
    """
    row = {name: number for number, name in enumerate(run.annotation.features.ids)}
    rows = np.array([row[name] for name in truth.gene_ids])
    columns = run.bias[0].columns
    kept = truth.unbiased_fragments >= 100
    corrected = np.asarray(columns["fpkm_corrected"], float)[rows][kept]
    raw = np.asarray(columns["fpkm_raw"], float)[rows][kept]
    wanted = -np.log2(truth.mean_bias[kept])
    error = np.log2(corrected / (truth.unbiased_fragments / truth.length)[kept]).std()
    return float(error), float(np.polyfit(wanted, np.log2(corrected / raw), 1)[0])


#: Where the slope must lie: tables, and networks, whose learning compares nearby places alone.
TABLES, NETWORKS = (0.9, 1.1), (0.93, 1.07)


@pytest.mark.parametrize("sample", ["pairs", "copies", "single", "deep"])
@pytest.mark.parametrize(
    ("model", "options", "bounds"),
    [("pwm", (), TABLES), ("vlmm", (), TABLES), ("cnn", QUICK, NETWORKS)],
    ids=["pwm", "vlmm", "cnn"],
)
def test_the_whole_bias_of_genes_is_removed(
    world: World, sample: str, model: str, options: tuple[str, ...], bounds: tuple[float, float]
) -> None:
    """At any depth, with copied fragments, and with single reads, whose other end is unknown."""
    run = count(world, sample, model, *options)
    error, removed = error_and_share(run, world.truth[sample])
    assert bounds[0] < removed < bounds[1]
    # Little more is left than with the true bias, which leaves the noise of drawing reads.
    left = error_and_share(count(world, sample, str(true_model(world))), world.truth[sample])[0]
    assert error < left + 0.03
    end = run.bias[0].report["ends"][0]
    assert end["reliability"]["slope"] == pytest.approx(1, abs=0.03)
    assert end["calibration"]["length_slope"] == max(1.0, end["calibration"]["slope"])


def true_model(world: World) -> Path:
    """Write the true bias as a model file: what it adds per base at each offset."""
    path = world.folder / "true.model"
    if not path.exists():
        model = load_plugins().backends["pwm"].backend.load()(WINDOW)
        table = np.zeros((WINDOW.width, 4))
        table[[1, 4, 8], 1:3] = 1.0
        model.from_arrays({"log_foreground": table, "log_background": np.zeros_like(table)})
        windows = np.random.default_rng(1).integers(0, 4, (100, WINDOW.width)).astype(np.uint8)
        np.testing.assert_allclose(model.log_bias(windows), gc(windows) + 1.5)
        save_models(path, ModelFile("pwm", "", "", WINDOW, (EndModel("both", model),)))
    return path


@pytest.mark.parametrize("sample", ["pairs", "copies", "single", "deep"])
def test_the_true_bias_from_a_file_removes_all_of_it(world: World, sample: str) -> None:
    """It is calibrated on each sample, by the reads as they are: their slope must come out as 1."""
    run = count(world, sample, str(true_model(world)))
    found = run.bias[0].report["ends"][0]["calibration"]
    assert found["slope"] == pytest.approx(1, abs=0.03)
    assert 0.95 < error_and_share(run, world.truth[sample])[1] < 1.05


def error_of_molecules(run: CountRun, truth: simulation.Truth) -> tuple[float, float]:
    """Return the RMSE of log2 raw / effective length against molecules, and what chance makes it.

    Either is known up to a factor. Chance is that of drawing so many fragments.
    """
    row = {name: number for number, name in enumerate(run.annotation.features.ids)}
    rows = np.array([row[name] for name in truth.gene_ids])
    columns, kept = run.bias[0].columns, truth.unbiased_fragments >= 100
    raw, length = (np.asarray(columns[name], float)[rows] for name in ("raw", "effective_length"))
    error = np.log2(raw[kept] / length[kept] / truth.abundance[kept]).std()
    return float(error), float(np.sqrt(np.mean(1 / raw[kept])) / np.log(2))


@pytest.mark.parametrize("sample", ["pairs", "single", "deep", "unbiased"])
def test_with_the_true_bias_molecules_are_right_but_for_chance_by_default(
    world: World, sample: str
) -> None:
    """Then a gene's length is that of its transcripts, where a fragment fits, and their bias."""
    run, union = (
        count(world, sample, str(true_model(world)), lengths=it) for it in (None, "union")
    )
    assert run.bias[0].report["lengths"]["method"] == "transcripts"
    truth = world.truth[sample]
    error, chance = error_of_molecules(run, truth)
    # The rest is the doubt about transcripts, and about the lengths of single reads' fragments.
    assert error < np.hypot(chance, 0.045)
    assert error < 0.6 * error_of_molecules(union, truth)[0]


def test_a_stronger_bias_of_a_file_is_brought_down_to_size(world: World) -> None:
    """A file of another library gives the bias's shape, the sample's own reads its strength."""
    twice = load_model(true_model(world)).ends[0].model
    arrays = {name: 2 * array for name, array in twice.to_arrays().items()}
    for factor in (2.0, 0.6):
        twice.from_arrays({name: factor / 2 * array for name, array in arrays.items()})
        path = world.folder / f"{factor}.model"
        save_models(path, ModelFile("pwm", "", "", WINDOW, (EndModel("both", twice),)))
        run = count(world, "pairs", str(path))
        found = run.bias[0].report["ends"][0]["calibration"]
        assert found["slope"] == pytest.approx(1 / factor, rel=0.03)
        assert found["length_slope"] == found["slope"]
        assert 0.95 < error_and_share(run, world.truth["pairs"])[1] < 1.05


@pytest.mark.parametrize(
    ("model", "options"), [("pwm", ()), ("vlmm", ()), ("cnn", QUICK)], ids=["pwm", "vlmm", "cnn"]
)
def test_without_bias_counts_stay_what_they_are(
    world: World, model: str, options: tuple[str, ...]
) -> None:
    run = count(world, "unbiased", model, *options)
    assert not run.bias[0].report["ends"][0]["calibration"]["applied"]
    assert np.array_equal(run.bias[0].columns["weighted"], np.asarray(run.results[0].counts, float))
    assert np.array_equal(
        run.bias[0].columns["effective_length"], np.asarray(run.annotation.features.lengths, float)
    )


def test_sets_keep_what_single_windows_lose(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told which background belongs to which start, `cnn` learns the bias itself.

    Otherwise it learns the bias relative to a start's neighbourhood.
    """
    found = []
    for known in (True, False):
        if not known:
            monkeypatch.setattr("counterbias.records.TrainingSet.sets", lambda sample: None)
        found.append(
            error_and_share(
                count(world, "pairs", "cnn", *QUICK, "objective=windows"), world.truth["pairs"]
            )
        )
    (error, removed), (other_error, other_removed) = found
    assert removed > 0.93 > other_removed + 0.05
    assert error < 0.85 * other_error


def test_level_background_is_what_brings_tables_to_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With background in proportion to starts, a table misses what a neighbourhood shares."""
    level = error_and_share(count(world, "pairs", "pwm"), world.truth["pairs"])
    monkeypatch.setattr(sampling, "reweight_background", lambda sample, *rest: sample)
    uneven = error_and_share(count(world, "pairs", "pwm"), world.truth["pairs"])
    assert uneven[1] < 0.9 < level[1]
    assert level[0] < 0.9 * uneven[0]
