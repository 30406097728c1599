"""The command line: arguments → pipeline → exit code. One module per command, imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from counterbias.cli import failures, signals, streams
from counterbias.errors import UsageError
from counterbias.writers.standard_output import (
    abandon_standard_output,
    flush_standard_output,
    write_standard_output,
)

#: Command → (module with ``main(argv) -> int``, one line for the help text).
COMMANDS = {
    "count": (
        "counterbias.cli.count",
        "count reads per feature as htseq-count does, with bias-weighted counts beside it",
    ),
    "compare": (
        "counterbias.cli.compare",
        "compare bias models on your own data, with each other and against a truth",
    ),
    "simulate": (
        "counterbias.cli.simulate",
        "simulate reads with a known bias and a known abundance, and the truth beside them",
    ),
    "train": (
        "counterbias.cli.train",
        "fit one bias model to many samples, and tell what it gains in each",
    ),
    "models": ("counterbias.cli.models", "list the bias models that are installed"),
}


def _usage() -> str:
    lines = ["usage: counterbias [--version] [--help] COMMAND [ARGUMENT ...]", ""]
    lines += [
        "Read counting for RNA-seq, with counts corrected for sequence-specific bias.",
        "",
        "commands:",
    ]
    lines += [f"  {name:<8} {summary}" for name, (_, summary) in COMMANDS.items()]
    lines += ["", "`counterbias COMMAND --help` tells a command's options.", ""]
    return "\n".join(lines)


def _dispatch(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        write_standard_output(_usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        from counterbias import __version__

        write_standard_output(f"{__version__}\n")
        return 0
    if argv[0] not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"commands: {', '.join(COMMANDS)}"
        raise UsageError(f"there is no command '{argv[0]}'", remedy=hint)
    command = importlib.import_module(COMMANDS[argv[0]][0])
    return int(command.main(list(argv[1:])))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give the exit status: 0 done, 1 bad input, 2 bad usage, 130 interrupted, 143 and 129 by SIGTERM and SIGHUP.

    Whatever a user can cause ends here, as one line on stderr.
    """
    if argv is None:
        streams.prepare()  # before anything is opened
    return _run(argv)


@signals.ends_by_signal
def _run(argv: Sequence[str] | None) -> int:
    """Do what :func:`main` does, with safe streams."""
    try:
        status = _dispatch(sys.argv[1:] if argv is None else argv)
        flush_standard_output()
        return status
    except BrokenPipeError:
        # The reader of our stdout went away (`counterbias count … | head`): nothing to say, and nothing to flush at exit.
        abandon_standard_output()
        return 1
    except Exception as error:
        if signals.have_come():
            raise signals.Stopped from error
        told = failures.explain(error)
        if told is None:
            raise
        streams.say_line(f"counterbias: {told.line()}")
        return told.exit_code
