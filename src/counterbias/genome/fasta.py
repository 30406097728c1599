"""FASTA files, plain or compressed, whose contigs the alignments may call by other names."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.genome.index_file import read_index, write_index
from counterbias.genome.indexing import build_index, find_invalid_letter
from counterbias.genome.pages import IndexEntry, IndexMismatch, Pages
from counterbias.inputs import DAMAGE, buffered, is_packed, open_input, reads_once, unpacked

#: Bytes of decoded pages kept in memory; the contig used last stays, whatever its size.
CACHE_BYTES = 1 << 28


class Genome:
    """A FASTA file, plain or compressed with bgzip or gzip. Threads may share one.

    An index (.fai) that is missing, damaged or older than the file is rebuilt; that of a plain file
    is kept next to it if the folder is writable. Compressed files are unpacked, and pipes copied,
    to a temporary file (in TMPDIR), which disappears when the genome is closed.

    Args:
        path: the FASTA file.
        aliases: name used by the alignments → name in the FASTA file.
        cache_bytes: bytes of decoded pages to keep; those of the contig used last always stay.

    Raises:
        InputError: the file is missing, not FASTA, damaged, or has two contigs of the same name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        aliases: Mapping[str, str] | None = None,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.path = os.fspath(path)
        self.aliases = dict(aliases or {})
        self.cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, Pages] = OrderedDict()
        self._file, self._entries, self._index_was_there = _open(self.path)
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
        """Contig names in the file, in its order."""
        return tuple(self._entries)

    @property
    def lengths(self) -> dict[str, int]:
        """Contig name → length in bases."""
        return {name: entry.length for name, entry in self._entries.items()}

    def __contains__(self, contig: str) -> bool:
        """Whether the genome has a contig of this name or alias."""
        return self.aliases.get(contig, contig) in self._entries

    def length(self, contig: str) -> int:
        """Return the length of a contig in bases, by name or alias; raise InputError for none."""
        return self._entries[self._resolve(contig)].length

    def codes(self, contig: str) -> NDArray[np.uint8]:
        """Return a contig's bases as codes, uint8 (length,), read-only.

        0-3 = A, C, G, T in either case (U counts as T), 4 = anything else.
        """
        name, pages = self._take(contig)
        try:
            pages.ensure_all()
        except IndexMismatch as mismatch:
            raise self._explain(name, mismatch) from None
        self._make_room(name)
        return pages.codes

    def codes_within(
        self,
        contig: str,
        start: NDArray[np.int64],
        end: NDArray[np.int64],
        *,
        before: int = 0,
        after: int = 0,
    ) -> NDArray[np.uint8]:
        """Return a contig as :meth:`codes` does, but decoded within some intervals only.

        Elsewhere the array may hold anything: the rest is neither read nor takes memory. Intervals
        are int64 (n,), 0-based and half open, each extended by ``before`` and ``after`` bases; they
        may leave the contig.
        """
        name, pages = self._take(contig)
        try:
            missing = pages.ensure(start, end, before=before, after=after)
        except IndexMismatch as mismatch:
            raise self._explain(name, mismatch) from None
        if missing:
            self._make_room(name)
        return pages.codes

    def fetch(
        self, contig: str, start: NDArray[np.int64], end: NDArray[np.int64], *, around: int = 0
    ) -> bool:
        """Decode intervals, and ``around`` bases on either side, before they are needed.

        Intervals are those of :meth:`codes_within`. Does nothing and returns False once half of the
        cache is full.
        """
        with self._lock:
            held = sum(pages.bytes_held for pages in self._cache.values())
        if held > self.cache_bytes // 2:
            return False
        self.codes_within(contig, start, end, before=around, after=around)
        return True

    def _take(self, contig: str) -> tuple[str, Pages]:
        """Return a contig's name in the file and its pages, new ones if not in the cache."""
        name = self._resolve(contig)
        with self._lock:
            if name not in self._cache:
                self._cache[name] = Pages(self._file, self._entries[name])
            self._cache.move_to_end(name)
            return name, self._cache[name]

    def _explain(self, name: str, mismatch: IndexMismatch) -> InputError:
        """Find out what is wrong with a contig that is not what its index entry describes."""
        if mismatch.ended:
            remedy = "it was cut short after it had been opened: start again once it is complete"
            return InputError(
                f"the file ends within the contig '{name}'", file=self.path, remedy=remedy
            )
        try:
            fits = build_index(self._file, self.path).get(name) == self._entries[name]
        except InputError as problem:
            return problem
        if not fits and self._index_was_there:
            remedy = f"delete {self.path}.fai, so that it is rebuilt"
            return InputError(
                f"the index next to the file does not match it at the contig '{name}'",
                file=self.path,
                remedy=remedy,
            )
        letter, line = find_invalid_letter(self._file, self._entries[name])
        if not fits or not letter:
            return InputError(
                "the file was changed after it had been opened",
                file=self.path,
                remedy="start again",
            )
        return InputError(
            f"the contig '{name}' holds something other than a sequence ({letter!r})",
            file=self.path,
            place=f"line {line}",
            remedy="give a FASTA file of nucleotides",
        )

    def _make_room(self, name: str) -> None:
        """Drop contigs other than this one until the cache is small enough."""
        with self._lock:
            held = sum(pages.bytes_held for pages in self._cache.values())
            if held <= self.cache_bytes:
                return
            # The most recently used goes first: contigs are visited in turn, over and over, and
            # dropping the least recently used would always drop the next one needed.
            for other in [other for other in reversed(self._cache) if other != name]:
                if held <= self.cache_bytes:
                    break
                held -= self._cache.pop(other).bytes_held

    def check(self, contigs: Sequence[str], lengths: Sequence[int]) -> None:
        """Check that the genome has some contigs, each at least as long as given.

        ``lengths`` are those of the alignment header, or the last positions used + 1.

        Raises:
            InputError: a contig is missing or too short.
        """
        for contig, length in zip(contigs, lengths, strict=True):
            name = self._resolve(contig, contigs)
            if self._entries[name].length < length:
                raise InputError(
                    f"the contig '{name}' has {self._entries[name].length} bases, but the "
                    f"alignments use {length} of '{contig}'",
                    file=self.path,
                    remedy="give the genome that the reads were aligned to",
                )

    def close(self) -> None:
        """Close the file; the genome can no longer be used."""
        self._cache.clear()
        self._close()

    def __enter__(self) -> Genome:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resolve(self, contig: str, asked: Sequence[str] = ()) -> str:
        """Return a contig's name in the file; raise InputError, which names both styles."""
        name = self.aliases.get(contig, contig)
        if name in self._entries:
            return name
        other = contig[3:] if contig.startswith("chr") else f"chr{contig}"
        if other in self._entries:
            both = f"the alignments say '{contig}' where the genome says '{other}'"
        else:
            both = (
                f"the alignments have {_listed(list(asked) or [contig])}, the genome has "
                f"{_listed(list(self._entries))}"
            )
        raise InputError(
            f"the genome has no contig '{contig}': {both}",
            file=self.path,
            remedy="give the genome that the reads were aligned to, or pair the names with "
            "--bias-contig-alias FILE",
        )


