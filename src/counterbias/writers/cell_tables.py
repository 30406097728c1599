"""Tables of UMIs by cell, as htseq-count-barcodes writes them.

The formats are those of :mod:`.tables`; cells take the place of samples. Counts stay sparse until
they are written, since most of them are 0. With a bias model there are layers besides the main
table: in h5ad and loom files with it, otherwise in files of their own beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_stream, whole_text
from counterbias.records import CLASSES, Features
from counterbias.records.cells import CellCounts
from counterbias.writers.standard_output import write_standard_output
from counterbias.writers.tables import (
    FLOAT32_INTEGERS,
    TableOptions,
    decimal,
    metadata_lines,
    row_metadata,
    table_files,
    write_h5ad,
    write_loom,
)

#: The formats whose files hold layers.
_WITH_LAYERS = ("h5ad", "loom")
#: Lines that go to standard output at once.
_LINES = 64


@dataclass(frozen=True, slots=True)
class CellTable:
    """The content of a table.

    Args:
        features: the features, in the order of the rows.
        columns: names of the attributes written after the feature's name, keys of
            ``features.attributes``; may repeat.
        cells: the UMIs of each cell.
        main: (entries,), values written instead of the numbers of UMIs, or None.
        layers: name → (entries,), values written besides.
    """

    features: Features
    columns: tuple[str, ...]
    cells: CellCounts
    main: NDArray[Any] | None = None
    layers: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def holds_layers(options: TableOptions) -> bool:
    """Whether the table's file holds the layers too."""
    return options.format in _WITH_LAYERS


def layer_files(options: TableOptions, layers: Iterable[str]) -> dict[str, str]:
    """Return layer → the file it has to itself; empty where the format holds layers.

    There is none beside a stream: standard output, or a pipe whose name has no known extension.
    """
    stem, dot, ending = options.filename.rpartition(".")
    if holds_layers(options) or not dot or ending.lower() != options.format:
        return {}
    return {name: f"{stem}.{name}.{ending}" for name in layers}


def write_cell_table(table: CellTable, options: TableOptions) -> None:
    """Write the table and its layers; each file appears whole or not at all.

    Raises:
        InputError: a file cannot be written.
    """
    main = table.cells.umis if table.main is None else table.main
    if holds_layers(options):
        write = write_h5ad if options.format == "h5ad" else write_loom
        # A loom file is dense, however it was made.
        sparse = options.sparse or options.format == "loom"
        layers = {name: _matrix(table, values, sparse) for name, values in table.layers.items()}
        metadata = row_metadata(table.features, table.columns)
        x = _matrix(table, main, sparse)
        write(options.filename, table.cells.barcodes, metadata, x, layers)
        return
    own_files = layer_files(options, table.layers)
    if options.format == "mtx":
        _write_mtx(table, main, options, own_files)
        return
    if not options.filename:
        lines = _lines(table, main, options.delimiter)
        while block := "".join(islice(lines, _LINES)):
            write_standard_output(block)
        return
    values_of = {options.filename: main} | {
        own_files[name]: table.layers[name] for name in own_files
    }
    for name, values in values_of.items():
        with whole_text(name) as stream:
            stream.writelines(_lines(table, values, options.delimiter))


def _lines(table: CellTable, values: NDArray[Any], delimiter: str) -> Iterator[str]:
    """Generate the lines of a text table, a row per feature."""
    cells, join = table.cells, delimiter.join
    padding = [""] * len(table.columns)
    yield join(["", *padding, *cells.barcodes]) + "\n"
    names = [*table.features.ids, *CLASSES]
    heads = [
        [name, *attributes]
        for name, *attributes in zip(
            names,
            *([*table.features.attributes[name], *[""] * len(CLASSES)] for name in table.columns),
            strict=True,
        )
    ]
    # Entries by feature, each with its cell.
    order = np.argsort(cells.columns, kind="stable")
    cell_of = np.repeat(np.arange(len(cells.barcodes)), np.diff(cells.offsets))[order]
    bounds = np.searchsorted(cells.columns[order], np.arange(len(names) + 1))
    text = str if values.dtype.kind == "i" else decimal
    for column, head in enumerate(heads):
        entries = slice(bounds[column], bounds[column + 1])
        row = ["0"] * len(cells.barcodes)
        for cell, value in zip(cell_of[entries], values[order[entries]].tolist(), strict=True):
            row[cell] = text(value)
        yield join([*head, *row]) + "\n"


def _matrix(table: CellTable, values: NDArray[Any], sparse: bool) -> Any:
    """Return the matrix of cells × (features and classes).

    It is float32, as in htseq-count-barcodes, unless that would round an integer.
    """
    from scipy.sparse import csr_matrix

    cells = table.cells
    exact = values.max(initial=0) <= FLOAT32_INTEGERS
    matrix = csr_matrix(
        (values.astype(np.float32 if exact else np.float64), cells.columns, cells.offsets),
        shape=(len(cells.barcodes), len(table.features) + len(CLASSES)),
    )
    return matrix if sparse else matrix.toarray()


def _write_mtx(
    table: CellTable, main: NDArray[Any], options: TableOptions, own_files: Mapping[str, str]
) -> None:
    """Write the matrix (one row per cell), its two companions and its layers, all or none."""
    from scipy.io import mmwrite

    name, *companions = table_files(options)
    with ExitStack() as stack:
        values_of = {name: main} | {own_files[layer]: table.layers[layer] for layer in own_files}
        streams: list[Any] = []
        for path, values in values_of.items():
            streams.append(stack.enter_context(whole_stream(path)))
            mmwrite(streams[-1], _matrix(table, values, options.sparse))
        features, samples = (stack.enter_context(whole_text(path)) for path in companions)
        samples.writelines(f"{barcode}\n" for barcode in table.cells.barcodes)
        features.writelines(metadata_lines(row_metadata(table.features, table.columns)))
        for stream in (*streams, features, samples):
            stream.flush()  # a full disk is noticed before the first of them has its name
