"""``counterbias count`` where a sample, or one end of it, teaches a model nothing: told of, and counted as it is; others as ever."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pysam
import pytest

import counterbias
from counterbias import Window
from counterbias.cli import main
from counterbias.counts import bias_columns
from tests.helpers.samples_without_starts import (
    NO_READ_1,
    NO_READ_2,
    SINGLE,
    numbers,
    report,
    table,
    warnings_of,
    write_pairs,
    write_singles,
)

ENDINGS = (".counts.tsv", ".model")


@pytest.fixture(scope="module")
def singles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("singles")
    write_singles(folder)
    count(folder, folder / "alone", "good", "other")
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    count(folder, folder / "alone", "good", "other")
    return folder


def command(
    folder: Path, out: Path, *samples: str, model: object = "pwm", more: tuple[object, ...] = ()
) -> list[str]:
    out.mkdir(exist_ok=True)
    options: list[object] = [
        "count",
        "-q",
        "-s",
        "yes",
        "--nonunique",
        "all",
        "--bias-model",
        model,
        "--bias-genome",
        folder / "genome.fa",
    ]
    options += ["--bias-output", f"{out}/", *more]
    options += [] if "-c" in more else ["-c", out / "table.tsv"]
    return [
        str(word)
        for word in (
            *options,
            *(folder / f"{sample}.sam" for sample in samples),
            folder / "genes.gtf",
        )
    ]


def count(
    folder: Path, out: Path, *samples: str, model: object = "pwm", more: tuple[object, ...] = ()
) -> None:
    assert main(command(folder, out, *samples, model=model, more=more)) == 0


def raw(folder: Path, out: Path, *samples: str) -> str:
    """Count without a model; give the table."""
    files = [str(folder / f"{sample}.sam") for sample in samples]
    assert (
        main(
            [
                "count",
                "-q",
                "-s",
                "yes",
                "--nonunique",
                "all",
                "-c",
                str(out),
                *files,
                str(folder / "genes.gtf"),
            ]
        )
        == 0
    )
    return out.read_text()


def assert_as_it_is(prefix: Path) -> None:
    """Insist that nothing was corrected."""
    found = table(prefix)
    assert found
    for row in found:
        assert row["weighted"] == row["corrected"] == row["raw"]
        assert row["effective_length"] == row["length"]


def assert_same(one: Path, two: Path) -> None:
    """Insist on the same files of a sample in two folders."""
    for ending in ENDINGS:
        assert (
            one.with_name(one.name + ending).read_bytes()
            == two.with_name(two.name + ending).read_bytes()
        )
    assert report(one) == report(two)


# -- the sample itself -------------------------------------------------------------------------------------------------


def test_each_is_named_in_one_warning_and_counts_as_it_is(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(singles, tmp_path / "b", "good", *SINGLE, "other")
    told = capsys.readouterr().err
    assert (tmp_path / "b" / "table.tsv").read_text() == raw(
        singles, tmp_path / "raw.tsv", "good", *SINGLE, "other"
    )
    for sample, reason in SINGLE.items():
        assert warnings_of(told, sample) == [
            f"Warning: {sample}: there is no model, all its weights are 1: {reason}"
        ]
        prefix = tmp_path / "b" / sample
        assert_as_it_is(prefix)
        found = report(prefix)
        (end,) = found["ends"]
        assert end["no_model"] == end["calibration"]["reason"] == reason
        assert end["calibration"]["applied"] is False
        assert f"there is no model, all its weights are 1: {reason}" in found["warnings"]
        assert found["lengths"]["measured"] == 0
    for sample in ("good", "other"):
        assert report(tmp_path / "b" / sample)["ends"][0]["no_model"] is None
        assert_same(tmp_path / "b" / sample, singles / "alone" / sample)


def test_htseq_count_gives_a_column_of_zeros_to_an_empty_file_and_so_do_we(
    singles: Path, tmp_path: Path
) -> None:
    count(singles, tmp_path / "b", "empty")
    assert {
        row.split("\t")[1] for row in (tmp_path / "b" / "table.tsv").read_text().splitlines()
    } == {"0"}
    assert set(numbers(tmp_path / "b" / "empty", "fpkm_corrected")) == {0.0}


@pytest.mark.parametrize("model", ["auto", "heptamer", "vlmm", "bayesnet"])
def test_the_model_asked_for_makes_no_difference(singles: Path, tmp_path: Path, model: str) -> None:
    for sample in ("empty", "clipped"):
        count(singles, tmp_path / "b", sample, model=model)
        assert_as_it_is(tmp_path / "b" / sample)
        assert report(tmp_path / "b" / sample)["ends"][0]["no_model"] == SINGLE[sample]


def test_a_backend_that_refuses_so_few_starts_leaves_the_sample_without_a_model(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    head = [
        text
        for text in (singles / "good.sam").read_text().splitlines()
        if text.startswith(("@", "r0\t"))
    ]
    (tmp_path / "one.sam").write_text("\n".join(head) + "\n")
    for name in ("genome.fa", "genes.gtf"):
        (tmp_path / name).symlink_to(singles / name)
    count(tmp_path, tmp_path / "b", "one", model="gru")
    (told,) = warnings_of(capsys.readouterr().err, "one")
    assert (
        "there is no model, all its weights are 1: 1 read starts are too few to train a network"
        in told
    )
    assert_as_it_is(tmp_path / "b" / "one")


def test_shares_of_reads_stay_exact(singles: Path, tmp_path: Path) -> None:
    """A third of a read is 0.333333333, which single precision does not hold."""
    (tmp_path / "genome.fa").symlink_to(singles / "genome.fa")
    genes = (
        f'chr1\tt\texon\t1001\t2000\t.\t+\t.\tgene_id "g{i}"; transcript_id "t{i}";\n'
        for i in range(3)
    )
    (tmp_path / "genes.gtf").write_text("".join(genes))
    text = "".join(f"@SQ\tSN:{name}\tLN:60000\n" for name in ("chr1", "chr2"))
    (tmp_path / "third.sam").write_text(
        f"{text}r\t0\tchr1\t1101\t60\t5S45M\t*\t0\t0\t{'A' * 50}\t{'I' * 50}\tNH:i:1\n"
    )
    count(tmp_path, tmp_path / "b", "third", more=("--nonunique", "fraction"))
    assert [row["weighted"] for row in table(tmp_path / "b" / "third")] == ["0.333333333"] * 3
    assert [row["corrected"] for row in table(tmp_path / "b" / "third")] == ["0.333333333"] * 3


def test_corrected_counts_are_exactly_raw_where_no_length_changes() -> None:
    """Dividing by a length and multiplying by it again would not give them back to the bit."""
    raw, lengths = np.repeat(np.arange(1, 50), 50), np.tile(np.arange(1, 51), 49)
    assert (raw / lengths * lengths != raw).any()
    found = bias_columns(lengths, raw, raw.astype(float), lengths.astype(float))
    assert np.array_equal(found["corrected"], raw)


def test_tagged_alignments_weigh_one(singles: Path, tmp_path: Path) -> None:
    count(singles, tmp_path / "b", "clipped", more=("-o", tmp_path / "tagged.sam"))
    with pysam.AlignmentFile(str(tmp_path / "tagged.sam"), check_sq=False) as file:
        weights = [record.get_tag("ZW") for record in file]
    assert weights == [1.0] * 300


def test_the_main_table_and_layers_hold_its_raw_counts(singles: Path, tmp_path: Path) -> None:
    wanted = [
        line.split("\t")
        for line in raw(singles, tmp_path / "raw.tsv", "good", "clipped", "other").splitlines()
    ]
    for choice in ("weighted", "corrected", "rounded"):
        count(
            singles, tmp_path / "with", "good", "clipped", "other", more=("--bias-counts", choice)
        )
        count(singles, tmp_path / "without", "good", "other", more=("--bias-counts", choice))
        found = [
            line.split("\t") for line in (tmp_path / "with" / "table.tsv").read_text().splitlines()
        ]
        alone = [
            line.split("\t")
            for line in (tmp_path / "without" / "table.tsv").read_text().splitlines()
        ]
        assert [(row[0], float(row[2])) for row in found] == [
            (row[0], float(row[2])) for row in wanted
        ]
        assert [[row[0], row[1], row[3]] for row in found] == alone


def test_layers_of_h5ad(singles: Path, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    count(singles, tmp_path / "b", "good", "clipped", more=("-c", tmp_path / "t.h5ad"))
    data = anndata.read_h5ad(tmp_path / "t.h5ad")
    for layer in ("weighted", "corrected"):
        assert np.array_equal(data.layers[layer][1], data.X[1])
        assert not np.array_equal(data.layers[layer][0], data.X[0])


# -- others ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        ("-n", 3),
        ("--bias-threads", 2),
        ("--bias-sampling", "paper"),
        ("--bias-context", "transcript"),
    ],
)
def test_others_are_as_if_it_were_not_there(
    singles: Path, tmp_path: Path, more: tuple[object, ...]
) -> None:
    count(singles, tmp_path / "with", "clipped", "good", "empty", "other", more=more)
    count(singles, tmp_path / "without", "good", "other", more=more)
    for sample in ("good", "other"):
        assert_same(tmp_path / "with" / sample, tmp_path / "without" / sample)
    assert_as_it_is(tmp_path / "with" / "clipped")


def test_others_with_a_prior_are_as_if_it_were_not_there(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prior = ("--bias-prior", singles / "alone" / "other.model")
    count(singles, tmp_path / "with", "clipped", "good", more=prior)
    assert warnings_of(capsys.readouterr().err, "clipped") == [
        f"Warning: clipped: there is no model, all its weights are 1: {SINGLE['clipped']}"
    ]
    count(singles, tmp_path / "without", "good", more=prior)
    assert_same(tmp_path / "with" / "good", tmp_path / "without" / "good")
    assert_as_it_is(tmp_path / "with" / "clipped")


# -- model files -------------------------------------------------------------------------------------------------------


def test_the_model_file_says_that_there_is_none(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "clipped.model").write_text("of an earlier run")
    count(singles, tmp_path / "b", "clipped")
    path = tmp_path / "b" / "clipped.model"
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["model.json"]
        description = json.loads(archive.read("model.json"))
    assert description["schema"] == [1, 2]
    assert description["training"]["samples"] == []
    assert description["ends"] == [
        {
            "arrays": [],
            "held_out_gain": None,
            "label": "both",
            "no_model": SINGLE["clipped"],
            "offset": 0.0,
            "slope": 0.0,
            "starts": 0,
        }
    ]
    model = counterbias.load_model(path)
    assert model.no_model == SINGLE["clipped"]
    assert model.window == Window(10, 10)
    assert model.ends[0].log_bias(np.zeros((3, 21), np.uint8)).tolist() == [0, 0, 0]
    counterbias.save_models(tmp_path / "again.model", model)
    assert (tmp_path / "again.model").read_bytes() == path.read_bytes()

    capsys.readouterr()
    count(singles, tmp_path / "used", "good", model=path)
    assert warnings_of(capsys.readouterr().err, "good") == [
        f"Warning: good: there is no model, all its weights are 1: there is none in {path}: {SINGLE['clipped']}"
    ]
    assert_as_it_is(tmp_path / "used" / "good")

    assert main(command(singles, tmp_path / "prior", "good", more=("--bias-prior", path))) == 1
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"counterbias: {path}: there is no model in this file: {SINGLE['clipped']}. Leave it out"
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slope", 1.0),
        ("offset", 0.5),
        ("arrays", ["log_foreground"]),
        ("held_out_gain", 0.1),
        ("more", 1),
    ],
)
def test_an_end_without_a_model_says_nothing_else(
    singles: Path, tmp_path: Path, key: str, value: object
) -> None:
    count(singles, tmp_path / "b", "clipped")
    path = tmp_path / "b" / "clipped.model"
    with zipfile.ZipFile(path) as archive:
        description = json.loads(archive.read("model.json"))
    description["ends"][0][key] = value
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", json.dumps(description))
    with pytest.raises(counterbias.InputError):
        counterbias.load_model(path)


def test_a_saved_model_is_not_used_where_no_start_tells_whether_it_fits(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = singles / "alone" / "good.model"
    count(singles, tmp_path / "with", "other", "clipped", model=saved)
    assert warnings_of(capsys.readouterr().err, "clipped") == [
        f"Warning: clipped: the model is not used, all its weights are 1: nothing tells whether it fits: {SINGLE['clipped']}"
    ]
    assert_as_it_is(tmp_path / "with" / "clipped")
    assert report(tmp_path / "with" / "clipped")["ends"][0]["no_model"] is None, (
        "there is one, though it is not used"
    )
    assert counterbias.load_model(tmp_path / "with" / "clipped.model").ends[0].slope == 0
    count(singles, tmp_path / "without", "other", model=saved)
    assert_same(tmp_path / "with" / "other", tmp_path / "without" / "other")


def test_scripts_and_simulations_can_read_the_model_file(
    singles: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(singles, tmp_path / "b", "clipped")
    count(pairs, tmp_path / "b", "no2", more=("-o", tmp_path / "tagged.sam"))
    weigh = counterbias.Weigher(tmp_path / "b" / "clipped.model", singles / "genome.fa")
    with pysam.AlignmentFile(str(singles / "good.sam")) as file:
        assert {weigh(read) for read in file} == {1.0}
    weigh = counterbias.Weigher(tmp_path / "b" / "no2.model", pairs / "genome.fa")
    with pysam.AlignmentFile(str(tmp_path / "tagged.sam"), check_sq=False) as file:
        for number, read in enumerate(file):
            if not read.is_read2:
                assert weigh(read) == pytest.approx(read.get_tag("ZW"), rel=1e-5)
            if number > 100:
                break
    capsys.readouterr()
    argv = [
        "simulate",
        "-o",
        tmp_path / "s",
        "--bias-model",
        tmp_path / "b" / "clipped.model",
        "--pairs",
        100,
    ]
    argv += ["--genes", 5, "--contigs", 1, "--bases", 100_000]
    assert main([str(word) for word in argv]) == 0
    assert (
        f"there is no model in this file, so that reads are unbiased: {SINGLE['clipped']}"
        in capsys.readouterr().err
    )


def test_in_python_a_model_is_given_or_an_error(singles: Path, tmp_path: Path) -> None:
    with pytest.raises(
        counterbias.InputError, match=r"clipped.sam: no read start can be learnt from"
    ):
        counterbias.fit_model(
            singles / "clipped.sam",
            singles / "genes.gtf",
            singles / "genome.fa",
            model="pwm",
            stranded="yes",
        )


# -- pairs, one end of which teaches nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "end", "reason"), [("no1", "read1", NO_READ_1), ("no2", "read2", NO_READ_2)]
)
@pytest.mark.parametrize("model", ["pwm", "auto"])
def test_the_other_end_is_corrected_as_if_alone(
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sample: str,
    end: str,
    reason: str,
    model: str,
) -> None:
    count(pairs, tmp_path / "b", sample, model=model)
    told = warnings_of(
        capsys.readouterr().err,
        sample,
        but=lambda line: "--stranded" in line or "expect a noisy model" in line,
    )
    assert told == [
        f"Warning: {sample}: there is no model of {end}, whose reads count as unbiased: {reason}"
    ]
    found = report(tmp_path / "b" / sample)
    silent, other = sorted(found["ends"], key=lambda one: one["end"] != end)
    assert (silent["no_model"], silent["calibration"]["applied"]) == (reason, False)
    assert (other["no_model"], other["calibration"]["applied"]) == (None, True)
    assert found["model"]["backend"] == ("pwm" if other["unique_starts"] < 2000 else "cnn"), (
        "chosen by the end that has starts"
    )
    rows = table(tmp_path / "b" / sample)
    assert any(row["weighted"] != row["raw"] for row in rows)
    assert sum(float(row["weighted"]) for row in rows) == pytest.approx(1500, rel=1e-6)


def test_the_other_ends_model_is_that_of_a_sample_in_which_nothing_is_clipped(
    pairs: Path, tmp_path: Path
) -> None:
    """Reads 1 are the same in both: so is what is learnt from them."""
    count(pairs, tmp_path / "b", "no2")
    whole = (
        (pairs / "no2.sam")
        .read_text()
        .replace("\t5S45M\t", "\t50M\t")
        .replace("\t45M5S\t", "\t50M\t")
    )
    (tmp_path / "no2.sam").write_text(whole)
    for name in ("genome.fa", "genes.gtf"):
        (tmp_path / name).symlink_to(pairs / name)
    count(tmp_path, tmp_path / "whole", "no2")
    one, two = (
        counterbias.load_model(tmp_path / folder / "no2.model").ends[0] for folder in ("b", "whole")
    )
    # Clipping moves where the mates start, and with them which pairs are copies; the starts stay.
    assert one.starts == two.starts
    windows = np.random.default_rng(1).integers(0, 4, (200, 21), dtype=np.uint8)
    assert np.corrcoef(one.log_bias(windows), two.log_bias(windows))[0, 1] > 0.99


def test_single_reads_find_no_model_in_a_blend_of_the_other_end(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(pairs, tmp_path / "b", "no1", more=("--bias-prior", pairs / "alone" / "good.model"))
    path = tmp_path / "b" / "no1.model"
    model = counterbias.load_model(path)
    assert model.prior is not None
    assert isinstance(model.ends[1].model, counterbias.Blend)
    with (pairs / "good.sam").open() as source, (tmp_path / "single.sam").open("w") as out:
        for text in source:
            fields = text.split("\t")
            if text.startswith("@") or int(fields[1]) & 0x40:
                fields[1:] = (
                    fields[1:]
                    if text.startswith("@")
                    else [str(int(fields[1]) & 0x10), *fields[2:6], "*", "0", "0", *fields[9:]]
                )
                out.write("\t".join(fields))
    for name in ("genome.fa", "genes.gtf"):
        (tmp_path / name).symlink_to(pairs / name)
    capsys.readouterr()
    count(tmp_path, tmp_path / "c", "single", model=path)
    assert (
        f"single: there is no model, all its weights are 1: there is none in {path}: {NO_READ_1}"
        in capsys.readouterr().err
    )
    assert counterbias.load_model(tmp_path / "c" / "single.model").prior is None
    assert_as_it_is(tmp_path / "c" / "single")


def test_where_neither_end_teaches_anything_one_warning_tells(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(
        pairs,
        tmp_path / "b",
        "neither",
        "good",
        more=("-o", tmp_path / "n.sam", "-o", tmp_path / "g.sam"),
    )
    assert warnings_of(capsys.readouterr().err, "neither") == [
        f"Warning: neither: there is no model, all its weights are 1: {NO_READ_1}; {NO_READ_2}"
    ]
    assert_as_it_is(tmp_path / "b" / "neither")
    assert_same(tmp_path / "b" / "good", pairs / "alone" / "good")
    with pysam.AlignmentFile(str(tmp_path / "n.sam"), check_sq=False) as file:
        assert {record.get_tag("ZW") for record in file} == {1.0}


def test_without_strandedness_the_ends_are_one(pairs: Path, tmp_path: Path) -> None:
    count(pairs, tmp_path / "b", "no2", more=("-s", "no"))
    (end,) = report(tmp_path / "b" / "no2")["ends"]
    assert end["no_model"] is None


def test_a_model_of_one_end_is_read_again(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(pairs, tmp_path / "b", "no2")
    path = tmp_path / "b" / "no2.model"
    model = counterbias.load_model(path)
    assert model.no_model == ""
    assert (model.ends[0].slope > 0, model.ends[1].slope) == (True, 0)
    capsys.readouterr()
    count(pairs, tmp_path / "again", "no2", model=path)
    assert (tmp_path / "again" / "no2.counts.tsv").read_bytes() == (
        tmp_path / "b" / "no2.counts.tsv"
    ).read_bytes()
    count(pairs, tmp_path / "used", "good", model=path)
    assert (
        f"there is no model of read2, whose reads count as unbiased: there is none in {path}: {NO_READ_2}"
        in capsys.readouterr().err
    )
    count(pairs, tmp_path / "prior", "good", more=("--bias-prior", path))
    assert (
        report(tmp_path / "prior" / "good")["ends"][1]["training"]["details"]["prior_share"] >= 0
    ), "read 1's stands in"


@pytest.mark.parametrize("how", ["file", "prior"])
def test_a_model_of_other_samples_serves_effective_lengths_of_the_silent_end(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """As it serves the end of single reads that was not sequenced; reads themselves weigh as they do without it."""
    both = pairs / "alone" / "good.model"
    assert all(end.slope > 0 for end in counterbias.load_model(both).ends)
    given = {"model": both} if how == "file" else {"more": ("--bias-prior", both)}
    count(pairs, tmp_path / "b", "no2", **given)  # type: ignore[arg-type]
    where = str(both) if how == "file" else "the prior"
    assert (
        f"all weights of read2 are 1, while effective lengths take its model in {where} as it is"
        in capsys.readouterr().err
    )
    one = tmp_path / "one.model"
    model = counterbias.load_model(both)
    lone = counterbias.EndModel("read2", model.ends[1].model, 0.0, 0.0, model.ends[1].starts)
    counterbias.save_models(
        one,
        counterbias.ModelFile(
            "pwm", "counterbias", model.version, model.window, (model.ends[0], lone)
        ),
    )
    given = {"model": one} if how == "file" else {"more": ("--bias-prior", one)}
    count(pairs, tmp_path / "gained_nothing", "no2", **given)  # type: ignore[arg-type]
    found, unbiased = (
        numbers(tmp_path / name / "no2", "effective_length") for name in ("b", "gained_nothing")
    )
    assert not np.allclose(found, unbiased, rtol=1e-3)
    found, unbiased = (
        numbers(tmp_path / name / "no2", "weighted") for name in ("b", "gained_nothing")
    )
    assert np.allclose(found, unbiased)


# -- what must be mended -----------------------------------------------------------------------------------------------


def test_a_genome_that_lacks_contigs_is_told_of_before_counting(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a read is counted there only counting tells; then the error names the sample."""
    for name in ("good.sam", "other.sam", "genes.gtf"):
        (tmp_path / name).symlink_to(singles / name)
    lines = (singles / "genome.fa").read_text().splitlines()
    (tmp_path / "genome.fa").write_text("\n".join(lines[:2]) + "\n")
    assert main(command(tmp_path, tmp_path / "b", "good", "other")) == 1
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("Warning: /")
    assert (
        "/genome.fa: the genome lacks chr2, short …, which the annotation and good.sam have"
        in warning
    )
    assert "/genome.fa: the genome has no contig 'chr2'" in error
    assert (
        "; reads of good are counted there. Give the genome that the reads were aligned to" in error
    )
    assert list((tmp_path / "b").iterdir()) == []
    lines = (singles / "good.sam").read_text().splitlines()
    (tmp_path / "chr1.sam").write_text(
        "".join(f"{line}\n" for line in lines if "\tchr2\t" not in line)
    )
    count(tmp_path, tmp_path / "b", "chr1")
    assert "the genome lacks chr2" in capsys.readouterr().err
    assert report(tmp_path / "b" / "chr1")["ends"][0]["no_model"] is None


def test_a_wrong_strandedness_is_no_error_either(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(pairs, tmp_path / "b", "good", more=("-s", "reverse"))
    told = capsys.readouterr().err
    assert "--stranded reverse looks wrong" in told
    assert (
        "no read start can be learnt from: no read 1 was assigned to a feature; no start of read 2 can be learnt from: no read 2"
        in told
    )
    assert_as_it_is(tmp_path / "b" / "good")
