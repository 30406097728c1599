"""Completion as a user sees it: what each shell offers when the key is pressed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counterbias.cli import COMMANDS
from counterbias.cli.parser import Parser
from counterbias.cli.program import SHELLS
from tests.cli.completing import ASK, OFFER
from tools import completion, generate
from tools.parsers import build_whole_parser, commands_of

#: Takes the words of a command line, the last of which is to be completed; returns what is offered.
Offers = Callable[..., set[str]]

#: What ``counterbias models --names`` prints in these tests: one of ours, and a plug-in's.
NAMES = {"pwm", "cnn", "mine"}
FILES = {"reads.bam", "genes.gtf", "pooled.model", "two words.sam"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with files, another folder, and a program that knows the installed models."""
    folder = tmp_path_factory.mktemp("completion")
    program = folder / "bin" / "counterbias"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$*" = "models --names" ] || exit 1\n'
        + "".join(f"echo {name}\n" for name in sorted(NAMES))
    )
    program.chmod(0o755)
    (folder / "offer.zsh").write_text(OFFER)
    (folder / "work" / "results").mkdir(parents=True)
    for name in FILES:
        (folder / "work" / name).touch()
    return folder


@pytest.fixture(params=SHELLS)
def offers(request: pytest.FixtureRequest, folder: Path) -> Offers:
    """Ask a shell what it offers for a command line."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")

    def ask(*words: str) -> set[str]:
        environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "SCRIPT": str(generate.COMPLETIONS / shell),
            "HOME": str(folder),
        }
        done = subprocess.run(
            [*ASK[shell], *words],
            cwd=folder / "work",
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.stderr == ""
        lines = done.stdout.replace("\\ ", " ").splitlines()  # zsh quotes blanks
        offered = (line.partition("\t")[0].removesuffix("/") for line in lines)
        # fish repeats the option before what it offers.
        option = f"{words[-1].partition('=')[0]}=" if words[-1].startswith("--") else ""
        return {line.removeprefix(option) if "=" in words[-1] else line for line in offered}

    return ask


def long_options(command: str) -> set[str]:
    parser = commands_of(build_whole_parser())[command]
    return {
        name
        for action in parser._get_optional_actions()
        for name in action.option_strings
        if name.startswith("--")
    }


def test_scripts_are_up_to_date() -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in generate.COMPLETIONS.iterdir()}
    assert kept == completion.completion_scripts(), "run `make generated`"


def test_commands_and_options_of_the_program(offers: Offers) -> None:
    assert offers("") >= set(COMMANDS)
    assert offers("co") == {name for name in COMMANDS if name.startswith("co")}
    assert offers("--") == {"--help", "--version", "--citation", "--print-completion"}
    assert offers("--print-completion", "") == set(SHELLS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command(command: str, offers: Offers) -> None:
    assert {name.removesuffix("=") for name in offers(command, "--")} == long_options(command)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["count", "--mode", ""], {"union", "intersection-strict", "intersection-nonempty"}),
        (["count", "-m", "i"], {"intersection-strict", "intersection-nonempty"}),
        (["count", "--bias-counts=w"], {"weighted"}),
        (["count", "reads.bam", "genes.gtf", "--nonunique", "f"], {"fraction"}),
        (["compare", "--truth-scale", ""], {"abundance", "counts"}),
        (["simulate", "--library", "s"], {"single"}),
        (["train", "--bias-pool", ""], {"samples", "reads"}),
    ],
)
def test_choices(words: list[str], expected: set[str], offers: Offers) -> None:
    assert offers(*words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["count", ""], FILES | {"results"}),
        (["count", "-s", "no", "rea"], {"reads.bam"}),
        (["count", "-t", "gene", "-t", "exon", "rea"], {"reads.bam"}),
        (["count", "reads.bam", "ge"], {"genes.gtf"}),
        (["count", "--bias-genome", "ge"], {"genes.gtf"}),
        (["count", "two"], {"two words.sam"}),
        (["compare", "-o", ""], {"results"}),
        (["simulate", "--output", "r"], {"results"}),
    ],
)
def test_files_and_folders(words: list[str], expected: set[str], offers: Offers) -> None:
    assert offers(*words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--bias-model", ""], {"auto"} | NAMES),
        (["count", "--bias-model", ""], {"auto", "none", "results"} | NAMES | FILES),
        (["count", "--bias-model", "m"], {"mine"}),
        (["count", "--bias-model=po"], {"pooled.model"}),
        (["compare", "--models", "m"], {"mine"}),
        (["simulate", "--bias-model", "b"], {"builtin"}),
    ],
)
def test_models_are_those_installed(words: list[str], expected: set[str], offers: Offers) -> None:
    assert offers(*words) == expected


def test_list_of_models(offers: Offers) -> None:
    assert {word.rpartition(",")[2] for word in offers("compare", "--models", "pwm,m")} == {"mine"}


def test_nothing_is_offered_that_only_the_user_knows(offers: Offers) -> None:
    assert offers("count", "--bias-seed", "") == set()
    assert offers("count", "--bias-window", "") == set()


def test_argument_of_an_unknown_sort_is_not_forgotten() -> None:
    parser = Parser(prog="counterbias models", description="")
    action = parser.add_argument("-x", "--moon", metavar="PHASE")
    with pytest.raises(ValueError, match="does not say what -x/--moon PHASE takes"):
        completion._taken_by(action)


def test_generating_writes_what_changed_and_removes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "_ROOT", tmp_path)
    monkeypatch.setattr(generate, "COMPLETIONS", tmp_path / "scripts")
    monkeypatch.setattr(generate, "MAN", tmp_path / "man")
    generate.main()
    made = {path.relative_to(tmp_path) for path in files_within(tmp_path)}
    assert capsys.readouterr().out.splitlines() == [
        *(f"wrote scripts/{shell}" for shell in SHELLS),
        *(f"wrote man/counterbias{name}.1" for name in ("", *(f"-{name}" for name in COMMANDS))),
    ]
    (tmp_path / "man" / "counterbias-gone.1").touch()
    (tmp_path / "scripts" / "bash").write_text("old")
    generate.main()
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "removed man/counterbias-gone.1",
        "wrote scripts/bash",
    ]
    assert {path.relative_to(tmp_path) for path in files_within(tmp_path)} == made


def files_within(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
