"""The container of a model file: a ZIP archive → its members, a member → an array.

Nothing in the file is trusted.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.inputs import buffered, open_input
from counterbias.model_file.layout import MAX_ARRAYS, MAX_BYTES, MAX_DIRECTORY

#: The exceptions that the standard library raises for damaged or hostile archives.
_DAMAGE = (
    zipfile.BadZipFile,
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
#: The end record of an archive without a comment: signature, two disk numbers, members here and in
#: all, size and offset of the directory, length of the comment.
_LAST_RECORD = struct.Struct("<4s4H2LH")
#: The header of .npy bytes as numpy writes it.
_HEADER = re.compile(
    r"\{'descr': ('[^']+'|\[.+\]), 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,18}, ?)*\d{0,18})\), \} *\n"
)
#: The types that are plain numbers.
_PLAIN = re.compile(r"'[<|][biuf]\d{1,2}'")


def read_members(path: str) -> dict[str, bytes]:
    """Return the members of an archive by name.

    Raises InputError for anything but uncompressed members within the limits.
    """
    try:
        with open_input(path) as file, buffered(file) as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(
            "there is no such model file",
            remedy="check its name; `counterbias models` lists the backends",
        ) from None
    except OSError as problem:
        raise InputError(f"cannot read the model: {problem.strerror or problem}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES >> 20} MiB: too large to be a model")
    try:
        _check_directory(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _stored(archive, len(content))
    except _DAMAGE as problem:
        remedy = "give a PREFIX.model that counterbias wrote"
        raise InputError(f"not a model file, or a damaged one ({problem})", remedy=remedy) from None


def _check_directory(content: bytes) -> None:
    """Check that the archive ends with a small directory.

    Afterwards the standard library makes an object of each entry.
    """
    signature, *disks, here, total, size, start, comment = _LAST_RECORD.unpack(
        content[-_LAST_RECORD.size :]
    )
    if signature != b"PK\5\6" or any(disks) or here != total or comment:
        raise ValueError("it does not end as an archive does")
    if size > MAX_DIRECTORY or start + size + _LAST_RECORD.size != len(content):
        raise ValueError("its directory is not where it should be")


def _stored(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    """Read all members of an archive of ``size`` bytes."""
    members: dict[str, bytes] = {}
    entries = archive.infolist()
    # Uncompressed members cannot be larger than the file, unless they overlap.
    if sum(entry.file_size for entry in entries) > size or len(entries) > 4 * MAX_ARRAYS + 1:
        raise InputError("not a model file: its members are larger than the file, or too many")
    for entry in entries:
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.flag_bits & 1
            or entry.filename in members
        ):
            raise InputError(
                f"not a model file: member '{entry.filename}' is compressed, encrypted or repeated"
            )
        members[entry.filename] = archive.read(entry)
    return members


def read_array(content: bytes, member: str) -> NDArray[Any]:
    """Decode .npy bytes of plain finite numbers, whose header must fit the number of bytes.

    The header is parsed here, not by numpy, which evaluates it as Python. Raises InputError, naming
    the member.
    """
    try:
        return _decoded(content)
    except (ValueError, TypeError, OverflowError, struct.error) as problem:
        raise InputError(f"not an array of plain numbers ({problem})", place=member) from None


def _decoded(content: bytes) -> NDArray[Any]:
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("another .npy version")
    (length,) = struct.unpack("<H", content[8:10])
    header, rest = content[10 : 10 + length], content[10 + length :]
    found = _HEADER.fullmatch(header.decode("ascii"))
    if found is None:
        raise ValueError("its header is damaged")
    if not _PLAIN.fullmatch(found[1]) or found[2] == "True":
        order = " in column-major order" if found[2] == "True" else ""
        raise ValueError(f"type {found[1]}{order}")
    dtype = np.dtype(found[1].strip("'"))
    shape = tuple(int(part) for part in found[3].split(",") if part.strip())
    if math.prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"shape {shape} with {len(rest)} bytes")
    if dtype.kind == "b" and rest.strip(b"\0\1"):
        raise ValueError("booleans other than 0 and 1")
    array = np.frombuffer(rest, dtype).reshape(shape).copy()
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite")
    return array
