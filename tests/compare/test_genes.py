"""``counterbias compare --genes``: its table and figures, what is refused, and the cache."""

from __future__ import annotations

import csv
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import counterbias
from counterbias.cli import main
from counterbias.evaluation.profile import agreement
from counterbias.pipeline.compare import expected
from counterbias.pipeline.compare.along_outputs import figures_along
from counterbias.pipeline.compare.genes import Gene
from counterbias.pipeline.compare.profiles import GeneProfiles, Profile, gaps
from counterbias.scoring import score
from tests.compare.running import command

#: Quick enough, and one of them is not a backend's default.
MODELS = "pwm,heptamer"
FEW = ("--folds", "5", "--seeds", "1")


@pytest.fixture(scope="module")
def genes(folder: Path) -> list[str]:
    """Return genes by their fragments, most first."""
    table = pd.read_csv(folder / "one.truth.tsv", sep="\t")
    return list(table.sort_values("unbiased_fragments", ascending=False).gene_id)


@pytest.fixture(scope="module")
def drawn(folder: Path, genes: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compare two models along the two genes with most reads."""
    out = tmp_path_factory.mktemp("genes")
    words = command(folder, out, *FEW, "--genes", ",".join(genes[:2]), models=MODELS)
    assert main(words) == 0
    return out


def table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "along_genes.tsv", sep="\t", keep_default_na=False, na_values="NA")


def test_expected_reads_sum_to_the_observed(drawn: Path, genes: list[str]) -> None:
    rows = table(drawn)
    assert list(rows.gene.unique()) == genes[:2]
    assert set(rows.strand) == {"sense", "antisense"}
    for _, one in rows.groupby(["gene", "strand"]):
        assert one.position.tolist() == list(range(1, len(one) + 1))
        assert one.observed.sum() > 100
        for column in ("even", "pwm.expected", "heptamer.expected"):
            assert one[column].sum() == pytest.approx(one.observed.sum(), rel=1e-6)
            assert (one[column] > 0).all()
        assert one.even.nunique() == 1
        # The library has a strong bias, which a model finds in genes that it did not learn from.
        assert np.corrcoef(one.observed, one["pwm.expected"])[0, 1] > 0.3


def test_positions_follow_the_transcript(drawn: Path, folder: Path) -> None:
    with open(folder / "genes.gtf", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for (transcript, _), rows in table(drawn).groupby(["transcript", "strand"]):
        exons = [
            (int(line[3]), int(line[4]), line[6], line[0])
            for line in lines
            if len(line) > 8 and line[2] == "exon" and f'"{transcript}"' in line[8]
        ]
        places = sorted(place for first, last, *_ in exons for place in range(first, last + 1))
        if exons[0][2] == "-":
            places.reverse()
        assert rows.genomic_position.tolist() == places
        assert rows.exon.max() == len(exons)
        assert set(rows.contig) == {exons[0][3]}


def test_each_gene_has_a_figure(drawn: Path, genes: list[str]) -> None:
    pytest.importorskip("matplotlib")
    found = {path.name for path in (drawn / "figures").iterdir() if "along" in path.name}
    assert found == {f"along.{gene}.{end}" for gene in genes[:2] for end in ("svg", "png")}
    text = (drawn / "figures" / f"along.{genes[0]}.svg").read_text()
    for words in (
        genes[0],
        "bars downwards",
        "Gaussian, SD",
        "even spread",
        "pwm",
        "heptamer",
        "r 0.",
    ):
        assert words in text


def test_other_genes_need_no_other_fit(
    drawn: Path, folder: Path, genes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache keeps the models; what it gives is what a fit gives, whatever the threads."""
    from counterbias_backends import pwm

    model = pwm.counterbias_backends()[0].load()
    first = table(drawn)
    monkeypatch.setattr(model, "fit", lambda *_: pytest.fail("a model was fitted again"))
    later = command(
        folder, drawn, *FEW, "--no-figures", "--genes", ",".join(genes[2:0:-1]), models=MODELS
    )
    assert main(later) == 0
    second = table(drawn)
    assert list(second.gene.unique()) == genes[2:0:-1]
    shared = second[second.gene == genes[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, first[first.gene == genes[1]].reset_index(drop=True))


def test_a_later_run_keeps_nothing_that_is_not_of_it(
    folder: Path, tmp_path: Path, genes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    quick = ("--folds", "1", "--seeds", "1")
    assert main(command(folder, tmp_path, *quick, "--genes", genes[0], models="pwm")) == 0
    mine = tmp_path / "figures" / "along.notes.txt"
    mine.touch()
    other = command(folder, tmp_path, *quick, "--genes", genes[1], models="pwm")
    assert main(other) == 0
    found = {path.name for path in (tmp_path / "figures").glob("along*")}
    assert found == {f"along.{genes[1]}.svg", f"along.{genes[1]}.png", mine.name}
    capsys.readouterr()
    without = command(folder, tmp_path, *quick, models="pwm")
    assert main([*without, "--no-figures"]) == 0
    assert capsys.readouterr().err.count("holds figures of an earlier run") == 1
    assert not (tmp_path / "along_genes.tsv").exists()
    assert main(without) == 0
    assert "earlier run" not in capsys.readouterr().err
    assert list((tmp_path / "figures").glob("along*")) == [mine]


def test_a_model_without_reads_to_compare_it_with_is_not_called_unused() -> None:
    """All reads start where nothing was held out: no statement about the model follows."""
    unknown = np.full(3, np.nan)
    gene = Gene("g", 0, "g", "chr1", False, np.arange(6), {})
    nothing = np.concatenate((np.zeros(3), unknown))
    profile = Profile(
        "one",
        "both",
        True,
        np.array([0, 0, 0, 1, 1, 1]),
        np.array([0.0, 0, 0, 4, 1, 2]),
        nothing,
        {"pwm": nothing},
        {"pwm": agreement(np.zeros(3), np.zeros(3))},
        0,
    )
    whole = GeneProfiles(gene, "", np.arange(6), np.ones(6, np.int64), [profile])
    [(name, figure)] = figures_along([whole])
    assert name == "g"
    assert figure.tracks[0].even_models == []
    assert figure.tracks[0].notes == {"pwm": "no reads to compare it with"}


def test_genes_along_which_nothing_is_expected_share_a_message() -> None:
    """One line says why, however many they are."""

    def profiles(name: str, even: float) -> GeneProfiles:
        gene = Gene(name, 0, name, "chr1", False, np.arange(3), {})
        places, starts = np.zeros(3, np.int64), np.ones(3)
        profile = Profile("one", "both", True, places, starts, np.full(3, even), {}, {}, 0)
        return GeneProfiles(gene, "", np.arange(3), np.ones(3, np.int64), [profile])

    nothing_drawn = types.SimpleNamespace(samples=[])
    genes = [profiles("a", np.nan), profiles("b", 1.0), profiles("c", np.nan)]
    assert gaps(nothing_drawn, genes) == [
        "nothing is expected along a, c: the folds of their places are not among those held out "
        "(--folds)",
        "nothing is expected along b: no model was measured there",
    ]


def test_threads_and_a_full_run_give_the_same_bytes(
    folder: Path, tmp_path: Path, genes: list[str]
) -> None:
    content = []
    for threads in ("1", "3"):
        out = tmp_path / threads
        words = command(
            folder,
            out,
            *("--folds", "1,2", "--seeds", "1,2", "--bias-threads", threads),
            *("--genes", genes[0]),
            models="pwm",
        )
        assert main(words) == 0
        files = [out / "along_genes.tsv", *sorted((out / "figures").glob("along.*"))]
        content.append({path.name: path.read_bytes() for path in files})
    assert content[0] == content[1]
    # Only the places of folds 1 and 2 are held out.
    rows = table(tmp_path / "1")
    assert (rows["pwm.expected"].notna() == rows.fold.isin([1, 2])).all()


class Memory(counterbias.BiasModel):
    """A model that remembers all windows it has seen, and likes them."""

    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        self.seen = np.unique(np.concatenate((sample.foreground, sample.background)), axis=0)
        self.known = {bytes(row) for row in self.seen}
        return counterbias.FitReport(0.0, 1)

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.array([float(bytes(row) in self.known) for row in contexts])

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {"seen": self.seen}

    def from_arrays(self, arrays: Any) -> None:
        self.seen = arrays["seen"]
        self.known = {bytes(row) for row in self.seen}


def test_a_model_never_scores_a_place_that_it_has_seen(
    folder: Path,
    tmp_path: Path,
    genes: list[str],
    with_plugin: Callable[[type[counterbias.BiasModel]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows of 41 random bases are unique, so that a place can be told by its window."""
    scored = []

    def spy(model: counterbias.BiasModel, contexts: np.ndarray) -> np.ndarray:
        values = score(model, contexts)
        scored.append((len(values), float(values.sum())))
        return values

    with_plugin(Memory)
    monkeypatch.setattr(expected, "score", spy)
    words = command(
        folder,
        tmp_path,
        *("--windows", "20,20", "--no-figures", *FEW, "--genes", ",".join(genes[:4])),
        models="mine",
    )
    assert main(words) == 0
    rows = table(tmp_path)
    assert rows["mine.expected"].notna().all()
    assert sum(number for number, _ in scored) == len(rows)
    assert sum(seen for _, seen in scored) == 0


def test_without_figures_the_table_is_written(
    folder: Path, tmp_path: Path, genes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterbias import figures

    monkeypatch.setattr(figures, "is_available", lambda: False)
    words = command(folder, tmp_path, "--folds", "1", "--seeds", "1", "--genes", genes[0])
    assert main([*words, "--models", "pwm"]) == 0
    assert len(table(tmp_path)) > 0
    assert list((tmp_path / "figures").iterdir()) == []


def test_a_model_that_has_learnt_from_the_sample_expects_nothing(
    folder: Path, tmp_path: Path, genes: list[str]
) -> None:
    for name in ("one", "two"):
        model = counterbias.fit_model(
            folder / f"{name}.bam",
            folder / "genes.gtf",
            counterbias.BiasOptions("pwm", str(folder / "genome.fa")),
        )
        learnt = replace(model, training=replace(model.training, samples=(name,)))
        counterbias.save_models(tmp_path / f"{name}.model", learnt)
    both = f"{tmp_path / 'one.model'},{tmp_path / 'two.model'}"
    words = command(
        folder, tmp_path / "out", *FEW, "--no-figures", "--genes", genes[0], models=both
    )
    assert main(words) == 0
    rows = table(tmp_path / "out")
    assert rows[f"{tmp_path / 'one.model'}.expected"].isna().all()
    found = rows[f"{tmp_path / 'two.model'}.expected"]
    assert found.sum() == pytest.approx(rows.observed.sum())


@pytest.fixture
def silent(folder: Path, tmp_path: Path) -> Path:
    """Return a folder like the first, whose annotation has a gene without reads, and others."""
    attributes = 'gene_id "{}"; transcript_id "{}"; exon_number "1";'
    lines = [
        ("chr1", "399500", "399800", "+", attributes.format("silent", "silent-1")),
        ("chr1", "399000", "399100", "+", attributes.format("torn", "torn-1")),
        ("chr1", "399200", "399300", "-", attributes.format("torn", "torn-1")),
    ]
    text = "".join(
        "\t".join((contig, "by hand", "exon", first, last, ".", strand, ".", more)) + "\n"
        for contig, first, last, strand, more in lines
    )
    for name in ("one.bam", "genome.fa"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "genes.gtf").write_text((folder / "genes.gtf").read_text() + text)
    return tmp_path


def test_a_gene_without_reads_has_no_figure(
    silent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = silent / "out"
    words = command(silent, out, "--folds", "1", "--seeds", "1", "--genes", "silent", models="pwm")
    assert main(words) == 0
    wanted = "silent is not drawn for one: no read that models learn from starts in its exons"
    assert capsys.readouterr().err.count(wanted) == 1
    assert len(table(out)) == 0
    assert not list((out / "figures").glob("along*"))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("silent-2", "no feature or transcript 'silent-2'. Did you mean silent-1 or silent?"),
        ("torn", "the exons of 'torn' lie on several contigs or strands"),
        ("silent,torn,silent", "'silent' is named twice"),
        ("silent,,torn", "one of the identifiers is empty"),
        ("", "one of the identifiers is empty"),
        (",".join(f"g{i}" for i in range(21)), "21 genes, of which at most 20 are drawn"),
        ("???", "give identifiers as the attribute gene_id has them, or of transcripts"),
    ],
)
def test_genes_that_cannot_be_drawn_are_refused_in_one_line(
    named: str, message: str, silent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(silent, silent / "out", "--genes", named, models="pwm")) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message.lower() in captured.err.lower()
    assert "--genes" in captured.err
    assert not (silent / "out").exists()
