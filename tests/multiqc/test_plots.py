"""The plots of the report: values, colours and names, of a few samples and of a cohort."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from counterbias_multiqc import colours
from counterbias_multiqc.parser import parse_report
from tests.helpers import colour_vision
from tests.helpers import multiqc_builders as builders

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")

#: Backgrounds of MultiQC's pages.
LIGHT, DARK = "#ffffff", "#1a1a1a"


def lengths(*values: int, mean: float = 250.0, assumed: bool = False) -> dict[str, Any]:
    """Return the block ``lengths`` with equally probable fragment lengths."""
    return {
        "method": "union",
        "assumed": assumed,
        "fragment_mean": mean,
        "fragment_lengths": list(values),
        "fragment_shares": [1 / len(values)] * len(values),
    }


def pair(centre: int = 1, **changes: Any) -> list[dict[str, Any]]:
    """Return the entries ``ends`` of stranded pairs."""
    return [builders.end(label, centre=centre, **changes) for label in ("read1", "read2")]


def cnn() -> dict[str, Any]:
    return {"backend": "cnn", "upstream": 10, "downstream": 10}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> builders.Outcome:
    """A good sample, a trimmed one, stranded pairs with another model, and a model not used."""
    folder = tmp_path_factory.mktemp("few")
    builders.write(folder / "in", "good", lengths=lengths(100, 200, 300, 400))
    builders.write(
        folder / "in",
        "trimmed",
        ends=[builders.end(centre=-8)],
        lengths=lengths(200, assumed=True, mean=200.0),
    )
    builders.write(
        folder / "in",
        "pairs",
        ends=pair(reliability=builders.reliability(0.5)),
        model=cnn(),
        strandedness={"sense": 10, "antisense": 90, "verdict": "reverse"},
    )
    builders.write(folder / "in", "unused", ends=[builders.end(applied=False)])
    return builders.run(folder / "in", output=folder / "out", require_logs=True)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> builders.Outcome:
    """Thirteen samples: more than have colours or composition tabs, fewer than need heat maps."""
    folder = tmp_path_factory.mktemp("cohort")
    for number in range(13):
        changes: dict[str, Any] = {"lengths": lengths(100, 200, 300, 400)}
        if number == 4:
            changes["ends"] = [builders.end(centre=-8)]
        if number == 5:
            changes["ends"] = [builders.end(applied=False)]
        if number == 6:
            changes["lengths"] = lengths(40, 80, 120, 160, mean=100.0)
        if number == 7:
            weights = builders.document()["weights"]
            changes["weights"] = {**weights, "effective_sample_size": 0.4}
        builders.write(folder / "in", f"s{number:02d}", **changes)
    return builders.run(folder / "in", output=folder / "out", require_logs=True)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> builders.Outcome:
    """Heat maps, as for more than 50 samples, of stranded pairs."""
    folder = tmp_path_factory.mktemp("large")
    for name in ("a", "b", "c"):
        builders.write(
            folder / "in",
            name,
            ends=pair(-8) if name == "c" else pair(applied=name != "b"),
            lengths=lengths(100, 200, 300, 400),
            strandedness={"sense": 9, "antisense": 1, "verdict": None},
        )
    config = folder / "multiqc_config.yaml"
    config.write_text("counterbias:\n  heatmap_above: 2\n  composition_heatmap_above: 2\n")
    return builders.run(
        folder / "in", output=folder / "out", require_logs=True, config_files=[str(config)]
    )


def lines(outcome: builders.Outcome, plot: str, tab: int | str = 0) -> dict[str, dict[str, Any]]:
    """Return the lines of a tab by name, in the order in which they are drawn."""
    datasets = outcome.data["report_plot_data"][f"counterbias_{plot}"]["datasets"]
    dataset = (
        datasets[tab]
        if isinstance(tab, int)
        else next(dataset for dataset in datasets if dataset["label"] == tab)
    )
    return {line["name"]: line for line in dataset["lines"]}


def points(line: dict[str, Any]) -> dict[float, float]:
    return dict(map(tuple, line["pairs"]))


def heat_map(outcome: builders.Outcome, plot: str) -> dict[str, dict[str, float]]:
    """Return the rows of a heat map: name → column → value."""
    dataset = outcome.data["report_plot_data"][f"counterbias_{plot}"]["datasets"][0]
    return {
        name: dict(zip(dataset["xcats"], row, strict=True))
        for name, row in zip(dataset["ycats"], dataset["rows"], strict=True)
    }


def description(outcome: builders.Outcome, section: str) -> str:
    text = re.sub(r"<.*?>", "", outcome.sections[f"counterbias-{section}"].description)
    return " ".join(text.split())


def coloured(outcome: builders.Outcome, plot: str, tab: int | str = 0) -> set[str]:
    """Return the lines that are not grey, having checked that only these are in the legend."""
    found = lines(outcome, plot, tab)
    names = [name for name, line in found.items() if line["color"] != colours.MUTED]
    for name, line in found.items():
        assert line["showlegend"] is (name in names)
        assert line["width"] == (2 if name in names else 1)
    # They are drawn on top of the grey ones.
    assert list(found)[len(found) - len(names) :] == names
    return set(names)


def test_nothing_is_complained_of(
    few: builders.Outcome, cohort: builders.Outcome, large: builders.Outcome
) -> None:
    for outcome in (few, cohort, large):
        assert outcome.status == 0
        assert outcome.messages == ()


def test_composition_has_a_tab_for_each_read_end_with_all_bases(few: builders.Outcome) -> None:
    datasets = few.data["report_plot_data"]["counterbias_composition_plot"]["datasets"]
    # The sample whose model is not used needs a look, and comes first; then that whose window
    # misses bias.
    tabs = ["unused", "trimmed", "good", "pairs", "pairs, read 2"]
    assert [dataset["label"] for dataset in datasets] == tabs
    good = lines(few, "composition_plot", "good")
    assert list(good) == [
        f"{base}, {part}" for part in ("background", "before", "after pwm") for base in "ACGT"
    ]
    source = builders.end()["composition"]
    for base in "ACGT":
        for part, name in (("before", "before"), ("after", "after pwm")):
            assert points(good[f"{base}, {name}"]) == pytest.approx(
                {
                    offset: 100 * share
                    for offset, share in zip(builders.OFFSETS, source[part][base], strict=True)
                }
            )
        assert good[f"{base}, before"]["color"] == colours.BASE_COLOURS[base]
        assert good[f"{base}, before"]["dash"] == "dash"
        assert good[f"{base}, background"]["dash"] == "dot"
        assert not good[f"{base}, after pwm"]["dash"]
    assert "A, after cnn" in lines(few, "composition_plot", "pairs, read 2")
    assert not [name for name in lines(few, "composition_plot", "unused") if "after" in name]


def test_few_samples_all_have_a_colour(few: builders.Outcome) -> None:
    wide = lines(few, "divergence_plot", "Wide range")
    assert set(wide) == {"good", "trimmed", "pairs", "pairs, read 2", "unused"}
    assert len({line["color"] for line in wide.values()}) == 4
    assert coloured(few, "divergence_plot") == set(wide)
    near = lines(few, "divergence_plot", "Before and after")
    assert {"good, after pwm", "pairs, after cnn", "pairs, read 2, after cnn"} <= set(near)
    assert "unused, before" in near
    assert not [name for name in near if name.startswith("unused, after")]
    assert "Bias models (samples): pwm (2), cnn (1)." in description(few, "divergence")


def test_reliability_shows_both_reads_and_names_the_model(few: builders.Outcome) -> None:
    found = lines(few, "size_plot")
    assert set(found) == {
        "as predicted",
        "good, pwm",
        "trimmed, pwm",
        "pairs, cnn",
        "pairs, cnn, read 2",
    }
    assert points(found["pairs, cnn, read 2"])[2.0] == pytest.approx(1.0)
    assert points(found["as predicted"]) == {-2.25: -2.25, 2.25: 2.25}
    assert (found["as predicted"]["dash"], found["as predicted"]["color"]) == ("dash", "#999999")
    assert "Not shown: 1 sample whose model is not used" in description(few, "size")


def test_weights_are_percentages_and_judge_nothing(few: builders.Outcome) -> None:
    found = lines(few, "weights_plot")
    assert set(found) == {"good, pwm", "trimmed, pwm", "pairs, cnn"}
    assert sum(points(found["good, pwm"]).values()) == pytest.approx(100.0)
    section = few.sections["counterbias-weights"]
    assert not section.alerts
    assert not section.status_bar_html
    text = description(few, "weights")
    assert "corrected counts, which we recommend, do not" in text
    assert "Not shown: 1 sample in which all weights are 1." in text


def test_fragment_lengths_are_drawn_where_they_were_measured(few: builders.Outcome) -> None:
    found = lines(few, "fragment_lengths_plot")
    assert set(found) == {"good", "pairs", "unused"}
    # A quarter of the fragments each is about 100, 200, 300 and 400 bases long, so that a quarter
    # lies between 100 and 200, which is 2.5% per 10 bases; likewise in wider intervals.
    assert points(found["good"]) == pytest.approx(
        {150: 2.5, 200: 2.5, 250: 2.5, 300: 2.5, 350: 2.5}
    )
    assert "Not shown: 1 sample whose lengths of 200 bases on average are assumed" in description(
        few, "fragment-lengths"
    )


def test_strands_are_drawn_with_the_setting_that_fits(few: builders.Outcome) -> None:
    plot = few.data["report_plot_data"]["counterbias_strandedness_plot"]["datasets"][0]
    assert set(plot["samples"]) == {
        "good",
        "trimmed",
        "unused",
        "pairs (-s no; fits -s reverse)",
    }
    values = {category["name"]: category["data"] for category in plot["cats"]}
    place = plot["samples"].index("pairs (-s no; fits -s reverse)")
    assert values["On the strand of the gene"][place] == 10
    assert values["On the other strand"][place] == 90
    assert "Counted with -s no." in description(few, "strandedness")
    assert "reverse" in few.sections["counterbias-strandedness"].alerts[0].message


def test_samples_that_pass_are_grey_in_a_cohort(cohort: builders.Outcome) -> None:
    assert coloured(cohort, "divergence_plot") == {"s04", "s05"}
    assert "Grey: 11 samples that pass the checks of this section." in description(
        cohort, "divergence"
    )
    assert coloured(cohort, "size_plot") == {"as predicted"}
    assert coloured(cohort, "weights_plot") == {"s07"}
    assert "Grey: 11 samples whose effective sample size is like the others'" in description(
        cohort, "weights"
    )
    assert coloured(cohort, "fragment_lengths_plot") == {"s06"}
    assert coloured(cohort, "changes_plot") == set()
    # One and the same sample has the same colour everywhere.
    assert (
        lines(cohort, "divergence_plot")["s05"]["color"]
        == colours.assign_colours(["s04", "s05"])["s05"]
    )


def test_composition_of_a_cohort_is_a_heat_map_with_tabs_below(cohort: builders.Outcome) -> None:
    rows = heat_map(cohort, "deviation_heatmap")
    assert next(iter(rows)) == "s05"
    # A is 20 points above its background at +1, the others 10, 5 and 5 points below theirs.
    assert rows["s00"]["before +1 nt"] == pytest.approx(20.0)
    assert rows["s00"]["after +1 nt"] == 0.0
    # Its model is not used: the bias stays.
    assert rows["s05"]["after +1 nt"] == pytest.approx(20.0)
    section = cohort.sections["counterbias-composition-tabs"]
    assert section.plot_anchor == "counterbias_composition_plot"
    plot = cohort.data["report_plot_data"]["counterbias_composition_plot"]
    assert plot["pconfig"]["subtitle"] == "s05"
    assert list(lines(cohort, "composition_plot")) == [
        f"{base}, {part}" for part in ("background", "before") for base in "ACGT"
    ]


def test_heat_maps_show_read_2_and_leave_nobody_blank(large: builders.Outcome) -> None:
    ends = ["a", "a, read 2", "b", "b, read 2", "c", "c, read 2"]
    assert set(heat_map(large, "deviation_heatmap")) == set(ends)
    divergence = heat_map(large, "divergence_heatmap")
    # Samples that need a look come first: b, whose model is not used, and c, which was trimmed.
    assert list(divergence) == ["b", "b, read 2", "c", "c, read 2", "a", "a, read 2"]
    assert divergence["c, read 2"]["-8 nt"] == pytest.approx(2 * 0.2**2)
    assert set(heat_map(large, "size_heatmap")) == set(ends) - {"b", "b, read 2"}
    weights = heat_map(large, "weights_heatmap")
    assert set(weights) == {"a", "c"}
    assert sum(weights["a"].values()) == pytest.approx(100.0, abs=0.1)
    assert "Not shown: 1 sample in which all weights are 1." in description(large, "weights")
    shares = heat_map(large, "fragment_lengths_heatmap")["a"]
    assert next(iter(shares)) == "100–109 nt"
    # A quarter of the fragments per 100 bases.
    assert shares["200–209 nt"] == pytest.approx(2.5)
    assert set(large.rows) == {"a", "b", "c"}
    assert large.sections["counterbias-strandedness"].plot_anchor == (
        "counterbias_strandedness_violin"
    )


def test_one_sample_has_no_plot_that_repeats_a_table(tmp_path: Path) -> None:
    builders.write(tmp_path / "in", "alone")
    found = builders.run(tmp_path / "in", output=tmp_path / "out", require_logs=True)
    assert found.messages == ()
    assert "counterbias-weight-scalars" not in found.sections
    assert "0.5% of the reads have a weight of 1" in description(found, "weights")
    assert "the largest weight is 6.0 times the mean" in description(found, "weights")
    assert "Bias model: pwm." in description(found, "weights")


def test_links_lead_to_headings_of_the_documentation(
    few: builders.Outcome, cohort: builders.Outcome
) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "multiqc.md"
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for outcome in (few, cohort):
        text = " ".join(section.description for section in outcome.sections.values())
        linked = set(re.findall(r"/reference/multiqc/#([\w-]+)", text))
        assert len(linked) >= 8
        assert linked <= anchors


def test_every_plot_has_help_that_says_what_to_do(few: builders.Outcome) -> None:
    for name in ("assignment", "strandedness", "fragment-lengths", "composition", "divergence"):
        section = few.sections[f"counterbias-{name}"]
        assert "Good" in section.helptext, name
        assert "what to do" in section.helptext, name
        assert "/reference/multiqc/#" in section.description, name
        # MultiQC's markdown knows no tables.
        assert "|" not in section.helptext, name


@pytest.mark.parametrize(
    "block",
    [
        {"fragment_lengths": [300, 200], "fragment_shares": [0.5, 0.5]},
        {"fragment_lengths": [200, 300], "fragment_shares": [0.5]},
        {"fragment_lengths": [200, 300], "fragment_shares": [0.5, None]},
        {"fragment_lengths": [200.5, 300], "fragment_shares": [0.5, 0.5]},
        {"fragment_lengths": [-200, 300], "fragment_shares": [0.5, 0.5]},
        {"fragment_lengths": [200, 300], "fragment_shares": [0.0, 0.0]},
        {"fragment_lengths": [200, 300], "fragment_shares": [1.5, -0.5]},
        {"fragment_lengths": "200", "fragment_shares": {}},
        None,
    ],
)
def test_fragment_lengths_that_make_no_sense_are_absent(block: Any) -> None:
    document = builders.document() | {"lengths": block}
    assert parse_report(json.dumps(document)).fragments.lengths == ()


def test_negative_numbers_of_fragments_are_absent() -> None:
    document = builders.document(strandedness={"sense": -1, "antisense": 5, "verdict": "no"})
    report = parse_report(json.dumps(document))
    assert (report.sense, report.antisense) == (None, 5.0)


@pytest.mark.parametrize(
    ("chosen", "distance"),
    [
        (tuple(colours.BASE_COLOURS.values()), 35),
        (tuple(colours.assign_colours("abcd").values()), 20),
        (tuple(colours.assign_colours("abcdefgh").values()), 10),
        ((colours.MUTED, *colours.assign_colours("abcd").values()), 15),
    ],
)
def test_lines_can_be_told_apart_by_everybody(chosen: tuple[str, ...], distance: float) -> None:
    for vision in colour_vision.MACHADO:
        closest = min(
            colour_vision.difference(one, other, vision)
            for one, other in itertools.combinations(chosen, 2)
        )
        assert closest >= distance, vision


def test_lines_are_visible_on_light_and_dark_pages() -> None:
    drawn = {
        *colours.BASE_COLOURS.values(),
        *colours.assign_colours("abcdefgh").values(),
        colours.MUTED,
        colours.GREY,
    }
    for colour in drawn:
        assert colour_vision.contrast(colour, LIGHT) > 2.2, colour
        assert colour_vision.contrast(colour, DARK) > 2.9, colour
