"""Keep the windows drawn from each sample of a cohort on disk, so that memory does not grow with the number of samples."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.evaluation.folds import StartTally
from counterbias.pipeline.drawing import Drawn
from counterbias.records import Positions
from counterbias.sampling import DrawnTiles, Sample

_PLACES = ("contig", "position", "strand", "weight")
_TILES = ("sequence", "length", "row", "column", "weight")
_TALLY = ("sizes", "keys", "counts")


class Stash:
    """A folder with one file of plain arrays per sample and end class. The caller makes and removes the folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def put(self, sample: int, label: str, drawn: Drawn, tally: StartTally) -> None:
        """Keep what was drawn of a sample's end class, and how its starts lie on the genome."""
        arrays: dict[str, NDArray[Any]] = {
            **_pack("foreground", drawn.sample.foreground),
            **_pack("background", drawn.sample.background),
            "origin": drawn.sample.origin,
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
        try:
            np.savez(self._path(sample, label), **arrays)  # type: ignore[arg-type]  # names that savez does not know
        except OSError as error:
            raise InputError(
                f"the windows drawn cannot be kept in a temporary folder: {error.strerror or error}",
                file=self._folder,
                remedy="set TMPDIR to a folder with room",
            ) from error

    def get(self, sample: int, label: str) -> Drawn:
        """Give it back."""
        with np.load(self._path(sample, label), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if not name.startswith("tally_")}
        inside = tiles = places = None
        if "foreground_inside" in arrays:
            inside = (arrays["foreground_inside"], arrays["background_inside"])
        if "tile_length" in arrays:
            sequence, length, *starts = (arrays[f"tile_{name}"] for name in _TILES)
            tiles, places = DrawnTiles(sequence, int(length), *starts), _unpack("tiles", arrays)
        return Drawn(
            Sample(_unpack("foreground", arrays), _unpack("background", arrays), arrays["origin"]),
            (arrays["foreground"], arrays["foreground_valid"]),
            (arrays["background"], arrays["background_valid"]),
            inside,
            tiles,
            places,
        )

    def tally(self, sample: int, label: str) -> StartTally:
        """Give back how the starts lie on the genome."""
        with np.load(self._path(sample, label), allow_pickle=False) as file:
            return StartTally.from_arrays({name: file[f"tally_{name}"] for name in _TALLY})

    def _path(self, sample: int, label: str) -> str:
        return os.path.join(self._folder, f"{sample}.{label}.npz")


def _pack(name: str, positions: Positions) -> dict[str, NDArray[Any]]:
    return {f"{name}_{column}": getattr(positions, column) for column in _PLACES}


def _unpack(name: str, arrays: dict[str, NDArray[Any]]) -> Positions:
    return Positions(*(arrays[f"{name}_{column}"] for column in _PLACES))
