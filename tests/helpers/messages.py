"""Messages of commands, as they are once their loops have been compiled."""

from __future__ import annotations

#: How lines begin that only the first run of some loops writes.
FIRST_RUN = "First run: compiling "


def lines_of(stderr: str) -> list[str]:
    """Return the lines of stderr, without those of a first run."""
    return [line for line in stderr.splitlines() if not line.startswith(FIRST_RUN)]
