"""Each start is judged by a model that did not see it: what judges learn, what becomes of samples that cannot be judged, and the gate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest

import counterbias
from counterbias import (
    BiasModel,
    FitReport,
    FoldedSample,
    Resources,
    TrainingSet,
    Window,
    count_reads,
    simulation,
)
from counterbias.cli import main
from counterbias.options import BiasOptions, CountingOptions
from counterbias.pipeline.bias.cross_fitting import CrossFitted, score_unseen
from counterbias.pipeline.count import CountRun
from counterbias.sampling import FoldedWindows
from folded_samples import Written, folded, make_sites

WINDOW = Window(10, 10)
#: A `cnn` that is trained in a moment.
QUICK = (
    "units=16",
    "channels=4",
    "min_steps=40",
    "max_steps=40",
    "batch_tiles=8",
    "distil_steps=60",
    "distil_channels=4",
)
#: One that can tell a strong bias.
ABLE = ("units=16", "channels=8", "min_steps=250", "max_steps=250", "distil_steps=300")


class Spy(BiasModel):
    """Remember the bases of all windows, validation included, and give 1 for each."""

    written = Written(WINDOW)
    needs_tiles = True

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        self.seen = self.written.of(sample)
        if sample.validation is not None:
            self.seen |= self.written.of(sample.validation)
        return FitReport(0.0, 0)

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        assert not self.seen & self.written.bases(contexts)
        return np.ones(len(contexts))

    def to_arrays(self) -> dict[str, Any]:
        return {}

    def from_arrays(self, arrays: Any) -> None:
        pass


def sample_of(number: int, *, reads: int = 2500) -> FoldedWindows:
    return folded(make_sites(7, reads, False), WINDOW, "local", number)[1]


# -- what judges learn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_no_judge_has_seen_what_it_judges(number: int) -> None:
    made, model = sample_of(number), Spy(WINDOW)
    found = model.cross_fit(made.sample, np.random.default_rng(1))
    assert len(found.judges) == number
    scores = score_unseen(found.judges, made.sample, made.windows)
    assert all((part == 1).all() for part in scores), (
        "every start and background window has a judge"
    )
    # Together they see what the model sees, but for the edges of other blocks.
    together = set().union(*(judge.seen for judge in found.judges if isinstance(judge, Spy)))
    assert len(together) == pytest.approx(len(model.seen), rel=0.02)
    with pytest.raises(AssertionError):
        model.log_bias(made.windows.foreground)


def test_judges_are_of_the_models_kind_with_its_options_and_resources() -> None:
    kind = counterbias.load_plugins().backends["pwm"].backend.load()
    model = kind(WINDOW, counterbias.parse_options(kind, ["pseudocount=3"]))
    model.resources = Resources(threads=2)
    found = model.cross_fit(sample_of(3).sample, np.random.default_rng(1))
    for judge in found.judges:
        assert isinstance(judge, kind)
        assert judge is not model
        assert (judge.window, judge.options, judge.resources) == (
            model.window,
            model.options,
            model.resources,
        )


def test_the_model_itself_is_the_one_that_fit_gives() -> None:
    """Judges are fitted after it, and leave it alone."""
    kind = counterbias.load_plugins().backends["vlmm"].backend.load()
    sample = sample_of(5).sample
    alone, judged = kind(WINDOW), kind(WINDOW)
    alone.fit(sample.without(None), np.random.default_rng(3))
    judged.cross_fit(sample, np.random.default_rng(3))
    for name, array in alone.to_arrays().items():
        assert np.array_equal(array, judged.to_arrays()[name]), name


def test_through_a_count_no_judge_scores_what_it_has_seen(
    half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of 41 random bases, and the stretches of exon bins, share no 21 of them with what their judge learnt from."""
    kind = counterbias.load_plugins().backends["pwm"].backend.load()
    fit, log_bias, along = kind.fit, kind.log_bias, kind.along
    models: list[Any] = []
    scored = {"windows": 0, "places": 0}

    def remembered(self: Any, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        sets = [sample, *([] if sample.validation is None else [sample.validation])]
        self.seen = {piece for one in sets for piece in pieces(one.foreground, one.background)}
        models.append(self)
        return fit(self, sample, rng)

    def windows(self: Any, contexts: np.ndarray) -> np.ndarray:
        if self is not models[0]:
            assert not self.seen & pieces(contexts)
            scored["windows"] += len(contexts)
        return np.asarray(log_bias(self, contexts))

    def stretches(self: Any, sequence: np.ndarray) -> np.ndarray:
        if self is not models[0]:
            assert not self.seen & pieces(np.lib.stride_tricks.sliding_window_view(sequence, 41))
            scored["places"] += len(sequence) - 40
        return np.asarray(along(self, sequence))

    for name, method in (("fit", remembered), ("log_bias", windows), ("along", stretches)):
        monkeypatch.setattr(kind, name, method)
    count(half, "plain", "pwm", window=Window(20, 20))
    assert len(models) == 6
    assert all(len(model.seen) > 5000 for model in models)
    assert scored["windows"] > 5_000
    assert scored["places"] > 20_000


def pieces(*contexts: np.ndarray) -> set[bytes]:
    """Give all stretches of 21 bases, of both strands alike."""
    forward = np.concatenate(
        [one[:, first : first + 21] for one in contexts for first in range(one.shape[1] - 20)]
    )
    return {row.tobytes() for row in forward} | {row.tobytes() for row in 3 - forward[:, ::-1]}


# -- networks that leave a fold out each -------------------------------------------------------------------------------


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the networks that `cnn` trains, with the data of each as ``seen``."""
    from counterbias_backends.cnn import training

    made: list[Any] = []
    begin = training.Network.__init__

    def remembered(self: Any, evaluate: Any, shape: Any, data: Any, *rest: Any) -> None:
        begin(self, evaluate, shape, data, *rest)
        self.seen = data
        made.append(self)

    monkeypatch.setattr(training.Network, "__init__", remembered)
    return made


def cnn(*options: str) -> BiasModel:
    kind = counterbias.load_plugins().backends["cnn"].backend.load()
    return kind(WINDOW, counterbias.parse_options(kind, [*QUICK, *options]))


def bases_of(data: Any) -> set[tuple[int, int]]:
    """Give the bases of all rows that a network learns from."""
    written = Written(WINDOW)
    windows = data.windows.sequence[data.windows.chosen].reshape(-1, WINDOW.width)
    found = written.bases(windows)
    return (
        found
        if data.tiles is None
        else found | written.bases(data.tiles.sequence[data.tiles.chosen], 99)
    )


@pytest.mark.parametrize(
    ("members", "objective"), [(5, "both"), (10, "both"), (5, "windows"), (5, "tiles")]
)
def test_each_network_leaves_out_the_fold_that_it_judges(
    networks: list[Any], members: int, objective: str
) -> None:
    made = sample_of(5)
    model = cnn(f"members={members}", f"objective={objective}")
    found = model.cross_fit(made.sample, np.random.default_rng(1))
    assert len(networks) == members, "no model is fitted besides"
    for number, network in enumerate(networks):
        fold = number % 5
        judged, seen = made.sample.of_fold(fold), bases_of(network.seen)
        assert not seen & (
            Written(WINDOW).bases(judged.foreground) | Written(WINDOW).bases(judged.background)
        )
        # Nearly all of the other folds is learnt from, what would be for validation as well.
        front, *_ = made.sample.learnable(fold)
        learnt = made.sample.everything.foreground[front]
        assert len(Written(WINDOW).bases(learnt) & seen) > 0.9 * len(Written(WINDOW).bases(learnt))
    for fold, judge in enumerate(found.judges):
        assert judge is not None
        own = np.stack([network.flat for network in networks[fold::5]]).astype(np.float32)
        assert np.array_equal(
            np.concatenate(
                [one.reshape(len(own), -1) for one in judge.to_arrays().values()], axis=1
            ),
            own,
        )
    assert model.to_arrays()["readout_bias"].shape[0] == 1, "one network stands for all"


@pytest.mark.parametrize(
    "options", [("members=1",), ("members=3",), ("members=5", "learn_validation=no")]
)
def test_networks_that_cannot_be_shared_out_are_trained_anew_for_each_fold(
    networks: list[Any], options: tuple[str, ...]
) -> None:
    made = sample_of(5)
    members = int(options[0].partition("=")[2])
    found = cnn(*options).cross_fit(made.sample, np.random.default_rng(1))
    assert len(networks) == 6 * members
    for fold, judge in enumerate(found.judges):
        assert judge is not None
        judged = made.sample.of_fold(fold)
        for network in networks[members * (fold + 1) : members * (fold + 2)]:
            assert not bases_of(network.seen) & Written(WINDOW).bases(
                np.concatenate([judged.foreground, judged.background])
            )


# -- what cannot be judged ---------------------------------------------------------------------------------------------


def alone_in_a_part(reads: int) -> tuple[FoldedSample, FoldedWindows]:
    """Give a sample all of whose windows lie in one part, as where all reads start within a kilobase."""
    made = sample_of(5, reads=reads)
    parts = [
        np.full_like(one, 4)
        for one in (
            made.sample.foreground_parts,
            made.sample.background_parts,
            made.sample.tile_parts,
        )
    ]
    sample = FoldedSample(made.sample.everything, *parts, 5)
    return sample, replace(made, sample=sample)


@pytest.mark.parametrize("model", ["pwm", "vlmm", "heptamer", "bayesnet", "cnn"])
def test_where_a_fold_holds_everything_nobody_judges_it(model: str) -> None:
    sample, made = alone_in_a_part(300)
    kind = counterbias.load_plugins().backends[model].backend.load()
    options = counterbias.parse_options(kind, [*QUICK] if model == "cnn" else [])
    fitted = kind(WINDOW, options)
    found = fitted.cross_fit(sample, np.random.default_rng(1))
    assert [judge is None for judge in found.judges] == [False, False, True, False, False]
    foreground, background = CrossFitted(fitted, found.report, found.judges, sample).score(
        made.windows
    )
    assert np.isnan(foreground).all()
    assert np.isnan(background).all()
    assert np.isfinite(fitted.log_bias(made.windows.foreground)).all()


def test_of_several_folds_those_are_judged_that_can_be() -> None:
    made = sample_of(5)
    front, back = made.sample.foreground_parts.copy(), made.sample.background_parts.copy()
    near = (front[:, 0] != 4) & (front[:, 0] != 5)
    # All other windows lie within reach of fold 2: without it, there is nothing to learn from.
    front[near, 1] = 4
    back[(back[:, 0] != 4) & (back[:, 0] != 5), 1] = 4
    sample = FoldedSample(made.sample.everything, front, back, made.sample.tile_parts, 5)
    model = Spy(WINDOW)
    judges = model.cross_fit(sample, np.random.default_rng(1)).judges
    assert [judge is None for judge in judges] == [False, False, True, False, False]
    foreground, _ = score_unseen(
        [None if judge is None else Ones(WINDOW) for judge in judges], sample, made.windows
    )
    assert np.array_equal(np.isnan(foreground), ~near)


class Ones(Spy):
    """A judge that looks at nothing."""

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.ones(len(contexts))


# -- through a count ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a library whose reads lie by half in one stretch of 10 kb, biased (``half``) and not (``unbiased``); and more.

    ``plain`` and ``other`` are two biased samples of usual abundances, ``tiny`` has all of its reads within 800 bases.
    """
    rng = np.random.default_rng(12)
    folder = tmp_path_factory.mktemp("half")
    genome = simulation.simulate_genome(rng, {"chr1": 300_000, "chr2": 300_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 60, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.2)
    usual = simulation.simulate_abundance(rng, genes, spread=0.5)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    # Genes of chr1 whose first exon begins from 100 to 110 kb.
    first, gene = genes.exon_start[genes.exon_offsets[:-1]], genes.transcript_gene
    inside = (
        (genes.gene_contig[gene] == 0)
        & (first >= 100_000)
        & (genes.exon_end[genes.exon_offsets[1:] - 1] < 110_000)
    )
    mass = usual * genes.transcript_lengths
    crowded = np.where(inside, usual * mass[~inside].sum() / mass[inside].sum(), usual)
    assert inside.any()
    for name, abundance, effect, fragments in (
        ("half", crowded, bias, 6000),
        ("unbiased", crowded, None, 6000),
        ("plain", usual, bias, 6000),
        ("other", usual, bias, 5000),
    ):
        library = simulation.Library(fragments, paired=False)
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library, effect)
        simulation.write_bam(folder / f"{name}.bam", reads, order="pos")
    return folder


def count(
    folder: Path, sample: str, model: str, *options: str, window: Window | None = None, **more: Any
) -> CountRun:
    bias = BiasOptions(
        model, str(folder / "genome.fa"), window=window, model_options=options, **more
    )
    return count_reads(
        folder / f"{sample}.bam",
        folder / "genes.gtf",
        options=CountingOptions(order="pos", stranded="no"),
        bias=bias,
    )


def calibration(run: CountRun) -> dict[str, Any]:
    found: dict[str, Any] = run.bias[0].report["ends"][0]["calibration"]
    return found


@pytest.mark.parametrize(("model", "options"), [("pwm", ()), ("vlmm", ()), ("cnn", ABLE)])
def test_half_of_the_reads_in_one_stretch_does_not_close_the_gate(
    half: Path, model: str, options: tuple[str, ...]
) -> None:
    """Fold 0 held so few groups of a kilobase that yeast xrn1, with a gain of ten standard errors, was left uncorrected."""
    run = count(half, "half", model, *options)
    end = run.bias[0].report["ends"][0]
    assert end["block"] >= 10_000, "so one or two of the blocks hold half of the reads"
    with pysam.AlignmentFile(str(half / "half.bam"), check_sq=False) as file:
        inside = [
            read.reference_name == "chr1" and 100_000 <= read.reference_start < 110_000
            for read in file
        ]
    assert np.mean(inside) == pytest.approx(0.5, abs=0.05)
    assert end["calibration"]["applied"]
    assert end["calibration"]["gain"] > 5 * end["calibration"]["gain_error"] > 0
    # Every start that has background is judged.
    assert end["held_out_starts"] > 0.98 * (end["training_starts"] + end["validation_starts"])
    weighted, raw = (np.asarray(run.bias[0].columns[name], float) for name in ("weighted", "raw"))
    assert np.abs(weighted / np.maximum(raw, 1) - 1).max() > 0.05


@pytest.mark.parametrize(
    ("model", "options"), [("pwm", ()), ("vlmm", ()), ("heptamer", ()), ("cnn", ABLE)]
)
def test_without_bias_all_weights_are_exactly_one(
    half: Path, model: str, options: tuple[str, ...]
) -> None:
    run = count(half, "unbiased", model, *options)
    found = calibration(run)
    assert not found["applied"]
    assert "is not above zero" in found["reason"]
    columns = run.bias[0].columns
    assert np.array_equal(columns["weighted"], np.asarray(columns["raw"], float))
    np.testing.assert_allclose(columns["corrected"], columns["raw"], rtol=1e-12)
    assert np.array_equal(
        columns["effective_length"], np.asarray(run.annotation.features.lengths, float)
    )


def reads_at(folder: Path, sample: str, places: np.ndarray, *, span: int = 800) -> None:
    """Write single reads of 50 bases that start at these places of chr1, on either strand, and a gene around them: ``SAMPLE.gtf``."""
    rng = np.random.default_rng(2)
    lines = ["@HD\tVN:1.6\tSO:coordinate", "@SQ\tSN:chr1\tLN:300000", "@SQ\tSN:chr2\tLN:300000"]
    for number, place in enumerate(np.sort(places).tolist()):
        reverse = rng.random() < 0.5
        left = place - 49 if reverse else place
        lines.append(
            f"r{number}\t{16 if reverse else 0}\tchr1\t{left + 1}\t60\t50M\t*\t0\t0\t{'A' * 50}\t{'I' * 50}"
        )
    lines[3:] = sorted(lines[3:], key=lambda line: int(line.split("\t")[3]))
    (folder / f"{sample}.sam").write_text("\n".join(lines) + "\n")
    low, high = int(places.min()) - 60, int(places.min()) + span + 60
    (folder / f"{sample}.gtf").write_text(f'chr1\tt\texon\t{low}\t{high}\t.\t+\t.\tgene_id "g";\n')


UNJUDGED = [
    (model, reads, scheme)
    for scheme in ("local", "paper")
    for model in ("pwm", "vlmm", "cnn")
    for reads in (2, 300, 3000)
]
UNJUDGED += [
    (model, reads, "local") for model in ("auto", "heptamer", "bayesnet") for reads in (2, 3000)
]


@pytest.mark.parametrize(("model", "reads", "scheme"), UNJUDGED)
def test_a_sample_that_cannot_be_judged_keeps_weights_of_one_and_says_why(
    half: Path, tmp_path: Path, model: str, reads: int, scheme: str
) -> None:
    """All reads lie within one block of a kilobase, which is in one fold: nobody can judge, and that is no error."""
    reads_at(tmp_path, "tiny", np.random.default_rng(1).integers(50_100, 50_900, reads))
    bias = BiasOptions(
        model,
        str(half / "genome.fa"),
        model_options=QUICK if model == "cnn" else (),
        sampling=scheme,
    )
    options = CountingOptions(order="pos", stranded="no")
    run = count_reads(tmp_path / "tiny.sam", tmp_path / "tiny.gtf", options=options, bias=bias)
    assert run.results[0].counts.tolist() == [reads]
    found = run.bias[0].report["ends"][0]
    assert found["blocks"] == 1
    assert not found["calibration"]["applied"]
    assert found["calibration"]["reason"] == "only 0 held-out starts in 0 blocks of 1000 bases"
    assert (
        run.bias[0].columns["weighted"].tolist()
        == run.bias[0].columns["corrected"].tolist()
        == [reads]
    )
    assert any(
        "is not used, all its weights are 1: only 0 held-out starts" in line
        for line in run.bias[0].warnings
    )


# -- models of files ---------------------------------------------------------------------------------------------------


def command(folder: Path, sample: str, out: Path, model: object, *more: object) -> None:
    words = [
        "count",
        "-q",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-model",
        model,
        "--bias-genome",
        folder / "genome.fa",
        "--bias-output",
        out,
    ]
    words += ["-c", f"{out}.tsv", *more, folder / f"{sample}.bam", folder / "genes.gtf"]
    assert main([str(word) for word in words]) == 0


def told(prefix: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{prefix}.counterbias.json").read_text())["ends"][0]
    return found


def test_a_model_file_gives_its_own_sample_the_same_bytes_again(half: Path, tmp_path: Path) -> None:
    """Judged on what it has seen, it would be flattered: its own sample keeps the calibration found without that."""
    command(half, "plain", tmp_path / "first", "vlmm")
    command(half, "plain", tmp_path / "again", tmp_path / "first.model")
    for ending in (".tsv", ".counts.tsv"):
        assert (tmp_path / f"first{ending}").read_bytes() == (
            tmp_path / f"again{ending}"
        ).read_bytes()
    first, again = told(tmp_path / "first")["calibration"], told(tmp_path / "again")["calibration"]
    assert first["applied"]
    for name in ("applied", "slope", "length_slope", "gain"):
        assert first[name] == again[name]


def test_a_model_file_is_judged_on_all_of_another_sample(half: Path, tmp_path: Path) -> None:
    command(half, "plain", tmp_path / "first", "vlmm")
    command(half, "other", tmp_path / "other", tmp_path / "first.model")
    first, other = told(tmp_path / "first"), told(tmp_path / "other")
    assert other["unique_starts"] != first["unique_starts"]
    assert other["held_out_starts"] > 0.98 * (other["training_starts"] + other["validation_starts"])
    assert other["held_out_starts"] + sum(other["skipped"].values()) > 0.97 * other["unique_starts"]
    assert other["calibration"]["applied"]
    assert other["calibration"]["slope"] != first["calibration"]["slope"]
    # A slope is about the library, not about noise: features have that of the reads.
    assert other["calibration"]["length_slope"] == other["calibration"]["slope"]
    assert first["calibration"]["length_slope"] == max(1.0, first["calibration"]["slope"])


@pytest.mark.parametrize("members", [5, 2])
def test_threads_change_no_byte_of_networks(half: Path, tmp_path: Path, members: int) -> None:
    options = [
        word for setting in (*QUICK, f"members={members}") for word in ("--bias-option", setting)
    ]
    for threads in (1, 3):
        command(half, "half", tmp_path / str(threads), "cnn", *options, "--bias-threads", threads)
    for ending in (".tsv", ".counts.tsv", ".model"):
        assert (tmp_path / f"1{ending}").read_bytes() == (tmp_path / f"3{ending}").read_bytes(), (
            ending
        )
    one, three = told(tmp_path / "1"), told(tmp_path / "3")
    assert one == three
