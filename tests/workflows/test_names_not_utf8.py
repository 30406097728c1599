"""File names that are not UTF-8, as a Latin-1 ``ø``: tables keep the bytes, JSON escapes them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from counterbias.cli import main
from counterbias.files import readable
from tests.helpers.output_inputs import make_inputs, names, run

NAME, ESCAPED = b"pr\xf8ve", "pr\\xf8ve"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        for path in list(tmp_path.iterdir()):
            path.rename(os.fsdecode(NAME) + path.suffix)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    return tmp_path


def named(ending: str) -> str:
    return os.fsdecode(NAME) + ending


def bias() -> list[str]:
    return ["--bias-model", "pwm", "--bias-genome", named(".fa")]


def inputs() -> list[str]:
    return [named(".bam"), named(".gtf")]


@pytest.mark.parametrize("ending", [".tsv", ".csv", ".mtx"])
def test_tables_of_text_keep_the_bytes(files: Path, ending: str) -> None:
    assert main(["count", "-q", "--with-header", "-c", named(ending), *inputs()]) == 0
    table = (files / named("_samples.tsv" if ending == ".mtx" else ending)).read_bytes()
    assert table.splitlines()[0].strip() == NAME + b".bam"


def test_standard_output_keeps_the_bytes(files: Path) -> None:
    done = run(files, "count", "-q", "--with-header", "-c", "/dev/stdout", *inputs())
    assert (done.returncode, done.stdout.splitlines()[0].strip()) == (0, NAME + b".bam")


def test_h5ad(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    anndata = pytest.importorskip("anndata")
    assert (
        main(["count", "-q", "-c", named(".h5ad"), "--bias-output", "p", *bias(), *inputs()]) == 0
    )
    found = anndata.read_h5ad(files / named(".h5ad"))
    assert list(found.obs_names) == [ESCAPED + ".bam"]
    assert "Traceback" not in capfd.readouterr().err


def test_loom(files: Path) -> None:
    loompy = pytest.importorskip("loompy")
    assert main(["count", "-q", "-c", named(".loom"), *inputs()]) == 0
    with loompy.connect(named(".loom")) as found:
        assert list(found.ca["_index"]) == [ESCAPED + ".bam"]


def test_bias_files(files: Path) -> None:
    assert main(["count", "-q", "-c", "c.tsv", "-o", named(".sam"), *bias(), *inputs()]) == 0
    assert (files / named(".counts.tsv")).exists()
    text = (files / named(".counterbias.json")).read_text(encoding="utf-8")
    report = json.loads(text)
    json.dumps(report, ensure_ascii=False).encode(
        "utf-8"
    )  # every text can be encoded as UTF-8, as reports need
    assert report["sample"] == ESCAPED
    assert report["inputs"]["alignments"] == ESCAPED + ".bam"
    assert ESCAPED in report["command_line"]
    assert (
        main(
            [
                "count",
                "-q",
                "-c",
                "c.tsv",
                *bias()[2:],
                "--bias-model",
                named(".model"),
                "--bias-output",
                "q",
                *inputs(),
            ]
        )
        == 0
    )
    assert (
        json.loads((files / "q.counterbias.json").read_text())["inputs"]["model"]
        == ESCAPED + ".model"
    )


def test_report_on_such_a_sample(files: Path) -> None:
    from counterbias_multiqc.parser import parse_report

    assert main(["count", "-q", "-c", "c.tsv", *bias(), *inputs()]) == 0
    assert (
        parse_report((files / named(".counterbias.json")).read_text(encoding="utf-8")).sample
        == ESCAPED
    )


def test_cohort(files: Path) -> None:
    words = ["-q", "--bias-no-own", "-o", named(".model")]
    done = run(
        files,
        "train",
        *words,
        *bias(),
        *inputs(),
        env={**os.environ, "PYTHONIOENCODING": "utf-8:surrogateescape"},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((files / named(".counterbias-train.json")).read_text(encoding="utf-8"))
    assert {gain["sample"] for gain in report["gains"]} == {ESCAPED}


def test_simulation(files: Path) -> None:
    options = ["--genome", named(".fa"), "--annotation", "genes.gtf", "--pairs", "200"]
    (files / "genes.gtf").write_text(
        'chr1\tt\texon\t101\t1800\t.\t+\t.\tgene_id "a"; transcript_id "a.1";\n'
    )
    assert main(["simulate", "-q", "-o", named(""), *options]) == 0
    report = json.loads((files / named("") / "simulation.json").read_text(encoding="utf-8"))
    assert report["options"]["genome"] == ESCAPED + ".fa"


def test_comparison(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = files / "study"
    assert (
        main(
            [
                "simulate",
                "-q",
                "-o",
                str(folder),
                "--pairs",
                "6000",
                "--genes",
                "30",
                "--contigs",
                "2",
            ]
        )
        == 0
    )
    (folder / "sample1.bam").rename(files / named(".bam"))
    options = [
        "--models",
        "pwm",
        "--folds",
        "1",
        "--seeds",
        "1",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-genome",
        str(folder / "genome.fa"),
    ]
    assert (
        main(
            ["compare", "-q", "-o", named("-v"), *options, named(".bam"), str(folder / "genes.gtf")]
        )
        == 0
    )
    document = json.loads((files / named("-v") / "comparison.json").read_text(encoding="utf-8"))
    assert document["samples"][0]["sample"] == ESCAPED
    assert NAME in (files / named("-v") / "per_gene.tsv").read_bytes()
    drawn = [name for name in names(files / named("-v")) if name.endswith(".svg")]
    assert not drawn or any(
        "pr\\xf8ve" in (files / named("-v") / name).read_text(encoding="utf-8") for name in drawn
    )


def test_escapes() -> None:
    given = ("", "plain", "prøve", "a\udcf8b", "half \ud83d")
    assert [readable(text) for text in given] == ["", "plain", "prøve", "a\\xf8b", "half \\ud83d"]
