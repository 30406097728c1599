"""Manual pages in roff, made from the parsers: ``counterbias.1`` and one page for each command.

The environment variables are those of ``docs/reference/environment.md``. Nothing here depends on
the day or on the version of Python, so that the same parsers give the same bytes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from counterbias import __version__
from counterbias.cli import COMMANDS
from tools.parsers import build_whole_parser, commands_of

_ENVIRONMENT = Path(__file__).parents[1] / "docs" / "reference" / "environment.md"

#: Status → when; those that every command has.
_EXIT_STATUS = {
    "0": "All was done.",
    "1": "An input cannot be used, or the machine lacks what the run needs; one line on standard "
    "error says what, where, and what to do.",
    "2": "The command line is wrong.",
    "129, 130, 143": "The run was ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; nothing "
    "half-written is left.",
}
#: Command → further statuses.
_FURTHER_STATUS = {
    "compare": {"3": "All outputs were written, but a model failed; its row says why."}
}
#: Characters that roff would change or take for a command.
_ESCAPES = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}
)
#: What follows an argument that may be repeated.
_MORE = r" .\|.\|."


def man_pages() -> dict[str, str]:
    """Return name of file → page."""
    program = build_whole_parser()
    commands = commands_of(program)
    pages = {"counterbias.1": _program_page(program)}
    for name, parser in commands.items():
        pages[f"counterbias-{name}.1"] = _command_page(name, parser)
    return pages


def _program_page(parser: argparse.ArgumentParser) -> str:
    """Return the page of ``counterbias`` itself."""
    lines = _head("counterbias", str(parser.description).rstrip("."))
    lines += [".SH SYNOPSIS", ".B counterbias", f"[{_italic('OPTION')}]", ".br"]
    lines += [".B counterbias", f"{_italic('COMMAND')} [{_italic('ARGUMENT')}{_MORE}]"]
    lines += [".SH DESCRIPTION", _text(str(parser.description))]
    lines += [_text("Each command has a page of its own.")]
    lines += [".SH COMMANDS"]
    for name, (_, summary) in COMMANDS.items():
        lines += [".TP", _reference(f"counterbias-{name}"), _text(_sentence(summary))]
    lines += [".SH OPTIONS", *_options(parser)]
    lines += [".SH EXIT STATUS", *_statuses(_EXIT_STATUS)]
    lines += [".SH ENVIRONMENT"]
    for variable, meaning in _environment():
        lines += [".TP", _bold(variable), _text(_sentence(meaning))]
    lines += _see_also([f"counterbias-{name}" for name in COMMANDS])
    return _page(lines)


def _command_page(name: str, parser: argparse.ArgumentParser) -> str:
    """Return the page of a command."""
    lines = _head(f"counterbias-{name}", COMMANDS[name][1])
    lines += [".SH SYNOPSIS", f".B counterbias {name}", _synopsis(parser)]
    lines += [".SH DESCRIPTION", _text(str(parser.description))]
    if parser._get_positional_actions():
        lines += [".SH ARGUMENTS"]
        for action in parser._get_positional_actions():
            lines += [".TP", _italic(str(action.metavar)), _help(parser, action)]
    lines += [".SH OPTIONS", *_options(parser)]
    lines += [".SH EXIT STATUS", *_statuses(_EXIT_STATUS | _FURTHER_STATUS.get(name, {}))]
    others = [f"counterbias-{other}" for other in COMMANDS if other != name]
    lines += _see_also(["counterbias", *others])
    return _page(lines)


def _head(page: str, summary: str) -> list[str]:
    """Return the title line and the section NAME."""
    title = f'.TH {_escape(page.upper())} 1 "" "Counterbias {__version__}" "User Commands"'
    return [
        r".\" Made from the parsers of the command line by `make generated`: do not edit.",
        title,
        ".SH NAME",
        rf"{_escape(page)} \- {_escape(summary[0].lower() + summary[1:])}",
    ]


def _synopsis(parser: argparse.ArgumentParser) -> str:
    """Return the arguments of a command; of its options only those that must be given."""
    words = [f"[{_italic('OPTION')}{_MORE}]"]
    for action in parser._get_optional_actions():
        if action.required:
            words += [_bold(action.option_strings[0]), _value(action)]
    for action in parser._get_positional_actions():
        words.append(_italic(str(action.metavar)) + (_MORE if action.nargs == "+" else ""))
    return " ".join(words)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser, under the headings of its groups."""
    for group in parser._action_groups:
        actions = [
            action
            for action in group._group_actions
            if action.option_strings and action.help != argparse.SUPPRESS
        ]
        if actions and group is not parser._optionals:
            yield f".SS {_escape(str(group.title).capitalize())}"
        for action in actions:
            names = ", ".join(_bold(name) for name in action.option_strings)
            yield ".TP"
            yield names if action.nargs == 0 else f"{names} {_value(action)}"
            yield _help(parser, action)


def _value(action: argparse.Action) -> str:
    """Return what an option takes: its choices, or the name of its value."""
    if action.metavar is None and action.choices:
        return "|".join(_bold(str(choice)) for choice in action.choices)
    return _italic(str(action.metavar))


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return the help text of an argument, as a sentence."""
    return _text(_sentence(parser._get_formatter()._expand_help(action)))


def _statuses(statuses: dict[str, str]) -> Iterator[str]:
    """Yield the paragraphs on exit statuses."""
    for status, meaning in statuses.items():
        yield from (".TP", _bold(status), _text(meaning))


def _environment() -> list[tuple[str, str]]:
    """Return the environment variables of the reference, each with what it means."""
    page = _ENVIRONMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", page, flags=re.MULTILINE)
    return [(name, re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", meaning)) for name, meaning in rows]


def _see_also(pages: list[str]) -> list[str]:
    """Return the section that names other pages."""
    *first, last = (_reference(page) for page in pages)
    return [".SH SEE ALSO", *(f"{page}," for page in first), last]


def _reference(page: str) -> str:
    """Return the name of another page with its section."""
    return f"{_bold(page)}(1)"


def _sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _text(text: str) -> str:
    """Return a paragraph in one line; what stands between backticks is bold."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    line = "".join(
        _bold(part) if position % 2 else _escape(part) for position, part in enumerate(parts)
    )
    return rf"\&{line}" if line.startswith(".") else line


def _bold(text: str) -> str:
    return rf"\fB{_escape(text)}\fR"


def _italic(text: str) -> str:
    return rf"\fI{_escape(text)}\fR"


def _escape(text: str) -> str:
    """Return a text that roff prints as it is."""
    return "".join(
        char.translate(_ESCAPES) if char.isascii() else rf"\[u{ord(char):04X}]" for char in text
    )


def _page(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
