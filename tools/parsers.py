"""The parsers of the command line, all of them together."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from counterbias.cli import COMMANDS
from counterbias.cli.parser import Parser
from counterbias.cli.program import build_program_parser


def build_whole_parser() -> Parser:
    """Return the parser of ``counterbias``, with those of its commands in it."""
    lines = {name: line for name, (_, line) in COMMANDS.items()}
    return build_program_parser(lines, _build_command_parser)


def _build_command_parser(prog: str, **_: Any) -> Parser:
    """Return the parser of the command ``counterbias COMMAND``."""
    command = prog.split()[-1]
    module = importlib.import_module(COMMANDS[command][0])
    parser: Parser = getattr(module, f"build_{command.replace('-', '_')}_parser")(prog)
    return parser


def commands_of(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """Return command → parser, of a parser that has commands."""
    (commands,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    return dict(commands.choices)
