"""The manual pages: up to date, whole, and printed without a complaint."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from counterbias import __version__
from counterbias.cli import COMMANDS
from counterbias.cli.parser import Parser
from tools import man_pages
from tools.parsers import build_whole_parser, commands_of

PAGES = ["counterbias", *(f"counterbias-{name}" for name in COMMANDS)]

#: Program → the words that print a page at its standard input, with every warning.
RENDERERS = {
    "groff": ["groff", "-ww", "-man", "-Tutf8", "-P-cbou", "-rLL=100n"],
    "man": ["man", "--warnings", "--local-file", "-"],
    "mandoc": ["mandoc", "-W", "warning", "-T", "utf8"],
}
#: mandoc misses a date; with one, the pages would change from day to day.
NO_DATE = re.compile(r"^mandoc: (.*missing date.*|see above the output .*)\n", re.MULTILINE)

Render = Callable[[str], str]


@pytest.fixture(params=RENDERERS)
def render(request: pytest.FixtureRequest) -> Render:
    """Print a page as a terminal shows it, without type faces; any complaint is an error."""
    program = request.param
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")

    def print_page(page: str) -> str:
        done = subprocess.run(
            RENDERERS[program],
            input=page,
            capture_output=True,
            encoding="utf-8",
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"},
        )
        assert NO_DATE.sub("", done.stderr) == ""
        plain = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)
        plain = re.sub(r"‐\n\s*", "", plain)  # words divided at the end of a line
        return " ".join(plain.split())

    return print_page


def page_of(root: Path, name: str) -> str:
    return (root / "man" / f"{name}.1").read_text(encoding="utf-8")


def words_of(page: str) -> str:
    """Return a page's words, without type faces and escapes."""
    plain = re.sub(r"\\f[BIR]", "", page).replace(r"\-", "-").replace(r"\(aq", "'")
    return re.sub(r"\\\[u([0-9A-F]{4})\]", lambda code: chr(int(code[1], 16)), plain)


def parser_of(name: str) -> argparse.ArgumentParser:
    program = build_whole_parser()
    command = name.partition("-")[2]
    return commands_of(program)[command] if command else program


def test_pages_are_up_to_date(root: Path) -> None:
    pages = {path.name: path.read_text(encoding="utf-8") for path in (root / "man").iterdir()}
    assert pages == man_pages.man_pages(), "run `make generated`"
    assert set(pages) == {f"{name}.1" for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_every_option_is_on_its_page(root: Path, name: str) -> None:
    paragraphs = words_of(page_of(root, name)).split(".TP\n")
    parser = parser_of(name)
    options = parser._get_optional_actions()
    assert len(options) >= 4
    for action in options:
        value = action.metavar if action.metavar else "|".join(map(str, action.choices or ()))
        names = ", ".join(action.option_strings)
        heading = names if action.nargs == 0 else f"{names} {value}"
        assert sum(text.startswith(f"{heading}\n") for text in paragraphs) == 1, heading
    for action in parser._get_positional_actions():
        if name != "counterbias":
            assert any(text.startswith(f"{action.metavar}\n") for text in paragraphs)


def test_page_of_the_program_leads_to_the_commands_and_the_environment(root: Path) -> None:
    words = words_of(page_of(root, "counterbias"))
    for name, (_, line) in COMMANDS.items():
        assert f"counterbias-{name}(1)\n{line[0].upper()}{line[1:]}.\n" in words
    reference = (root / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    variables = re.findall(r"^\| `([A-Z_]+)`", reference, flags=re.MULTILINE)
    assert len(variables) >= 3
    assert [one for one in variables if f".TP\n{one}\n" not in words] == []


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_printed_without_a_complaint(root: Path, name: str, render: Render) -> None:
    shown = render(page_of(root, name))
    assert f"{name.upper()}(1)" in shown
    assert f"Counterbias {__version__}" in shown
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
        assert f" {heading} " in shown


def test_text_of_a_count_page_as_a_reader_sees_it(root: Path, render: Render) -> None:
    shown = render(page_of(root, "counterbias-count"))
    assert "counterbias count [OPTION ...] alignments ... annotation DESCRIPTION" in shown
    assert "-s, --stranded yes|no|reverse Whether the library is strand-specific:" in shown
    assert "when repeated, the values are joined by ':' (default: gene_id)." in shown
    assert "'gene_name == \"ACTB\"'." in shown
    assert "instead of standard output: .tsv, .csv, .mtx, .h5ad or .loom." in shown


def test_options_that_must_be_given_are_in_the_synopsis(root: Path, render: Render) -> None:
    shown = render(page_of(root, "counterbias-train"))
    assert (
        "SYNOPSIS counterbias train [OPTION ...] -o FILE --bias-genome FASTA alignments ... "
        "annotation DESCRIPTION"
    ) in shown


@pytest.mark.parametrize(
    "text",
    [
        ".tsv or .csv",
        "'quoted' first",
        r"a back\slash, \n and \fB",
        'a "quote", a ^ and a ~',
        "-x -- a — dash, an ellipsis … and β",
        "50% of `all`",
    ],
)
def test_text_is_printed_as_it_is(
    text: str, monkeypatch: pytest.MonkeyPatch, render: Render
) -> None:
    parser = Parser(prog="counterbias models", description=text)
    parser.add_argument("--odd", metavar="A…B", help=text.replace("%", "%%"))
    shown = render(man_pages._command_page("models", parser))
    plain = text.replace("`", "")  # bold
    assert f" DESCRIPTION {plain} OPTIONS " in shown
    assert f" --odd A…B {plain[0].upper()}{plain[1:]}. EXIT STATUS " in shown
