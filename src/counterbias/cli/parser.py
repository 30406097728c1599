"""argparse as every command uses it: options declared once, mistakes reported in one line.

Help goes to standard output whole.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import IO, Any, NoReturn

from counterbias.errors import shown
from counterbias.writers.standard_output import write_standard_output

#: Most characters of a usage error that are shown: what a user typed may be long.
_LONGEST = 200
#: How similar to an unknown option, from 0 to 1, an option must be to be suggested.
_SIMILAR = 0.75


class Option:
    """One option or positional argument, declared once for all commands that take it.

    Args:
        names: its names, as in ``"-q", "--quiet"``; that of a positional argument has no dash.
        settings: what :meth:`argparse.ArgumentParser.add_argument` takes by keyword.
    """

    def __init__(self, *names: str, **settings: Any) -> None:
        self.names = names
        self.settings = settings


class Parser(argparse.ArgumentParser):
    """Parse the arguments of one command; usage errors end the program with status 2.

    Attributes:
        actions: what :meth:`add_argument` and :meth:`add_options` have added.
    """

    def __init__(
        self, *, prog: str, description: str, epilog: str = "", allow_abbrev: bool = True
    ) -> None:
        self.actions: list[argparse.Action] = []
        super().__init__(
            prog=prog, description=description, epilog=epilog or None, allow_abbrev=allow_abbrev
        )

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add an option (see argparse)."""
        action = super().add_argument(*names, **settings)
        self.actions.append(action)
        return action

    def add_options(self, options: Iterable[Option], title: str = "") -> None:
        """Add options, under a heading of their own in the help text unless ``title`` is empty."""
        if not title:
            for option in options:
                self.add_argument(*option.names, **option.settings)
            return
        group = self.add_argument_group(title)
        for option in options:
            self.actions.append(group.add_argument(*option.names, **option.settings))

    def error(self, message: str) -> NoReturn:
        """Report a mistake in one line that names the page of help."""
        text = shown(message, _LONGEST)
        self.exit(2, f"counterbias: {text}. See `{self.prog} --help`\n")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse (see argparse); an unknown option is an error that suggests a similar one."""
        arguments, rest = self.parse_known_args(args, namespace)
        if rest:
            # The value of an unknown option is taken for a file, which leaves a file over.
            unknown = [word for word in rest if word.startswith("-")] or rest
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._suggestion(unknown)}")
        return arguments

    def _suggestion(self, words: Sequence[str]) -> str:
        """Suggest the option that is spelled most like the first unknown one, if any is."""
        import difflib

        unknown = next((word.partition("=")[0] for word in words if word.startswith("--")), "")
        known = [name for action in self.actions for name in action.option_strings]
        similar = difflib.get_close_matches(unknown, known, n=1, cutoff=_SIMILAR)
        return f" (did you mean {similar[0]}?)" if similar else ""

    def print_help(self, file: IO[str] | Any = None) -> None:
        """Print the options."""
        if file is None:
            write_standard_output(self.format_help())
        else:
            super().print_help(file)


class PrintText(argparse.Action):
    """Print what ``const``, a function of the option's value, returns; then stop.

    This is done whether or not files are named.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Print it (see argparse). Raises what the function raises."""
        assert callable(self.const)
        write_standard_output(self.const(values))
        parser.exit()


def _version(_: object) -> str:
    from counterbias import __version__

    return f"{__version__}\n"


#: An option of every command.
VERSION = Option(
    "--version",
    action=PrintText,
    nargs=0,
    const=_version,
    default=argparse.SUPPRESS,
    help="print the version and stop",
)
#: An option of every command that takes a while.
QUIET = Option(
    "-q",
    "--quiet",
    action="store_true",
    help="write only warnings and errors to standard error",
)
