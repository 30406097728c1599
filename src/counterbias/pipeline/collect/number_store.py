"""The numbers of a cohort, sample by sample: in memory, or in files that need none."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from counterbias.files import nameless_file


class NumberStore:
    """Matrices of samples × features, filled sample by sample.

    Args:
        names: the matrices' names.
        folder: where nameless temporary files hold them; None to hold them in memory.
    """

    def __init__(self, names: tuple[str, ...], folder: Path | None) -> None:
        self.names = names
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
        self._samples = self._features = 0
        self._stack = ExitStack()

    def __enter__(self) -> NumberStore:
        if self._folder is not None:
            for name in self.names:
                file = self._stack.enter_context(nameless_file(self._folder / name))
                self._files[name] = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, numbers: dict[str, NDArray[np.float64]]) -> None:
        """Add a sample: name → float64 (features,). Raises OSError where a disk is full."""
        for name in self.names:
            row = numbers[name]
            if self._folder is None:
                self._rows[name].append(row)
            else:
                self._files[name].write(row.tobytes())
            self._features = len(row)
        self._samples += 1

    def matrices(self) -> dict[str, NDArray[np.float64]]:
        """Return name → float64 (samples, features), to be read only.

        Those in files are mapped, so that memory holds what is looked at; they end with the store.
        """
        if self._folder is None:
            return {name: np.stack(rows) for name, rows in self._rows.items()}
        shape = (self._samples, self._features)
        found: dict[str, NDArray[np.float64]] = {}
        for name, file in self._files.items():
            file.flush()
            # A plain array: anndata writes no other.
            found[name] = np.asarray(np.memmap(file, dtype=np.float64, mode="r", shape=shape))
        return found
