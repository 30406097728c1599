"""What the report says about samples: problems by cause, what to run, and words beside colours."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from counterbias_multiqc import checks, colours, problems
from counterbias_multiqc.checks import CHECKS, Finding, Findings, check_sample
from counterbias_multiqc.parser import parse_report
from counterbias_multiqc.thresholds import Thresholds, unusable
from tests.helpers import colour_vision
from tests.helpers import multiqc_builders as builders

THRESHOLDS = Thresholds()
COUNTED = {"assigned": 10.0, "no_feature": 90, "features": 100}


def findings(
    thresholds: Thresholds = THRESHOLDS, *, covered: bool | None = None, **changes: Any
) -> dict[str, Finding]:
    """Check a sample; ``covered`` is what its file says of the window, if anything."""
    document = builders.document(**changes)
    if covered is not None:
        for entry in document["ends"]:
            entry["signature"]["covered"] = covered
    return check_sample(parse_report(json.dumps(document)), thresholds)


def placed(
    window: tuple[int, int], *, label: str = "both", **signature: Any
) -> dict[str, dict[str, Finding] | Any]:
    """Return a sample whose bias lies at −14 to −6, before the read start, and its window."""
    where = {"found": True, "first": -14, "last": -6, "peak": -12, "before_start": 1.0}
    wide = {"upstream": 16, "downstream": 10}
    entry = builders.end(label, signature={**where, **wide, **signature})
    model = {"backend": "pwm", "upstream": window[0], "downstream": window[1]}
    ends = [entry] if label == "both" else [builders.end("read1"), entry]
    return {"ends": ends, "model": model}


def test_trimmed_reads_need_a_wider_window() -> None:
    found = findings(**placed((10, 10), outside=0.55))["trimmed"]
    assert found.level == "fail"
    assert found.reason == (
        "the bias lies at -14 to -6, before the read start, and the window 10,10 misses 55% of it"
    )
    assert found.advice == "count again with --bias-window 16,10"


@pytest.mark.parametrize(
    ("outside", "covered"), [(0.0, None), (0.3, None), (0.3, True), (0.0, True)]
)
def test_trimmed_reads_counted_as_advised_pass(outside: float, covered: bool | None) -> None:
    found = findings(covered=covered, **placed((16, 10), outside=outside))["trimmed"]
    assert (found.level, found.advice) == ("pass", "")
    assert found.reason.endswith("before the read start, inside the window 16,10")


def test_the_file_knows_best_whether_the_window_covers_the_bias() -> None:
    assert findings(**placed((10, 10), outside=0.1))["trimmed"].level == "pass"
    said = findings(covered=False, **placed((10, 10), outside=0.1))
    assert said["trimmed"].level == "fail"


def test_bias_beyond_the_window_on_the_other_side_is_a_warning() -> None:
    beyond = {"first": 2, "last": 18, "peak": 6, "before_start": 0.0, "downstream": 20}
    found = findings(**placed((10, 10), outside=0.4, **beyond))["trimmed"]
    assert found.level == "warn"
    assert "misses 40%" in found.reason
    assert found.advice.endswith("--bias-window 16,20")


def test_reasons_name_the_read_concerned() -> None:
    assert (
        "bias of read 2 lies at"
        in findings(**placed((10, 10), label="read2", outside=0.5))["trimmed"].reason
    )
    slopes = [
        builders.end("read1"),
        builders.end("read2", reliability=builders.reliability(1.4)),
    ]
    assert findings(ends=slopes)["size"].reason == (
        "slope of read 2 1.40 (1.34 to 1.46): the correction is too small"
    )
    half = [builders.end("read1"), builders.end("read2", starts=300, applied=False)]
    assert findings(ends=half)["starts"].reason == "300 distinct read starts of read 2"
    # Half of the divergence remains, less a tenth of the other half: 1 - (0.1 + 1) / 2.
    assert findings(ends=half)["removed"].reason == (
        "45% of the bias removed; the model of read 2 is not used: no gain"
    )


def test_bias_outside_the_window_is_not_said_to_be_removed() -> None:
    found = findings(ends=[builders.end(centre=-12)])
    assert found["trimmed"].level == "fail"
    assert found["removed"].reason == "90% of the bias inside the window removed"


@pytest.mark.parametrize(
    ("changes", "level", "reason", "percent"),
    [
        ({"signature": {"found": False}}, "pass", "no bias to remove", None),
        ({"signature": {"found": False}, "applied": False}, "pass", "no bias to remove", None),
        ({"applied": False}, "fail", "the model is not used: no gain", None),
        ({}, "pass", "90% of the bias removed", 90.0),
    ],
)
def test_nothing_to_remove_and_a_model_not_used_are_no_percentage(
    changes: dict[str, Any], level: str, reason: str, percent: float | None
) -> None:
    document = builders.document(ends=[builders.end(**changes)])
    report = parse_report(json.dumps(document))
    found = check_sample(report, THRESHOLDS)["removed"]
    assert found.level == level
    assert found.reason.startswith(reason)
    assert checks.bias_removed(report, THRESHOLDS) == pytest.approx(percent)
    if reason.startswith("no bias"):
        assert checks.worst_level(check_sample(report, THRESHOLDS)) == "pass"


UNEVEN = {"capped_share": 0.02, "effective_sample_size": 0.2}


def test_weights_are_for_information() -> None:
    found = findings(weights=UNEVEN)["weights"]
    assert found.level == "pass"
    assert found.reason == (
        "2% of weights capped, effective sample size 20%; this only matters for weighted counts"
    )


@pytest.mark.parametrize(
    ("command", "level"),
    [
        ("counterbias count --bias-counts weighted a.bam g.gtf", "fail"),
        ("counterbias count --bias-counts=weighted a.bam g.gtf", "fail"),
        ("counterbias count --bias-counts weighted --bias-counts corrected a.bam g.gtf", "pass"),
        ("counterbias count a--bias-counts weighted", "pass"),
    ],
)
def test_weights_count_where_weighted_counts_are_the_output(command: str, level: str) -> None:
    found = findings(weights=UNEVEN, command_line=command)["weights"]
    assert found.level == level
    assert ("--bias-counts corrected" in found.advice) == (level == "fail")


def test_weights_count_where_the_configuration_says_so() -> None:
    used = Thresholds.from_config({"weighted_counts": True})
    assert findings(used, weights=UNEVEN)["weights"].level == "fail"
    mild = {"capped_share": 0.02, "effective_sample_size": 0.9}
    assert findings(used, weights=mild)["weights"].level == "warn"


def test_few_assigned_fragments_get_advice_by_where_the_others_are() -> None:
    for category, word in (
        ("no_feature", "annotation"),
        ("ambiguous", "-m"),
        ("not_unique", "RNA"),
    ):
        found = findings(counting={"assigned": 10, category: 90})["assigned"]
        assert (found.level, found.reason) == ("fail", "10.0% of the fragments assigned")
        assert word in found.advice


# Causes


def levels(**found: str) -> Findings:
    return {check: Finding(level, check) for check, level in found.items()}  # type: ignore[arg-type]


def shown(found: Findings) -> list[tuple[str, tuple[str, ...]]]:
    return [(entry.check, entry.consequences) for entry in problems.problems_of("s", found)]


def test_one_cause_is_one_problem() -> None:
    trimmed = levels(assigned="pass", trimmed="fail", removed="fail", size="warn")
    assert shown(trimmed) == [("trimmed", ("removed", "size"))]
    few = levels(starts="fail", removed="fail", size="fail")
    assert shown(few) == [("starts", ("removed", "size"))]
    assert shown(levels(strand="fail", assigned="fail")) == [("strand", ("assigned",))]
    # Neither starts nor 5' ends: what was not removed makes the correction too small.
    assert shown(levels(removed="fail", size="warn")) == [("removed", ("size",))]


def test_a_cause_explains_only_what_is_no_worse_than_itself() -> None:
    assert shown(levels(contigs="warn", assigned="fail")) == [("assigned", ()), ("contigs", ())]
    assert shown(levels(contigs="warn", assigned="warn")) == [("contigs", ("assigned",))]


def test_causes_that_pass_explain_nothing() -> None:
    assert shown(levels(trimmed="pass", removed="fail")) == [("removed", ())]
    assert shown(levels(removed="pass", size="warn")) == [("size", ())]
    assert shown(levels(trimmed="pass")) == []


def test_every_failure_is_in_exactly_one_problem_whatever_the_levels() -> None:
    names = [*problems.CAUSES, "strand", "contigs", "starts", "trimmed"]
    for combination in itertools.product(checks.LEVELS, repeat=len(names)):
        found = levels(**dict(zip(names, combination, strict=True)))
        entries = [name for check, others in shown(found) for name in (check, *others)]
        failing = sorted(name for name in names if found[name].level != "pass")
        assert sorted(entries) == failing
        # The worst level of a sample never disappears.
        first = problems.problems_of("s", found)[:1]
        assert [entry.level for entry in first] == [checks.worst_level(found)][: len(failing)]


def test_the_badge_names_the_worst_problem() -> None:
    def summary(found: Findings) -> str:
        return problems.summary(problems.problems_of("s", found))

    assert summary(levels(trimmed="pass")) == "passed"
    assert summary(levels(contigs="warn")) == "look: Contigs"
    assert summary(levels(contigs="warn", trimmed="fail", removed="fail")) == "failed: 5′ ends +1"
    # Sorted as text, the worst come first.
    words = ["passed", "look: Contigs", "failed: 5′ ends"]
    assert sorted(words) == words[::-1]


def test_the_worst_samples_come_first() -> None:
    cohort = {
        "fine": levels(strand="pass"),
        "mild": levels(strand="warn"),
        "broken": levels(strand="pass", starts="fail"),
        "worst": levels(strand="fail", starts="fail"),
        "twice": levels(strand="warn", contigs="warn"),
    }
    order = [found[0].sample for found in problems.ranked(cohort)]
    assert order == ["worst", "broken", "twice", "mild"]
    strand = [entry.sample for entry in problems.problems_with(cohort, "strand")]
    assert strand == ["worst", "mild", "twice"]


def test_an_alert_names_the_samples_that_are_furthest_off() -> None:
    cohort = {
        f"s{percent}": findings(counting={"assigned": percent, "no_feature": 100 - percent})
        for percent in (40, 8, 30, 3, 60)
    }
    order = [entry.sample for entry in problems.problems_with(cohort, "assigned")]
    assert order == ["s3", "s8", "s30", "s40"]


@pytest.mark.parametrize("number", [60, 500])
def test_counts_of_a_cohort_add_up(number: int) -> None:
    """Every third sample is trimmed, every fifth counted with the wrong strandedness."""
    kinds = {
        "good": levels(strand="pass", trimmed="pass", removed="pass"),
        "trimmed": levels(strand="pass", trimmed="fail", removed="fail"),
        "strand": levels(strand="warn", trimmed="pass", removed="pass"),
        "both": levels(strand="warn", trimmed="fail", removed="fail"),
    }

    def kind(position: int) -> str:
        if position % 15 == 0:
            return "both"
        return "trimmed" if position % 3 == 0 else "strand" if position % 5 == 0 else "good"

    cohort = {f"s{position}": kinds[kind(position)] for position in range(number)}
    trimmed, strand = -(-number // 3), -(-number // 5)
    both = -(-number // 15)
    assert problems.counts(cohort, "trimmed") == {"fail": trimmed, "pass": number - trimmed}
    assert problems.counts(cohort, "removed") == {"explained": trimmed, "pass": number - trimmed}
    assert problems.counts(cohort, "strand") == {"warn": strand, "pass": number - strand}
    ranked = problems.ranked(cohort)
    assert len(ranked) == trimmed + strand - both
    assert [len(found) for found in ranked[: both + 1]] == [2] * both + [1]
    by_level = problems.samples_by_level(cohort)
    assert {level: len(names) for level, names in by_level.items()} == {
        "fail": trimmed,
        "warn": strand - both,
        "pass": number - trimmed - strand + both,
    }
    # What follows from another check is not counted again.
    assert len(problems.samples_by_level(cohort, "removed")["pass"]) == number - trimmed
    assert not problems.samples_by_level(cohort, "removed")["fail"]


# Thresholds


def test_thresholds_can_be_configured_and_nonsense_is_ignored() -> None:
    configured = {"assigned_warn": 90, "assigned_fail": "many", "unknown": 3}
    thresholds = Thresholds.from_config(configured)
    assert thresholds == Thresholds(assigned_warn=90)
    assert findings(thresholds)["assigned"].level == "warn"
    assert Thresholds.from_config(["nonsense"]) == THRESHOLDS


def test_what_is_ignored_is_said() -> None:
    assert unusable({"assigned_wran": 90, "starts_fail": 3, "weighted_counts": True}) == [
        "assigned_wran is ignored: there is no such threshold; did you mean assigned_warn?"
    ]
    assert unusable({"size_warn": "0,1", "weighted_counts": 1, "zzz": 1, 7: 7}) == [
        "size_warn is ignored: '0,1' is not a number",
        "weighted_counts is ignored: 1 is not true or false",
        "zzz is ignored: there is no such threshold",
        "7 is ignored: there is no such threshold",
    ]
    assert unusable([1]) == ["it is not a list of thresholds with their values"]
    assert unusable({}) == unusable(None) == []


# Colours


@pytest.mark.parametrize("vision", ["normal", "deuteranopia", "protanopia"])
def test_results_can_be_told_apart_by_colour_alone(vision: str) -> None:
    for one, other in itertools.combinations((colours.PASS, colours.WARN, colours.FAIL), 2):
        assert colour_vision.difference(one, other, vision) > 30, (one, other)


def test_words_can_be_read_on_their_colours() -> None:
    for background, words in colours.WORDS.items():
        assert colour_vision.contrast(background, words) >= 4.5, background


def test_colour_differences_are_right() -> None:
    """Values of the standards: black on white, and Lab of pure red."""
    assert colour_vision.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colour_vision.lab(colour_vision.linear("#ff0000")) == pytest.approx(
        (53.24, 80.09, 67.20), abs=0.02
    )
    # Red and a dark olive, which a person with deuteranopia mixes up.
    pair = ("#c00000", "#6a6000")
    assert colour_vision.difference(*pair, "normal") > 60
    assert colour_vision.difference(*pair, "deuteranopia") < 25


# The report


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> builders.Outcome:
    """60 samples: 2 without enough assigned fragments, 24 trimmed, one with markup in its name."""
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    folder = tmp_path_factory.mktemp("cohort")
    trimmed = [builders.end(centre=-8, reliability=builders.reliability(1.4))]
    for number in range(60):
        changes: dict[str, Any] = {"ends": trimmed} if number % 5 in (1, 2) else {}
        if number in (21, 50):
            changes["counting"] = COUNTED
        builders.write(folder / "in", f"s{number:02d}", **changes)
    config = folder / "multiqc_config.yaml"
    config.write_text("counterbias:\n  assigned_wran: 95\n")
    return builders.run(folder / "in", output=folder / "out", config_files=[str(config)])


def cells(content: str) -> list[list[str]]:
    """Return the text of each cell of each row of the tables in a section."""
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", content)
    ]


def test_a_large_cohort_has_counts_and_its_worst_samples(cohort: builders.Outcome) -> None:
    section = cohort.sections["counterbias-checks"]
    note = "The table below has the samples that need a look (25 of 60)."
    assert note in section.content_before_plot
    rows = cells(section.content_before_plot)
    counted = {row[0]: row[1:] for row in rows if len(row) == 5}
    assert counted["Check"] == ["✗ failed", "! look", "→ see another check", "✓ passed"]
    assert counted["5′ ends"] == ["24", "", "", "36"]
    assert counted["Correction size"] == ["", "", "24", "36"]
    assert counted["Assigned"] == ["2", "", "", "58"]
    advised = [row for row in rows if len(row) == 4]
    assert advised[0] == ["Sample", "Problem", "Reason", "What to run"]
    assert [row[0] for row in advised[1:4]] == ["s21", "s21", "s01"]
    assert "Count again with --bias-window 16,10" in advised[3][3]
    assert "Hence also: Correction size" in advised[3][1]
    # 25 samples have a problem, and 20 are shown.
    assert "5 more need a look" in section.content_before_plot
    assert "multiqc_data/multiqc_counterbias.txt" in section.content_before_plot
    assert "60 samples were checked: 25 failed a check." in section.description


def test_a_cause_has_one_alert_that_names_the_worst_samples(cohort: builders.Outcome) -> None:
    alerts = [alert for section in cohort.sections.values() for alert in section.alerts]
    assert len(alerts) == 2
    assert sum("5′ ends" in alert.message for alert in alerts) == 1
    assert (
        sum("--bias-window 16,10" in alert.message.replace("&#45;", "-") for alert in alerts) == 1
    )


def test_reasons_and_advice_are_in_the_data(cohort: builders.Outcome) -> None:
    row = cohort.rows["s21"]
    assert row["checks"] == "failed: Assigned +1"
    assert row["check_size"] == "warn"
    assert row["check_size_reason"].startswith("slope 1.40")
    assert row["advice"].endswith("; count again with --bias-window 16,10")
    assert row["problems"].endswith(CHECKS["trimmed"].headline)
    assert cohort.rows["s00"]["checks"] == "passed"
    assert "advice" not in cohort.rows["s00"]


def test_a_misspelt_threshold_is_warned_about_once(cohort: builders.Outcome) -> None:
    assert cohort.messages == (
        "Configuration, counterbias: assigned_wran is ignored: there is no such threshold; "
        "did you mean assigned_warn?",
    )


def test_words_stand_beside_colours(cohort: builders.Outcome) -> None:
    plots = cohort.data["report_general_stats_data"]["counterbias"]
    assert plots["s01"]["checks"] == "failed: 5′ ends"
    assert f'background-color:{colours.FAIL};color:#ffffff">✗ failed: 5′ ends<' in cohort.html
    assert f'background-color:{colours.PASS};color:#ffffff">✓ passed<' in cohort.html


def test_the_ai_summary_is_told_reasons_and_advice(
    cohort: builders.Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiqc import config, report
    from multiqc.core import ai

    prompt, _ = ai.build_prompt(ai.ai_section_metadata(), "")
    assert "s21" in prompt
    assert "before the read start" in prompt
    assert "--bias-window 16,10" in prompt
    assert "|s21|failed|" in prompt
    # With pseudonyms, no sample is named.
    monkeypatch.setattr(config, "ai_anonymize_samples", True)
    monkeypatch.setattr(report, "ai_pseudonym_map", dict.fromkeys(cohort.rows, "SAMPLE"))
    prompt, _ = ai.build_prompt(ai.ai_section_metadata(), "")
    assert "before the read start" in prompt
    assert not re.search(r"\bs\d\d\b", prompt)


def test_one_sample_needs_no_overview(tmp_path: Path) -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    builders.write(tmp_path / "in", "<b>s</b>", name="s", strandedness={"verdict": "<i>no</i>"})
    found = builders.run(tmp_path / "in", output=tmp_path / "out")
    assert found.messages == ()
    section = found.sections["counterbias-checks"]
    assert section.plot_anchor is None
    assert "1 sample was checked: 1 needs a look." in section.description
    assert "Passed: Assigned, " in section.content_before_plot
    assert "<b>" not in section.content_before_plot
    assert "<i>" not in section.content_before_plot
    assert "reference/multiqc/#checks" in section.description


def test_one_sample_without_a_problem_says_so_and_whose_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    training = {"parameters": 9, "curves": {"training_gain": [0.1, 0.3]}}
    model = {"backend": "cnn", "upstream": 10, "downstream": 10}
    builders.write(tmp_path / "in", "s", ends=[builders.end(training=training)], model=model)
    found = builders.run(tmp_path / "in", output=tmp_path / "out")
    assert (found.status, found.messages) == (0, ())
    section = found.sections["counterbias-checks"]
    assert "1 sample was checked: no problem was found." in section.description
    assert "Passed: Assigned, Strandedness, " in section.content_before_plot
    # There is no tab to name sample or model.
    assert "tab" not in found.sections["counterbias-composition"].description.split("<a")[0]
    assert "tab" not in found.sections["counterbias-training"].description.split("<a")[0]
    plots = found.data["report_plot_data"]
    assert plots["counterbias_training_plot"]["pconfig"]["subtitle"] == "cnn: gain"
    # Without a legend in the layout, MultiQC leaves its text dark in dark mode.
    for name, plot in plots.items():
        if plot["plot_type"] == "x/y line":
            assert plot["layout"]["legend"], name


def test_a_cohort_without_a_problem_says_so(tmp_path: Path) -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    for name in ("a", "b"):
        builders.write(tmp_path / "in", name)
    found = builders.run(tmp_path / "in", output=tmp_path / "out", make_report=False)
    section = found.sections["counterbias-checks"]
    assert "2 samples were checked: no problem was found." in section.description
    assert not section.content_before_plot
    assert section.plot_anchor == "counterbias_checks_table"


def test_the_table_of_checks_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    monkeypatch.setattr("counterbias_multiqc.sections.check_overview._MAX_SAMPLES", 2)
    builders.write(tmp_path / "in", "trimmed", ends=[builders.end(centre=-12)])
    for name in ("a", "b"):
        builders.write(tmp_path / "in", name)
    found = builders.run(tmp_path / "in", output=tmp_path / "out", make_report=False)
    section = found.sections["counterbias-checks"]
    assert "The table below has the worst samples (2 of 3)." in section.content_before_plot


def test_sections_know_the_samples_that_concern_them() -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    from counterbias_multiqc.samples import Collection
    from counterbias_multiqc.view import View

    cohort = {
        "fine": levels(strand="pass", trimmed="pass", removed="pass"),
        "strand": levels(strand="warn", trimmed="pass", removed="pass"),
        "trimmed": levels(strand="pass", trimmed="fail", removed="fail"),
    }
    module: Any = None
    view = View(module, {}, Collection(), {}, cohort, THRESHOLDS, {})
    assert view.concerning() == {"strand", "trimmed"}
    # Also where another check is the cause.
    assert view.concerning("removed") == {"trimmed"}
    assert view.concerning("removed", "strand") == {"strand", "trimmed"}
    assert view.concerning("size") == frozenset()
    assert [alert.level for alert in view.alerts("strand", "trimmed", "removed")] == [
        "warning",
        "danger",
    ]
