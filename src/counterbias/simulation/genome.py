"""Genomes, simulated or supplied by the user, and their FASTA files.

A simulated genome consists of isochores of different GC content, each a second-order Markov chain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import whole_stream
from counterbias.simulation.kernels import draw_seed, fill_bases
from counterbias.simulation_options import SHORTEST_CONTIG

_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
#: Bases per line of a FASTA file.
_LINE = 60
#: GC contents that isochores can have.
_GC_LEVELS = np.linspace(0.34, 0.62, 15)


@dataclass(frozen=True, slots=True)
class Genome:
    """The sequences of all contigs in one array.

    Args:
        names: contig names.
        offsets: int64 (contigs + 1,): contig ``c`` is ``bases[offsets[c]:offsets[c + 1]]``.
        bases: uint8, 0-3 = A, C, G, T; 4 = N, which only a user's genome has.
    """

    names: tuple[str, ...]
    offsets: NDArray[np.int64]
    bases: NDArray[np.uint8]

    @property
    def lengths(self) -> dict[str, int]:
        """Contig name → number of bases."""
        return dict(zip(self.names, np.diff(self.offsets).tolist(), strict=True))

    def contig(self, index: int) -> NDArray[np.uint8]:
        """Return the bases of one contig."""
        return self.bases[self.offsets[index] : self.offsets[index + 1]]


def simulate_genome(
    rng: np.random.Generator, lengths: Mapping[str, int], *, isochore: int = 30_000
) -> Genome:
    """Simulate contigs whose composition varies along them, as in real genomes.

    Isochores (exponential lengths with a mean near ``isochore`` bases) differ in GC content, from
    34 to 62%. Within an isochore, a second-order Markov chain avoids CG and favours runs of A and
    of T.

    Raises:
        InputError: for a contig of fewer than 100 bases.
    """
    for name, length in lengths.items():
        if length < SHORTEST_CONTIG:
            raise InputError(
                f"contig {name} has {length} bases",
                remedy=f"simulate contigs of at least {SHORTEST_CONTIG} bases",
            )
    offsets = np.concatenate(([0], np.cumsum(list(lengths.values())))).astype(np.int64)
    total = int(offsets[-1])
    pieces = rng.exponential(isochore, size=int(total / isochore * 1.5) + 20) + 500
    ends = np.cumsum(pieces).astype(np.int64)
    ends = np.append(ends[ends < total], total)
    levels = np.rint(rng.beta(2.0, 2.5, size=len(ends)) * (len(_GC_LEVELS) - 1)).astype(np.int64)
    bases = np.empty(total, dtype=np.uint8)
    fill_bases(bases, _transition_tables(rng), ends, levels, draw_seed(rng))
    return Genome(tuple(lengths), offsets, bases)


def _transition_tables(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return cumulative probabilities of the base after each pair of bases.

    Returns:
        float64 (levels, 16, 3); the cumulative probability of T, which is 1, is left out.
    """
    log_odds = rng.normal(0.0, 0.12, size=(4, 4, 4))
    log_odds[:, 1, 2] -= 1.0  # CG is rare in most genomes
    log_odds[0, 0, 0] += 0.35
    log_odds[3, 3, 3] += 0.35
    tables = np.empty((len(_GC_LEVELS), 16, 3))
    for level, content in enumerate(_GC_LEVELS):
        tilt = np.log([1 - content, content, content, 1 - content])
        odds = np.exp(log_odds + tilt).reshape(16, 4)
        tables[level] = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)[:, :3]
    return tables


def write_fasta(path: str | os.PathLike[str], genome: Genome) -> None:
    """Write a genome as FASTA, with its index (``PATH.fai``)."""
    path = Path(path)
    rows = []
    with whole_stream(path) as stream:
        for number, (name, length) in enumerate(genome.lengths.items()):
            stream.write(f">{name}\n".encode())
            rows.append(f"{name}\t{length}\t{stream.tell()}\t{_LINE}\t{_LINE + 1}\n")
            write_sequence(stream, genome.contig(number))
    with whole_stream(path.with_name(path.name + ".fai")) as stream:
        stream.write("".join(rows).encode())


def write_sequence(stream: BinaryIO, bases: NDArray[np.uint8]) -> None:
    """Write bases as lines of FASTA."""
    letters = _LETTERS[bases]
    whole = len(letters) // _LINE * _LINE
    lines = np.full((whole // _LINE, _LINE + 1), ord("\n"), dtype=np.uint8)
    lines[:, :_LINE] = letters[:whole].reshape(-1, _LINE)
    stream.write(lines.tobytes())
    if whole < len(letters):
        stream.write(letters[whole:].tobytes() + b"\n")
