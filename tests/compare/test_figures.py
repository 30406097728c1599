"""Figures of ``counterbias compare``: one each over all samples, byte for byte, no text cut."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias.cli import main
from counterbias.figures import ModelFigures, SampleFigures, draw, drawing
from counterbias.figures.composition import divergence
from counterbias.figures.data import Span
from counterbias.figures.drawing import FIGURES, style
from counterbias.figures.layout import mark_of
from counterbias.figures.lettering import fit, fit_names, width_of
from tests.compare.running import QUICK, command

pytest.importorskip("matplotlib")

LONG = "Aligned.sortedByCoord.out_of_a_sample_with_a_very_long_name_"


def test_figures_are_there(done: Path) -> None:
    names = (
        "composition",
        "ma",
        "gain_cost",
        "reliability",
        "evenness",
        "truth",
        "truth_residuals",
        "truth_difference",
    )
    wanted = {f"{name}.{suffix}" for name in names for suffix in ("svg", "png")}
    assert {path.name for path in (done / "figures").iterdir()} == wanted
    text = (done / "figures" / "truth_difference.svg").read_text()
    assert "<dc:date>" not in text
    assert all(name in text for name in QUICK.split(","))
    assert re.search(r">KL \d\.\d{4}", (done / "figures" / "composition.svg").read_text())


def around(value: float, error: float = 0.02) -> Span:
    return value, value - error, value + error


def model(name: str, number: int, *, window: int = 3) -> ModelFigures:
    """Make up all that the figures show of a model; ``number`` makes models differ."""
    fpkm = np.geomspace(1.0, 20000.0, 50)
    shares = {base: [0.25 + 0.01 * number] * (2 * window + 1) for base in "ACGT"}
    parts = dict.fromkeys(("before", "after", "background"), shares)
    estimates = {"raw": fpkm, "weighted": fpkm * (1.1 + number), "corrected": fpkm[::-1].copy()}
    spans = {
        estimate: around(0.4 - 0.03 * number)
        for estimate in (
            "raw",
            "weighted",
            "corrected",
            "weighted_minus_raw",
            "corrected_minus_raw",
        )
    }
    return ModelFigures(
        name,
        number % 3 != 1,
        0.1 * number,
        0.05,
        2.0**number,
        range(-window, window + 1),
        {"both": parts},
        estimates,
        truth=estimates,
        agreement={one: {"pearson": 0.912, "rmse": 0.345} for one in ("raw", "corrected")},
        features=50,
        difference=dict.fromkeys(("rmse", "pearson"), spans),
        points={
            "predicted": (-1.0, 0.0, 1.0),
            "observed": (-1.2, 0.1, np.nan),
            "error": (0.1, 0.1, np.nan),
        },
        halves=spans,
        replicates=spans,
    )


def test_the_divergence_of_two_compositions() -> None:
    """By hand, at the first offset: ½ (¼ · 1 + ⅛ · 1 + ⅛ · 1) bits; at the second one nothing."""
    starts = {"A": (0.5, 0.25), "C": (0.25, 0.25), "G": (0.125, 0.25), "T": (0.125, 0.25)}
    background = dict.fromkeys("ACGT", (0.25, 0.25))
    assert divergence(starts, background) == pytest.approx(0.25 / 2)
    assert divergence(background, background) == 0.0


def sample(name: str, models: list[ModelFigures], starts: int = 1000) -> SampleFigures:
    counts = np.full(50, 20.0)
    return SampleFigures(name, counts, models, np.geomspace(1.0, 900.0, 50), "A", starts)


def study(samples: int, models: int, prefix: str = "", windows: int = 1) -> list[SampleFigures]:
    """Make up a study; with several windows they are in the models' names."""
    return [
        sample(
            f"{prefix}s{number}",
            [
                model(
                    f"{prefix}m{one}" + (f"[{window},10]" if windows > 1 else ""),
                    one,
                    window=window,
                )
                for window in range(10, 10 + windows)
                for one in range(models)
            ],
            1000 * (number + 1),
        )
        for number in range(samples)
    ]


