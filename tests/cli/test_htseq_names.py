"""htseq-count's names for our commands, and programs of these names."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from counterbias import __version__
from counterbias.cli import ALIASES, COMMANDS, main
from tests.barcodes.small_cells import read, write

#: Program → the command that it runs.
PROGRAMS = {f"counterbias-{alias}": command for alias, command in ALIASES.items()}


def run_program(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, *words: str
) -> int | str | None:
    """Run an installed program in this process; return its exit status."""
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts[name].partition(":")
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}", *words])
    try:
        return int(getattr(importlib.import_module(module), function)())
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize(("alias", "command"), ALIASES.items())
def test_another_name_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], alias: str, command: str
) -> None:
    assert command in COMMANDS
    assert alias not in COMMANDS
    files = write(tmp_path, [read("a", "T", "A"), read("a", "T", "A"), read("b", "G", "A")])
    outcomes = []
    for name in (alias, command):
        assert main([name, "--minaqual", "5", *files]) == 0
        outcomes.append(capsys.readouterr())
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].out.count("\n") > 5


def test_a_misspelt_name_is_told_of_by_its_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["htseq-count-barcode"]) == 2
    assert "Did you mean 'htseq-count-barcodes'?" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "command"), PROGRAMS.items())
def test_programs_take_the_arguments_of_the_command(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    command: str,
) -> None:
    files = write(tmp_path, [read("a", "T", "A")])
    assert main([command, *files]) == 0
    expected = capsys.readouterr()
    assert run_program(root, monkeypatch, name, *files) == 0
    assert capsys.readouterr() == expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_print_a_bare_version_as_htseq_count_does(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run_program(root, monkeypatch, name, "--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(("name", "command"), PROGRAMS.items())
def test_help_and_mistakes_name_the_command(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    command: str,
) -> None:
    assert run_program(root, monkeypatch, name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: counterbias {command} ")
    assert run_program(root, monkeypatch, name, "--nonsense", "a.bam", "b.gtf") == 2
    message = capsys.readouterr().err
    assert message.startswith("counterbias: unrecognized arguments: --nonsense")
    assert f"See `counterbias {command} --help`" in message
