"""Whole bias runs through the command line, on simulated reads with a known truth and real data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import HTSeq
import numpy as np
import pandas as pd
import pysam
import pytest

import counterbias
from counterbias import simulation
from counterbias.cli import main
from counterbias.cli.count import build_count_parser, chosen_model


def run(*argv: object) -> None:
    assert main(["count", "-q", *(str(word) for word in argv)]) == 0


def table(prefix: object) -> pd.DataFrame:
    return pd.read_csv(f"{prefix}.counts.tsv", sep="\t", index_col=0)


def report(prefix: object) -> dict[str, Any]:
    with open(f"{prefix}.counterbias.json", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate genome, annotation and unstranded pairs with a strong bias; return the folder."""
    folder = tmp_path_factory.mktemp("sample")
    rng = np.random.default_rng(11)
    genome = simulation.simulate_genome(rng, {"chr1": 300_000, "chr2": 200_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 80, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.2)
    abundance = simulation.simulate_abundance(rng, genes)
    library = simulation.Library(60_000, multi_mapped=0.03, unmapped_mate=0.02)
    reads = simulation.simulate_reads(rng, genome, genes, abundance, library, bias)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    simulation.write_truth(folder / "truth.tsv", reads.truth)
    arguments = ("-s", "no", "-r", "pos", "--bias-genome", folder / "genome.fa")
    files = ("-c", folder / "counts.tsv", folder / "reads.bam", folder / "genes.gtf")
    run(
        *arguments,
        "--bias-model",
        "pwm",
        "--bias-output",
        folder / "pwm",
        "-o",
        folder / "tagged.sam",
        *files,
    )
    return folder


def again(folder: Path, out: Path, *more: object, model: object = "pwm") -> None:
    """Count the sample once more, with other options."""
    run(
        "-s", "no", "-r", "pos", "--bias-genome", folder / "genome.fa",
        "--bias-model", model, "--bias-output", out,
        "-c", f"{out}.tsv", *more, folder / "reads.bam", folder / "genes.gtf",
    )  # fmt: skip


def test_weights_sum_to_the_assigned_fragments(sample: Path) -> None:
    found = table(sample / "pwm")
    assert found.raw.sum() > 50_000
    assert found.weighted.sum() == pytest.approx(found.raw.sum(), rel=1e-6)
    assert found.corrected.sum() == pytest.approx(found.raw.sum(), rel=1e-6)
    assert found.tpm_corrected.sum() == pytest.approx(1e6, rel=1e-6)
    raw = pd.read_csv(sample / "counts.tsv", sep="\t", header=None, index_col=0)[1]
    assert (raw[found.index] == found.raw).all()


def test_correction_comes_nearer_to_the_truth(sample: Path, tmp_path: Path) -> None:
    """Corrected counts to fragments without bias; by default, TPM to molecules."""
    truth = pd.read_csv(sample / "truth.tsv", sep="\t", index_col=0)
    again(sample, tmp_path / "union", "--bias-lengths", "union")
    union, found = (
        table(prefix).loc[truth.index] for prefix in (tmp_path / "union", sample / "pwm")
    )
    keep = (truth.unbiased_fragments >= 100) & (found.raw > 0)

    def error(found: pd.Series, wanted: pd.Series) -> float:
        ratio = np.log2(found[keep] / wanted[keep])
        return float(np.sqrt(((ratio - ratio.median()) ** 2).mean()))

    fragments, molecules = truth.unbiased_fragments, truth.abundance
    assert error(union.corrected, fragments) < 0.9 * error(union.raw, fragments)
    assert error(found.tpm_corrected, molecules) < 0.9 * error(union.tpm_corrected, molecules)
    assert error(union.tpm_corrected, molecules) < 0.9 * error(union.fpkm_raw, molecules)


def test_each_of_the_files_is_written(sample: Path) -> None:
    assert sorted(path.name for path in sample.glob("pwm*")) == [
        "pwm.counterbias.json",
        "pwm.counts.tsv",
        "pwm.genes.results",
        "pwm.isoforms.results",
        "pwm.log",
        "pwm.model",
    ]
    isoforms = pd.read_csv(sample / "pwm.isoforms.results", sep="\t")
    sums = isoforms.groupby("gene_id").expected_count.sum()
    found = table(sample / "pwm").raw
    assert set(sums.index) == set(found.index)
    assert np.allclose(sums[found.index], found, rtol=1e-6)


def test_genes_as_rsem_writes_them_are_those_of_the_table(sample: Path) -> None:
    genes = pd.read_csv(sample / "pwm.genes.results", sep="\t", index_col="gene_id")
    counts = table(sample / "pwm")
    assert list(genes.index) == list(counts.index)
    names = {"length": "length", "effective_length": "effective_length", "expected_count": "raw"}
    for name, own in (names | {"TPM": "tpm_corrected"}).items():
        assert genes[name].tolist() == counts[own].tolist()
    assert (genes["length"] > 0).all()
    assert (genes["effective_length"] > 0).all()
    isoforms = pd.read_csv(sample / "pwm.isoforms.results", sep="\t")
    of_genes = isoforms.groupby("gene_id")
    assert np.allclose(of_genes["FPKM"].sum()[genes.index], genes["FPKM"], rtol=1e-6)
    joined = of_genes["transcript_id"].agg(",".join)
    assert joined[genes.index].tolist() == genes["transcript_id(s)"].tolist()


def test_composition_is_evened_out_on_held_out_blocks(sample: Path) -> None:
    (end,) = report(sample / "pwm")["ends"]
    first = end["divergence"]["held_out"][0]
    assert first["k"] == 1
    assert first["fall"] > 0.8
    assert end["calibration"]["applied"] is True
    assert end["gain"]["cap5"]["value"] > 3 * end["gain"]["cap5"]["error"] > 0
    size = end["reliability"]
    assert size["low"] < size["slope"] < size["high"]
    assert 0.5 < size["slope"] < 2
    assert len(size["bins"]["observed"]) == len(size["bins"]["predicted"]) > 5


def test_threads_do_not_change_a_byte(sample: Path, tmp_path: Path) -> None:
    again(sample, tmp_path / "two", "--bias-threads", 2)
    for ending in (".counts.tsv", ".isoforms.results", ".model"):
        assert (tmp_path / f"two{ending}").read_bytes() == (sample / f"pwm{ending}").read_bytes()
    one, two = report(sample / "pwm"), report(tmp_path / "two")
    for key in ("run", "command_line", "inputs"):
        one.pop(key), two.pop(key)
    assert one == two


def test_another_seed_gives_another_sample(sample: Path, tmp_path: Path) -> None:
    again(sample, tmp_path / "other", "--bias-seed", 2)
    assert not np.allclose(
        table(tmp_path / "other").weighted, table(sample / "pwm").weighted, rtol=1e-9
    )
    assert np.allclose(
        table(tmp_path / "other").weighted, table(sample / "pwm").weighted, rtol=0.1, atol=5
    )


def test_a_saved_model_gives_the_same_weights(sample: Path, tmp_path: Path) -> None:
    again(sample, tmp_path / "used", model=sample / "pwm.model")
    for ending in (".counts.tsv", ".isoforms.results"):
        assert (tmp_path / f"used{ending}").read_bytes() == (sample / f"pwm{ending}").read_bytes()
    assert report(tmp_path / "used")["inputs"]["model"] == str(sample / "pwm.model")


@pytest.mark.parametrize("choice", ["weighted", "corrected", "rounded"])
def test_main_table_on_request(sample: Path, tmp_path: Path, choice: str) -> None:
    again(sample, tmp_path / "main", "--bias-counts", choice)
    found = pd.read_csv(tmp_path / "main.tsv", sep="\t", header=None, index_col=0)[1]
    beside = table(tmp_path / "main")
    expected = beside.weighted.round() if choice == "rounded" else beside[choice]
    assert np.allclose(found[beside.index], expected, atol=1e-5)
    raw = pd.read_csv(sample / "counts.tsv", sep="\t", header=None, index_col=0)[1]
    assert (found[found.index.str.startswith("__")] == raw[raw.index.str.startswith("__")]).all()


def test_h5ad_has_layers(sample: Path, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    again(sample, tmp_path / "layers", "-c", tmp_path / "layers.h5ad")
    data = anndata.read_h5ad(tmp_path / "layers.h5ad")
    beside = table(tmp_path / "layers")
    assert (data[:, beside.index].X[0] == beside.raw.to_numpy()).all()
    for layer in ("weighted", "corrected"):
        assert np.allclose(data[:, beside.index].layers[layer][0], beside[layer], rtol=1e-6)


def test_weight_tags_stand_before_the_assignment(sample: Path) -> None:
    weights, genes = [], []
    with open(sample / "tagged.sam", encoding="utf-8") as file:
        for line in file:
            if not line.startswith("@"):
                fields = line.rstrip("\n").split("\t")
                assert fields[-1].startswith("XF:Z:")
                gene = fields[-1][5:]
                if gene.startswith("__"):
                    assert not fields[-2].startswith("ZW:")
                else:
                    assert fields[-2].startswith("ZW:f:")
                    weights.append(float(fields[-2][5:]))
                    genes.append(gene)
    assert len(weights) > 100_000
    # A fragment's weight is the mean of its reads' weights; one without a mate has one read.
    found = table(sample / "pwm")
    assert sum(weights) / len(weights) == pytest.approx(1.0, abs=0.02)
    assert set(genes) == set(found.index[found.raw > 0])


def test_weigher_gives_the_weights_of_the_run(sample: Path) -> None:
    weigher = counterbias.Weigher(sample / "pwm.model", sample / "genome.fa")
    checked = 0
    pairs: dict[str, dict[bool, tuple[Any, float]]] = {}
    with pysam.AlignmentFile(str(sample / "tagged.sam")) as tagged:
        for read in tagged:
            if read.has_tag("ZW"):
                assert weigher(read) == pytest.approx(read.get_tag("ZW"), rel=2e-5)
                pairs.setdefault(read.query_name, {})[read.is_read1] = (read, read.get_tag("ZW"))
                checked += 1
                if checked == 3000:
                    break
    assert checked == 3000
    both = [pair for pair in pairs.values() if len(pair) == 2]
    assert len(both) > 100
    for pair in both:
        (first, one), (second, two) = pair[True], pair[False]
        assert weigher((first, second)) == pytest.approx((one + two) / 2, rel=2e-5)
        assert weigher((first, None)) == pytest.approx(one, rel=2e-5)
    assert weigher((None, None)) == 1.0


def test_weigher_takes_htseq_alignments(sample: Path) -> None:
    weigher = counterbias.Weigher(sample / "pwm.model", sample / "genome.fa")
    with pysam.AlignmentFile(str(sample / "reads.bam")) as plain:
        direct = [weigher(read) for read, _ in zip(plain, range(500), strict=False)]
    reader = HTSeq.BAM_Reader(str(sample / "reads.bam"))
    through = [weigher(read) for read, _ in zip(reader, range(500), strict=False)]
    reader.close()
    assert direct == through
    assert len(set(direct)) > 100


def test_stranded_pairs_get_a_model_per_end(sample: Path, tmp_path: Path) -> None:
    run(
        "-s", "yes", "-r", "pos", "--bias-genome", sample / "genome.fa",
        "--bias-model", "pwm", "--bias-output", tmp_path / "s",
        "-c", tmp_path / "s.tsv", sample / "reads.bam", sample / "genes.gtf",
    )  # fmt: skip
    assert [end["end"] for end in report(tmp_path / "s")["ends"]] == ["read1", "read2"]
    assert [end.label for end in counterbias.load_model(tmp_path / "s.model").ends] == [
        "read1",
        "read2",
    ]


@pytest.mark.parametrize(
    ("given", "model"),
    [
        (["--bias-output", "x"], "auto"),
        (["--bias-bigwig", "x"], "auto"),
        (["--bias-counts", "corrected"], "auto"),
        (["--bias-output", "x", "--bias-model", "none"], None),
        (["--bias-output", "x", "--bias-model", "pwm"], "pwm"),
        ([], None),
    ],
)
def test_a_model_that_is_not_named_is_auto(given: list[str], model: str | None) -> None:
    arguments = build_count_parser().parse_args([*given, "--bias-genome", "g.fa", "a.bam", "g.gtf"])
    assert chosen_model(arguments) == model


def test_without_a_model_only_the_main_table_is_written(sample: Path, tmp_path: Path) -> None:
    again(sample, tmp_path / "none", model="none")
    assert [path.name for path in tmp_path.iterdir()] == ["none.tsv"]
    assert (tmp_path / "none.tsv").read_bytes() == (sample / "counts.tsv").read_bytes()


def test_weights_without_a_cap(sample: Path, tmp_path: Path) -> None:
    again(sample, tmp_path / "free", "--bias-cap", "none")
    free, capped = report(tmp_path / "free")["weights"], report(sample / "pwm")["weights"]
    assert free["cap"] is None
    assert free["capped"] == 0 < capped["capped"]
    assert free["effective_sample_size"] < capped["effective_sample_size"]
    assert counterbias.load_model(tmp_path / "free.model").cap == np.inf


def test_the_first_read_alone_can_weigh_a_pair(sample: Path, tmp_path: Path) -> None:
    again(sample, tmp_path / "first", "--bias-ends", "first", "-o", tmp_path / "first.sam")
    one, both = report(tmp_path / "first"), report(sample / "pwm")
    assert one["ends"] == both["ends"], "what is learnt does not change"
    assert one["weights"]["reads"] == both["counting"]["assigned"] < both["weights"]["reads"]
    found = table(tmp_path / "first")
    assert found.weighted.sum() == pytest.approx(found.raw.sum(), rel=1e-6)
    assert not np.allclose(
        found.effective_length, table(sample / "pwm").effective_length, rtol=0.01
    )
    weights: dict[str, set[float]] = {}
    with pysam.AlignmentFile(str(tmp_path / "first.sam"), check_sq=False) as file:
        for read in file:
            if not read.is_secondary and read.has_tag("ZW"):
                weights.setdefault(read.query_name, set()).add(read.get_tag("ZW"))
    assert all(len(seen) == 1 for seen in weights.values()), (
        "both reads carry the weight of the first"
    )


def test_windows_can_follow_the_transcript(sample: Path, tmp_path: Path) -> None:
    again(sample, tmp_path / "spliced", "--bias-context", "transcript", "--bias-threads", 2)
    again(sample, tmp_path / "once_more", "--bias-context", "transcript")
    assert (tmp_path / "spliced.counts.tsv").read_bytes() == (
        tmp_path / "once_more.counts.tsv"
    ).read_bytes()
    # The simulated priming saw the transcript: windows that follow it predict held-out starts
    # better.
    spliced, plain = (
        report(prefix)["ends"][0]["gain"]["cap5"]["value"]
        for prefix in (tmp_path / "spliced", sample / "pwm")
    )
    assert spliced > plain


def test_python_interface(sample: Path) -> None:
    from counterbias.options import BiasOptions, CountingOptions

    options = CountingOptions(stranded="no", order="pos")
    bias = BiasOptions("pwm", str(sample / "genome.fa"))
    found = counterbias.count_reads(
        sample / "reads.bam", sample / "genes.gtf", options=options, bias=bias
    )
    beside = table(sample / "pwm")
    assert list(found.annotation.features.ids) == list(beside.index)
    assert np.allclose(found.bias[0].columns["weighted"], beside.weighted, rtol=1e-8)
    model = counterbias.fit_model(
        sample / "reads.bam",
        sample / "genes.gtf",
        counterbias.BiasOptions("pwm", str(sample / "genome.fa")),
    )
    assert model.backend == "pwm"
    assert model.ends[0].starts == found.bias[0].model.ends[0].starts


# -- real data --------------------------------------------------------------------------------


def test_fly(data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Acceptance: composition KL (k = 1, mean over offsets) falls by 70 % on held-out blocks."""
    fly = data_dir / "fly_pasilla_chr4"
    inputs = ("-s", "no", "-r", "pos", fly / "reads.bam", fly / "genes.gtf")
    run(
        "--bias-model",
        "pwm",
        "--bias-genome",
        fly / "genome.fa",
        "--bias-output",
        tmp_path / "fly",
        *inputs,
    )
    with_bias = capfd.readouterr().out
    run(*inputs)
    assert capfd.readouterr().out == with_bias
    (end,) = report(tmp_path / "fly")["ends"]
    assert end["divergence"]["held_out"][0]["fall"] >= 0.7
    assert end["gain"]["cap5"]["value"] > 0.3


@pytest.mark.parametrize("lengths", ["union", "transcripts"])
def test_unbiased_yeast_is_left_alone(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], lengths: str
) -> None:
    yeast = data_dir / "yeast"
    files = ("-s", "yes", "--bias-lengths", lengths, yeast / "unbiased.bam", yeast / "genes.gtf")
    run(
        "--bias-model", "pwm", "--bias-genome", yeast / "genome.fa",
        "--bias-output", tmp_path / "u", *files,
    )  # fmt: skip
    assert "is not used, all its weights are 1" in capfd.readouterr().err
    run("--bias-model", "none", "--bias-output", tmp_path / "none", *files)
    assert (tmp_path / "u.counts.tsv").read_bytes() == (tmp_path / "none.counts.tsv").read_bytes()
    found = table(tmp_path / "u")
    found = found[found.raw >= 100]
    assert len(found) > 10
    for column in ("weighted", "corrected") if lengths == "union" else ("weighted",):
        assert (found[column] / found.raw - 1).abs().max() <= 0.03
    weights = report(tmp_path / "u")["weights"]
    assert (weights["unscored"], weights["skipped"]) == (0, {"window": 0, "clipped_end": 0}), (
        "no start was asked for"
    )


def test_trimmed_reads_are_noticed(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    human = data_dir / "human_trimmed"
    run(
        "-s", "no", "-r", "pos", "--bias-model", "pwm", "--bias-genome", human / "genome.fa",
        "--bias-output", tmp_path / "t",
        human / "SRR1039508.bam", human / "genes.gtf",
    )  # fmt: skip
    message = capfd.readouterr().err
    assert "before the read start" in message
    assert "--bias-window 16,10" in message
    run(
        "-s", "no", "-r", "pos", "--bias-model", "pwm", "--bias-genome", human / "genome.fa",
        "--bias-output", tmp_path / "w",
        "--bias-window", "16,10", human / "SRR1039508.bam", human / "genes.gtf",
    )  # fmt: skip
    assert "--bias-window" not in capfd.readouterr().err, "the advice has been taken"
    narrow, wide = (report(tmp_path / name)["ends"][0]["calibration"]["gain"] for name in "tw")
    assert wide > narrow


def test_a_tiny_sample_is_warned_of(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    human = data_dir / "human_maqc_chr22"
    run(
        "-s", "reverse", "-r", "pos", "--bias-model", "pwm", "--bias-genome", human / "genome.fa",
        "--bias-output", tmp_path / "m",
        human / "UHR_Rep1.bam", human / "genes.gtf",
    )  # fmt: skip
    message = capfd.readouterr().err
    assert "distinct read starts" in message
    assert "fewer than 2,000" in message
    assert "looks wrong" not in message


def test_wrong_strandedness_is_noticed(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    human = data_dir / "human_maqc_chr22"
    for stranded in ("yes", "no"):
        run(
            "-s", stranded, "-r", "pos", "--bias-model", "pwm",
            "--bias-genome", human / "genome.fa",
            "--bias-output", tmp_path / "m", human / "UHR_Rep1.bam", human / "genes.gtf",
        )  # fmt: skip
        message = capfd.readouterr().err
        assert f"--stranded {stranded} looks wrong" in message
        assert "--stranded reverse" in message
