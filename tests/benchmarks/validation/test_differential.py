"""Differential expression with and without correction: calls by hand, and a tiny run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.validation.scripts import number, parsed, script


def test_scenarios_are_read_from_their_words() -> None:
    differential = script("differential_studies")
    plain, other = differential.scenarios("single,deep-half-varied-unchanged")
    assert (plain.library, plain.contrast, plain.changed, plain.variation) == (
        "single",
        "strong",
        0.2,
        0.05,
    )
    assert (other.library, other.contrast, other.changed, other.variation) == (
        "deep",
        "half",
        0.0,
        0.2,
    )
    assert all(differential.scenario(name) for name in differential.SCENARIOS.split(","))
    assert plain.switched == other.switched == 0
    switched = differential.scenario("paired-switched-equal")
    assert (switched.contrast, switched.isoforms * switched.switched) == ("equal", 0.3)


def test_calls_are_judged_by_hand() -> None:
    genes = {"a": True, "b": True, "c": False, "d": False}
    adjusted = {("raw", "DESeq2"): [0.01, 0.2, 0.04, "NA"], ("raw", "edgeR"): [0.9, 0.9, 0.9, 0.05]}
    names = ("method", "test", "gene", "adjusted")
    lines = [
        (*key, gene, str(p))
        for key, values in adjusted.items()
        for gene, p in zip(genes, values, strict=True)
    ]
    results = {name: [line[number] for line in lines] for number, name in enumerate(names)}
    none = {"method": "raw", "test": "edgeR", "false": 0, "true": 0, "fdr": 0.0}
    found = {"method": "raw", "test": "DESeq2", "false": 1, "true": 1, "fdr": 0.5}
    for switched, false in (((), 0), ({"a", "d"}, 0), ({"a", "c"}, 1)):
        # A gene that changes is a true call, whether or not it switches.
        assert script("differential_calls").judge(results, genes, switched) == [
            {**found, "false_switched": false},
            {**none, "false_switched": 0},
        ]


def test_true_lengths_are_fragments_per_molecule(tmp_path: Path) -> None:
    studies = script("differential_studies")
    for name, fragments in (("s1", (30, 8)), ("s2", (60, 0))):
        lines = [f"{gene}\t{n}\t{m}" for gene, n, m in zip("ab", fragments, (10, 4), strict=True)]
        head = "gene_id\texpected_fragments\tabundance"
        (tmp_path / f"{name}.genes.tsv").write_text("\n".join([head, *lines]) + "\n")
    study = studies.Study(tmp_path, ("s1", "s2"), (0, 1), None, (None, None))
    assert studies.true_lengths(study, ("b", "a")).tolist() == [[2.0, 0.0], [3.0, 6.0]]


@pytest.mark.slow
def test_the_true_bias_removes_what_differs_between_groups(
    r_packages: tuple[str, ...], tmp_path: Path
) -> None:
    """Where groups differ in bias, raw counts give false calls, which the true bias removes.

    It does so in a single-end library, too.
    """
    import contextlib
    import io

    options = [
        "--models",
        "pwm",
        "--lengths",
        "union",
        "--peers",
        "",
        "--seeds",
        "6",
        "--genes",
        "60",
        "--scale",
        "0.5",
        "--json",
        str(tmp_path / "d.json"),
    ]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert (
            script("differential").main(
                [*options, "--scenarios", "single,single-equal", "--figures", str(tmp_path)]
            )
            == 0
        )
    content = json.loads((tmp_path / "d.json").read_text())
    first = content["studies"][0]
    calls = {(row["method"], row["test"]): row for row in first["calls"]}
    assert set(calls) == {
        (method, test)
        for method in (
            "raw",
            "pwm, offsets",
            "pwm, corrected",
            "true bias, offsets",
            "true bias, corrected",
        )
        for test in ("DESeq2", "edgeR", "voom")
    } - {("pwm, offsets", "voom"), ("true bias, offsets", "voom")}  # voom takes no offsets
    assert calls["raw", "DESeq2"]["false"] > 5
    assert calls["true bias, offsets", "DESeq2"]["false"] <= 2
    assert calls["true bias, corrected", "voom"]["false"] <= 2
    assert all(
        0 <= row["true"] <= first["changed"] < first["tested"] <= 60 for row in first["calls"]
    )
    table = parsed(out.getvalue(), "Part of the difference in lengths that is removed")
    assert number(table["true bias"]["single"]) == pytest.approx(1, abs=0.05)
    assert 0.1 < number(table["pwm"]["single"]) < 1.2
    summary = parsed(out.getvalue(), "Summary")
    assert number(summary["single"]["lengths differ by"]) > 0.2
    assert number(summary["single-equal"]["lengths differ by"]) == 0
    assert summary["single"]["true bias, offsets"].startswith(
        f"{calls['true bias, offsets', 'DESeq2']['false']} / "
    )
    assert first["applied"] == {"pwm": 3}
    raw = next(
        one
        for one in content["studies"][1]["calls"]
        if (one["method"], one["test"]) == ("raw", "DESeq2")
    )
    assert raw["false"] <= 3
    cost = parsed(out.getvalue(), "What it costs where the bias is the same")[
        "single-equal, DESeq2"
    ]
    assert abs(number(cost["pwm, offsets"])) <= 4
    assert (tmp_path / "differential.svg").stat().st_size < 150_000
    resumed = ["--scenarios", "single", "--resume"]
    assert script("differential").main([*options, *resumed]) == 0
    assert json.loads((tmp_path / "d.json").read_text())["studies"] == content["studies"]
    assert script("differential").main([*options, *resumed, "--fewest", "11"]) == 1


@pytest.mark.slow
def test_genes_that_switch_are_called_unless_lengths_follow_their_transcripts(
    r_packages: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Raw counts call genes that only switch; with lengths of transcripts no test calls them."""
    differential, name = script("differential"), "paired-unbiased-switched"
    words = "--models pwm --lengths transcripts --seeds 6 --genes 100"
    options = ["--scenarios", name, "--json", str(tmp_path / "d.json")]
    assert differential.main([*words.split(), *options]) == 0
    printed = capsys.readouterr()
    content = json.loads((tmp_path / "d.json").read_text())
    (study,) = content["studies"]
    assert 0.1 * study["tested"] < study["switched"] < 0.5 * study["tested"]
    calls = {(row["method"], row["test"]): row for row in study["calls"]}
    assert calls["raw", "DESeq2"]["false_switched"] >= 2
    assert calls["raw", "DESeq2"] == {
        **calls["true bias, offsets", "DESeq2"],
        "method": "raw",
    }  # lengths of the union know nothing of the switch
    for method in ("pwm, transcripts", "no model, transcripts", "true lengths"):
        assert calls[f"{method}, offsets", "DESeq2"]["false_switched"] <= 1
    shown = parsed(printed.out, "Genes that switch")[name]
    assert number(shown["raw"]) == calls["raw", "DESeq2"]["false_switched"]
    removed = parsed(printed.out, "Part of the difference in lengths that is removed")
    assert number(removed["true lengths"][name]) == 1
    assert number(removed["true bias"][name]) == 0
    assert number(removed["no model, transcripts"][name]) == pytest.approx(1, abs=0.15)
    salmon = "salmon --seqBias, tximport"
    if content["versions"]["salmon"] is None or content["versions"]["tximport"] is None:
        assert "salmon is left out" in printed.err
        assert (salmon, "DESeq2") not in calls
    else:
        assert number(removed[salmon][name]) == pytest.approx(1, abs=0.15)
        assert all(calls[salmon, test]["false_switched"] <= 1 for test in ("DESeq2", "voom"))


def test_without_salmon_or_tximport_the_peer_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    available = script("differential_peers").available
    both = {"salmon": "1.10", "tximport": "1.26"}
    assert available(["salmon"], both) == ["salmon"]
    assert available([], {"salmon": None, "tximport": None}) == []
    assert capsys.readouterr().err == ""
    for gone, package in (("salmon", "salmon"), ("tximport", "r-bioc-tximport")):
        assert available(["salmon"], {**both, gone: None}) == []
        assert capsys.readouterr().err == (
            f"salmon is left out: there is no {gone} (Debian's {package})\n"
        )


def test_without_r_the_benchmark_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script("differential").main([]) == 1
    stderr = capsys.readouterr().err
    assert (
        "R has no DESeq2, edgeR, limma, statmod; install Debian's "
        "r-bioc-deseq2 r-bioc-edger r-bioc-limma r-cran-statmod" in stderr
    )
    assert stderr.count("\n") == 1
