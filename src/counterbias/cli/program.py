"""``counterbias`` without a command: its help, version, citation and completion scripts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterbias.cli.parser import VERSION, Option, Parser, PrintText
from counterbias.errors import InputError

#: The shells that there is a completion script for: ``completions/SHELL`` next to this module.
SHELLS = ("bash", "zsh", "fish")
_COMPLETIONS = Path(__file__).with_name("completions")
#: The citation in a checkout; what is installed has it in its metadata.
_CITATION = Path(__file__).parents[3] / "CITATION.cff"


def _citation(_: object) -> str:
    """Return CITATION.cff, of the checkout or of the installation. Raises InputError."""
    if _CITATION.is_file():
        return _CITATION.read_text(encoding="utf-8")
    from importlib.metadata import PackageNotFoundError, distribution

    name = f"extra_metadata/{_CITATION.name}"
    try:
        text = distribution("counterbias").read_text(name)
    except PackageNotFoundError:
        text = None
    if text is None:
        raise _incomplete(name)
    return text


def _completion(shell: str) -> str:
    """Return the completion script of a shell. Raises InputError."""
    path = _COMPLETIONS / shell
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _incomplete(str(path)) from None


def _incomplete(file: str) -> InputError:
    return InputError(
        "the installation is incomplete: this file is missing",
        file=file,
        remedy="run: pip install --force-reinstall counterbias",
    )


CITATION = Option(
    "--citation",
    action=PrintText,
    nargs=0,
    const=_citation,
    default=argparse.SUPPRESS,
    help="print how to cite Counterbias (CITATION.cff) and stop",
)
COMPLETION = Option(
    "--print-completion",
    action=PrintText,
    const=_completion,
    choices=SHELLS,
    default=argparse.SUPPRESS,
    help="print a script that lets this shell complete commands, options and values, and stop",
)


def build_program_parser(
    commands: Mapping[str, str], parser_class: Any = argparse.ArgumentParser
) -> Parser:
    """Return the parser of ``counterbias`` itself.

    Args:
        commands: name → one line, of each command.
        parser_class: makes the parser of a command from its ``prog``; the default makes one
            without arguments, which is enough for the help text.
    """
    parser = Parser(
        prog="counterbias",
        description="Read counting for RNA-seq, with counts corrected for sequence-specific bias.",
        epilog="`counterbias COMMAND --help` lists the options of a command. `htseq-count` and "
        "`htseq-count-barcodes` are other names of `count` and `count-barcodes`.",
    )
    parser.add_options((VERSION, CITATION, COMPLETION))
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=parser_class
    )
    for name, line in commands.items():
        subparsers.add_parser(name, help=line)
    return parser


def run_without_command(argv: Sequence[str], commands: Mapping[str, str]) -> int:
    """Do what options that stand in the place of a command ask for; return the exit status.

    Args:
        argv: the arguments; where there are none, the help text is printed.
        commands: name → one line, of each command.
    """
    parser = build_program_parser(commands)
    if argv:
        # One option has a value, and may be abbreviated; what else follows is not looked at.
        has_value = COMPLETION.names[0].startswith(argv[0])
        parser.parse_args(argv[: 2 if has_value else 1])
    parser.print_help()
    return 2
