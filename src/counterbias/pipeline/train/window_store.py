"""Windows drawn from the samples of a cohort, kept on disk: memory does not grow with samples."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.folds import StartTally
from counterbias.files import temporary_errors
from counterbias.records import Positions
from counterbias.sampling import DrawnPositions, DrawnTiles, DrawnWindows

_PLACES = ("contig", "position", "strand", "weight")
_TILES = ("sequence", "length", "row", "column", "weight")
_TALLY = ("sizes", "keys", "counts")


class WindowStore:
    """A temporary file (in TMPDIR) with plain arrays per sample and read end.

    The file has no name, so it disappears when the store is closed, whatever ends the program. Use
    it as a context manager.

    Raises:
        InputError: there is no folder for temporary files, or no room in it.
    """

    def __init__(self) -> None:
        with temporary_errors("the windows drawn"):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._places: dict[tuple[int, str], dict[str, int]] = {}

    def __enter__(self) -> WindowStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the disk space."""
        with suppress(OSError):  # a failure to write was reported
            self._file.close()

    def put(self, sample: int, label: str, drawn: DrawnWindows, tally: StartTally) -> None:
        """Store what was drawn of a sample's read end, and how its starts lie on the genome."""
        arrays: dict[str, NDArray[Any]] = {
            **_pack("foreground", drawn.positions.foreground),
            **_pack("background", drawn.positions.background),
            "origin": drawn.positions.origin,
            "foreground": drawn.foreground[0],
            "foreground_valid": drawn.foreground[1],
            "background": drawn.background[0],
            "background_valid": drawn.background[1],
            **{f"tally_{name}": array for name, array in tally.to_arrays().items()},
        }
        if drawn.inside is not None:
            arrays |= {"foreground_inside": drawn.inside[0], "background_inside": drawn.inside[1]}
        if drawn.tiles is not None and drawn.tile_positions is not None:
            tiles = {f"tile_{name}": np.asarray(getattr(drawn.tiles, name)) for name in _TILES}
            arrays |= {**tiles, **_pack("tiles", drawn.tile_positions)}
        places = {}
        with temporary_errors("the windows drawn"):
            self._file.seek(0, os.SEEK_END)
            for name, array in arrays.items():
                places[name] = self._file.tell()
                np.lib.format.write_array(self._file, np.asarray(array), allow_pickle=False)
            self._file.flush()
        self._places[sample, label] = places

    def get(self, sample: int, label: str) -> DrawnWindows:
        """Return what was drawn."""
        arrays = self._read(sample, label, lambda name: not name.startswith("tally_"))
        inside = tiles = places = None
        if "foreground_inside" in arrays:
            inside = (arrays["foreground_inside"], arrays["background_inside"])
        if "tile_length" in arrays:
            sequence, length, *starts = (arrays[f"tile_{name}"] for name in _TILES)
            tiles, places = DrawnTiles(sequence, int(length), *starts), _unpack("tiles", arrays)
        return DrawnWindows(
            DrawnPositions(
                _unpack("foreground", arrays), _unpack("background", arrays), arrays["origin"]
            ),
            (arrays["foreground"], arrays["foreground_valid"]),
            (arrays["background"], arrays["background_valid"]),
            inside,
            tiles,
            places,
        )

    def tally(self, sample: int, label: str) -> StartTally:
        """Return how the starts lie on the genome."""
        arrays = self._read(sample, label, lambda name: name.startswith("tally_"))
        return StartTally.from_arrays({name: arrays[f"tally_{name}"] for name in _TALLY})

    def _read(
        self, sample: int, label: str, wanted: Callable[[str], bool]
    ) -> dict[str, NDArray[Any]]:
        """Read some of the arrays of a sample's read end."""
        arrays = {}
        for name, place in self._places[sample, label].items():
            if wanted(name):
                self._file.seek(place)
                arrays[name] = np.lib.format.read_array(self._file, allow_pickle=False)
        return arrays


def _pack(name: str, positions: Positions) -> dict[str, NDArray[Any]]:
    return {f"{name}_{column}": getattr(positions, column) for column in _PLACES}


def _unpack(name: str, arrays: dict[str, NDArray[Any]]) -> Positions:
    return Positions(*(arrays[f"{name}_{column}"] for column in _PLACES))
