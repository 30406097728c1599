"""Positions → windows of bases: the only place that reads genomes.

A :class:`Genome` gives contigs as codes 0-3 = A, C, G, T and 4 for all else. :func:`extract` and :func:`iterate_contexts` cut
windows out of them on the read's strand, contig by contig, so that one contig in memory is enough. A window that holds an N or
leaves the contig is marked as not valid; bases are never made up.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import threading
import warnings
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.records import Positions, Window

#: Bytes of decoded contigs that a genome keeps; the latest contig stays whatever its size.
CACHE_BYTES = 1 << 28

#: Code of everything that is not A, C, G, T or U.
UNKNOWN = 4

_CODES = np.full(256, UNKNOWN, dtype=np.uint8)
for _letters, _code in ((b"Aa", 0), (b"Cc", 1), (b"Gg", 2), (b"TtUu", 3)):
    _CODES[list(_letters)] = _code

_READ_BYTES = 1 << 24
_REMEDY_INDEX = "delete the .fai file, so that it is made anew"


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a contig lies in the file: bases, offset of the first, bases per line, bytes per line."""

    length: int
    offset: int
    bases: int
    width: int

    @property
    def end(self) -> int:
        """Offset after the contig's last base."""
        if not self.length:
            return self.offset
        return self.offset + (self.length - 1) // self.bases * self.width + (self.length - 1) % self.bases + 1


class CodesByContig(Protocol):
    """What windows are cut from: a genome, or anything else with this method."""

    def codes(self, contig: str) -> NDArray[np.uint8]:
        """Give a contig's codes, uint8 (length,)."""


