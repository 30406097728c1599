"""argparse as every command uses it: a mistake is one line, and help goes to standard output whole."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import IO, Any, NoReturn

from counterbias.errors import shown
from counterbias.writers.standard_output import write_standard_output

#: What ``-q`` means in every command.
QUIET = "say nothing on standard error but warnings and errors"
#: The most characters of a mistake that are told: what a user typed may be long.
_LONGEST = 200


class Parser(argparse.ArgumentParser):
    """Parse the arguments of one command; usage errors end the program with status 2, as argparse does."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where the options are explained, in one line."""
        text = shown(message, _LONGEST)
        self.exit(2, f"counterbias: {text}. See `{self.prog} --help`\n")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse (see argparse); for an option that there is not, name the one that may be meant."""
        arguments, rest = self.parse_known_args(args, namespace)
        if rest:
            # The value of an unknown option is taken for a file, so that a file may be left over for it: it is not at fault.
            unknown = [word for word in rest if word.startswith("-")] or rest
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._near(unknown)}")
        return arguments

    def _near(self, words: Sequence[str]) -> str:
        """Say which option is spelled nearly like the first unknown one."""
        import difflib

        unknown = next((word.partition("=")[0] for word in words if word.startswith("--")), "")
        near = difflib.get_close_matches(
            unknown,
            [text for action in self._actions for text in action.option_strings],
            n=1,
            cutoff=0.75,
        )
        return f" (did you mean {near[0]}?)" if near else ""

    def print_help(self, file: IO[str] | Any = None) -> None:
        """Print the options."""
        if file is None:
            write_standard_output(self.format_help())
        else:
            super().print_help(file)
