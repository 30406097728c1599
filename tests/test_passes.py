"""``--bias-passes``: a second fit, against background that is rid of the bias of its neighbourhood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from counterbias import InputError, count_reads, simulation
from counterbias.cli import main
from counterbias.pipeline.fitting import Context, Drawn
from counterbias.pipeline.passes import check_passes, level_background, local_mean
from counterbias.pipeline.run import BiasOptions, CountRun
from counterbias.records import CountingOptions, Positions, Window
from counterbias.sampling import Sample

WINDOW = Window(3, 6)


def gc(contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give a bias towards G and C at three places, so that genes in isochores differ in their mean bias."""
    some = contexts[:, [1, 4, 8]]
    return np.asarray(1.0 * (((some == 1) | (some == 2)).sum(axis=1) - 1.5))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, simulation.Truth]:
    """Write a biased sample, ``reads.bam``, and one without bias, ``plain.bam``; give the truth of the first."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("passes")
    genome = simulation.simulate_genome(rng, {"chr1": 250_000, "chr2": 250_000}, isochore=10_000)
    genes = simulation.simulate_annotation(rng, genome.lengths, 80, design=simulation.AnnotationDesign(overlapping=0.0))
    abundance = simulation.simulate_abundance(rng, genes, spread=0.7)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    truth = None
    for name, bias in (("reads", simulation.ScoredBias(WINDOW, gc)), ("plain", None)):
        reads = simulation.simulate_reads(rng, genome, genes, abundance, simulation.Library(40_000, read_length=50), bias)
        simulation.write_bam(folder / f"{name}.bam", reads, order="pos")
        truth = truth or reads.truth
    assert truth is not None
    return folder, truth


def count(folder: Path, passes: int, *, sample: str = "reads", threads: int = 1) -> CountRun:
    bias = BiasOptions("pwm", str(folder / "genome.fa"), window=WINDOW, passes=passes, threads=threads)
    return count_reads(folder / f"{sample}.bam", folder / "genes.gtf", options=CountingOptions(order="pos"), bias=bias, threads=threads)


@pytest.fixture(scope="module")
def runs(world: tuple[Path, simulation.Truth]) -> dict[int, CountRun]:
    return {passes: count(world[0], passes) for passes in (1, 2)}


def error_and_share(run: CountRun, truth: simulation.Truth) -> tuple[float, float]:
    """Give the RMSE of log2 corrected density, and the part of genes' bias that the correction removes."""
    row = {name: number for number, name in enumerate(run.annotation.features.ids)}
    rows = np.array([row[name] for name in truth.gene_ids])
    columns = run.bias[0].columns
    kept = truth.unbiased_fragments >= 100
    corrected = np.asarray(columns["fpkm_corrected"], float)[rows][kept]
    raw = np.asarray(columns["fpkm_raw"], float)[rows][kept]
    wanted = -np.log2(truth.mean_bias[kept])
    error = np.log2(corrected / (truth.unbiased_fragments / truth.length)[kept]).std()
    return float(error), float(np.polyfit(wanted, np.log2(corrected / raw), 1)[0])


def test_second_pass_takes_more_of_the_bias_out(world: tuple[Path, simulation.Truth], runs: dict[int, CountRun]) -> None:
    (first, removed), (second, removed_twice) = (error_and_share(runs[passes], world[1]) for passes in (1, 2))
    assert removed < 0.87
    assert removed + 0.05 < removed_twice < 1.1
    assert second < 0.92 * first


def test_gain_is_judged_as_before(runs: dict[int, CountRun]) -> None:
    first, second = (runs[passes].bias[0].report["ends"][0]["calibration"] for passes in (1, 2))
    assert second["applied"]
    assert second["gain"] == pytest.approx(first["gain"], abs=0.02)


def test_report_tells_of_passes_only_where_there_are_some(runs: dict[int, CountRun]) -> None:
    first, second = (runs[passes].bias[0].report for passes in (1, 2))
    assert (first["options"]["bias_passes"], second["options"]["bias_passes"]) == (1, 2)
    details = [report["ends"][0]["training"]["details"] for report in (first, second)]
    assert "passes" not in details[0]
    assert details[1]["passes"] == 2


def test_threads_change_nothing(world: tuple[Path, simulation.Truth], runs: dict[int, CountRun]) -> None:
    again = count(world[0], 2, threads=2)
    for name, values in runs[2].bias[0].columns.items():
        np.testing.assert_array_equal(values, again.bias[0].columns[name])


def test_without_bias_weights_stay_one(world: tuple[Path, simulation.Truth]) -> None:
    run = count(world[0], 3, sample="plain")
    report = run.bias[0].report["ends"][0]
    assert not report["calibration"]["applied"]
    assert report["training"]["details"]["passes"] == 1
    counts = np.asarray(run.results[0].counts, float)
    np.testing.assert_array_equal(run.bias[0].columns["weighted"], counts)


