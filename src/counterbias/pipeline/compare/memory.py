"""Peak memory of this process, on Linux."""

from __future__ import annotations

from contextlib import suppress


def start_of_peak() -> int | None:
    """Begin to measure the peak of resident memory.

    Returns the resident memory now, kB, or None on other systems.
    """
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return None
    return _status("VmRSS")


def peak_since(before: int | None) -> float | None:
    """Return by how much resident memory had grown at its peak, MB.

    ``before`` is what :func:`start_of_peak` returned.
    """
    peak = _status("VmHWM")
    return None if before is None or peak is None else max(peak - before, 0) / 1024


def _status(name: str) -> int | None:
    """Read a figure of this process, kB."""
    with (
        suppress(OSError, ValueError, IndexError),
        open("/proc/self/status", encoding="ascii") as file,
    ):
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return None