class Genome:
    """Open a FASTA file, plain or compressed with bgzip or gzip.

    An index (.fai) that is missing, damaged or older than the file is made; a plain file's is kept beside it where the folder can
    be written. Compressed files are unpacked to a temporary file (TMPDIR), which is gone when the genome is closed.

    Args:
        path: the FASTA file.
        aliases: name used by the alignments → name in the FASTA file.
        cache_bytes: how many bytes of contigs to keep; the contig used last is kept in any case.

    Raises InputError for a file that is missing, not FASTA, damaged, or has two contigs of one name. Threads may share one.
    """

    def __init__(
        self, path: str | os.PathLike[str], aliases: Mapping[str, str] | None = None, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.path = os.fspath(path)
        self.aliases = dict(aliases or {})
        self.cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._file, self._entries = _open(self.path)
        self._close = weakref.finalize(self, os.close, self._file)
        for name, target in self.aliases.items():
            if target not in self._entries:
                self.close()
                raise InputError(
                    f"the alias '{name}' stands for the contig '{target}', which the genome lacks",
                    file=self.path,
                    remedy=f"the genome has {_listed(list(self._entries))}",
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Contig names as the file has them, in its order."""
        return tuple(self._entries)

    @property
    def lengths(self) -> dict[str, int]:
        """Contig name → bases."""
        return {name: entry.length for name, entry in self._entries.items()}

    def __contains__(self, contig: str) -> bool:
        """Tell whether the genome has a contig of this name or alias."""
        return self.aliases.get(contig, contig) in self._entries

    def length(self, contig: str) -> int:
        """Give the bases of a contig, by name or alias. Raises InputError where there is none."""
        return self._entries[self._resolve(contig)].length

    def codes(self, contig: str) -> NDArray[np.uint8]:
        """Give a contig as uint8 (length,), read-only: 0-3 = A, C, G, T in either case (U is T), 4 = anything else."""
        name = self._resolve(contig)
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
            entry = self._entries[name]
            held = sum(len(codes) for codes in self._cache.values())
            while self._cache and held + entry.length > self.cache_bytes:
                held -= len(self._cache.popitem(last=False)[1])
            codes = self._load(name, entry)
            codes.setflags(write=False)
            self._cache[name] = codes
            return codes

    def check(self, contigs: Sequence[str], lengths: Sequence[int]) -> None:
        """Check that every contig named is there and has at least the length given.

        Pass the contigs that are needed, with the alignment header's lengths or the last positions used + 1. Raises InputError.
        """
        for contig, length in zip(contigs, lengths, strict=True):
            name = self._resolve(contig, contigs)
            if self._entries[name].length < length:
                raise InputError(
                    f"the contig '{name}' has {self._entries[name].length} bases, but the alignments use {length} of '{contig}'",
                    file=self.path,
                    remedy="give the genome that the reads were aligned to",
                )

    def close(self) -> None:
        """Close the file; the genome cannot be used any more."""
        self._cache.clear()
        self._close()

    def __enter__(self) -> Genome:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resolve(self, contig: str, asked: Sequence[str] = ()) -> str:
        """Give the file's name of a contig. Raises InputError, naming both styles."""
        name = self.aliases.get(contig, contig)
        if name in self._entries:
            return name
        other = contig[3:] if contig.startswith("chr") else f"chr{contig}"
        if other in self._entries:
            both = f"the alignments say '{contig}' where the genome says '{other}'"
        else:
            both = f"the alignments have {_listed(list(asked) or [contig])}, the genome has {_listed(list(self._entries))}"
        raise InputError(
            f"the genome has no contig '{contig}': {both}",
            file=self.path,
            remedy="give the genome that the reads were aligned to, or pair the names with --bias-contig-alias FILE",
        )

    def _load(self, name: str, entry: _Entry) -> NDArray[np.uint8]:
        """Read a contig a few lines at a time, so that no second copy of it is ever held."""
        codes = np.empty(entry.length, dtype=np.uint8)
        step = max(1, _READ_BYTES // max(1, entry.width) * entry.bases, entry.bases)
        for start in range(0, entry.length, step):
            part = codes[start : start + step]
            full, rest = divmod(len(part), entry.bases)
            size = full * entry.width + rest
            raw = np.zeros((full + 1) * entry.width, dtype=np.uint8)
            offset = entry.offset + start // entry.bases * entry.width
            # The file's last line need not have a line break.
            if _read_at(self._file, raw[:size], offset) < size - (entry.width - entry.bases if not rest else 0):
                raise InputError(f"the file ends within the contig '{name}'", file=self.path, remedy=_REMEDY_INDEX)
            lines = raw.reshape(full + 1, entry.width)
            breaks = lines[:full, entry.bases :]
            if start + len(part) == entry.length and not rest:
                breaks = breaks[:-1]
            if (breaks != ord("\n")).any() and (breaks != (ord("\r"), ord("\n"))[-breaks.shape[1] :]).any():
                raise InputError(f"the index does not fit the file at the contig '{name}'", file=self.path, remedy=_REMEDY_INDEX)
            letters = lines[:, : entry.bases].reshape(-1)[: len(part)]
            if (letters < ord("*")).any() or (letters == ord(">")).any():
                raise InputError(
                    f"the contig '{name}' holds something other than a sequence, or the index does not fit the file",
                    file=self.path,
                    remedy=_REMEDY_INDEX,
                )
            np.take(_CODES, letters, out=part, mode="clip")
        return codes


def extract(
    genome: CodesByContig, contigs: Sequence[str], positions: Positions, window: Window
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut the window around each position.

    Args:
        genome: where the contigs' codes come from.
        contigs: the names that ``positions.contig`` counts in.
        positions: where to cut; a contig of -1 gives a window that is not valid.
        window: how much to cut.

    Returns (contexts, valid): uint8 (n, width), 0-3 = A, C, G, T, 5'→3' on the position's strand, column ``upstream`` at the
    position; and bool (n,), False (and the row 0) where the window leaves the contig or holds anything but these bases.
    """
    contexts = np.zeros((len(positions), window.width), dtype=np.uint8)
    valid = np.zeros(len(positions), dtype=np.bool_)
    for rows, part, part_valid in iterate_contexts(genome, contigs, positions, window):
        contexts[rows] = part
        valid[rows] = part_valid
    return contexts, valid


def iterate_contexts(
    genome: CodesByContig, contigs: Sequence[str], positions: Positions, window: Window, *, batch: int = 1 << 18
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.bool_]]]:
    """Yield (rows, contexts, valid) for at most ``batch`` positions at a time, contig by contig; for scoring large genomes.

    ``rows`` are int64 indices into ``positions``; each row comes once. See :func:`extract` for the rest.
    """
    order = np.argsort(positions.contig, kind="stable")
    numbers, first, sizes = np.unique(positions.contig[order], return_index=True, return_counts=True)
    ends = first + sizes
    for number, start, end in zip(numbers.tolist(), first.tolist(), ends.tolist(), strict=True):
        codes = np.empty(0, dtype=np.uint8) if number < 0 else np.ascontiguousarray(genome.codes(contigs[number]))
        codes = codes.view()
        codes.setflags(write=False)
        for low in range(start, end, batch):
            rows = order[low : min(low + batch, end)]
            contexts = np.empty((len(rows), window.width), dtype=np.uint8)
            valid = np.empty(len(rows), dtype=np.bool_)
            where = positions.position[rows].astype(np.int64, copy=False)
            _gather(codes, where, positions.strand[rows].astype(np.uint8, copy=False), window.upstream, contexts, valid)
            yield rows, contexts, valid


@njit(cache=True, nogil=True)
def _gather(
    codes: NDArray[np.uint8],
    positions: NDArray[np.int64],
    strands: NDArray[np.uint8],
    upstream: int,
    contexts: NDArray[np.uint8],
    valid: NDArray[np.bool_],
) -> None:
    """Copy windows; on the minus strand from right to left, complemented."""
    width = contexts.shape[1]
    for row in range(len(positions)):
        minus = strands[row] != 0
        start = positions[row] + upstream if minus else positions[row] - upstream
        step = -1 if minus else 1
        last = start + step * (width - 1)
        good = min(start, last) >= 0 and max(start, last) < len(codes)
        if good:
            for column in range(width):
                code = codes[start + step * column]
                if code > 3:
                    good = False
                    break
                contexts[row, column] = 3 - code if minus else code
        if not good:
            for column in range(width):
                contexts[row, column] = 0
        valid[row] = good


def read_aliases(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a file of two tab-separated columns: a contig's name in the alignments, its name in the genome.

    Empty lines and lines that begin with # are skipped. Raises InputError, naming the line.
    """
    name = os.fspath(path)
    try:
        text = Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("there is no such file", file=name, remedy="check the name after --bias-contig-alias") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the aliases cannot be read ({getattr(error, 'strerror', None) or error})", file=name) from None
    aliases: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 2 or not all(parts):
            raise InputError(
                f"expected two names separated by a tab, found '{line[:60]}'",
                file=name,
                place=f"line {number}",
                remedy="write the name in the alignments, a tab, the name in the genome",
            )
        if aliases.setdefault(parts[0], parts[1]) != parts[1]:
            raise InputError(
                f"'{parts[0]}' stands for both '{aliases[parts[0]]}' and '{parts[1]}'", file=name, place=f"line {number}"
            )
    if not aliases:
        raise InputError("the file holds no aliases", file=name, remedy="write two names per line, separated by a tab")
    return aliases


def _open(path: str) -> tuple[int, dict[str, _Entry]]:
    """Open a FASTA file and its index; give a file descriptor of the plain text and the contigs."""
    try:
        with open(path, "rb") as file:
            head = file.read(2)
    except FileNotFoundError:
        raise InputError("there is no such file", file=path, remedy="check the name of the genome") from None
    except OSError as error:
        raise InputError(f"the genome cannot be read ({error.strerror or error})", file=path) from None
    if not head:
        raise InputError("the genome is empty", file=path)
    with tempfile.TemporaryDirectory(prefix="counterbias-") as folder:
        # Under a name of ours, since pyfaidx goes by the name's ending where we go by the content.
        plain = os.path.join(folder, "genome.fa")
        packed = head == b"\x1f\x8b"
        if packed:
            _unpack(path, plain)
        else:
            os.symlink(os.path.abspath(path), plain)
        index = os.path.join(folder, "genome.fa.fai")
        kept = _take_index(path, plain, index)
        entries = _read_index(path, plain, index)
        if not kept and not packed:
            _keep_index(index, f"{path}.fai")
        return os.open(plain, os.O_RDONLY), entries


def _unpack(path: str, target: str) -> None:
    """Unpack a compressed genome: pyfaidx reads compressed files only with the help of another large package."""
    errors: Any = (EOFError, gzip.BadGzipFile, zlib.error)
    opener: Any = gzip.open
    try:
        from isal import igzip, isal_zlib

        opener, errors = igzip.open, (*errors, isal_zlib.error)
    except ImportError:
        pass
    try:
        with opener(path, "rb") as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file, 1 << 22)
    except errors as error:
        raise InputError(
            f"the compressed genome is truncated or damaged ({error})", file=path, remedy="make it anew with bgzip"
        ) from None
    except OSError as error:
        raise InputError(
            f"the genome cannot be unpacked to {os.path.dirname(target)} ({error.strerror or error})",
            file=path,
            remedy="unpack it beforehand, or set TMPDIR to a folder with more room",
        ) from None


def _take_index(path: str, plain: str, index: str) -> bool:
    """Copy the index beside the file where it fits; tell whether it did. pyfaidx makes it otherwise."""
    beside = f"{path}.fai"
    try:
        if os.path.getmtime(beside) >= os.path.getmtime(path) and _fits(beside, plain):
            shutil.copyfile(beside, index)
            return True
    except OSError:
        pass
    return False


def _keep_index(index: str, beside: str) -> None:
    """Put a new index beside its file, whole or not at all; a folder that cannot be written is no harm.

    Not for compressed files, where other programs expect a second index with it.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(beside) or ".", prefix=".counterbias-", delete=False) as file:
            try:
                file.write(Path(index).read_bytes())
                os.chmod(file.fileno(), 0o644)
                os.replace(file.name, beside)
            except OSError:
                os.unlink(file.name)
    except OSError:
        pass


def _fits(index: str, plain: str) -> bool:
    """Tell whether an index is whole: each contig follows a header with its name, and nothing comes after the last one."""
    try:
        rows = [line.split("\t") for line in Path(index).read_text(encoding="utf-8").splitlines()]
        entries = [(row[0], _Entry(*(int(field) for field in row[1:5]))) for row in rows]
        before = 0
        with open(plain, "rb") as file:
            for name, entry in entries:
                file.seek(before)
                gap = file.read(entry.offset - before).strip() if entry.offset >= before else b""
                # Comment lines may stand before the first contig.
                header = gap.splitlines()[-1:] or [b""]
                if header[0][1:].split()[:1] != [name.encode()] or gap.count(b"\n>") + gap.startswith(b">") != 1:
                    return False
                before = entry.end
            file.seek(before)
            return bool(entries) and not file.read(1 << 16).strip()
    except (OSError, ValueError, TypeError, ZeroDivisionError):
        return False


def _read_index(path: str, plain: str, index: str) -> dict[str, _Entry]:
    """Read the index with pyfaidx."""
    records = _call_pyfaidx(path, plain, index)
    entries = {name: _Entry(record.rlen, record.offset, record.lenc, record.lenb) for name, record in records.items()}
    if not any(entry.length for entry in entries.values()):
        raise InputError("the genome holds no sequences", file=path)
    return entries


def _call_pyfaidx(path: str, plain: str, index: str) -> dict[str, Any]:
    """Open a file with pyfaidx, which makes the index where there is none; give its records. Its exceptions become InputError."""
    # Imported at use: it is slow to import, and only bias models need it.
    import pyfaidx

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pyfaidx.Faidx(plain, indexname=index, rebuild=True) as faidx:
                return dict(faidx.index)
    except pyfaidx.FastaIndexingError as error:
        problem = str(error).replace(f" in {plain}", "").replace(f"The FASTA file {plain}", "the file")
        raise InputError(f"this is not a usable FASTA file ({problem.rstrip('.')})", file=path) from None
    except UnicodeDecodeError:
        raise InputError("this is binary data, not FASTA text", file=path) from None
    except ValueError as error:
        if "Duplicate key" in str(error):
            name = str(error).partition('"')[2].rstrip('"')
            raise InputError(f"two contigs are named '{name}'", file=path, remedy="keep one of them") from None
        raise InputError(f"the genome cannot be indexed ({error})", file=path) from None
    except Exception as error:
        raise InputError(f"the genome cannot be indexed ({type(error).__name__}: {error})", file=path) from None


def _read_at(file: int, target: NDArray[np.uint8], offset: int) -> int:
    """Fill an array from a file; give the bytes that were there."""
    done = 0
    view = memoryview(target.data)
    while done < len(target):
        got = os.preadv(file, [view[done : done + (1 << 30)]], offset + done)
        if not got:
            break
        done += got
    return done


def _listed(names: list[str]) -> str:
    """Give the first few names for a message."""
    return ", ".join(f"'{name}'" for name in names[:3]) + (" …" if len(names) > 3 else "")
