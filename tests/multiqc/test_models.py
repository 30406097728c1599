"""Models side by side: runs of `count` and comparisons never share a table, a plot or a mean."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from counterbias_multiqc.parser import parse_comparison, parse_report
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.sources import Source
from tests.helpers import multiqc_builders as builders


def comparison(
    gains: dict[str, dict[str, float | None]], *, folds: int = 5, recommended: str | None = "pwm"
) -> dict[str, Any]:
    """Return a comparison with these gains: sample → model → gain, None where the model failed."""
    made = builders.comparison(list(gains), recommended=recommended)
    template = made["samples"][0]["models"][0]
    measures = {
        "reliability_slope": {"value": 1.0, "error": 0.01},
        "deviance": {"value": 0.2, "error": 0.01},
        "auc": {"value": 0.7, "error": 0.01},
        "half_effective": {"value": 0.5, "error": 0.01},
        "replicate_rmse_corrected_minus_raw": {"value": -0.1, "error": 0.01},
        "log_loss": {"value": 0.6, "error": 0.01},
    }
    for sample in made["samples"]:
        sample["raw"] = {"half_raw": {"value": 0.75, "error": None}}
        sample["models"] = [
            {**template, "model": name, "status": "failed", "reason": "NaN", "measures": {}}
            if gain is None
            else {
                **template,
                "model": name,
                "used": gain > 0,
                "measures": {**measures, "gain_cap5": {"value": gain, "error": 0.01}},
            }
            for name, gain in gains[sample["sample"]].items()
        ]
    made["options"] = {"folds": list(range(folds)), "seeds": [1], "windows": ["10,10"]}
    return made


#: In `compare`, pwm is best on average over a and b, worked out by hand: pwm (0.5 + 0.7) / 2 = 0.6,
#: cnn (0.6 + 0.4) / 2 = 0.5. With sample c, where pwm failed, cnn would have a mean of 0.633.
GAINS: dict[str, dict[str, float | None]] = {
    "a": {"pwm": 0.5, "cnn": 0.6},
    "b": {"pwm": 0.7, "cnn": 0.4},
    "c": {"pwm": None, "cnn": 0.9},
}


def sources_of(*comparisons: dict[str, Any]) -> list[Source]:
    collection = Collection()
    for made in comparisons:
        parsed = parse_comparison(json.dumps(made))
        collection.add_comparison(parsed, {one.sample: one.sample for one in parsed.samples})
    return collection.sources()


def test_means_are_over_samples_with_all_models() -> None:
    (source,) = sources_of(comparison(GAINS))
    assert source.common() == ["a", "b"]
    assert [
        (label, [model.value("gain_cap5") for model in models])
        for label, models in source.by_label().items()
    ] == [("pwm", [0.5, 0.7]), ("cnn", [0.6, 0.4])]


def test_a_model_that_failed_everywhere_takes_no_sample_out_of_the_means() -> None:
    gains: dict[str, dict[str, float | None]] = {
        name: {"pwm": 0.5, "cnn": 0.6, "broken": None} for name in "ab"
    }
    (source,) = sources_of(comparison(gains))
    assert source.common() == ["a", "b"]
    assert list(source.by_label()) == ["cnn", "pwm"]


def test_without_a_common_sample_there_is_no_mean() -> None:
    (source,) = sources_of(comparison({"a": {"x": 0.5, "y": 0.6}, "b": {"x": 0.1, "z": 0.2}}))
    assert source.common() == []
    assert source.by_label() == {"x": [], "y": [], "z": []}


def test_comparisons_of_one_design_are_one_source_and_of_others_not() -> None:
    first, second = {"a": GAINS["a"]}, {"b": GAINS["b"]}
    (together,) = sources_of(comparison(first), comparison(second))
    assert list(together.models) == ["a", "b"]
    assert together.title == "measured by `compare`"
    apart = sources_of(comparison(first), comparison(second, folds=2))
    assert [list(source.models) for source in apart] == [["a"], ["b"]]
    assert [source.key for source in apart] == ["compare", "compare2"]
    assert [source.title for source in apart] == [
        "measured by `compare` with 5 folds, 1 seed, window 10,10",
        "measured by `compare` with 2 folds, 1 seed, window 10,10",
    ]


@pytest.mark.parametrize(
    ("applied", "found", "used"),
    [(True, True, "yes"), (False, True, "no gain"), (False, False, "not needed")],
)
def test_a_model_that_is_rightly_not_used_is_no_failure(
    applied: bool, found: bool, used: str
) -> None:
    end = builders.end(applied=applied)
    end["signature"]["found"] = found
    collection = Collection()
    collection.add("s", parse_report(json.dumps(builders.document("s", ends=[end]))))
    (result,) = collection.sources()[0].models["s"]
    assert (result.used, result.failure) == (used, None)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> builders.Outcome:
    """In runs of `count`, cnn is better than pwm in sample a; in `compare`, pwm is best."""
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    folder = tmp_path_factory.mktemp("mixed")
    curves = {"training_gain": [0.1, 0.3], "training_log_loss": [0.7, 0.6]}
    for backend, gain in (("pwm", 0.3), ("cnn", 0.8)):
        measured = {"uniq": {"value": gain}, "cap5": {"value": gain}, "all": {"value": gain}}
        training = {"parameters": 9, "curves": curves if backend == "cnn" else {}}
        builders.write(
            folder / "in" / backend,
            "a",
            ends=[builders.end(gain=measured, training=training)],
            model={"backend": backend, "upstream": 10, "downstream": 10},
        )
    (folder / "in" / "comparison.json").write_text(json.dumps(comparison(GAINS)))
    return builders.run(folder / "in", output=folder / "out", require_logs=True)


def test_sources_stay_apart(mixed: builders.Outcome) -> None:
    assert (mixed.status, mixed.messages) == (0, ())
    heat_map = mixed.data["report_plot_data"]["counterbias_gain_heatmap_compare"]["datasets"][0]
    assert heat_map["xcats"] == ["pwm", "cnn"]
    assert dict(zip(heat_map["ycats"], heat_map["rows"], strict=True)) == {
        "a": [0.5, 0.6],
        "b": [0.7, 0.4],
        "c": [None, 0.9],
    }
    row = mixed.rows["a"]
    assert (row["gain_cap5_compare_cnn"], row["gain_cap5_count_cnn"]) == (0.6, 0.8)
    assert "measured by" in mixed.sections["counterbias-models-compare"].description
    assert "from runs of" in mixed.sections["counterbias-models-count"].description


def test_costs_are_drawn_against_the_means_of_common_samples(mixed: builders.Outcome) -> None:
    plot = mixed.data["report_plot_data"]["counterbias_cost_plot_compare"]
    for dataset in plot["datasets"]:
        points = {point["name"]: point["y"] for point in dataset["points"]}
        assert points == pytest.approx({"pwm": 0.6, "cnn": 0.5})
    symbols = [point["marker_symbol"] for point in plot["datasets"][0]["points"]]
    assert len(set(symbols)) == len(symbols)
    description = mixed.sections["counterbias-cost-compare"].description
    assert "Means are over the 2 samples in which all models were measured; 1 of 3" in description


def test_one_sample_has_a_table_and_nothing_that_repeats_it(mixed: builders.Outcome) -> None:
    assert "counterbias-models-count" in mixed.sections
    assert "counterbias-gain-count" not in mixed.sections
    assert "counterbias-cost-count" not in mixed.sections


@pytest.mark.parametrize(
    "name", ["models_table_compare", "models_table_count", "truth_table_compare"]
)
def test_tables_have_at_most_ten_columns_all_of_which_are_shown(
    mixed: builders.Outcome, name: str
) -> None:
    headers = mixed.data["report_plot_data"][f"counterbias_{name}"]["datasets"][0]["dt"]
    columns = headers["section_by_id"].popitem()[1]["column_by_key"].values()
    assert 0 < len(columns) <= 10
    assert not any(column["hidden"] for column in columns)


def test_alerts_say_what_to_run_and_what_failed(mixed: builders.Outcome) -> None:
    alerts = [
        html.unescape(alert.message)
        for alert in mixed.sections["counterbias-models-compare"].alerts
    ]
    assert len(alerts) == 2
    assert "counterbias count --bias-model pwm --bias-window 10,10" in alerts[0]
    assert re.search(r"pwm\W*(</strong>)? failed: NaN \(c\)", alerts[1])


def test_training_curves_have_a_tab_for_each_thing_reported(mixed: builders.Outcome) -> None:
    plot = mixed.data["report_plot_data"]["counterbias_training_plot"]
    assert [dataset["label"] for dataset in plot["datasets"]] == [
        "cnn (count): gain",
        "cnn (count): log loss",
    ]
    assert [line["name"] for line in plot["datasets"][0]["lines"]] == ["a, training gain"]


def test_no_recommendation_is_told_as_raw_counts(tmp_path: Path) -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    made = comparison({"a": {"pwm": -0.1, "cnn": -0.2}}, recommended=None)
    path = tmp_path / "in" / "comparison.json"
    path.parent.mkdir()
    path.write_text(json.dumps(made))
    found = builders.run(path.parent, output=tmp_path / "out", require_logs=True)
    (alert,) = found.sections["counterbias-models-compare"].alerts
    assert "no correction" in alert.message
    assert "raw counts" in alert.message
    assert {"counterbias-gain-compare", "counterbias-truth-gain-compare"}.isdisjoint(found.sections)


def test_a_recommendation_does_not_contradict_the_checks(tmp_path: Path) -> None:
    pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
    builders.write(tmp_path / "in", "trimmed", ends=[builders.end(centre=-12)])
    builders.write_comparison(tmp_path / "in" / "comparison.json", ["trimmed"])
    found = builders.run(tmp_path / "in", output=tmp_path / "out", make_report=False)
    alerts = [
        alert.message for section in found.sections.values() for alert in section.alerts or ()
    ]
    (advice,) = (alert for alert in alerts if "Recommended by" in alert)
    assert "Samples whose window misses bias need" in advice
