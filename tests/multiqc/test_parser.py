"""Without MultiQC: parsing of reports and comparisons, checks of samples, escaping of text."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias_multiqc import checks, text
from counterbias_multiqc.colours import assign_colours
from counterbias_multiqc.parser import UnusableFile, parse_comparison, parse_report
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.thresholds import Thresholds
from tests.helpers import multiqc_builders as builders

THRESHOLDS = Thresholds()


def report(sample: str = "s1", **changes: Any) -> Any:
    return parse_report(json.dumps(builders.document(sample, **changes)))


def test_values_are_those_of_the_file() -> None:
    found = report()
    assert (found.sample, found.backend, found.window, found.version) == (
        "s1",
        "pwm",
        "10,10",
        "0.1.0",
    )
    assert found.counts == {
        "assigned": 800.0,
        "no_feature": 100.0,
        "ambiguous": 50.0,
        "too_low_quality": 5.0,
        "not_unique": 25.0,
        "not_aligned": 20.0,
    }
    (end,) = found.ends
    assert end.composition["before"]["A"][11] == pytest.approx(0.45)
    assert end.composition["after"]["A"] == (0.25,) * 21
    assert end.offsets[0] == -10
    assert end.signature.offsets == tuple(range(-40, 41))
    gains = {"gain_uniq": 0.5, "gain_cap5": 0.6, "gain_all": 0.7}
    assert end.measures == {
        **gains,
        "reliability_slope": 1.0,
        "deviance_explained": 0.2,
        "auc": 0.7,
        "log_loss": 0.6,
    }
    assert end.reliability.observed == end.reliability.predicted
    assert (end.reliability.low, end.reliability.high) == (0.94, 1.06)
    assert found.weights["effective_sample_size"] == 0.8
    assert len(found.weight_histogram.counts) == 48
    assert [entry.quantiles[2] for entry in found.fold_changes.corrected] == [0.0, 0.02, 0.04]
    assert checks.percent_assigned(found) == 80.0
    assert checks.bias_removed(found, THRESHOLDS) == pytest.approx(90.0)


def test_nulls_are_absent_values() -> None:
    from counterbias.writers.qc import build_qc

    found = parse_report(json.dumps(build_qc({"sample": "empty"})))
    assert found.sample == "empty"
    assert not found.counts
    assert not found.ends
    assert found.backend is None
    assert checks.check_sample(found, THRESHOLDS) == {}
    assert checks.percent_assigned(found) is None
    assert checks.bias_removed(found, THRESHOLDS) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ("3", "not a JSON object"),
        ("{}", "not a version"),
        ('{"counterbias_schema": 1, "sample": "s"}', "not a version"),
        ('{"counterbias_schema": [], "sample": "s"}', "not a version"),
        ('{"counterbias_schema": ["1", 0], "sample": "s"}', "not a version"),
        ('{"counterbias_schema": [true, 0], "sample": "s"}', "not a version"),
        ('{"counterbias_schema": [2, 0], "sample": "s"}', "newer"),
        ('{"counterbias_schema": [0, 9], "sample": "s"}', "unknown"),
        ('{"counterbias_schema": [1, 0]}', "no sample name"),
        ('{"counterbias_schema": [1, 0], "sample": ["s"]}', "no sample name"),
        ('{"counterbias_schema": [1, 0], "sample": " \\n "}', "no sample name"),
        ('{"counterbias_schema": ' + "[" * 100_000, "nested"),
        ('{"counterbias_schema": [1, 0], "n": ' + "9" * 5000 + "}", "not valid JSON"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_unusable_files_are_refused_with_a_reason(content: str, reason: str) -> None:
    with pytest.raises(UnusableFile, match=reason):
        parse_report(content)


def test_newer_minor_versions_and_unknown_keys_are_read() -> None:
    tree = builders.document() | {"counterbias_schema": [1, 99], "something_new": {"a": [1]}}
    assert parse_report(json.dumps(tree)).counts["assigned"] == 800.0


def test_files_of_older_minor_versions_are_read() -> None:
    tree = builders.document() | {"counterbias_schema": [1, 1]}
    del tree["ends"][0]["reliability"]
    found = parse_report(json.dumps(tree))
    assert found.ends[0].reliability.slope is None
    assert not found.ends[0].reliability.predicted
    assert "size" not in checks.check_sample(found, THRESHOLDS)


def test_inconsistent_reliability_is_left_out() -> None:
    tree = builders.document()
    tree["ends"][0]["reliability"] |= {"low": 2.0}
    tree["ends"][0]["reliability"]["bins"]["observed"] = [1.0]
    found = parse_report(json.dumps(tree)).ends[0].reliability
    assert (found.slope, found.low, found.high, found.predicted) == (1.0, None, None, ())


def test_numbers_that_are_not_finite_are_absent() -> None:
    tree = builders.document()
    tree["weights"]["max_over_mean"] = float("inf")
    tree["ends"][0]["calibration"]["gain"] = float("nan")
    tree["ends"][0]["composition"]["before"]["A"][3] = float("-inf")
    tree["counting"]["assigned"] = -5
    tree["counting"]["ambiguous"] = 10**400
    found = parse_report(json.dumps(tree))
    assert "max_over_mean" not in found.weights
    assert found.ends[0].gain is None
    assert found.ends[0].composition["before"]["A"][3] is None
    assert "assigned" not in found.counts
    assert "ambiguous" not in found.counts


def test_lists_of_unequal_length_are_left_out() -> None:
    tree = builders.document()
    tree["ends"][0]["composition"]["before"]["A"] = [0.25]
    tree["weights"]["histogram"]["counts"] = [1, 2]
    tree["fold_change"]["corrected"][0]["quantiles"] = [0.0]
    tree["ends"][0]["signature"]["profile"] = [0.1]
    tree["ends"].append("nonsense")
    found = parse_report(json.dumps(tree))
    assert set(found.ends[0].composition) == {"after", "background"}
    assert found.weight_histogram.counts == ()
    assert found.ends[0].signature.profile == ()
    assert len(found.fold_changes.corrected) == 2
    assert len(found.ends) == 1


def test_long_lists_and_texts_are_cut() -> None:
    contigs = {"unmatched": ["a\x1b[31m\nb"] * 10_000}
    found = report("x" * 5000, contigs=contigs)
    assert len(found.sample) == 300
    assert len(found.unmatched_contigs) == 2000
    assert found.unmatched_contigs[0] == "a [31m b"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_content_breaks_the_parser_or_the_checks(data: st.DataObject) -> None:
    tree: dict[str, Any] = builders.document()
    for _ in range(data.draw(st.integers(1, 4))):
        node: Any = tree
        while True:
            key = data.draw(
                st.sampled_from(sorted(node))
                if isinstance(node, dict)
                else st.integers(0, len(node) - 1)
            )
            if key == "counterbias_schema":
                break
            if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
                node[key] = data.draw(JSON)
                break
            node = node[key]
    try:
        found = parse_report(json.dumps(tree))
    except UnusableFile:
        return
    checks.check_sample(found, THRESHOLDS)
    collection = Collection()
    collection.add("s", found)
    collection.sources()


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_no_comparison_breaks_the_parser(value: Any) -> None:
    tree = builders.comparison(["s1"])
    for key in ("options", "recommendation", "samples"):
        try:
            parse_comparison(json.dumps({**tree, key: value}))
        except UnusableFile:
            continue
    for key in ("measures", "cost", "curves", "truth", "status", "model"):
        tree["samples"][0]["models"][0][key] = value
        parse_comparison(json.dumps(tree))


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({}, "assigned", "pass"),
        ({"counting": {"assigned": 40.0, "no_feature": 60}}, "assigned", "warn"),
        ({"counting": {"assigned": 20.0, "no_feature": 80}}, "assigned", "fail"),
        (
            {"counting": {"stranded": "yes"}, "strandedness": {"verdict": "reverse"}},
            "strand",
            "fail",
        ),
        ({"counting": {"stranded": "no"}, "strandedness": {"verdict": "yes"}}, "strand", "warn"),
        (
            {
                "counting": {"features": 100},
                "contigs": {"unmatched": ["2"], "unmatched_features": 2},
            },
            "contigs",
            "warn",
        ),
        (
            {
                "counting": {"features": 100},
                "contigs": {"unmatched": ["2"], "unmatched_features": 90},
            },
            "contigs",
            "fail",
        ),
        ({"ends": [builders.end("read1"), builders.end("read2", starts=1500)]}, "starts", "warn"),
        ({"ends": [builders.end(starts=100)]}, "starts", "fail"),
        ({"ends": [builders.end(centre=-8)]}, "trimmed", "fail"),
        ({"ends": [builders.end(applied=False)]}, "removed", "fail"),
        ({"ends": [builders.end(applied=False, signature={"found": False})]}, "removed", "pass"),
        ({}, "size", "pass"),
        ({"ends": [builders.end(reliability=builders.reliability(1.2, 0.03))]}, "size", "warn"),
        ({"ends": [builders.end(reliability=builders.reliability(0.8, 0.03))]}, "size", "warn"),
        ({"ends": [builders.end(reliability=builders.reliability(1.2, 0.1))]}, "size", "pass"),
        (
            {
                "ends": [
                    builders.end("read1"),
                    builders.end("read2", reliability=builders.reliability(0.4, 0.02)),
                ]
            },
            "size",
            "fail",
        ),
    ],
)
def test_checks_find_the_samples_that_need_a_look(
    changes: dict[str, Any], check: str, level: str
) -> None:
    findings = checks.check_sample(report(**changes), THRESHOLDS)
    assert findings[check].level == level
    assert checks.worst_level({check: findings[check]}) == level


def test_the_best_run_of_a_sample_is_shown_and_all_are_compared() -> None:
    collection = Collection()
    for backend, gain, window in (
        ("pwm", 0.3, 10),
        ("cnn", 0.5, 10),
        ("pwm", 0.4, 20),
        ("unused", 0.9, 10),
    ):
        ends = [
            builders.end(
                applied=backend != "unused",
                calibration={"applied": backend != "unused", "gain": gain},
            )
        ]
        model = {"backend": backend, "upstream": window, "downstream": 10}
        assert collection.add("s", report(ends=ends, model=model)) is None
    assert collection.shown["s"].backend == "cnn"
    assert {result.label for result in collection.sources()[0].models["s"]} == {
        "pwm 10,10",
        "pwm 20,10",
        "cnn",
        "unused",
    }
    assert (
        collection.add("s", report(model={"backend": "cnn", "upstream": 10, "downstream": 10}))
        is not None
    )


def test_comparisons_keep_measures_costs_and_failures() -> None:
    found = parse_comparison(json.dumps(builders.comparison(["a", "b"])))
    collection = Collection()
    collection.add_comparison(found, {"a": "a"})
    models = collection.sources()[0].models
    assert list(models) == ["a"]
    assert [model.label for model in models["a"]] == ["cnn", "vlmm", "pwm", "broken"]
    assert models["a"][3].failure == "failed: it returned NaN"
    assert models["a"][0].cost["train_seconds"] == 15.0
    assert models["a"][0].truth.agreement["corrected_minus_raw"]["pearson"].low == pytest.approx(
        0.0125
    )


def test_text_from_files_stays_text() -> None:
    name = """<img src=x onerror="alert('a')">_*[b](c)`d`"""
    safe = text.escape_html(name)
    assert "<" not in safe
    assert ">" not in safe
    assert '"' not in safe
    assert "'" not in safe
    assert html.unescape(safe) == name
    assert html.unescape(text.escape(name)) == name
    assert not set(text.escape(name)) & set("<>_*[]()`")


def test_colours_stay_with_their_samples() -> None:
    names = [f"s{number}" for number in range(300)]
    colours = assign_colours(names)
    assert len(set(colours.values())) > 250
    assert all(len(colour) == 7 for colour in colours.values())
    assert assign_colours(names[:20]) == {name: colours[name] for name in names[:20]}


def test_the_parser_needs_no_multiqc() -> None:
    code = """
import sys
import counterbias_multiqc.parser, counterbias_multiqc.checks, counterbias_multiqc.samples
print('multiqc' in sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
