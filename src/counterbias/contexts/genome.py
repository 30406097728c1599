"""FASTA files, plain or compressed, and the names that alignments have for their contigs."""

from __future__ import annotations

import gzip
import os
import shutil
import threading
import warnings
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.contexts.pages import Entry, Pages
from counterbias.errors import InputError
from counterbias.files import remove_leftovers, scratch_folder, whole_stream

#: Bytes of decoded pages that a genome keeps; those of the latest contig stay, however many.
CACHE_BYTES = 1 << 28


class Genome:
    """Open a FASTA file, plain or compressed with bgzip or gzip.

    An index (.fai) that is missing, damaged or older than the file is made; a plain file's is kept beside it where the folder can
    be written. Compressed files are unpacked to a temporary file (TMPDIR), which is gone when the genome is closed.

    Args:
        path: the FASTA file.
        aliases: name used by the alignments → name in the FASTA file.
        cache_bytes: how many bytes of decoded pages to keep; those of the contig used last are kept in any case.

    Raises InputError for a file that is missing, not FASTA, damaged, or has two contigs of one name. Threads may share one.
    """

    def __init__(
        self, path: str | os.PathLike[str], aliases: Mapping[str, str] | None = None, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.path = os.fspath(path)
        self.aliases = dict(aliases or {})
        self.cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, Pages] = OrderedDict()
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
        name, pages = self._take(contig)
        pages.ensure_all()
        self._make_room(name)
        return pages.codes

    def codes_within(
        self, contig: str, start: NDArray[np.int64], end: NDArray[np.int64], *, before: int = 0, after: int = 0
    ) -> NDArray[np.uint8]:
        """Give a contig as :meth:`codes` does, but only with what lies in some intervals; elsewhere the array may hold anything.

        Intervals are int64 (n,), 0-based and half open, each longer by ``before`` and ``after`` bases; they may leave the contig. Nothing
        else is read or takes memory.
        """
        name, pages = self._take(contig)
        if pages.ensure(start, end, before=before, after=after):
            self._make_room(name)
        return pages.codes

    def fetch(self, contig: str, start: NDArray[np.int64], end: NDArray[np.int64], *, around: int = 0) -> bool:
        """Read what lies in intervals and so many bases around them before it is asked for; False, and nothing done, where half is full.

        Arguments are those of :meth:`codes_within`.
        """
        with self._lock:
            held = sum(pages.held for pages in self._cache.values())
        if held > self.cache_bytes // 2:
            return False
        self.codes_within(contig, start, end, before=around, after=around)
        return True

    def _take(self, contig: str) -> tuple[str, Pages]:
        """Find a contig's pages, none of them decoded where it was not asked for lately."""
        name = self._resolve(contig)
        with self._lock:
            if name not in self._cache:
                self._cache[name] = Pages(self._file, self.path, name, self._entries[name])
            self._cache.move_to_end(name)
            return name, self._cache[name]

    def _make_room(self, name: str) -> None:
        """Let go of other contigs than this one until what is held is not too much."""
        with self._lock:
            held = sum(pages.held for pages in self._cache.values())
            # The one used last goes first: contigs are gone through in turn, time and again, and whoever let go of the one used longest ago
            # would always let go of the next one wanted.
            for other in [other for other in reversed(self._cache) if other != name] if held > self.cache_bytes else []:
                if held <= self.cache_bytes:
                    break
                held -= self._cache.pop(other).held

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


def _open(path: str) -> tuple[int, dict[str, Entry]]:
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
    with scratch_folder() as folder:
        # Under a name of ours, since pyfaidx goes by the name's ending where we go by the content.
        plain = os.path.join(folder, "genome.fa")
        packed = head == b"\x1f\x8b"
        if packed:
            _unpack(path, plain)
        else:
            os.symlink(os.path.abspath(path), plain)
        entries = _kept_index(path, plain)
        if entries is None:
            index = os.path.join(folder, "genome.fa.fai")
            entries = _read_index(path, plain, index)
            if not packed:
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


def _kept_index(path: str, plain: str) -> dict[str, Entry] | None:
    """Read the index beside the file; None where there is none that fits it."""
    beside = f"{path}.fai"
    try:
        return _fitting(beside, plain) if os.path.getmtime(beside) >= os.path.getmtime(path) else None
    except OSError:
        return None


def _keep_index(index: str, beside: str) -> None:
    """Put a new index beside its file, whole or not at all; a folder that cannot be written is no harm.

    Not for compressed files, where other programs expect a second index with it.
    """
    remove_leftovers([beside])
    with suppress(InputError, OSError), whole_stream(beside) as file:
        file.write(Path(index).read_bytes())


def _fitting(index: str, plain: str) -> dict[str, Entry] | None:
    """Read an index; None where it is not whole: each contig must follow a header with its name, and nothing the last one."""
    try:
        rows = [line.split("\t") for line in Path(index).read_text(encoding="utf-8").splitlines()]
        entries = [(row[0], Entry(*(int(field) for field in row[1:5]))) for row in rows]
        before = 0
        with open(plain, "rb") as file:
            for name, entry in entries:
                file.seek(before)
                gap = file.read(entry.offset - before).strip() if entry.offset >= before else b""
                # Comment lines may stand before the first contig; between two there is nothing but a header.
                header = gap.splitlines()[-1:] or [b""]
                if header[0][1:].split()[:1] != [name.encode()] or gap.count(b"\n>") + gap.startswith(b">") != 1:
                    return None
                if (before and not gap.startswith(b">")) or (entry.length and not 0 < entry.bases <= entry.width):
                    return None
                before = entry.end
            file.seek(before)
            whole = len(dict(entries)) == len(entries) and any(entry.length for _, entry in entries) and not file.read(1 << 16).strip()
            return dict(entries) if whole else None
    except (OSError, ValueError, TypeError, ZeroDivisionError):
        return None


def _read_index(path: str, plain: str, index: str) -> dict[str, Entry]:
    """Make the index with pyfaidx, and read it."""
    records = _call_pyfaidx(path, plain, index)
    entries = {name: Entry(record.rlen, record.offset, record.lenc, record.lenb) for name, record in records.items()}
    if not any(entry.length for entry in entries.values()):
        raise InputError("the genome holds no sequences", file=path)
    return entries


def _call_pyfaidx(path: str, plain: str, index: str) -> dict[str, Any]:
    """Open a file with pyfaidx, which makes the index where there is none; give its records. Its exceptions become InputError."""
    # Imported at use: it is slow to import, and mostly the index is there already.
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
        if isinstance(error, OSError) and "may not be writable" in str(error):
            remedy = "set TMPDIR to a folder with room, or make the index beforehand with 'samtools faidx'"
            raise InputError("there is no room for its index in the folder for temporary files", file=path, remedy=remedy) from None
        raise InputError(f"the genome cannot be indexed ({type(error).__name__}: {error})", file=path) from None


def _listed(names: list[str]) -> str:
    """Give the first few names for a message."""
    return ", ".join(f"'{name}'" for name in names[:3]) + (" …" if len(names) > 3 else "")
