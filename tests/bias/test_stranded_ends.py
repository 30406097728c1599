"""Stranded pairs have a model per read: what opens the gate, and ends that gain too little."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from counterbias import count_reads, simulation
from counterbias.options import BiasOptions, CountingOptions
from counterbias.pipeline.bias.fitting import settle_ends
from counterbias.pipeline.count import CountRun
from counterbias.weights import Calibration, ungated
from tests.bias import isochores
from tests.bias.isochores import WINDOW, gc

# -- by hand ----------------------------------------------------------------------------------


def end_with(calibration: Calibration) -> Any:
    """Return an end whose model scores two background windows 0 and ln 4."""
    return SimpleNamespace(
        calibration=calibration, background=(np.log([1.0, 4.0]), np.array([3.0, 1.0]))
    )


def shut(fitted_slope: float) -> Calibration:
    return Calibration(False, 0.0, 0.0, 0.01, 0.02, 100, "too little", fitted_slope=fitted_slope)


def test_an_end_that_gains_too_little_takes_the_slope_that_it_asks_for() -> None:
    passed = Calibration(
        True, 0.9, 0.1, 0.2, 0.01, 1000, length_slope=1.0, length_constant=0.2, fitted_slope=0.9
    )
    ends = (end_with(passed), end_with(shut(0.5)))
    settle_ends(ends)
    assert ends[0].calibration is passed
    found = ends[1].calibration
    assert found.applied
    assert (found.slope, found.length_slope) == (0.5, 0.5), (
        "features get no more than reads: nobody has shown its size"
    )
    # Three windows of bias 1 and one of √4 average to 5/4.
    assert np.exp(found.constant) == pytest.approx(1.25)
    assert np.exp(found.of_positions(np.log([1.0, 4.0]))) == pytest.approx([0.8, 1.6])
    assert (found.gain, found.gain_error) == (0.01, 0.02)


def test_where_no_end_passes_nothing_is_corrected() -> None:
    ends = (end_with(shut(0.5)), end_with(shut(1.5)))
    settle_ends(ends)
    assert not any(end.calibration.applied for end in ends)
    lone = (end_with(shut(0.5)),)
    settle_ends(lone)
    assert not lone[0].calibration.applied


def test_an_end_that_asks_for_nothing_is_left_alone() -> None:
    assert not ungated(shut(0.0)).applied
    ends = (
        end_with(Calibration(True, 1.0, 0.0, 0.2, 0.01, 1000, fitted_slope=1.0)),
        end_with(shut(0.0)),
    )
    settle_ends(ends)
    assert not ends[1].calibration.applied
    assert ends[1].calibration(np.array([2.0, np.nan]))[0] == 0


# -- through a count --------------------------------------------------------------------------


#: Sample → fragments, and the strengths of the biases of reads 1 and 2.
SAMPLES = {"weaker": (1000, (1.0, 0.35)), "one": (30_000, (1.0, 0.0)), "none": (4000, (0.0, 0.0))}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[CountRun, simulation.Truth]]:
    """Count stranded pairs whose reads differ in bias."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("ends")
    genome, genes, abundance = isochores.simulated(folder, rng, spread=0.5)
    found = {}
    for name, (fragments, strengths) in SAMPLES.items():
        first, second = (simulation.ScoredBias(WINDOW, gc, strength) for strength in strengths)
        library = simulation.Library(fragments, read_length=50, stranded="yes")
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library, (first, second))
        simulation.write_bam(folder / f"{name}.bam", reads, order="pos")
        found[name] = count(folder, name), reads.truth
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("counterbias.pipeline.bias.sample.settle_ends", lambda ends: None)
        found["read 1 alone"] = count(folder, "weaker"), found["weaker"][1]
    return found


def count(folder: Path, sample: str) -> CountRun:
    # Along unions, effective lengths differ from lengths by bias alone.
    bias = BiasOptions("pwm", str(folder / "genome.fa"), window=WINDOW, lengths="union")
    options = CountingOptions(order="pos", stranded="yes")
    return count_reads(folder / f"{sample}.bam", folder / "genes.gtf", options=options, bias=bias)


def calibrations(run: CountRun) -> list[dict[str, Any]]:
    return [end["calibration"] for end in run.bias[0].report["ends"]]


def removed(run: CountRun, truth: simulation.Truth) -> float:
    """Return the slope of log2(corrected / raw) on −log2 of the genes' true mean bias."""
    row = {name: number for number, name in enumerate(run.annotation.features.ids)}
    rows = np.array([row[name] for name in truth.gene_ids])
    kept = truth.unbiased_fragments >= 20
    corrected, raw = (
        np.asarray(run.bias[0].columns[name], float)[rows][kept] for name in ("corrected", "raw")
    )
    return float(np.polyfit(-np.log2(truth.mean_bias[kept]), np.log2(corrected / raw), 1)[0])


def test_a_weak_bias_of_read_2_is_corrected_where_read_1_shows_that_there_is_one(
    runs: dict[str, tuple[CountRun, simulation.Truth]],
) -> None:
    run, truth = runs["weaker"]
    one, two = calibrations(run)
    assert one["gain"] > 3 * one["gain_error"]
    assert two["gain"] < 3 * two["gain_error"], "by itself it would not pass"
    assert one["applied"]
    assert two["applied"]
    assert 0 < two["slope"] == two["length_slope"]
    alone, _ = runs["read 1 alone"]
    assert [found["applied"] for found in calibrations(alone)] == [True, False]
    assert removed(alone, truth) + 0.1 < removed(run, truth) < 1.1


def test_an_unbiased_read_2_is_hardly_touched(
    runs: dict[str, tuple[CountRun, simulation.Truth]],
) -> None:
    run, truth = runs["one"]
    one, two = calibrations(run)
    assert one["applied"]
    spread = np.std(
        run.bias[0]
        .model.end(1)
        .log_bias(np.random.default_rng(1).integers(0, 4, (5000, 10)).astype(np.uint8))
    )
    assert spread < 0.05, "nats; that of read 1 is 0.87"
    assert two["gain"] < 3 * two["gain_error"]
    assert removed(run, truth) == pytest.approx(1, abs=0.1)


def test_without_bias_of_either_read_nothing_is_corrected(
    runs: dict[str, tuple[CountRun, simulation.Truth]],
) -> None:
    run, _ = runs["none"]
    assert [one["applied"] for one in calibrations(run)] == [False, False]
    assert np.array_equal(run.bias[0].columns["weighted"], np.asarray(run.results[0].counts, float))
