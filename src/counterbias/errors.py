"""The one exception for everything that a user can cause and mend."""

from __future__ import annotations


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
        """Give the message as one line, with any line breaks inside it folded."""
        where = ", ".join(part for part in (self.file, self.place) if part)
        text = f"{where}: {self.problem}" if where else self.problem
        if self.remedy:
            text = f"{text}. {self.remedy[:1].upper()}{self.remedy[1:]}"
        return " ".join(text.split())
