"""``--bias-prior``: the sample's own model blended with one that was fitted to other samples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias import (
    BiasModel,
    Blend,
    EndModel,
    InputError,
    ModelFile,
    Training,
    Window,
    load_model,
    save_models,
    simulation,
)
from counterbias.api import count_reads
from counterbias.cli import main
from counterbias.model_file import Prior
from counterbias.options import BiasOptions, CountingOptions
from counterbias.pipeline.bias.prior import prior_end
from counterbias.pipeline.count import CountRun
from counterbias.testing import planted_sample
from counterbias.weights import best_shares, best_slope
from counterbias_backends import pwm, vlmm

WINDOW = Window(6, 8)


def fitted(
    seed: int,
    starts: int = 300,
    window: Window = WINDOW,
    kind: type[BiasModel] = pwm.PositionWeightMatrix,
) -> BiasModel:
    model = kind(window)
    model.fit(planted_sample(window, starts=starts, seed=seed), np.random.default_rng(seed))
    return model


# -- shares -----------------------------------------------------------------------------------


def drawn(
    columns: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Choose one of three places per row as a start, in proportion to exp(truth).

    Scores have shape (rows, 3, models).
    """
    power = np.exp(truth)
    chosen = (
        rng.random((len(truth), 1)) * power.sum(axis=1, keepdims=True) > np.cumsum(power, axis=1)
    ).sum(axis=1)
    others = np.argsort(np.arange(3)[None] == chosen[:, None], axis=1, kind="stable")[:, :2]
    rows = np.arange(len(truth))
    background = columns[rows[:, None], others].reshape(-1, columns.shape[2])
    return columns[rows, chosen], background, np.ones(len(truth)), np.repeat(rows, 2)


def test_shares_are_those_that_starts_were_drawn_with() -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(20_000, 3, 3))
    truth = columns @ np.array([0.6, 0.3, 0.0])
    found = best_shares(*drawn(columns, truth, rng))
    np.testing.assert_allclose(found, [0.6, 0.3, 0.0], atol=0.03)


@pytest.mark.parametrize("true_slope", [0.4, 1.7, -0.5])
def test_one_model_has_the_share_that_calibration_calls_slope(true_slope: float) -> None:
    rng = np.random.default_rng(2)
    columns = rng.normal(size=(3000, 3, 1))
    foreground, background, weight, origin = drawn(columns, true_slope * columns[:, :, 0], rng)
    slope = best_slope(foreground[:, 0], background[:, 0], weight, origin)
    assert best_shares(foreground, background, weight, origin)[0] == pytest.approx(slope, abs=1e-4)


def test_without_starts_shares_are_finite() -> None:
    assert np.isfinite(
        best_shares(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.int64))
    ).all()


def test_blend_is_the_weighted_sum() -> None:
    own, prior = fitted(1), fitted(2, kind=vlmm.MarkovModel)
    blend = Blend(own, prior, 0.25, 0.75)
    sequence = np.random.default_rng(3).integers(0, 4, 300, dtype=np.uint8)
    windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(sequence, WINDOW.width))
    expected = 0.25 * own.log_bias(windows) + 0.75 * prior.log_bias(windows)
    np.testing.assert_allclose(blend.log_bias(windows), expected, rtol=1e-12)
    np.testing.assert_allclose(blend.along(sequence), expected, atol=1e-12)
    with pytest.raises(ValueError, match="windows differ"):
        Blend(own, fitted(1, window=Window(5, 5)), 0.5, 0.5)
    for call in (
        lambda: blend.fit(planted_sample(WINDOW, starts=10, seed=1), np.random.default_rng(1)),
        lambda: blend.from_arrays({}),
    ):
        with pytest.raises(RuntimeError, match="fitted already"):
            call()


# -- files ------------------------------------------------------------------------------------


def blended_file() -> ModelFile:
    def blend(seed: int) -> Blend:
        return Blend(fitted(seed), fitted(seed + 5, kind=vlmm.MarkovModel), 0.5, 0.25)

    ends = tuple(
        EndModel(label, blend(seed), 0.1, 1.0, 9, 0.2)
        for seed, label in enumerate(("read1", "read2"), 1)
    )
    prior = Prior("vlmm", "counterbias", "0.1.0", Training(("x", "y"), 3, "local", "0.1.0"))
    return ModelFile("pwm", "counterbias", "0.1.0", WINDOW, ends, Training(("a",)), prior=prior)


