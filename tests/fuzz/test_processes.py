"""Commands that are stopped, run out of disk space or lose their input.

``make fuzz`` does the same at many more moments.
"""

from __future__ import annotations

import pytest

from tests.fuzz.case import Case
from tests.fuzz.targets import processes

#: Command, event, and its moment: a share of the running time (for signals, after the first output)
#: or of the size of the largest file.
MOMENTS = [
    ("count", "TERM", 0.0),
    ("count", "KILL", 0.0),
    ("count_sam", "full", 0.5),
    ("count_sam", "cut", 0.3),
]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "event", "moment"), MOMENTS)
def test_nothing_half_written_is_left(command: str, event: str, moment: float) -> None:
    options = {
        "command": command,
        "event": event,
        "seen": True,
        "moment": moment,
        "file": "sample1.name.bam",
        "keep": 0.5,
    }
    processes.check(Case([], options))