def _open(path: str) -> tuple[int, dict[str, IndexEntry], bool]:
    """Open a FASTA file and its index.

    Returns a file descriptor of the plain text, the index, and whether it existed already.
    """
    try:
        with open_input(path) as file, buffered(file) as stream:
            if not stream.peek(1):
                raise InputError("the genome is empty", file=path)
            packed = is_packed(stream)
            pipe = not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            plain = _plain_copy(stream, packed, path) if packed or pipe else os.dup(file.fileno())
    except FileNotFoundError:
        raise InputError(
            "there is no such file", file=path, remedy="check the name of the genome"
        ) from None
    except OSError as error:
        raise InputError(
            f"the genome cannot be read ({error.strerror or error})", file=path
        ) from None
    try:
        entries = None if reads_once(path) else read_index(plain, path)
        if entries is not None:
            return plain, entries, True
        entries = build_index(plain, path)
    except OSError as error:
        os.close(plain)
        raise InputError(
            f"the genome cannot be read ({error.strerror or error})", file=path
        ) from None
    except BaseException:
        os.close(plain)
        raise
    if not packed and not reads_once(path):
        write_index(path, entries)
    return plain, entries, False


def _plain_copy(stream: io.BufferedReader, packed: bool, path: str) -> int:
    """Write the text to a nameless temporary file, and return its descriptor."""
    try:
        with tempfile.TemporaryFile(prefix="counterbias-") as file:
            shutil.copyfileobj(unpacked(stream) if packed else stream, file, 1 << 22)
            file.flush()
            return os.dup(file.fileno())
    except (EOFError, *DAMAGE) as error:
        raise InputError(
            f"the compressed genome is truncated or damaged ({error})",
            file=path,
            remedy="compress it again with bgzip",
        ) from None
    except OSError as error:
        verb = "unpacked" if packed else "copied"
        raise InputError(
            f"the genome cannot be {verb} to {tempfile.gettempdir()} ({error.strerror or error})",
            file=path,
            remedy="unpack it beforehand, or set TMPDIR to a folder with more room"
            if packed
            else "set TMPDIR to a folder with more room",
        ) from None


def _listed(names: list[str]) -> str:
    """Return the first few names, for a message."""
    return ", ".join(f"'{name}'" for name in names[:3]) + (" …" if len(names) > 3 else "")
