"""Which reads of a library share a bias model."""

from __future__ import annotations

from dataclasses import dataclass

from counterbias.records import StartSites
from counterbias.sampling import End


@dataclass(frozen=True, slots=True)
class ReadEnd:
    """Reads that share a model.

    Reads 1 and 2 are pooled in unstranded libraries (and single reads are alone anyway); in
    stranded libraries, where different chemistry makes their ends, each has a model.

    Args:
        label: what files call it: ``both``, ``read1`` or ``read2``.
        end: what :mod:`counterbias.sampling` calls it.
        numbers: the reads, 0 and 1 standing for read 1 and read 2.
    """

    label: str
    end: End
    numbers: tuple[int, ...]


def read_ends(sites: StartSites, stranded: str) -> tuple[ReadEnd, ...]:
    """Return the read ends of a library, each of which has its own model."""
    if stranded == "no" or len(sites.ends) == 1:
        return (ReadEnd("both", "both", tuple(range(len(sites.ends)))),)
    return ReadEnd("read1", 0, (0,)), ReadEnd("read2", 1, (1,))
