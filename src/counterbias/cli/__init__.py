"""The command line: arguments → pipeline → exit code. One module per command, imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from counterbias.errors import InputError, shown

#: Command → (module with ``main(argv) -> int``, one line for the help text).
COMMANDS = {
    "count": ("counterbias.cli.count", "count reads per feature as htseq-count does, with bias-weighted counts beside it"),
    "compare": ("counterbias.cli.compare", "compare bias models on your own data, with each other and against a truth"),
    "simulate": ("counterbias.cli.simulate", "simulate reads with a known bias and a known abundance, and the truth beside them"),
    "train": ("counterbias.cli.train", "fit one bias model to many samples, and tell what it gains in each"),
    "models": ("counterbias.cli.models", "list the bias models that are installed"),
}

#: The exit status of a run that Ctrl-C ended, as shells expect it.
INTERRUPTED = 130


def _usage() -> str:
    lines = ["usage: counterbias [--version] [--help] COMMAND [ARGUMENT ...]", ""]
    lines += ["Read counting for RNA-seq, with counts corrected for sequence-specific bias.", "", "commands:"]
    lines += [f"  {name:<8} {summary}" for name, (_, summary) in COMMANDS.items()]
    lines += ["", "`counterbias COMMAND --help` tells a command's options.", ""]
    return "\n".join(lines)


def _version() -> str:
    from importlib.metadata import version

    return version("counterbias")


def _dispatch(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(_version())
        return 0
    if argv[0] not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"commands: {', '.join(COMMANDS)}"
        raise InputError(f"there is no command '{argv[0]}'", remedy=hint)
    command = importlib.import_module(COMMANDS[argv[0]][0])
    return int(command.main(list(argv[1:])))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give the exit status: 0 done, 1 bad input, 2 bad usage, 130 interrupted.

    Whatever a user can cause ends here, as one line on stderr.
    """
    try:
        status = _dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return status
    except InputError as error:
        sys.stderr.write(f"counterbias: {error.line()}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("counterbias: interrupted; no output file was left half written\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout went away (`counterbias count … | head`): nothing to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"counterbias: {shown(f'{place}{error.strerror or error}')}\n")
        return 1
