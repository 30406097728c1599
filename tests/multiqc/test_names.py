"""Names of samples in the report: by folder where they collide, in one row with other tools'."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterbias_multiqc import DOCUMENTATION
from counterbias_multiqc.naming import SEPARATOR, Library, distinct_names, library
from tests.helpers import multiqc_builders as builders

ALIGNED = "Aligned.sortedByCoord.out"


def names(*paths: str, folders: tuple[str, ...] = (), fragments: tuple[int, ...] = ()) -> list[str]:
    """Return the names of libraries of one sample with these alignment files, in their order."""
    libraries = [
        library(
            ALIGNED,
            path,
            folders[number] if folders else f"/reports/{number}",
            fragments[number] if fragments else 100,
        )
        for number, path in enumerate(paths)
    ]
    found = distinct_names(libraries, str)
    return [found[entry] for entry in libraries]


def test_a_name_that_nobody_shares_stays() -> None:
    assert names("sampleA/Aligned.sortedByCoord.out.bam") == [ALIGNED]


def test_all_that_share_a_name_are_named_after_their_folders() -> None:
    assert names("/x/sampleA/a.bam", "/x/sampleB/a.bam") == ["sampleA", "sampleB"]
    assert names("/x/a/star/a.bam", "/x/b/star/a.bam") == ["a", "b"]
    assert names("run1/s1/a.bam", "run2/s1/a.bam", "run1/s2/a.bam", "run2/s2/a.bam") == [
        "run1 | s1",
        "run2 | s1",
        "run1 | s2",
        "run2 | s2",
    ]


def test_models_of_one_library_stay_one_sample_in_whatever_folders_they_lie() -> None:
    assert names("a.bam", "a.bam", folders=("/r/pwm", "/r/cnn")) == [ALIGNED, ALIGNED]
    assert names("/x/a/a.bam", "/x/a/a.bam", "/x/b/a.bam") == ["a", "a", "b"]


def test_the_same_relative_path_in_folders_of_their_own_means_other_reads() -> None:
    found = names("a.bam", "a.bam", folders=("/runs/A", "/runs/B"), fragments=(100, 90))
    assert found == ["A", "B"]
    # Of one file, reads may count differently from run to run: an absolute path tells.
    found = names("/x/a.bam", "/x/a.bam", folders=("/runs/A", "/runs/B"), fragments=(100, 90))
    assert found == [ALIGNED, ALIGNED]


def test_files_in_one_folder_are_named_after_themselves_or_numbered() -> None:
    assert names("/x/a.bam", "/x/a.sam", folders=("/r", "/r")) == ["a.bam", "a.sam"]
    found = names("-", "-", folders=("/r", "/r"), fragments=(1, 2))
    assert found == [ALIGNED, f"{ALIGNED} (2)"]


def test_folders_with_several_shared_names_have_both() -> None:
    entries = [
        library(name, f"/x/{folder}/{name}.bam", "/r", 1)
        for folder, name in itertools.product(("A", "B"), ("genome", "transcripts"))
    ]
    entries.append(library("other", "/x/C/other.bam", "/r", 1))
    found = distinct_names(entries, str)
    assert [found[entry] for entry in entries] == [
        "A | genome",
        "A | transcripts",
        "B | genome",
        "B | transcripts",
        "other",
    ]


FOLDERS = st.lists(st.sampled_from(["a", "b", "star"]), max_size=3).map("/".join)
LIBRARIES = st.lists(
    st.builds(
        lambda name, folder, ending, report, number: library(
            name, f"/{folder}/{name}{ending}" if number else f"{folder}/x", report, number
        ),
        st.sampled_from(["s", "a", "a | b"]),
        FOLDERS,
        st.sampled_from([".bam", ".sam"]),
        FOLDERS,
        st.integers(0, 2),
    ),
    max_size=8,
)


@given(libraries=LIBRARIES, order=st.randoms(use_true_random=False))
def test_names_are_distinct_and_do_not_depend_on_the_order(
    libraries: list[Library], order: object
) -> None:
    found = distinct_names(libraries, str)
    shuffled = list(libraries)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert distinct_names(shuffled, str) == found
    same = {(entry.name, entry.alignments, entry.fragments) for entry in libraries}
    assert len(set(found.values())) == len(same)


def test_the_address_of_the_documentation_is_that_of_the_project() -> None:
    project = Path(__file__).parents[2]
    urls = tomllib.loads((project / "pyproject.toml").read_text())["project"]["urls"]
    assert set(urls.values()) == {DOCUMENTATION}
    site = re.search(r"^site_url: (.*)$", (project / "mkdocs.yml").read_text(), re.MULTILINE)
    assert site is not None
    assert site[1] == DOCUMENTATION


HTSEQ = (
    "geneA\t12\ngeneB\t0\n__no_feature\t3\n__ambiguous\t1\n__too_low_aQual\t0\n__not_aligned\t0\n"
)
FLAGSTAT = """100 + 0 in total (QC-passed reads + QC-failed reads)
0 + 0 secondary
0 + 0 supplementary
0 + 0 duplicates
90 + 0 mapped (90.00% : N/A)
100 + 0 paired in sequencing
50 + 0 read1
50 + 0 read2
90 + 0 properly paired (90.00% : N/A)
90 + 0 with itself and mate mapped
0 + 0 singletons (0.00% : N/A)
0 + 0 with mate mapped to a different chr
0 + 0 with mate mapped to a different chr (mapQ>=5)
"""
FEATURECOUNTS = """Status\tbam/X1.bam\tbam/X2.bam
Assigned\t90\t80
Unassigned_Unmapped\t5\t5
Unassigned_NoFeatures\t5\t15
"""
STAR = """                                 Started job on |\tNov 26 10:00:00
                          Number of input reads |\t100
                      Average input read length |\t100
                   Uniquely mapped reads number |\t90
                        Uniquely mapped reads % |\t90.00%
        Number of reads mapped to multiple loci |\t10
             % of reads mapped to multiple loci |\t10.00%