def test_file_holds_both_models(tmp_path: Path) -> None:
    given = blended_file()
    save_models(tmp_path / "one.model", given)
    found = load_model(tmp_path / "one.model")
    assert found.prior == given.prior
    windows = np.random.default_rng(1).integers(0, 4, (100, WINDOW.width), dtype=np.uint8)
    for one, two in zip(given.ends, found.ends, strict=True):
        assert isinstance(two.model, Blend)
        assert np.array_equal(one.log_bias(windows), two.log_bias(windows))
    save_models(tmp_path / "two.model", found)
    assert (tmp_path / "one.model").read_bytes() == (tmp_path / "two.model").read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["prior"].pop("version"), "'version' is missing"),
        (lambda d: d["prior"].update(backend="nobody"), "no backend 'nobody'"),
        (lambda d: d["ends"][0].pop("prior"), "'prior' is missing"),
        (lambda d: d["ends"][1]["prior"].update(own_share="half"), "'own_share' is not a number"),
        (lambda d: d["ends"][1]["prior"]["arrays"].pop(), "does not name|missing"),
        (lambda d: d.update(schema=[1, 0]), "'prior' is unknown"),
        (lambda d: d.pop("prior"), "'prior' is unknown"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    change: object, words: str, tmp_path: Path
) -> None:
    import zipfile

    path = tmp_path / "one.model"
    save_models(path, blended_file())
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(content["model.json"])
    change(description)  # type: ignore[operator]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, "model.json": json.dumps(description).encode()}.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=words):
        load_model(path)


def test_models_and_prior_must_agree() -> None:
    with pytest.raises(ValueError, match="a file with a prior"):
        ModelFile("pwm", "", "", WINDOW, (EndModel("both", Blend(fitted(1), fitted(2), 0.5, 0.5)),))


