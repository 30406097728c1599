"""The one exception for everything that a user can cause and mend, and how text is shown in a message."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Characters of one message at most: it is read in a terminal or a log, where a whole line of a file would bury what is wrong; and of one
#: line, which says first whose message it is.
LONGEST, LONGEST_LINE = 280, 299
#: A stretch without a space of more characters than this comes from a file or is a path: it gives way before words do.
_LONGEST_WORD = 72
#: What of a long message is shortened first, and to how many characters at least: file, problem, place, remedy.
_GIVING_WAY = ((0, 40), (2, 100), (1, 30), (3, 90))
_BREAKS = re.compile(r"[ \t\r\n]+")
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")


class InputError(Exception):
    """Report something wrong with what the user gave: a file, an option, a plug-in.

    It is caught once, in ``counterbias.cli.main``, and printed as one line on stderr:
    ``counterbias: FILE, PLACE: PROBLEM. REMEDY``. Library callers get the parts as attributes.

    Args:
        problem: what is wrong, without a full stop.
        file: the file concerned, if any.
        place: where in the file: a line, record or byte position, as text.
        remedy: what the user can do about it, without a full stop.
    """

    exit_code = 1

    def __init__(self, problem: str, *, file: str = "", place: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.file = str(file)
        self.place = place
        self.remedy = remedy
        super().__init__(self.line())

    def line(self) -> str:
        """Give the message as one line for a terminal, as :func:`shown` makes it, shortened where it is too long."""
        file, place, problem, remedy = _fitted(
            (self.file, self.place, self.problem, self.remedy), LONGEST - len(", : . ")
        )
        where = ", ".join(part for part in (file, place) if part)
        text = f"{where}: {problem}" if where else problem
        return f"{text}. {remedy[:1].upper()}{remedy[1:]}" if remedy else text


class UsageError(InputError):
    """Report a command line that cannot be understood."""

    exit_code = 2


def shown(text: str, most: int = LONGEST) -> str:
    """Make one line of at most ``most`` characters of a text that may hold anything: names and values come from files.

    Line breaks, tabs and several spaces become one space, everything else that is not seen is escaped (:func:`harmless`), and what is
    too long loses its middle. A text of ordinary length and characters stays as it is.
    """
    folded = _BREAKS.sub(" ", text).strip(" ")
    # Escapes are longer than what they stand for: cut before, so that a line of megabytes is not escaped, and after.
    text = harmless(_without_middle(folded, 4 * most))
    if len(text) > most:
        text = _LONG_WORD.sub(lambda word: _without_middle(word[0], _LONGEST_WORD), text)
    return _without_middle(text, most)


def harmless(text: str) -> str:
    r"""Escape what a terminal would obey, hide or put elsewhere, as ``\x1b`` or ``\u202e``: control and formatting characters.

    These are all that Unicode does not call printable, so bidirectional overrides, zero-width characters, line separators and lone
    surrogates as well; a byte of a file name that is not UTF-8 is shown as that byte.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    # Python keeps a byte that it cannot decode as one of these surrogates.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _without_middle(text: str, most: int) -> str:
    """Cut out the middle: how a text ends, as a path or a list with its advice, tells as much as how it begins."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def _fitted(parts: Sequence[str], most: int) -> list[str]:
    """Make file, place, problem and remedy fit to be shown and no longer than ``most`` together; the remedy gives way last."""
    made = [shown(part, most) for part in parts]
    for place, least in _GIVING_WAY:
        too_much = sum(map(len, made)) - most
        if too_much > 0:
            made[place] = shown(made[place], max(least, len(made[place]) - too_much))
    return made
