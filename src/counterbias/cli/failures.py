"""Failures of the machine rather than of the input, each explained in one line.

A full disk, too little memory, a broken installation.
"""

from __future__ import annotations

import errno
import os
import re

from counterbias.errors import InputError

#: Most characters of another package's message.
_LONGEST = 200
#: What to do about an error of the operating system.
_REMEDIES = {
    errno.ENOSPC: "free some space; temporary files can be put on another disk with TMPDIR=FOLDER",
    errno.EDQUOT: "free some space; temporary files can be put on another disk with TMPDIR=FOLDER",
    errno.EMFILE: "raise the limit with `ulimit -n 4096`, or give fewer files at a time",
    errno.ENFILE: "the whole machine has too many files open: try again later",
    errno.ENOMEM: "give the job more memory, or use fewer threads and count fewer files at the "
    "same time",
}


def explain(error: Exception) -> InputError | None:
    """Turn an exception that a user can remedy into its message; None where we are at fault."""
    if isinstance(error, InputError):
        return error
    loading = _library_without_memory(error)
    if loading:
        return InputError(f"there is not enough memory ({loading})", remedy=_REMEDIES[errno.ENOMEM])
    if isinstance(error, OSError):
        return _system_error(error)
    if isinstance(error, MemoryError):
        detail = f" ({error})" if str(error) else ""
        return InputError(f"there is not enough memory{detail}", remedy=_REMEDIES[errno.ENOMEM])
    if isinstance(error, RecursionError):
        return InputError(
            "the input is nested too deeply",
            remedy="look at the files given: one of them is damaged",
        )
    if isinstance(error, ImportError):
        return _broken_package(error)
    return _runtime_error(error)


def _system_error(error: OSError) -> InputError:
    """Explain what the operating system refused."""
    if "temporary directory" in str(error):
        return InputError(
            "there is no folder for temporary files",
            remedy="name one that can be written to with TMPDIR=FOLDER",
        )
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return InputError(
        error.strerror or str(error), file=name, remedy=_REMEDIES.get(error.errno or 0, "")
    )


def _library_without_memory(error: BaseException | None) -> str:
    """Return the loader's message where a shared library does not fit into memory, else ``""``."""
    while isinstance(error, OSError | ImportError):
        if re.search(
            "failed to map segment|cannot allocate memory", str(error), re.IGNORECASE
        ) and not getattr(error, "errno", None):
            return " ".join(str(error).split())
        error = error.__cause__ or error.__context__
    return ""


def _broken_package(error: ImportError) -> InputError:
    """Explain which package cannot be imported."""
    package = (error.name or _raising_module(error)).partition(".")[0]
    subject = f"the package '{package}'" if package else "a package"
    reason = " ".join(str(error).split())
    if len(reason) > _LONGEST:  # numpy's is a page
        reason = f"{reason[:_LONGEST]} …"
    again = "counterbias" if not package or package.startswith("counterbias") else package
    return InputError(
        f"{subject} cannot be imported: {reason}",
        remedy=f"run: pip install --force-reinstall {again}",
    )


def _raising_module(error: ImportError) -> str:
    """Return the name of the module that raised it; empty where that is Python itself."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else str(place.tb_frame.f_globals.get("__name__", ""))
    return "" if module.startswith(("importlib", "_")) else module


def _runtime_error(error: Exception) -> InputError | None:
    """Explain errors that Python and torch have no exception class for."""
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return InputError(
            "no further thread can be started",
            remedy="raise the limit with `ulimit -u`, or use fewer threads",
        )
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for this
        return InputError("the GPU has not enough free memory", remedy="use --bias-device cpu")
    return None
