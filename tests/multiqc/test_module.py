"""MultiQC with our module: what the report shows, and that no option and no file breaks it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from counterbias_multiqc import DOCUMENTATION
from counterbias_multiqc.records import CATEGORIES
from tests.helpers import multiqc_builders as builders

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")

SECTIONS = (
    "checks",
    "assignment",
    "strandedness",
    "fragment-lengths",
    "composition",
    "divergence",
    "size",
    "weights",
    "weight-scalars",
    "changes",
)
COMPARED = (
    "models-compare",
    "gain-compare",
    "cost-compare",
    "models-count",
    "training",
    "truth-compare",
    "truth-gain-compare",
)
EVIL = "<img src=x onerror=alert(1)>_*x*"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> builders.Outcome:
    """Samples with and without findings, one with two models, and a comparison with a truth."""
    folder = tmp_path_factory.mktemp("full")
    builders.write(folder / "in", "good")
    blended = {"parameters": 126, "curves": {}, "details": {"own_share": 0.2, "prior_share": 0.6}}
    ends = [builders.end(centre=-8, training=blended, reliability=builders.reliability(1.4))]
    builders.write(folder / "in", "trimmed", ends=ends, strandedness={"verdict": "reverse"})
    builders.write(
        folder / "in",
        "pair",
        ends=[
            builders.end("read1", applied=False),
            builders.end("read2", applied=False, starts=90),
        ],
    )
    builders.write(
        folder / "in" / "cnn", "good", model={"backend": "cnn", "upstream": 10, "downstream": 10}
    )
    builders.write_comparison(folder / "in" / "comparison.json", ["good", "trimmed"])
    return builders.run(folder / "in", output=folder / "out", require_logs=True)


def test_every_section_is_there_with_a_plot_a_description_and_help(full: builders.Outcome) -> None:
    assert full.status == 0
    assert full.messages == ()
    for name in (*SECTIONS, *COMPARED):
        section = full.sections[f"counterbias-{name}"]
        assert all((section.plot_anchor, section.description, section.helptext)), name
        assert section.plot_anchor.startswith("counterbias_")
    assert len(full.data["report_plot_data"]) >= len(SECTIONS) + len(COMPARED)


def test_the_data_file_holds_the_values_of_the_sources(full: builders.Outcome) -> None:
    row = full.rows["good"]
    assert row["percent_assigned"] == 80.0
    assert row["bias_removed"] == pytest.approx(90.0)
    assert row["assigned"] == 800.0
    assert row["not_unique"] == 25.0
    assert row["gain"] == 0.4
    assert "bias_removed" not in full.rows["pair"]
    assert full.rows["pair"]["unique_starts"] == 90
    assert full.rows["trimmed"]["prior_share"] == pytest.approx(75.0)
    assert "prior_share" not in row
    assert full.rows["trimmed"]["check_trimmed"] == "fail"
    assert full.rows["trimmed"]["check_strand"] == "warn"
    assert full.rows["trimmed"]["reliability_slope"] == 1.4
    assert full.rows["trimmed"]["check_size"] == "warn"
    assert row["check_size"] == "pass"
    assert "reliability_slope" not in full.rows["pair"]
    assert row["gain_cap5_compare_cnn"] == 0.9
    assert row["gain_cap5_count_cnn"] == 0.6
    assert row["gain_cap5_compare_vlmm"] == 0.8
    assert full.data["report_general_stats_headers"]
    headers = next(iter(full.data["report_general_stats_headers"].values()))
    assert [key for key, header in headers.items() if not header.get("hidden")] == [
        "checks",
        "percent_assigned",
        "bias_removed",
    ]


def test_the_gain_of_each_model_is_that_of_the_source(full: builders.Outcome) -> None:
    plots = full.data["report_plot_data"]
    gains = plots["counterbias_gain_heatmap_compare"]["datasets"][0]
    assert gains["xcats"][0] == "cnn"
    assert gains["rows"][gains["ycats"].index("good")][0] == 0.9


def test_statuses_and_alerts_name_the_samples(full: builders.Outcome) -> None:
    alerts = {
        name: " ".join(alert.message for alert in section.alerts)
        for name, section in full.sections.items()
    }
    assert "trimmed" in alerts["counterbias-divergence"]
    assert "--bias-window 16,10" in alerts["counterbias-divergence"]
    assert "reverse" in alerts["counterbias-strandedness"]
    # It follows from the trimmed ends.
    assert not alerts["counterbias-size"]
    assert "pair" in alerts["counterbias-composition"]
    assert "90 distinct read starts of read 2" in alerts["counterbias-composition"]
    assert "it returned NaN" in alerts["counterbias-models-compare"]
    assert "Recommended" in alerts["counterbias-models-compare"]
    statuses = full.sections["counterbias-checks"].status_bar_html
    assert json.loads(statuses.split('mqc-status-data">')[1].split("</script>")[0])[2] == {
        "good": "pass",
        "trimmed": "fail",
        "pair": "fail",
    }


def test_our_sections_load_nothing_from_the_network(full: builders.Outcome) -> None:
    for section in full.sections.values():
        shown = section.description + section.helptext + section.content_before_plot
        addresses = re.findall(r"(src|href)=.?((?:https?:)?//[^\"' >]*)", shown + section.content)
        # Links to the documentation load nothing.
        assert all(kind == "href" and DOCUMENTATION in address for kind, address in addresses)


BROKEN = {
    "empty": "",
    "truncated": '{"counterbias_schema": [1, 0],\n "sample": "tr',
    "newer": '{"counterbias_schema": [9, 0], "sample": "n"}',
    "nested": '{"counterbias_schema": ' + "[" * 50_000,
    "types": '{"counterbias_schema": [1, 0], "sample": "types", '
    '"counting": [], "ends": {"a": 1}, "weights": "x", "fold_change": 3}',
    "numbers": '{"counterbias_schema": [1, 0], "sample": "numbers", '
    '"counting": {"assigned": 1e999, "no_feature": NaN}}',
    "binary": '{"counterbias_schema"\x00\ufffd',
}


def test_broken_files_are_skipped_with_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    builders.write(folder, "good")
    for name, content in BROKEN.items():
        (folder / f"{name}.counterbias.json").write_text(content)
    (folder / "latin.counterbias.json").write_bytes(
        b'{"counterbias_schema": [1, 0], "sample": "\xff\xfe"}'
    )
    (folder / "comparison.json").write_text(
        '{"counterbias_comparison": [1, 0], "samples": [{"sample": 3}]}'
    )
    huge = folder / "huge.counterbias.json"
    huge.write_text(
        '{"counterbias_schema": [1, 0], "sample": "huge", "warnings": ["' + "x" * 41_000_000 + '"]}'
    )
    found = builders.run(folder, output=tmp_path / "out", make_report=False)
    assert {"good", "types", "numbers"} <= set(found.rows)
    assert found.rows["good"]["percent_assigned"] == 80.0
    named = " ".join(found.messages)
    for name in ("truncated", "newer", "nested", "huge", "comparison.json"):
        assert name in named, name
    assert all(message.startswith("Skipping ") for message in found.messages)


def test_files_that_are_all_unusable_do_not_crash_multiqc(tmp_path: Path) -> None:
    (tmp_path / "a.counterbias.json").write_text(BROKEN["newer"])
    found = builders.run(tmp_path, output=tmp_path / "out", make_report=False)
    assert found.status == 0
    assert "Traceback" not in " ".join(found.messages)


def test_ignored_samples_leave_nothing_behind(tmp_path: Path) -> None:
    builders.write(tmp_path / "in", "a")
    builders.write(tmp_path / "in", "b")
    builders.write_comparison(tmp_path / "in" / "comparison.json", ["a", "b"])
    one = builders.run(
        tmp_path / "in", output=tmp_path / "one", ignore_samples=["a"], make_report=False
    )
    assert set(one.rows) == {"b"}
    assert '"a"' not in json.dumps(one.data["report_data_sources"])
    every = builders.run(
        tmp_path / "in", output=tmp_path / "every", ignore_samples=["*"], make_report=False
    )
    assert every.status == 0
    assert every.messages == ("No analysis results found. Cleaning up…",)


def test_names_follow_the_options(tmp_path: Path) -> None:
    builders.write(
        tmp_path / "in" / "run1", "reads.bam", inputs={"alignments": "/x/run1/reads.bam"}
    )
    builders.write(
        tmp_path / "in" / "run2",
        "reads.bam",
        name="second",
        inputs={"alignments": "/x/run2/reads.bam"},
    )
    (tmp_path / "names.tsv").write_text("run1\tPatient 7\n")
    expected: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {"run1", "run2"}),
        (
            {"prepend_dirs": True},
            {f"{tmp_path.name} | in | run1 | reads", f"{tmp_path.name} | in | run2 | reads"},
        ),
        ({"fn_clean_sample_names": False}, {"run1", "run2"}),
        ({"replace_names": str(tmp_path / "names.tsv")}, {"Patient 7", "run2"}),
    ]
    for number, (options, names) in enumerate(expected):
        found = builders.run(
            tmp_path / "in", output=tmp_path / f"out{number}", make_report=False, **options
        )
        assert found.status == 0
        assert found.messages == ()
        got = {
            name if "prepend_dirs" not in options else " | ".join(name.split(" | ")[-4:])
            for name in found.rows
        }
        assert got == names


def test_names_from_files_stay_text(tmp_path: Path) -> None:
    warned = {
        "counting": {"assigned": 1.0, "no_feature": 99},
        "model": {"backend": "<b onclick=x>", "upstream": 1, "downstream": 1},
    }
    builders.write(
        tmp_path / "in", EVIL, name="a", ends=[builders.end(applied=False, starts=3)], **warned
    )
    builders.write(tmp_path / "in", "</script><script>alert(2)</script>", name="b")
    builders.write_comparison(
        tmp_path / "in" / "comparison.json", [EVIL], recommended="<svg onload=alert(3)>"
    )
    found = builders.run(tmp_path / "in", output=tmp_path / "out")
    assert found.status == 0
    assert found.messages == ()
    assert "&lt;img src=x onerror=alert(1)&gt;_*x*" in found.rows
    for mark in ("<img src=x", "<b onclick", "<svg onload", "<script>alert(2)"):
        assert mark not in found.html, mark
    assert "<em>" not in " ".join(
        alert.message for section in found.sections.values() for alert in section.alerts
    )


def test_the_module_may_be_listed_twice(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        builders.write(tmp_path / "in" / folder, "s")
        builders.write_comparison(tmp_path / "in" / folder / "comparison.json", ["s"])
    order = [
        {"counterbias": {"name": "First", "anchor": "first", "path_filters": ["*/one/*"]}},
        {"counterbias": {"name": "Second", "anchor": "second", "path_filters": ["*/two/*"]}},
    ]
    found = builders.run(
        tmp_path / "in", output=tmp_path / "out", run_modules=[], module_order=order
    )
    assert found.status == 0
    assert found.messages == ()
    assert {"first_composition_plot", "second_composition_plot"} <= set(
        found.data["report_plot_data"]
    )


def test_reports_merge_and_keep_colours_and_dashes(tmp_path: Path) -> None:
    builders.write(tmp_path / "a", "s1")
    builders.write(tmp_path / "b", "s2")
    first = builders.run(tmp_path / "a", output=tmp_path / "first")
    assert first.status == 0
    earlier = first.folder / "multiqc_data" / "multiqc.parquet"
    merged = builders.run(tmp_path / "b", earlier, output=tmp_path / "second", run_modules=[])
    assert merged.status == 0
    assert merged.messages == ()
    plots = merged.data["report_plot_data"]
    tabs = {
        dataset["label"]: {line["name"]: line for line in dataset["lines"]}
        for dataset in plots["counterbias_composition_plot"]["datasets"]
    }
    assert set(tabs) == {"s1", "s2"}
    for lines in tabs.values():
        assert len(lines) == 12
        assert lines["A, before"]["dash"] == "dash"
        assert lines["A, before"]["color"] == lines["A, after pwm"]["color"] == "#0072b2"
        assert len(lines["A, before"]["pairs"]) == len(builders.OFFSETS)
    lines = {
        line["name"]: line for line in plots["counterbias_divergence_plot"]["datasets"][1]["lines"]
    }
    assert {"s1, before", "s1, after pwm", "s2, before", "s2, after pwm"} <= set(lines)
    assert lines["s1, before"]["dash"] == "dash" == lines["s2, before"]["dash"]
    assert lines["s1, before"]["color"] == lines["s1, after pwm"]["color"]
    assert lines["s1, after pwm"]["color"]
    # The column of checks has both, too.
    assert merged.html.count(">✓ passed</span>") == 2


def test_thresholds_come_from_the_configuration_of_each_run(tmp_path: Path) -> None:
    builders.write(tmp_path / "in", "s")
    config = tmp_path / "multiqc_config.yaml"
    config.write_text(
        "counterbias:\n  assigned_warn: 95\n  assigned_fail: 90\n"
        "  heatmap_above: 0\n  composition_heatmap_above: 0\n"
    )
    found = builders.run(
        tmp_path / "in", output=tmp_path / "out", config_files=[str(config)], make_report=False
    )
    assert found.status == 0
    assert found.rows["s"]["check_assigned"] == "fail"
    assert found.sections["counterbias-composition"].plot_anchor == "counterbias_deviation_heatmap"
    assert found.sections["counterbias-size"].plot_anchor == "counterbias_size_heatmap"
    found = builders.run(tmp_path / "in", output=tmp_path / "defaults", make_report=False)
    assert found.rows["s"]["check_assigned"] == "pass"
    assert found.sections["counterbias-composition"].plot_anchor == "counterbias_composition_plot"


@pytest.mark.slow
def test_five_hundred_samples_are_drawn_without_a_plot_per_sample(tmp_path: Path) -> None:
    template = json.dumps(builders.document("@@"))
    (tmp_path / "in").mkdir()
    for number in range(500):
        name = f"sample{number:03d}"
        (tmp_path / "in" / f"{name}.counterbias.json").write_text(
            template.replace("@@", name).replace(', "versions"', ',\n "versions"', 1)
        )
    done = builders.run(tmp_path / "in", output=tmp_path / "out")
    assert done.status == 0
    assert done.messages == ()
    assert len(done.rows) == 500
    plots = done.data["report_plot_data"]
    assert "counterbias_deviation_heatmap" in plots
    assert "counterbias_composition_plot" not in plots


def test_real_results_pass(data_dir: Path, tmp_path: Path) -> None:
    """Two yeast samples, one biased and one unbiased: counted, then reported."""
    from counterbias.cli import main

    folder = data_dir / "yeast"
    genes = tmp_path / "genes.gtf"
    elsewhere = "".join(
        f'elsewhere\tx\texon\t{n}00\t{n}90\t.\t+\t.\tgene_id "x{n}";\n' for n in range(1, 401)
    )
    genes.write_text((folder / "genes.gtf").read_text() + elsewhere)
    for sample in ("isowt5", "unbiased"):
        options = [
            "-q",
            "-s",
            "no",
            "--bias-model",
            "pwm",
            "--bias-genome",
            str(folder / "genome.fa"),
            "--bias-output",
            f"{tmp_path}/in/",
        ]
        (tmp_path / "in").mkdir(exist_ok=True)
        files = ["-c", str(tmp_path / f"{sample}.tsv"), str(folder / f"{sample}.bam"), str(genes)]
        assert main(["count", *options, *files]) == 0
    found = builders.run(
        tmp_path / "in", output=tmp_path / "out", require_logs=True, make_report=False
    )
    assert found.status == 0
    assert found.messages == ()
    assert set(found.rows) == {"isowt5", "unbiased"}
    source = json.loads((tmp_path / "in" / "isowt5.counterbias.json").read_text())
    counts = [source["counting"][name] for name in CATEGORIES]
    assert found.rows["isowt5"]["percent_assigned"] == pytest.approx(100 * counts[0] / sum(counts))
    assert found.rows["isowt5"]["bias_removed"] == pytest.approx(
        100 * source["ends"][0]["divergence"]["held_out"][0]["fall"], rel=1e-4
    )
    assert found.rows["unbiased"]["check_removed"] == "pass"
    assert source["contigs"]["unmatched"] == ["elsewhere"]
    assert source["contigs"]["unmatched_features"] == 400
    assert found.rows["isowt5"]["check_contigs"] == "warn"
    assert "on elsewhere" in " ".join(
        alert.message for alert in found.sections["counterbias-assignment"].alerts
    )
    assert (
        len(source["ends"][0]["signature"]["profile"])
        == len(source["ends"][0]["signature"]["offsets"])
        == 81
    )
