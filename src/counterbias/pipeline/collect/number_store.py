"""The numbers of a cohort in temporary files, sample by sample: they may be more than memory holds.

2,000 samples of 60,000 features take a gigabyte per matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from counterbias.files import nameless_file


class NumberStore:
    """Matrices of samples × features, filled sample by sample; made by :func:`number_store`."""

    def __init__(self, files: Mapping[str, BinaryIO]) -> None:
        self._files = files
        self._samples = self._features = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the matrices."""
        return tuple(self._files)

    def add(self, numbers: Mapping[str, NDArray[np.float64]]) -> None:
        """Add a sample: name → float64 (features,). Raises OSError where a disk is full."""
        for name, file in self._files.items():
            file.write(numbers[name].tobytes())
            self._features = len(numbers[name])
        self._samples += 1

    def matrices(self) -> dict[str, NDArray[np.float64]]:
        """Return name → float64 (samples, features), to be read only, while the store is open.

        They are mapped: memory holds what is looked at, as long as nothing else needs the room.
        """
        shape = (self._samples, self._features)
        found: dict[str, NDArray[np.float64]] = {}
        for name, file in self._files.items():
            file.flush()
            # A plain array: anndata writes no other.
            found[name] = np.asarray(np.memmap(file, dtype=np.float64, mode="r", shape=shape))
        return found


@contextmanager
def number_store(names: Sequence[str], folder: Path) -> Iterator[NumberStore]:
    """Open an empty store whose files, without names, lie in ``folder``. Raises OSError."""
    with ExitStack() as stack:
        yield NumberStore(
            {name: stack.enter_context(nameless_file(folder / name)) for name in names}
        )