def test_model_that_compares_nearby_places_only_is_fitted_once(world: tuple[Path, simulation.Truth]) -> None:
    """`cnn` learns from sets and tiles, in which the density of background cancels; a second fit would be the same."""
    quick = ("members=1", "units=16", "channels=4", "min_steps=30", "max_steps=30")
    found = []
    for passes in (1, 2):
        bias = BiasOptions("cnn", str(world[0] / "genome.fa"), window=WINDOW, model_options=quick, passes=passes)
        found.append(count_reads(world[0] / "reads.bam", world[0] / "genes.gtf", options=CountingOptions(order="pos"), bias=bias).bias[0])
    assert found[1].report["ends"][0]["training"]["details"]["passes"] == 1
    for name, values in found[0].columns.items():
        assert np.array_equal(values, found[1].columns[name]), name


def test_sets_keep_what_single_windows_lose(world: tuple[Path, simulation.Truth], monkeypatch: pytest.MonkeyPatch) -> None:
    """Told which background belongs to which start, `cnn` learns the bias itself; otherwise that relative to its neighbourhood."""
    quick = ("members=1", "units=16", "channels=8", "min_steps=400", "max_steps=400", "objective=windows")
    bias = BiasOptions("cnn", str(world[0] / "genome.fa"), window=WINDOW, model_options=quick)
    found = []
    for known in (True, False):
        if not known:
            monkeypatch.setattr("counterbias_backends.cnn.training._sets", lambda *sample: None)
        run = count_reads(world[0] / "reads.bam", world[0] / "genes.gtf", options=CountingOptions(order="pos"), bias=bias)
        found.append(error_and_share(run, world[1]))
    (error, removed), (other_error, other_removed) = found
    assert removed > other_removed + 0.08
    assert error < 0.9 * other_error


def test_one_pass_is_the_default_to_the_byte(world: tuple[Path, simulation.Truth]) -> None:
    folder = world[0]
    for prefix, more in (("a", []), ("b", ["--bias-passes", "1"])):
        line = ["count", "-q", "-r", "pos", "-s", "no", "--bias-model", "pwm", "--bias-genome", str(folder / "genome.fa")]
        line += ["--bias-output", str(folder / prefix), "-c", str(folder / f"{prefix}.tsv"), *more]
        assert main([*line, str(folder / "reads.bam"), str(folder / "genes.gtf")]) == 0
    for ending in (".tsv", ".counts.tsv", ".model"):
        assert (folder / f"a{ending}").read_bytes() == (folder / f"b{ending}").read_bytes()
    told = json.loads((folder / "a.counterbias.json").read_text())
    assert told["options"]["bias_passes"] == 1


class Stretchy:
    """A context whose genome is one contig: b is 3 where the position is below 1000, and 1 from there on; nothing lies below 0."""

    threads = 1

    def extract(self, positions: Positions) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        return (positions.position < 1000).astype(np.uint8)[:, None], positions.position >= 0

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.where(contexts[:, 0] == 1, np.log(3.0), 0.0)


def at(*places: int) -> Positions:
    n = len(places)
    return Positions(np.zeros(n, np.int32), np.array(places, np.int64), np.zeros(n, np.uint8), np.ones(n))


def hand() -> tuple[Context, Any]:
    return cast(Context, Stretchy()), Stretchy()


def test_local_mean_by_hand() -> None:
    context, model = hand()
    # At 1000 the 21 places 900, 910 … 1100 hold ten with b = 3; at 0 only those on the contig are averaged; far below 0 there is none.
    np.testing.assert_allclose(local_mean(context, model, at(500, 5000, 1000, 0, -500)), [3, 1, (30 + 11) / 21, 3, 1])


def test_weights_are_divided_and_their_total_stays() -> None:
    context, model = hand()
    background = at(500, 5000, -500)
    nothing = np.zeros((3, 1), np.uint8)
    drawn = Drawn(Sample(background, background, np.arange(3)), (nothing, np.ones(3, bool)), (nothing, np.array([True, True, False])))
    level = level_background(context, model, drawn).sample
    np.testing.assert_allclose(level.background.weight, [0.5, 1.5, 1.0])
    np.testing.assert_array_equal(level.foreground.weight, 1.0)


@pytest.mark.parametrize("value", ["0", "6", "x", "-1", "1.5"])
def test_other_numbers_are_usage_errors(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["count", f"--bias-passes={value}", "a.bam", "g.gtf"])
    assert stop.value.code == 2
    assert "--bias-passes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("passes", "fitted", "sampling", "words"),
    [
        (0, None, "local", "from 1 to 5"),
        (6, None, "local", "from 1 to 5"),
        (2, "x.model", "local", "already fitted"),
        (2, None, "seqbias", "seqbias"),
    ],
)
def test_what_cannot_be_done_is_refused(passes: int, fitted: str | None, sampling: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_passes(passes, fitted=fitted, sampling=sampling)


def test_one_pass_goes_with_everything() -> None:
    check_passes(1, fitted="x.model", sampling="seqbias")
    check_passes(5, fitted=None, sampling="paper")


@pytest.mark.parametrize("command", ["train", "compare", "simulate"])
def test_other_commands_do_not_offer_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--bias-passes" not in capsys.readouterr().out
