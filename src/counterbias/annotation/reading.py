"""The bytes of an annotation file, in pieces of whole lines."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.inputs import DAMAGE, buffered, is_packed, open_input, unpacked

#: Bytes read at a time: few enough to stay in the processor's cache until they are scanned. A piece
#: grows only where one line is longer than this.
PIECE = 1 << 19


def read_pieces(path: str, *, piece: int = PIECE) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield (buffer, size): ``size`` bytes of whole lines, each ended by a line break.

    The buffer is reused: a piece is valid until the next one is requested. Raises InputError where
    the file cannot be read.
    """
    try:
        with open_input(path) as file, _text_of(file) as stream:
            yield from _whole_lines(stream, piece)
    except FileNotFoundError:
        raise InputError(
            "there is no such file", file=path, remedy="check the name of the annotation"
        ) from None
    except IsADirectoryError:
        raise InputError("this is a folder, not an annotation file", file=path) from None
    except EOFError:
        raise InputError(
            "the compressed file is truncated",
            file=path,
            remedy="copy or download it again, then try 'gzip -t'",
        ) from None
    except DAMAGE as error:
        raise InputError(
            f"the compressed file is damaged ({error})",
            file=path,
            remedy="copy or download it again, then try 'gzip -t'",
        ) from None
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error})", file=path
        ) from None


def _text_of(file: io.FileIO) -> Any:
    """Return a stream of the text; the content, not the name, shows whether it is compressed.

    htseq-count goes by the name and fails where name and content disagree, so whatever it can read
    is read in the same way.
    """
    stream = buffered(file)
    return unpacked(stream) if is_packed(stream) else stream


def _whole_lines(stream: Any, piece: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Cut a stream after line breaks, carrying an incomplete line over to the next piece."""
    store = bytearray(piece + 1)
    held = 0
    while True:
        if held == len(store) - 1:
            store = store + bytearray(len(store))
        with memoryview(store) as view:
            got = stream.readinto(view[held : len(store) - 1])
        if not got:
            break
        held += got
        size = store.rfind(b"\n", 0, held) + 1
        if not size:
            # Lone carriage returns end lines too, but one at the very end may be half of a pair.
            size = store.rfind(b"\r", 0, held - 1) + 1
        if size:
            yield np.frombuffer(store, dtype=np.uint8), size
            held -= size
            store[:held] = store[size : size + held]
    if held:
        if store[held - 1] not in b"\r\n":
            store[held] = ord("\n")
            held += 1
        yield np.frombuffer(store, dtype=np.uint8), held


def is_gtf(path: str) -> bool:
    """Whether attributes are written as in GTF, otherwise GFF3: by the name, as in htseq-count."""
    return os.fspath(path).lower().endswith((".gtf", ".gtf.gz", ".gtf.gzip"))
