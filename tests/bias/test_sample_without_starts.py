"""``counterbias count`` where a sample teaches a model nothing: reported, and counted as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest

from counterbias.cli import main
from counterbias.pipeline.bias.columns import bias_columns
from tests.bias.counted import (
    BY_TRANSCRIPTS,
    ENDINGS,
    assert_as_it_is,
    assert_same,
    command,
    count,
    raw,
)
from tests.helpers.samples_without_starts import (
    SINGLE,
    numbers,
    report,
    table,
    warnings_of,
)

# -- the sample itself -------------------------------------------------------------------------


def test_each_is_named_in_one_warning_and_counts_as_it_is(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(singles, tmp_path / "b", "good", *SINGLE, "other")
    stderr = capsys.readouterr().err
    assert (tmp_path / "b" / "table.tsv").read_text() == raw(
        singles, tmp_path / "raw.tsv", "good", *SINGLE, "other"
    )
    for sample, reason in SINGLE.items():
        assert warnings_of(stderr, sample) == [
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


def test_by_default_its_counts_are_corrected_for_lengths_alone(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every gene has one transcript, and single reads come from fragments of 200 ± 80 bases."""
    count(singles, tmp_path / "b", "good", *SINGLE, "other", lengths=None)
    stderr = capsys.readouterr().err
    assert (tmp_path / "b" / "table.tsv").read_text() == raw(
        singles, tmp_path / "raw.tsv", "good", *SINGLE, "other"
    )
    count(singles, tmp_path / "none", *SINGLE, model="none", lengths="transcripts")
    count(singles, tmp_path / "alone", "good", "other", lengths=None)
    for sample, reason in SINGLE.items():
        assert warnings_of(stderr, sample) == [
            f"Warning: {sample}: there is no model, all its weights are 1: {reason}"
        ]
        prefix, found = tmp_path / "b" / sample, report(tmp_path / "b" / sample)
        assert found["ends"][0]["no_model"] == reason
        assert found["lengths"]["method"] == "transcripts"
        assert found["lengths"]["measured"] == found["counting"]["features_with_reads"]
        for ending in BY_TRANSCRIPTS:
            assert (
                Path(f"{prefix}{ending}").read_bytes()
                == (tmp_path / "none" / f"{sample}{ending}").read_bytes()
            ), "as without a model"
        for row in table(prefix):
            assert row["weighted"] == row["raw"]
            length = int(row["length"])  # 1000, 3000 or 18, where hardly a fragment fits
            assert float(row["effective_length"]) == pytest.approx(
                length - 200 if length > 18 else 1.8, abs=3 if length > 18 else 1e-9
            )
        assert sum(numbers(prefix, "corrected")) == pytest.approx(sum(numbers(prefix, "raw")))
    for sample in ("good", "other"):
        assert_same(
            tmp_path / "b" / sample,
            tmp_path / "alone" / sample,
            endings=(*ENDINGS, *BY_TRANSCRIPTS),
        )


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
    head = [
        text
        for text in (singles / "good.sam").read_text().splitlines()
        if text.startswith(("@", "r0\t"))
    ]
    (tmp_path / "one.sam").write_text("\n".join(head) + "\n")
    for name in ("genome.fa", "genes.gtf"):
        (tmp_path / name).symlink_to(singles / name)
    count(tmp_path, tmp_path / "b", "one", model="gru")
    (message,) = warnings_of(capsys.readouterr().err, "one")
    assert (
        "there is no model, all its weights are 1: 1 read starts are too few to train a network"
        in message
    )
    assert_as_it_is(tmp_path / "b" / "one")


def test_shares_of_reads_stay_exact(singles: Path, tmp_path: Path) -> None:
    """A third of a read is 0.333333333, which single precision cannot represent."""
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
    """Dividing by a length and multiplying by it again would not restore them bit for bit."""
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


# -- others ------------------------------------------------------------------------------------


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


# -- what must be mended -----------------------------------------------------------------------


def test_a_genome_that_lacks_contigs_is_told_of_before_counting(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only counting shows whether a read is counted there; then the error names the sample."""
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
    stderr = capsys.readouterr().err
    assert "--stranded reverse looks wrong" in stderr
    assert (
        "no read start can be learnt from: no read 1 was assigned to a feature; "
        "no start of read 2 can be learnt from: no read 2" in stderr
    )
    assert_as_it_is(tmp_path / "b" / "good")
