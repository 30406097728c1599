"""The one exception for everything a user can cause and fix, and how messages show text."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Most characters of a message, which in a terminal or a log must not drown in a line of a file.
LONGEST = 280
#: Most characters of an output line, which begins with the program's name.
LONGEST_LINE = 299
#: A longer run without spaces comes from a file or is a path: it is shortened before words are.
_LONGEST_WORD = 72
#: What is shortened in a long message, in this order, and to how many characters at least, by
#: position in (file, place, problem, remedy).
_GIVING_WAY = ((0, 40), (2, 100), (1, 30), (3, 90))
_BREAKS = re.compile(r"[ \t\r\n]+")
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")


class InputError(Exception):
    """Something is wrong with what the user gave: a file, an option, a plug-in.

    It is caught once, in ``counterbias.cli.main``, and printed as one line on stderr:
    ``counterbias: FILE, PLACE: PROBLEM. REMEDY``. Python code finds the parts as attributes.

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
        """Return the message as one line for a terminal, its parts as :func:`shown` makes them."""
        file, place, problem, remedy = _fitted(
            (self.file, self.place, self.problem, self.remedy), LONGEST - len(", : . ")
        )
        where = ", ".join(part for part in (file, place) if part)
        text = f"{where}: {problem}" if where else problem
        return f"{text}. {remedy[:1].upper()}{remedy[1:]}" if remedy else text


class UsageError(InputError):
    """The command line cannot be understood."""

    exit_code = 2


def shown(text: str, most: int = LONGEST) -> str:
    """Return any text as one printable line of at most ``most`` characters.

    Names and values come from files and may hold anything. Line breaks, tabs and runs of spaces
    become one space, other invisible characters are escaped (:func:`harmless`), and a text that is
    too long loses its middle. A text of ordinary length and characters stays as it is.
    """
    folded = _BREAKS.sub(" ", text).strip(" ")
    # Cut before, so that a line of megabytes is not escaped, and after, since escapes are longer.
    text = harmless(_without_middle(folded, 4 * most))
    if len(text) > most:
        text = _LONG_WORD.sub(lambda word: _without_middle(word[0], _LONGEST_WORD), text)
    return _without_middle(text, most)


def harmless(text: str) -> str:
    r"""Escape control and formatting characters, such as ``\x1b`` or ``\u202e``.

    A terminal would obey them, hide them, or move text. These are all characters that Unicode does
    not class as printable: bidirectional overrides, zero-width characters, line separators and lone
    surrogates too. A byte of a file name that is not UTF-8 is shown as that byte.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    # Python represents a byte that it cannot decode as one of these surrogates.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _without_middle(text: str, most: int) -> str:
    """Cut out the middle: the end of a text, as of a path, says as much as its beginning."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def _fitted(parts: Sequence[str], most: int) -> list[str]:
    """Shorten file, place, problem and remedy to ``most`` characters in all; the remedy last."""
    made = [shown(part, most) for part in parts]
    for place, least in _GIVING_WAY:
        too_much = sum(map(len, made)) - most
        if too_much > 0:
            made[place] = shown(made[place], max(least, len(made[place]) - too_much))
    return made