def test_figures_have_the_same_bytes_again(tmp_path: Path) -> None:
    samples = [sample("<s>", [model("a $model_1$", 1)]), sample("t", [model("a $model_1$", 2)])]
    content = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        written = draw(samples, tmp_path / name)
        content.append({Path(path).name: Path(path).read_bytes() for path in written})
    assert set(content[0]) == {f"{name}.{end}" for name in FIGURES for end in ("svg", "png")}
    assert content[0] == content[1]
    assert b"a $model_1$" in content[0]["gain_cost.svg"]
    assert b"&lt;s&gt;" in content[0]["composition.svg"]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Draw only the figures named."""

    def choose(*names: str) -> None:
        monkeypatch.setattr(drawing, "FIGURES", {name: FIGURES[name] for name in names})

    return choose


def test_pages_hold_every_sample_and_replace_those_of_an_earlier_run(
    tmp_path: Path, only: Callable[..., None]
) -> None:
    only("ma", "truth_difference")
    others = {"one.composition.svg", "notes.truth.png", "genes.X.svg"}
    for name in (
        *others,
        "s3.composition.svg",
        "s3.before_after.png",
        "ma.7.svg",
        "truth_difference.9.png",
    ):
        (tmp_path / name).touch()
    written = draw(study(13, 1), tmp_path)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == others | {Path(path).name for path in written}
    pages = [(tmp_path / f"ma.{page}.svg").read_text() for page in (1, 2, 3)]
    found = [re.findall(r">(s\d+)</text>", text) for text in pages]
    assert [len(names) for names in found] == [4, 4, 5]
    assert list(itertools.chain(*found)) == [f"s{number}" for number in range(13)]
    draw(study(1, 1), tmp_path)
    assert (tmp_path / "ma.svg").exists()
    assert not list(tmp_path.glob("ma.*.svg"))


def test_depth_needs_several_samples() -> None:
    assert FIGURES["gain_depth"](study(1, 2)) == []
    assert len(FIGURES["gain_depth"](study(2, 2))) == 1


def test_56_models_have_marks_of_their_own() -> None:
    assert len({tuple(mark_of(number).values()) for number in range(56)}) == 56


def test_each_window_has_its_raw_panel(tmp_path: Path, only: Callable[..., None]) -> None:
    only("composition")
    draw(study(2, 2, windows=2), tmp_path)
    text = (tmp_path / "composition.svg").read_text()
    headings = re.findall(r">((?:raw|m\d)\[[\d,]+\])</text>", text)
    assert headings == [
        "raw[10,10]",
        "m0[10,10]",
        "m1[10,10]",
        "raw[11,11]",
        "m0[11,10]",
        "m1[11,10]",
    ]


def test_windows_share_the_axis_that_only_the_lowest_panels_label() -> None:
    """Of one sample, panels of different windows stand below each other."""
    narrow, wide = model("narrow", 0, window=3), model("wide", 1, window=7)
    with style() as new_figure:
        [page] = FIGURES["composition"]([sample("one", [narrow, wide])])
        panels = page(new_figure).axes
    assert len({panel.get_xlim() for panel in panels}) == 1
    assert panels[0].get_xlim()[0] < -7


def test_a_model_that_was_never_measured_takes_no_ones_mark() -> None:
    """Its gain is unknown in all samples: it has no mark, and means are over the others."""
    from matplotlib.lines import Line2D

    samples = [
        replace(one, models=[replace(one.models[0], gain=math.nan), *one.models[1:]])
        for one in study(3, 3)
    ]
    for name in ("gain_cost", "gain_depth"):
        with style() as new_figure:
            [page] = FIGURES[name](samples)
            figure = page(new_figure)
        texts = [text.get_text() for text in figure.texts]
        names = [text[:2] for text in texts if re.match(r"m\d", text)]
        marks = [one.get_color() for one in figure.artists if isinstance(one, Line2D)]
        legend = dict(zip(names, marks, strict=True))
        assert legend == {"m1": mark_of(0)["color"], "m2": mark_of(1)["color"]}, name
        [panel] = figure.axes
        drawn = {line.get_color() for line in panel.lines if line.get_marker() in ("o", "s")}
        assert drawn == set(legend.values()), name
        if name == "gain_cost":
            assert any("over the 3" in text.replace("\n", " ") for text in texts)


def test_a_model_without_results_in_a_sample_leaves_its_panel_empty(
    tmp_path: Path, only: Callable[..., None]
) -> None:
    only("composition")
    first, second = study(2, 2)
    draw([first, sample("second", list(second.models[:1]))], tmp_path)
    assert (tmp_path / "composition.svg").read_text().count(">no result</text>") == 1


SHAPES = [
    (1, 1, "", 1),
    (1, 1, LONG * 3, 1),
    (1, 8, "", 1),
    (1, 8, LONG, 2),
    (2, 3, "W" * 40, 1),
    (7, 9, LONG, 1),
    (36, 2, "Probe mit Ümläuten ", 1),
]


def last_pages(samples: list[SampleFigures]) -> Iterator[tuple[str, Any]]:
    """Yield the last page of each figure."""
    for name, pages_of in FIGURES.items():
        with style() as new_figure:
            for page in pages_of(samples)[-1:]:
                yield name, page(new_figure)


@pytest.mark.parametrize(("samples", "models", "prefix", "windows"), SHAPES)
def test_no_text_is_cut_and_none_lies_on_another(
    samples: int, models: int, prefix: str, windows: int
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    for name, figure in last_pages(study(samples, models, prefix, windows)):
        canvas = FigureCanvasAgg(figure)
        renderer = canvas.get_renderer()
        figure.draw(renderer)
        undrawn = _undrawn(figure)
        texts = [
            one
            for one in figure.findobj(Text)
            if one.get_visible() and one.get_text().strip() and id(one) not in undrawn
        ]
        assert len(texts) > 5, name
        names = np.array([one.get_text() for one in texts])
        boxes = np.array([one.get_window_extent(renderer).extents for one in texts])
        low, high = boxes[:, :2], boxes[:, 2:]
        cut = (low < 0).any(axis=1) | (high > [figure.bbox.x1, figure.bbox.y1]).any(axis=1)
        assert not cut.any(), (name, names[cut])
        meet = (low[:, None] + 1 < high[None]).all(axis=2)
        first, second = np.nonzero(np.triu(meet & meet.T, k=1))
        assert len(first) == 0, (name, names[first], names[second])


def _undrawn(figure: Any) -> set[int]:
    """Return the texts that are not on the page: those of ticks beyond an axis, or of no axis."""
    found = set()
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if not panel.axison or not low <= tick.get_loc() <= high:
                    found |= {id(tick.label1), id(tick.label2)}
    return found


def test_names_that_fit_are_whole_and_others_stay_distinct() -> None:
    assert fit("biased", 1.0, 8) == "biased"
    broken = fit("a_long_name_of_a_sample", 1.0, 8, lines=3)
    assert broken.replace("\n", "") == "a_long_name_of_a_sample"
    assert all(width_of(line, 8) <= 1.0 for line in broken.split("\n"))
    same = [f"{'x' * 60}{middle}{'y' * 60}" for middle in "ab"]
    short = fit_names(same, 1.0, 8, lines=1)
    assert len(set(short)) == 2
    assert all("…" in one and width_of(one, 8) <= 1.0 for one in short)


# -- models that misbehave ---------------------------------------------------------------------


def test_without_matplotlib_all_but_figures_is_written(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from counterbias import figures

    monkeypatch.setattr(figures, "is_available", lambda: False)
    assert main(command(folder, tmp_path, "--folds", "1", "--seeds", "1", models="heptamer")) == 0
    assert "pip install 'counterbias[compare]'" in capsys.readouterr().err
    assert list((tmp_path / "figures").iterdir()) == []
    assert (tmp_path / "comparison.json").exists()
