"""What stands on a page: its sections, code blocks and calls of counterbias."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

#: A line that begins or ends a block: indentation, language.
FENCE = re.compile(r"( *)```(\S*)$")
#: A comment of HTML that takes a whole line; readers do not see it.
COMMENT = re.compile(r" *<!--(.*?)-->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    Attributes:
        language: the word after the backticks; empty where there is none.
        line: the number of the first line of code, from 1.
        code: the code, without the indentation of the block.
        note: what the HTML comment before the block says; one blank line may come between.
    """

    language: str
    line: int
    code: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block.

    Attributes:
        line: the number of its first line, from 1.
        code: the command as the shell takes it; it may have several lines.
        shown: the lines of output that the page shows below it.
    """

    line: int
    code: str
    shown: tuple[str, ...]


def read_blocks(text: str) -> Iterator[Block]:
    """Yield the code blocks of a page, in their order."""
    lines = text.splitlines()
    opened: tuple[int, str, str] | None = None  # first line, indentation, language
    for number, line in enumerate(lines, start=1):
        if opened is None:
            if fence := FENCE.match(line):
                opened = (number + 1, *fence.groups())
        elif line == f"{opened[1]}```":
            first, indent, language = opened
            code = [row.removeprefix(indent) for row in lines[first - 1 : number - 1]]
            before = [row for row in lines[max(first - 4, 0) : first - 2] if row.strip()]
            comment = COMMENT.match(before[-1]) if before else None
            note = None if comment is None else comment[1].strip()
            yield Block(language, first, "".join(f"{row}\n" for row in code), note)
            opened = None


def read_commands(block: Block) -> list[Command]:
    """Return the commands of a console block.

    Each begins with ``$``, and goes on after a backslash at the end of a line or at the shell's
    second prompt, ``>``. All other lines are output.
    """
    found: list[Command] = []
    for number, line in enumerate(block.code.splitlines(), start=block.line):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ()))
            continue
        if not found:
            raise AssertionError(f"line {number}: no command above {line!r} begins with $")
        last = found[-1]
        if not last.shown and line.startswith("> "):
            found[-1] = Command(last.line, f"{last.code}\n{line[2:]}", ())
        elif not last.shown and last.code.endswith("\\"):
            found[-1] = Command(last.line, f"{last.code}\n{line}", ())
        else:
            found[-1] = Command(last.line, last.code, (*last.shown, line))
    return found


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language, without their indentation."""
    return [block.code for block in read_blocks(text) if block.language == language]


def section(page: str, heading: str) -> str:
    """Return what stands below a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"no heading {heading}"
    return found.group(1)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of counterbias in the console blocks of a page."""
    for block in read_blocks(text):
        if block.language != "console":
            continue
        for command in read_commands(block):
            for line in command.code.replace("\\\n", " ").splitlines():
                if "…" in line or "counterbias " not in line:
                    continue
                words = shlex.split(line, comments=True)
                if "counterbias" not in words:
                    continue
                words = words[words.index("counterbias") + 1 :]
                if words:  # not `pip install counterbias`
                    yield list(itertools.takewhile(lambda word: word not in (">", "|", "<"), words))
