"""The command line: arguments → pipeline → exit status.

Each command is a module, imported only when it is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from counterbias.cli import failures, process, signals, streams
from counterbias.errors import UsageError
from counterbias.writers.standard_output import abandon_standard_output, flush_standard_output

#: Command → (module with ``main(argv) -> int``, one line for the help text).
COMMANDS = {
    "count": (
        "counterbias.cli.count",
        "count reads per feature as htseq-count does, with bias-weighted counts as well",
    ),
    "count-barcodes": (
        "counterbias.cli.count_barcodes",
        "count UMIs per cell and feature as htseq-count-barcodes does, weighted as well",
    ),
    "collect": (
        "counterbias.cli.collect",
        "join the corrected counts of many samples to matrices of a cohort",
    ),
    "compare": (
        "counterbias.cli.compare",
        "compare bias models on your own data, with each other and against a truth",
    ),
    "simulate": (
        "counterbias.cli.simulate",
        "simulate reads with a known bias and a known abundance, and write their truth",
    ),
    "train": (
        "counterbias.cli.train",
        "fit one bias model to many samples, and report what it gains in each",
    ),
    "models": ("counterbias.cli.models", "list the bias models that are installed"),
}
#: htseq-count's names of commands → ours, for tools that call a program by its name.
ALIASES = {"htseq-count": "count", "htseq-count-barcodes": "count-barcodes"}


def _dispatch(argv: Sequence[str]) -> int:
    if not argv or argv[0].startswith("-"):
        from counterbias.cli.program import run_without_command

        return run_without_command(argv, {name: line for name, (_, line) in COMMANDS.items()})
    name = ALIASES.get(argv[0], argv[0])
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(argv[0], [*COMMANDS, *ALIASES], n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"commands: {', '.join(COMMANDS)}"
        raise UsageError(f"there is no command '{argv[0]}'", remedy=hint)
    command = importlib.import_module(COMMANDS[name][0])
    return int(command.main(list(argv[1:])))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    It is 0 where all was done, 1 for bad input, 2 for bad usage, 130 after Ctrl-C, 143 and 129
    after SIGTERM and SIGHUP. Every error that a user can cause ends here, as one line on stderr.
    """
    if argv is not None:
        return _run(argv)
    streams.prepare()  # before anything is opened
    process.prepare()
    status = _run(None)
    process.finish()
    return status


def htseq_count() -> int:
    """Run ``counterbias htseq-count``; this is the program ``counterbias-htseq-count``."""
    sys.argv.insert(1, "htseq-count")
    return main()


def htseq_count_barcodes() -> int:
    """Do the same with ``htseq-count-barcodes``."""
    sys.argv.insert(1, "htseq-count-barcodes")
    return main()


@signals.ends_by_signal
def _run(argv: Sequence[str] | None) -> int:
    """Do what :func:`main` does, with safe streams."""
    try:
        status = _dispatch(sys.argv[1:] if argv is None else argv)
        flush_standard_output()
        return status
    except BrokenPipeError:
        # The reader of our stdout went away (`counterbias count … | head`): no message, no flush.
        abandon_standard_output()
        return 1
    except Exception as error:
        if signals.is_ending():
            raise signals.Stopped from error
        problem = failures.explain(error)
        if problem is None:
            raise
        streams.write_line(f"counterbias: {problem.line()}")
        return problem.exit_code
