"""``counterbias`` without a command: help, version, citation, completion scripts."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from counterbias import __version__
from counterbias.cli import COMMANDS, main, program

#: Words in the place of a command that print something, and stop.
PRINTING = [["--version"], ["--citation"], *(["--print-completion", s] for s in program.SHELLS)]


def stopped(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Return exit status, output and messages of a command line."""
    try:
        status = main(argv)
    except SystemExit as stop:
        status = int(str(stop.code or 0))
    return status, *capsys.readouterr()


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_tells_its_version(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped(capsys, *command, "--version") == (0, f"{__version__}\n", "")


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, messages = stopped(capsys, "--help")
    assert (status, messages) == (0, "")
    for name, (_, line) in COMMANDS.items():
        assert f"    {name} " in shown
        assert " ".join(line.split()[:3]) in shown
    assert stopped(capsys) == (2, shown, "")  # no command is a mistake


# -- citation --------------------------------------------------------------------------------------


def test_citation_is_that_of_this_version(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "CITATION.cff").read_text(encoding="utf-8")
    assert stopped(capsys, "--citation") == (0, text, "")
    assert yaml.safe_load(text)["version"] == __version__


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install nothing but metadata, without a checkout; return their folder."""
    monkeypatch.setattr(program, "_CITATION", tmp_path / "no checkout" / "CITATION.cff")
    folder = tmp_path / "counterbias-9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: counterbias\nVersion: 9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_citation_of_an_installation(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (installed / "extra_metadata").mkdir()
    (installed / "extra_metadata" / "CITATION.cff").write_text("title: β\n", encoding="utf-8")
    assert stopped(capsys, "--citation") == (0, "title: β\n", "")


def test_citation_that_is_missing(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped(capsys, "--citation") == (
        1,
        "",
        "counterbias: extra_metadata/CITATION.cff: the installation is incomplete: this file is "
        "missing. Run: pip install --force-reinstall counterbias\n",
    )


def test_wheel_has_the_citation_and_what_shells_and_man_look_for(root: Path) -> None:
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["extra-metadata"] == {"CITATION.cff": "CITATION.cff"}
    assert wheel["shared-data"] == {
        "man": "share/man/man1",
        "src/counterbias/cli/completions/bash": "share/bash-completion/completions/counterbias",
        "src/counterbias/cli/completions/zsh": "share/zsh/site-functions/_counterbias",
        "src/counterbias/cli/completions/fish": "share/fish/vendor_completions.d/counterbias.fish",
    }
    assert all((root / source).exists() for source in wheel["shared-data"])


# -- completion scripts ----------------------------------------------------------------------------


@pytest.mark.parametrize("shell", program.SHELLS)
def test_completion_script_is_printed(
    shell: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = root / "src" / "counterbias" / "cli" / "completions" / shell
    expected = script.read_text(encoding="utf-8")
    assert stopped(capsys, "--print-completion", shell) == (0, expected, "")
    assert stopped(capsys, f"--print-completion={shell}") == (0, expected, "")


def test_completion_script_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "_COMPLETIONS", tmp_path)
    status, shown, message = stopped(capsys, "--print-completion", "zsh")
    assert (status, shown, message.count("\n")) == (1, "", 1)
    assert message.startswith(f"counterbias: {tmp_path / 'zsh'}: the installation is incomplete")


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--print-completion", "ksh"], "invalid choice: 'ksh' (choose from "),
        (["--print-completion", ""], "invalid choice: ''"),
        (["--print-completion"], "--print-completion: expected one argument"),
        (["--print-completion", "count"], "invalid choice: 'count'"),
        (["--citaton"], "unrecognized arguments: --citaton (did you mean --citation?)"),
        (["--print-completions", "bash"], "(did you mean --print-completion?)"),
        (["--bias-model", "pwm"], "unrecognized arguments: --bias-model"),
        (["-q", "count", "a.bam", "g.gtf"], "unrecognized arguments: -q"),
    ],
)
def test_wrong_options_are_one_line(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, shown, message = stopped(capsys, *argv)
    assert (status, shown, message.count("\n")) == (2, "", 1)
    assert message.startswith("counterbias: ")
    assert words in message
    assert message.endswith("See `counterbias --help`\n")


def test_unknown_shell_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, message = stopped(capsys, "--print-completion", "tcsh")
    assert all(shell in message for shell in program.SHELLS)


@pytest.mark.parametrize("argv", PRINTING)
def test_closed_standard_output(argv: list[str]) -> None:
    command = [sys.executable, "-m", "counterbias", *argv]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("counterbias: standard output is closed")
    assert done.stderr.count("\n") == 1


# -- start-up --------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [*PRINTING, ["--help"], ["count", "--help"], ["count", "--nope"]])
def test_nothing_heavy_is_imported(argv: list[str]) -> None:
    code = f"""
import sys
from counterbias.cli import main
try:
    main({argv!r})
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert not {"numpy", "numba", "pluggy", "pysam", "rich", "shtab", "torch", "yaml"} & loaded
    # What only a call without a command needs costs a command nothing.
    assert ("counterbias.cli.program" in loaded) == (argv[0] != "count")