"""
BIAS_TABLE = "feature\tlength\traw\tweighted\tcorrected\ngeneA\t1200\t12\t11.5\t12.25\n"


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> builders.Outcome:
    """Our reports beside the files of other programs, reported by all modules in one flat report.

    X1 to X5 have tables of htseq-count under the names that people give them; A and B are STAR's
    folders, with a comparison in each.
    """
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    folder = tmp_path_factory.mktemp("beside") / "in"
    for number, ending in enumerate(
        (".htseq.tsv", ".htseq.txt", ".counts.txt", ".counts.tsv", ".txt"), 1
    ):
        builders.write(folder, f"X{number}")
        (folder / f"X{number}{ending}").write_text(HTSEQ)
    (folder / "X1.counts.tsv").write_text(BIAS_TABLE)
    (folder / "comparison.tsv").write_text("sample\tmodel\tgain_cap5\ns\tpwm\t0.6\n")
    (folder / "X1.flagstat").write_text(FLAGSTAT)
    (folder / "counts.txt.summary").write_text(FEATURECOUNTS)
    (folder / "X1.Log.final.out").write_text(STAR)
    for name in ("B", "A"):
        builders.write(folder / name, ALIGNED, inputs={"alignments": f"star/{name}/{ALIGNED}.bam"})
        (folder / name / "Log.final.out").write_text(STAR)
        builders.write_comparison(folder / name / "compared" / "comparison.json", [ALIGNED])
    return builders.run(
        folder,
        output=folder.parent / "out",
        run_modules=["counterbias", "htseq", "samtools", "featurecounts", "star"],
    )


def test_other_programs_files_beside_ours_are_exported_without_a_complaint(
    beside: builders.Outcome,
) -> None:
    formats = "export_plot_formats: [png]"
    options = ("--flat", "-p", "--cl-config", formats, "-o", "flat")
    done = builders.command_line(*options, "in", cwd=beside.folder.parent)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    # MultiQC says so of any two other modules, too.
    said = [line for line in output.splitlines() if "Error converting color" not in line]
    assert builders.complaints("\n".join(said)) == []
    assert "counterbias | Found 7 samples" in output
    assert f"2 samples are called {ALIGNED}: they are shown as A, B" in output
    flat = beside.folder.parent / "flat"
    assert (flat / "multiqc_report.html").read_text().count("data:image/png;base64") >= 10
    drawn = {path.stem.split("-")[0] for path in (flat / "multiqc_plots" / "png").iterdir()}
    assert {"counterbias_weights_plot", "counterbias_weight_scalars"} <= drawn
    assert {"htseq_assignment_plot", "star_alignment_plot"} <= drawn


def test_other_programs_rows_are_those_of_our_samples(beside: builders.Outcome) -> None:
    ours = {"X1", "X2", "X3", "X4", "X5", "A", "B"}
    assert set(beside.rows) == ours
    shown = beside.data["report_general_stats_data"]
    assert {module: set(rows) for module, rows in shown.items()} == {
        "counterbias": ours,
        "htseq": {"X1", "X2", "X3", "X4", "X5"},
        "samtools": {"X1"},
        "featurecounts": {"X1", "X2"},
        "star": {"X1", "A", "B"},
    }
    assert list(shown).index("counterbias") == list(shown).index("htseq") + 1


def test_a_file_that_replaces_another_is_named(tmp_path: Path) -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    for folder in ("first", "second"):
        builders.write(tmp_path / "in" / folder, "s")
    found = builders.run(tmp_path / "in", output=tmp_path / "out")
    (message,) = found.messages
    assert "second/s.counterbias.json replaces another file of sample s with model pwm" in message


def test_a_comparison_belongs_to_the_sample_in_whose_folder_it_is(
    beside: builders.Outcome,
) -> None:
    gains = [beside.rows[name]["gain_cap5_compare_cnn"] for name in ("A", "B")]
    assert gains == [0.9, 0.9]


def test_the_header_links_to_the_documentation_and_the_paper(beside: builders.Outcome) -> None:
    assert f'<a href="{DOCUMENTATION}"' in beside.html
    assert "https://doi.org/10.1186/s12864-016-3262-5" in beside.html
    assert SEPARATOR not in "".join(beside.rows)
