"""``counterbias models``, and the plug-ins that come with the project."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest

import counterbias
from counterbias.cli import models as models_command
from counterbias.plugins import (
    DISABLE,
    DISABLED,
    FAILED,
    LOADED,
    Manager,
)
from counterbias_backends import pwm
from counterbias_backends.cnn.options import Options as CNNOptions
from tests.plugins.installed import GOOD, Install


def test_models_json_lists_everything(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    install("good-dist", "good", GOOD.format(backend="good"), version="1.2")
    needy = GOOD.format(backend="needy").replace(
        "load)]", "load, extra='deep', requires=('no_such_module',))]"
    )
    install("needy-dist", "needy", needy)
    install(
        "unloadable-dist",
        "unloadable",
        GOOD.format(backend="unloadable").replace("    from", "    import nonexistent_x; from"),
    )
    install("broken-dist", "broken", "import nonexistent_module_of_no_one\n")
    install("off-dist", "off", GOOD.format(backend="off"))
    install("clash-dist", "clash", GOOD.format(backend="clash"))
    install("crash-dist", "crash", GOOD.format(backend="clash"))
    monkeypatch.setenv(DISABLE, "off")
    assert models_command.main(["--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert listing["counterbias_models"] is True
    assert listing["schema"] == [1, 0]
    assert listing["version"] == counterbias.__version__
    backends = {entry["name"]: entry for entry in listing["backends"]}
    assert backends["good"] == {
        "name": "good",
        "summary": "from good",
        "plugin": "good",
        "distribution": "good-dist",
        "version": "1.2",
        "extra": None,
        "missing": [],
        "options": {"pseudocount": 1.0},
        "strand_symmetric": True,
        "needs_tiles": False,
        "problem": None,
    }
    assert backends["needy"]["missing"] == ["no_such_module"]
    assert (
        backends["unloadable"]["problem"] == "ModuleNotFoundError: No module named 'nonexistent_x'"
    )
    assert not {"off", "clash"} & set(backends)
    statuses = {plugin["name"]: plugin["status"] for plugin in listing["plugins"]}
    assert statuses["broken"] == FAILED
    assert statuses["off"] == DISABLED
    clash = next(entry for entry in listing["duplicates"] if entry["name"] == "clash")
    assert [side["origin"] for side in clash["plugins"]] == ["clash-dist 1.0", "crash-dist 1.0"]


def test_models_table(install: Install, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    install("good-dist", "good", GOOD.format(backend="good"), version="1.2")
    needy = GOOD.format(backend="needy").replace(
        "load)]", "load, extra='deep', requires=('no_such_module',))]"
    )
    install("needy-dist", "needy", needy)
    install("broken-dist", "broken", "import nonexistent_module_of_no_one\n")
    assert models_command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = lines[0]
    row = next(row for row, line in enumerate(lines) if line.startswith("good"))
    for title, cell in (("FROM", "good-dist 1.2"), ("TRAINING", "ready")):
        assert lines[row][head.index(title) :].startswith(cell)
    assert lines[row + 1 : row + 3] == ["  from good", "  options: pseudocount=1.0"]
    needy_line = next(line for line in lines if line.startswith("needy"))
    assert "pip install 'needy-dist[deep]'" in needy_line
    broken = next(row for row, line in enumerate(lines) if line.startswith("broken"))
    assert "broken-dist 1.0" in lines[broken]
    assert "No module named 'nonexistent_module_of_no_one'" in " ".join(lines[broken + 1 :])


def test_models_table_fits_into_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert models_command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    row = next(row for row, line in enumerate(lines) if line.startswith("cnn "))
    end = next(end for end in range(row + 1, len(lines)) if not lines[end].startswith(" "))
    words = " ".join(lines[row + 1 : end]).split()
    assert words[:2] == ["convolutional", "networks"]
    defaults = {field.name for field in dataclasses.fields(CNNOptions)}
    assert {word.partition("=")[0] for word in words if "=" in word} == defaults


def test_models_table_is_the_same_for_every_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models_command.main([]) == 0
    usual = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "200")
    assert models_command.main([]) == 0
    assert capsys.readouterr().out == usual


def test_models_table_is_as_wide_as_its_terminal() -> None:
    listing = models_command.describe(Manager())
    listing["backends"] = [
        {
            "name": "m", "distribution": "d", "version": "1", "missing": [], "problem": None,
            "summary": "a model of words that are many", "options": {"depth": 3, "width": 10},
        }
    ]  # fmt: skip
    assert models_command.table(listing, 40).splitlines() == [
        "MODEL  FROM  TRAINING",
        "m      d 1   ready",
        "  a model of words that are many",
        "  options: depth=3 width=10",
    ]
    assert models_command.table(listing, 22).splitlines()[2:] == [
        "  a model of words",
        "    that are many",
        "  options: depth=3",
        "    width=10",
    ]


def test_models_names_are_those_of_the_installed_plugins(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("good-dist", "good", GOOD.format(backend="mine"))
    install("broken-dist", "broken", "import nonexistent_module_of_no_one\n")
    assert models_command.main(["--names"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert names == sorted(names)
    assert {"mine", "pwm", "gru"} <= set(names)
    assert "broken" not in names


def test_models_names_and_json_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        models_command.main(["--json", "--names"])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "counterbias: --json and --names exclude each other. See `counterbias models --help`\n"
    )


def test_models_options_stand_in_the_reference(root: Path) -> None:
    page = (root / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    options = [
        option
        for action in models_command.build_models_parser().actions
        for option in action.option_strings
    ]
    assert options == ["-h", "--help", "--version", "--json", "--names"]
    assert [option for option in options[2:] if f"`{option}`" not in page] == []


def test_models_table_without_any_backend() -> None:
    text = models_command.table(models_command.describe(Manager()))
    assert text == "No bias model is installed.\n"


def test_models_table_writes_defaults_as_the_option_takes_them() -> None:
    assert [models_command._shown(value) for value in (True, 1.5, [4, 10], "x")] == [
        "true",
        "1.5",
        "4,10",
        "x",
    ]


def test_built_in_plugins_stand_in_the_project_as_anyones(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["counterbias"]["pwm"] == "counterbias_backends.pwm"
    assert project["version"] == counterbias.__version__
    manager = Manager()
    assert manager.register(pwm, name="pwm").status == LOADED
    assert list(manager.backends) == ["pwm"]
