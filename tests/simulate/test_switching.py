"""``counterbias simulate --switched``: genes whose transcripts change their shares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterbias.simulation import StudyDesign, simulate_annotation, simulate_study
from counterbias.simulation_options import AnnotationDesign
from tests.simulate.simulated_folders import column, run, table, words

STUDY = words("--pairs 300 --genes 40 --contigs 2 --isoforms 0.7 --samples 4 --groups 2")
#: A gene of three transcripts and a gene of one.
THREE_AND_ONE = "".join(
    f'chr1\tme\texon\t{start}\t{end}\t.\t+\t.\tgene_id "{gene}"; transcript_id "{transcript}";\n'
    for gene, transcript, start, end in (
        ("three", "long", 1001, 4000),
        ("three", "middle", 1001, 3000),
        ("three", "short", 1001, 2000),
        ("one", "only", 6001, 9000),
    )
)


def shares(folder: Path, sample: str) -> dict[str, float]:
    """Return the share of each transcript in its gene's molecules."""
    rows = table(folder / f"{sample}.transcripts.tsv")
    total = {
        row["gene_id"]: float(row["abundance"]) for row in table(folder / f"{sample}.genes.tsv")
    }
    return {row["transcript_id"]: float(row["abundance"]) / total[row["gene_id"]] for row in rows}


def test_the_shares_of_three_transcripts_are_reversed(tmp_path: Path) -> None:
    """The main transcript and the rarest one exchange their shares; the one between keeps its."""
    rng = np.random.default_rng(1)
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(rng.choice(list("ACGT"), 10_000)) + "\n")
    (tmp_path / "g.gtf").write_text(THREE_AND_ONE)
    folder = run(
        tmp_path / "out",
        *words("--pairs 200 --samples 3 --groups 3 --switched 1"),
        *("--genome", str(tmp_path / "g.fa"), "--annotation", str(tmp_path / "g.gtf")),
    )
    first, second, third = (shares(folder, f"sample{number}") for number in (1, 2, 3))
    assert first["only"] == second["only"] == 1
    rare, between, main = sorted(("long", "middle", "short"), key=lambda name: first[name])
    assert first[rare] < 0.9 * first[main]
    for other in (second, third):
        assert other[rare] == pytest.approx(first[main], rel=1e-4)
        assert other[between] == pytest.approx(first[between], rel=1e-4)
        assert other[main] == pytest.approx(first[rare], rel=1e-4)
    rows = {row["gene_id"]: row for row in table(folder / "truth.tsv")}
    assert [name for name in rows["one"] if "group" in name] == [
        "log2_fold_change_group2",
        "log2_fold_change_group3",
        "switched_group2",
        "switched_group3",
    ]
    assert (rows["three"]["switched_group2"], rows["three"]["switched_group3"]) == ("1", "1")
    assert (rows["one"]["switched_group2"], rows["one"]["switched_group3"]) == ("0", "0")


def test_the_table_says_which_genes_switch(tmp_path: Path) -> None:
    """Exactly those have other shares; all have the molecules of a study in which none switches."""
    plain, folder = (
        run(tmp_path / name, *STUDY, *more)
        for name, more in (("plain", []), ("switched", ["--switched", "0.5"]))
    )
    rows = table(folder / "truth.tsv")
    switched = {row["gene_id"] for row in rows if row["switched_group2"] == "1"}
    transcripts = table(folder / "sample1.transcripts.tsv")
    of_gene: dict[str, list[str]] = {}
    for row in transcripts:
        of_gene.setdefault(row["gene_id"], []).append(row["transcript_id"])
    several = {gene for gene, names in of_gene.items() if len(names) > 1}
    assert switched < several
    assert 0.25 * len(several) < len(switched) < 0.75 * len(several)

    first, same, other = (shares(folder, f"sample{number}") for number in (1, 2, 3))
    assert same == pytest.approx(first, rel=1e-4)
    moved = {name for name in first if abs(first[name] - other[name]) > 1e-4}
    assert moved == {name for gene in switched for name in of_gene[gene]}
    for number in (1, 2, 3, 4):
        molecules = (
            column(table(one / f"sample{number}.genes.tsv"), "abundance") for one in (plain, folder)
        )
        assert np.array(next(molecules)) == pytest.approx(next(molecules), rel=1e-5)
    changes = "log2_fold_change_group2"
    assert np.array_equal(column(rows, changes), column(table(plain / "truth.tsv"), changes))
    report = json.loads((folder / "simulation.json").read_text())
    assert report["options"]["study"]["switched"] == 0.5


def test_the_first_group_is_that_of_a_study_in_which_none_switches(tmp_path: Path) -> None:
    plain, folder = (
        run(tmp_path / name, *STUDY, *more)
        for name, more in (("plain", []), ("switched", ["--switched", "1"]))
    )
    for sample, same in (("sample1", True), ("sample2", True), ("sample3", False)):
        for ending in (".bam", ".transcripts.tsv"):
            one, other = (path / f"{sample}{ending}" for path in (plain, folder))
            assert (one.read_bytes() == other.read_bytes()) == same, sample + ending


def test_where_no_gene_switches_nothing_is_said_of_it(tmp_path: Path) -> None:
    plain, folder = (
        run(tmp_path / name, *STUDY, *more)
        for name, more in (("plain", []), ("none", ["--switched", "0"]))
    )
    for path in plain.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    assert not [name for name in table(plain / "truth.tsv")[0] if name.startswith("switched")]
    assert "switched" not in json.loads((plain / "simulation.json").read_text())["options"]["study"]


def test_genes_of_one_transcript_cannot_switch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = words("--pairs 50 --genes 5 --contigs 1 --isoforms 0 --samples 2 --groups 2")
    folder = run(tmp_path / "out", *options, "--switched", "0.5")
    assert "Warning: no gene has several transcripts, so none switches\n" in capsys.readouterr().err
    assert {row["switched_group2"] for row in table(folder / "truth.tsv")} == {"0"}


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1), st.integers(1, 3))
def test_a_switch_changes_no_molecules(
    seed: int, isoforms: float, switched: float, groups: int
) -> None:
    """Every switch keeps the gene's molecules and the set of its transcripts' shares."""
    design = AnnotationDesign(second_isoform=isoforms)
    genes = simulate_annotation(np.random.default_rng(seed), {"c": 300_000}, 12, design=design)
    plain, found = (
        simulate_study(
            np.random.default_rng(seed),
            genes,
            StudyDesign(samples=groups, groups=groups, switched=share),
        )
        for share in (0.0, switched)
    )
    assert not plain.switched.any()
    assert not found.switched[:, 0].any()
    assert not found.switched[genes.transcripts_per_gene < 2].any()
    assert np.array_equal(plain.log2_fold_change, found.log2_fold_change)
    for before, after, group in zip(plain.abundance, found.abundance, found.group, strict=True):
        for gene, switches in enumerate(found.switched[:, group].tolist()):
            own = genes.transcript_gene == gene
            expected = before[own][::-1] if switches else before[own]
            assert after[own] == pytest.approx(expected, rel=1e-9)
