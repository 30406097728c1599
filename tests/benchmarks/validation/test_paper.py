"""The networks of the paper: the whole command on simulated reads, and answers by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from counterbias import TrainingSet
from counterbias_backends.rnn.parameters import Parameters, parameter_count
from tests.benchmarks.validation.scripts import number, script

SMALL = (
    *("--hidden", "2", "--folds", "1", "--seeds", "1,2", "--truth-seeds", "1"),
    *("--iterations", "1", "--windows", "400", "--pairs", "3000", "--genes", "40", "--bias", "pwm"),
)


def empty_page(path: Path) -> str:
    """Write a page without tables; return what stands around them."""
    tables = script("paper_tables")
    names = (tables.PERPLEXITY, tables.BETWEEN, tables.TRUTH)
    places = [f"{tables.BEGIN}\n{tables.END}\n".format(name=name) for name in names]
    path.write_text("# Title\n\n" + "words\n".join(places) + "the end\n")
    return path.read_text()


def rows_of(page: str, name: str) -> list[dict[str, str]]:
    """Return a table of the page: heading → cell of each row."""
    tables = script("paper_tables")
    part = page.split(tables.BEGIN.format(name=name))[1].split(tables.END.format(name=name))[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_one_command_makes_the_tables_of_the_page(
    simulated_fly: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(simulated_fly))
    page, figures = tmp_path / "page.md", tmp_path / "paper.json"
    empty_page(page)
    options = [*SMALL, "--json", str(figures), "--resume", "--write", str(page)]
    assert script("paper").main([*options, "--figures", str(tmp_path)]) == 0
    assert "real fold 1 seed 2 ratio lstm 2 41" in capsys.readouterr().err
    text = page.read_text()
    assert text.startswith("# Title\n\n")
    assert text.count("words\n") == 2
    assert text.endswith("the end\n")

    networks = [row for row in rows_of(text, "Perplexity and gain") if row["network"]]
    assert len(networks) == 3 * 2 * 2  # trainings, windows, cells
    # 3 H (4 + H + 2) + 4 H + 4 in each of two networks of H = 2 gated recurrent units
    assert networks[0]["parameters"] == str(2 * (6 * 8 + 8 + 4))
    for row in networks:
        sides = ("starts", "background")
        learnt, held_out = (
            [row[f"{name}, {side}"] for name in sides] for side in ("learnt", "held out")
        )
        if row["objective"] == "ratio":
            assert {*learnt, *held_out} == {"–"}
            assert number(row["gain cap5"]) > 0.1
        elif row["objective"] == "language, as in the paper":  # six steps: near to guessing
            assert all(3.6 < number(cell) < 4.6 for cell in (*learnt, *held_out))
        else:  # 10,000 steps: at least the letters' frequencies
            assert all(3.5 < number(cell) < 4.05 for cell in (*learnt, *held_out))
    between = rows_of(text, "Between methods")
    assert len(between) == 3 * 2
    seeds = {row["objective"]: number(row["gru – gru, another seed"]) for row in between}
    assert seeds["ratio"] > 0.9
    assert all(0 < value <= 1 for value in seeds.values())
    truth = rows_of(text, "Against the truth")
    raw, true = truth[:2]
    assert (raw["objective"], true["objective"]) == ("raw counts", "true bias")
    assert number(true["RMSE log2, corrected"]) < number(raw["RMSE log2, corrected"])
    assert len(truth) == 2 + 2 + 2 * 2 * 2
    assert (tmp_path / "paper.svg").stat().st_size < 150_000

    stored = figures.read_text()
    empty_page(page)
    assert script("paper").main(options) == 0  # nothing is left to train
    assert " fold " not in capsys.readouterr().err
    assert page.read_text() == text
    assert figures.read_text() == stored
    assert script("paper").main([*options, "--pairs", "4000"]) == 1
    assert "other options" in capsys.readouterr().err


def test_perplexity_by_hand() -> None:
    networks = script("paper_networks")
    contexts = np.array([[0, 0, 0], [0, 1, 3]], np.uint8)
    flat = np.zeros(parameter_count("gru", 2), np.float32)
    arrays = Parameters("gru", 2, flat).arrays()
    arrays["readout_bias"] = np.log(np.array([4, 2, 1, 1], np.float32))  # P = 1/2, 1/4, 1/8, 1/8
    tables = np.log(np.array([[0.7, 0.1, 0.1, 0.1], [0.5, 0.3, 0.1, 0.1], [0.2, 0.2, 0.2, 0.4]]))

    def trained(network: Any, arrays: dict[str, Any]) -> Any:
        learnt = TrainingSet(network.window, contexts, np.ones(2), contexts[:1], np.ones(1))
        model = SimpleNamespace(to_arrays=lambda: arrays)
        return networks.Trained(network, model, learnt, 0, 0.0)

    plain = networks.Network("gru", 21, 2)
    named = {f"{role}_{name}": one for role in networks.ROLES for name, one in arrays.items()}
    found = networks.perplexities(trained(plain, named), {"foreground": contexts[:1]})
    # 2 to the mean surprise: 1 bit for an A, 2 for a C, 3 for a T
    assert found["foreground"]["held_out"] == pytest.approx(2)
    assert found["foreground"]["learnt"] == pytest.approx(2 ** ((4 * 1 + 2 + 3) / 6))
    logs = {"log_foreground": tables, "log_background": tables}
    found = networks.perplexities(
        trained(networks.Network("pwm", 21), logs), {"background": contexts[1:]}
    )
    assert found["background"]["held_out"] == pytest.approx((0.7 * 0.3 * 0.4) ** (-1 / 3))
    assert found["background"]["learnt"] == pytest.approx((0.7 * 0.5 * 0.2) ** (-1 / 3))
    ratio = networks.Network("gru", 21, 2, networks.RATIO)
    assert networks.perplexities(trained(ratio, {}), {"foreground": contexts}) is None


def test_held_out_windows_come_from_exons_of_the_fold(
    simulated_fly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(simulated_fly))
    networks = script("paper_networks")
    sample = script("paper_expression").prepare(script("paper").fly_files()).sample
    window = networks.WINDOWS[21]
    found = networks.held_out_windows(sample, 1, window, 1)
    features = sample.features
    blocks = list(zip(features.block_start.tolist(), features.block_end.tolist(), strict=True))
    wanted = []
    for row in range(len(sample.starts)):
        place = int(sample.starts.position[row])
        exonic = any(start <= place - 10 and place + 10 < end for start, end in blocks)
        if exonic and place // sample.block % 5 == 1:
            wanted.append(row)
    contexts, _ = sample.cut(sample.starts.take(np.array(wanted)), window)
    assert len(wanted) > 100
    assert np.array_equal(found["foreground"], contexts)
    assert 0.5 * len(wanted) < len(found["background"]) < 1.2 * len(wanted)
    assert not np.array_equal(found["background"][:100], found["foreground"][:100])


def test_tables_by_hand() -> None:
    tables = script("paper_tables")
    about = {"training": "paper", "cell": "gru", "bases": 21, "hidden": 10}
    rows = []
    for fold, seed, value in ((1, 1, 1.0), (1, 2, 3.0), (2, 1, 5.0), (2, 2, 5.0)):
        sides = {"learnt": 3.5, "held_out": 3 + value / 10}
        rows.append(
            {
                **about,
                "part": "real",
                "fold": fold,
                "seed": seed,
                "parameters": 9,
                "seconds": value,
                "perplexity": {"foreground": sides, "background": sides},
                "values": {"gain_cap5": value, "r2": 0.5},
                "density": {"raw": [1.0, 2.0, 4.0, 8.0], "weighted": [1.0, 2.0, 4.0, 8.0 + value]},
            }
        )
    seqbias = {**rows[0], "cell": "seqbias", "hidden": None, "seed": 0}
    seqbias = [
        {**seqbias, "fold": fold, "values": {"gain_cap5": gain, "r2": 0.1}}
        for fold, gain in ((1, 1.5), (2, 6.5))
    ]
    line = tables.perplexity_table([*rows, *seqbias]).splitlines()[2]
    # means over seeds are 2 and 5: mean 3.5, error 1.5; within folds the variances are 2 and 0
    # from seqbias they differ by 0.5 and −1.5
    assert "| 3.500 ± 1.500 | 1.000 | −0.500 ± 1.000 | 0.500 ± 0.000 |" in line
    assert "| 3.5000 | 3.3500 ± 0.1500 |" in line
    rows += [{**row, "cell": "lstm"} for row in rows]
    cells = [cell.strip() for cell in tables.between_table(rows).splitlines()[2].split("|")]
    assert cells[1:5] == ["language, as in the paper", "21", "10", "1.0000 ± 0.0000"]
    # one gene rises, the others' shares fall
    assert cells[-3:-1] == ["1 / 3", "1 / 3"]
    assert tables.spread([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert tables.spread([]) == "–"


def test_a_page_without_places_for_the_tables_is_refused(
    simulated_fly: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(simulated_fly))
    page = tmp_path / "page.md"
    text = empty_page(page).replace("<!-- end of Between methods -->", "")
    page.write_text(text)
    assert script("paper").main(["--write", str(page)]) == 1
    assert "no place for the table 'Between methods'" in capsys.readouterr().err
    assert page.read_text() == text
    assert script("paper").main(["--write", str(tmp_path / "absent.md")]) == 1
    assert "there is no such page" in capsys.readouterr().err


def test_the_tables_of_the_page_are_whole(root: Path) -> None:
    page = root / "docs" / "explanation" / "the-paper.md"
    assert script("paper_tables").problem_of(page) is None
    text = page.read_text(encoding="utf-8")
    networks = [row for row in rows_of(text, "Perplexity and gain") if row["network"]]
    shown = {(row["network"], row["bases"], row["hidden units"]) for row in networks}
    assert shown == {(c, b, h) for c in ("gru", "lstm") for b in ("21", "41") for h in ("10", "20")}
    assert len(networks) == 3 * len(shown)


def test_taqman_truth_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paper = script("paper")
    fields = [
        f"{sample}{place}_{what}"
        for sample in "ABCD"
        for place in range(1, 5)
        for what in ("value", "detection")
    ]
    assays = [("G", "2", "P"), ("G", "4", "P"), ("H", "9", "A")]
    rows = [[symbol, *([value, call] * 16)] for symbol, value, call in assays]
    rows[0][1:5] = [
        "1",
        "P",
        "100",
        "A",
    ]  # sample A, replicates 1 and 2: the second one was not detected
    text = "\n".join("\t".join(row) for row in [["Symbol", *fields], *rows]) + "\n"
    (tmp_path / "taqman.tsv").write_text(text)
    assert (
        paper.main(
            ["--taqman", str(tmp_path / "taqman.tsv"), "--truth", str(tmp_path / "truth.tsv")]
        )
        == 0
    )
    lines = [line.split("\t") for line in (tmp_path / "truth.tsv").read_text().splitlines()]
    assert lines[0] == ["Symbol", "A", "B", "C", "D"]
    assert float(lines[1][1]) == pytest.approx(((1 + 2 + 2) / 3 + 4) / 2)
    assert lines[1][2:] == ["3", "3", "3"]
    assert lines[2] == ["H", "NA", "NA", "NA", "NA"]
    assert "1 genes in A" in capsys.readouterr().err
