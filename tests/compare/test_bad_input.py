"""User errors of ``counterbias compare``: one clear line, a non-zero exit, no folder left."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterbias.cli import main
from tests.compare.running import command, truth_of

BAD_TABLES = {
    "nothing in common": (
        "gene\tA\nx\t1\ny\t2\n",
        "no name in column 'gene' is the identifier of a feature",
    ),
    "twice": ("gene\tA\nx\t1\nx\t2\n", "line 3: 'x' is already in line 2"),
    "no number": ("gene\tA\nx\thigh\n", "line 2: 'high' in column 'A' is not a number"),
    "infinite": ("gene\tA\nx\tinf\n", "'inf' in column 'A' is not a number"),
    "no column": ("gene\tB\nx\t1\n", "there is no column 'A'"),
    "ragged": ("gene\tA\nx\t1\t2\n", "3 columns, the first line has 2"),
    "empty": ("", "the truth table is empty"),
}


def test_an_attribute_that_no_feature_has(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(command(folder, tmp_path / "out", *truth_of(folder), "--truth-attribute", "gene_nam"))
        == 1
    )
    assert "no feature has the attribute 'gene_nam'" in capsys.readouterr().err


@pytest.mark.parametrize("case", sorted(BAD_TABLES))
def test_bad_truth(
    case: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD_TABLES[case]
    (tmp_path / "truth.tsv").write_text(content)
    assert (
        main(
            command(
                folder, tmp_path / "out", "--truth", tmp_path / "truth.tsv", "--truth-column", "A"
            )
        )
        == 1
    )
    captured = capsys.readouterr()
    assert message in captured.err
    assert "truth.tsv" in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "out").exists(), "a folder made for nothing is removed"


def test_bad_input_leaves_a_folder_of_the_user_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert (
        main(
            command(
                folder, tmp_path / "out", "--truth", tmp_path / "none.tsv", "--truth-column", "A"
            )
        )
        == 1
    )
    assert (tmp_path / "out").is_dir()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--truth-column", "A"], "needs --truth FILE"),
        (["--truth", "genes.gtf"], "needs --truth-column"),
        (["--truth", "nowhere.tsv", "--truth-column", "A"], "cannot be read"),
        (["--truth", "nowhere.tsv", "--truth-column", "A,B"], "2 columns for 1 alignment files"),
        (["--groups", "a,b"], "2 groups for 1 alignment files"),
        (["--folds", "6"], "there are 5 folds"),
        (["--folds", "0"], "at least 1"),
        (["--seeds", "x"], "give a number"),
        (["--models", "nosuch"], "no backend 'nosuch'"),
        (["--models", "nosuch.model"], "no such model file"),
        (["--models", "pwm:size=3"], "no such option"),
        (["--windows", "10"], "not a window"),
    ],
)
def test_wrong_options(
    more: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(folder, tmp_path / "out", *more)) == 1
    stderr = capsys.readouterr().err
    assert message in stderr
    assert stderr.count("\n") == 1


def test_a_file_in_the_place_of_the_folder_and_a_doubled_sample(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(command(folder, tmp_path / "file")) == 1
    assert "names a file" in capsys.readouterr().err
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "figures").write_text("")
    assert main(command(folder, tmp_path / "old")) == 1
    assert "old/figures: this file is where the folder of the" in capsys.readouterr().err
    assert main(command(folder, tmp_path / "out", samples=("one", "one"))) == 1
    assert "both named 'one'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--bias-model", "pwm", *command(folder, tmp_path / "out")[1:]])
    assert stop.value.code == 2