# -- counting ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large and a small sample with one bias, another without bias, and ``large.model``."""
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("blend")
    genome = simulation.simulate_genome(rng, {"chr1": 400_000, "chr2": 400_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 120, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    abundance = simulation.simulate_abundance(rng, genes, spread=0.7)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    bias = simulation.simulate_priming_bias(rng)
    other = simulation.simulate_priming_bias(np.random.default_rng(99))
    for name, pairs, own in (
        ("large", 30_000, bias),
        ("small", 600, bias),
        ("plain", 30_000, None),
        ("other", 30_000, other),
    ):
        library = simulation.Library(pairs, read_length=50)
        simulation.write_bam(
            folder / f"{name}.bam",
            simulation.simulate_reads(rng, genome, genes, abundance, library, own),
            order="pos",
        )
    save_models(folder / "large.model", count(folder, "large", None).bias[0].model)
    return folder


def count(
    folder: Path, sample: str, prior: str | None, *, model: str = "vlmm", **more: Any
) -> CountRun:
    given = None if prior is None else str(folder / prior)
    bias = BiasOptions(model, str(folder / "genome.fa"), prior=given, **more)
    return count_reads(
        folder / f"{sample}.bam",
        folder / "genes.gtf",
        options=CountingOptions(order="pos", stranded="no"),
        bias=bias,
    )


def test_small_sample_gains_by_a_prior(world: Path) -> None:
    alone, blended = (count(world, "small", prior).bias[0] for prior in (None, "large.model"))
    first, second = (run.report["ends"][0] for run in (alone, blended))
    details = second["training"]["details"]
    assert second["calibration"]["applied"]
    assert second["calibration"]["gain"] > first["calibration"]["gain"] + 0.03
    assert (
        details["prior_gain"] > details["own_gain"] == pytest.approx(first["calibration"]["gain"])
    )
    assert details["prior_share"] > details["own_share"] >= 0
    assert blended.model.prior is not None
    assert blended.model.prior.training.samples == (str(world / "large.bam"),)
    assert blended.report["options"]["bias_prior"] == str(world / "large.model")
    assert np.asarray(blended.columns["weighted"]).sum() == pytest.approx(
        np.asarray(alone.columns["weighted"]).sum(), rel=1e-6
    )


def test_threads_change_nothing_and_the_saved_blend_gives_the_same(
    world: Path, tmp_path: Path
) -> None:
    one, two = (count(world, "small", "large.model", threads=threads).bias[0] for threads in (1, 2))
    for name, values in one.columns.items():
        assert np.array_equal(values, two.columns[name]), name
    save_models(tmp_path / "blend.model", one.model)
    bias = BiasOptions(str(tmp_path / "blend.model"), str(world / "genome.fa"))
    again = count_reads(
        world / "small.bam",
        world / "genes.gtf",
        options=CountingOptions(order="pos", stranded="no"),
        bias=bias,
    ).bias[0]
    assert again.model.prior == one.model.prior
    found, wanted = (run.report["ends"][0]["calibration"] for run in (again, one))
    assert found["applied"]
    assert found["gain"] == pytest.approx(wanted["gain"], abs=0.05)  # no longer crossed over


def test_slope_of_the_prior_in_its_own_sample_does_not_bound_its_share(
    world: Path, tmp_path: Path
) -> None:
    large = load_model(world / "large.model")
    save_models(tmp_path / "flat.model", replace(large, ends=(replace(large.ends[0], slope=0.1),)))
    wanted, found = (
        count(world, "small", prior).bias[0]
        for prior in ("large.model", str(tmp_path / "flat.model"))
    )
    assert (
        found.report["ends"][0]["training"]["details"]
        == wanted.report["ends"][0]["training"]["details"]
    )
    assert np.array_equal(found.columns["weighted"], wanted.columns["weighted"])


def test_end_that_gained_something_stands_in_for_one_that_did_not() -> None:
    one, two = EndModel("read1", fitted(1), 0.0, 0.0), EndModel("read2", fitted(2), 0.1, 0.5)
    file = ModelFile("pwm", "", "", WINDOW, (one, two))
    assert prior_end(file, 0) is prior_end(file, 1) is two
    assert prior_end(replace(file, ends=(replace(one, slope=1.0), two)), 0).label == "read1"


def test_own_model_as_prior_is_warned_of(world: Path) -> None:
    run = count(world, "large", "large.model").bias[0]
    assert any("the prior has learnt from" in line for line in run.warnings)
    assert not any(
        "the prior has learnt from" in line
        for line in count(world, "small", "large.model").bias[0].warnings
    )


def test_auto_takes_a_model_that_the_window_of_the_prior_suits(world: Path, tmp_path: Path) -> None:
    narrow = ModelFile(
        "pwm", "", "", Window(3, 3), (EndModel("both", fitted(1, window=Window(3, 3))),)
    )
    save_models(tmp_path / "narrow.model", narrow)
    run = count(world, "small", str(tmp_path / "narrow.model"), model="auto").bias[0]
    assert (run.model.window, run.model.backend) == (
        Window(3, 3),
        "pwm",
    )  # heptamer, for so few starts, needs more bases


@pytest.mark.parametrize("lengths", ["union", "transcripts"])
def test_prior_of_another_library_does_no_harm_without_bias(world: Path, lengths: str) -> None:
    run = count(world, "plain", "large.model", lengths=lengths).bias[0]
    assert not run.report["ends"][0]["calibration"]["applied"]
    np.testing.assert_array_equal(run.columns["weighted"], np.asarray(run.columns["raw"], float))
    if lengths == "union":
        np.testing.assert_allclose(run.columns["corrected"], run.columns["raw"], rtol=1e-12)
    without = count(world, "plain", None, model="none", lengths=lengths).bias[0]
    for name, values in without.columns.items():
        np.testing.assert_array_equal(run.columns[name], values, err_msg=name)


def test_prior_of_another_chemistry_does_not_fit_and_does_no_harm(world: Path) -> None:
    alone, blended = (
        count(world, "other", prior).bias[0].report["ends"][0] for prior in (None, "large.model")
    )
    details = blended["training"]["details"]
    assert details["prior_share"] < 0.3 < details["own_share"]
    assert blended["calibration"]["gain"] > alone["calibration"]["gain"] - 0.01
    assert details["prior_gain"] < 0.5 * details["own_gain"]


def test_compare_takes_a_saved_blend(world: Path, tmp_path: Path) -> None:
    save_models(tmp_path / "blend.model", count(world, "small", "large.model").bias[0].model)
    words = [
        "compare",
        "-q",
        "-s",
        "no",
        "-r",
        "pos",
        "-o",
        str(tmp_path / "out"),
        "--models",
        f"pwm,{tmp_path / 'blend.model'}",
    ]
    words += [
        "--bias-genome",
        str(world / "genome.fa"),
        str(world / "large.bam"),
        str(world / "genes.gtf"),
    ]
    assert main(words) == 0
    rows = (tmp_path / "out" / "comparison.tsv").read_text()
    assert "blend.model" in rows


# -- what cannot be done ----------------------------------------------------------------------


def refusal(world: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: str) -> str:
    common = [
        "count",
        "-q",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-genome",
        str(world / "genome.fa"),
        "--bias-output",
        str(tmp_path / "x"),
    ]
    assert main([*common, *words, str(world / "small.bam"), str(world / "genes.gtf")]) == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert not list(tmp_path.glob("x*"))
    (line,) = found.err.strip().splitlines()
    return line


def test_refusals_are_one_clear_line(
    world: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    large = str(world / "large.model")
    blend, unused = tmp_path / "blend.model", tmp_path / "unused.model"
    save_models(blend, count(world, "small", "large.model").bias[0].model)
    save_models(
        unused,
        ModelFile(
            "pwm",
            "",
            "",
            Window(10, 10),
            (EndModel("both", fitted(1, window=Window(10, 10)), 0.0, 0.0),),
        ),
    )
    for words, expected in (
        (["--bias-prior", str(world / "none.model")], "there is no such model file"),
        (["--bias-prior", ""], "--bias-prior names no file"),
        (
            ["--bias-prior", large, "--bias-model", large],
            "cannot change a model that is already fitted",
        ),
        (["--bias-prior", str(blend)], "is a blend already"),
        (["--bias-prior", str(unused)], "gained nothing in its own sample"),
        (
            ["--bias-prior", large, "--bias-window", "5,5"],
            "the model has the window 10,10, not 5,5",
        ),
        (["--bias-prior", large, "--bias-model", "none"], "--bias-prior needs a bias model"),
    ):
        assert expected in refusal(world, capsys, tmp_path, *words), words


def test_the_shares_are_told_unless_quiet(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "count",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-genome",
        str(world / "genome.fa"),
        "--bias-output",
        str(tmp_path / "x"),
    ]
    words += [
        "--bias-model",
        "vlmm",
        "--bias-prior",
        str(world / "large.model"),
        str(world / "small.bam"),
        str(world / "genes.gtf"),
    ]
    messages = []
    for quiet in ([], ["-q"]):
        assert main([*words[:1], *quiet, *words[1:]]) == 0
        messages.append(capsys.readouterr().err)
    details = json.loads((tmp_path / "x.counterbias.json").read_text())["ends"][0]["training"][
        "details"
    ]
    own, prior = (f"{details[f'{name}_share']:.2f}" for name in ("own", "prior"))
    shares = f"blended: {own} × its own + {prior} × {world / 'large.model'}"
    assert "small: model: vlmm, as asked for; learnt from" in messages[0]
    assert shares in messages[0]
    gains = (f"{name} alone {details[f'{name}_gain']:.3f}" for name in ("own", "prior"))
    assert ", ".join(gains) in messages[0]
    assert "blended" not in messages[1]
    assert shares in (tmp_path / "x.log").read_text()


def test_prior_alone_asks_for_a_model_and_brings_its_window(world: Path, tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.model"
    bias = BiasOptions("pwm", str(world / "genome.fa"), window=Window(4, 9))
    options = CountingOptions(order="pos", stranded="no")
    save_models(
        narrow,
        count_reads(world / "large.bam", world / "genes.gtf", options=options, bias=bias)
        .bias[0]
        .model,
    )
    words = [
        "count",
        "-q",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-genome",
        str(world / "genome.fa"),
        "--bias-output",
        str(tmp_path / "x"),
    ]
    assert (
        main(
            [
                *words,
                "--bias-prior",
                str(narrow),
                str(world / "small.bam"),
                str(world / "genes.gtf"),
            ]
        )
        == 0
    )
    found = load_model(tmp_path / "x.model")
    assert (found.window, found.prior is not None) == (Window(4, 9), True)
