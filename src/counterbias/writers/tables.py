"""Count tables as htseq-count writes them: standard output, TSV, CSV, Matrix Market, h5ad and loom.

One :class:`~counterbias.records.SampleCounts` per alignment file and the features come in,
htseq-count's bytes (for h5ad and loom, its content) go out. htseq-count keeps merged tables in
float32, which rounds integers above 16,777,216; here such a table is kept in float64, and all
others have htseq-count's bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import (
    is_stream,
    readable,
    whole_stream,
    whole_text,
)
from counterbias.records import CLASSES, Features, SampleCounts
from counterbias.writers.hdf5 import written_where_there_is_room
from counterbias.writers.standard_output import require_standard_output, write_standard_output

#: float32 holds every integer up to this one.
FLOAT32_INTEGERS = 2**24

_TEXT = ("tsv", "csv")
_MATRIX = ("mtx", "h5ad", "loom")
#: Rows and columns per chunk of a loom file, and how chunks are compressed, as loompy does it.
_LOOM_CHUNK = 64
_PACKED: Mapping[str, Any] = {"compression": "gzip", "compression_opts": 2}


@dataclass(frozen=True, slots=True)
class TableOptions:
    """htseq-count's options on the format of the table.

    Args:
        filename: ``-c``; empty for standard output.
        delimiter: ``-d``.
        append: ``--append-output``; text files only.
        header: ``--with-header``; text only.
        sparse: ``--counts-output-sparse``; matrix files only.
    """

    filename: str = ""
    delimiter: str = "\t"
    append: bool = False
    header: bool = False
    sparse: bool = False

    @property
    def format(self) -> str:
        """The format: the extension of the file's name.

        It is ``tsv`` for standard output and for streams whose names have no known extension.
        """
        ending = self.filename.rsplit(".", 1)[-1].lower() if self.filename else "tsv"
        return "tsv" if ending not in (*_TEXT, *_MATRIX) and is_stream(self.filename) else ending


@dataclass(frozen=True, slots=True)
class CountTable:
    """The content of a table.

    Args:
        features: the n features, in the order of the rows.
        columns: names of the attributes written after the feature's name, keys of
            ``features.attributes``; may repeat.
        samples: names of the s alignment files as the user gave them.
        results: the s samples' counts.
        main: float64 (n, s) written instead of the counts (``--bias-counts weighted`` and so on),
            or None.
        layers: name → float64 (n, s), written to h5ad in addition to the main table.
    """

    features: Features
    columns: tuple[str, ...]
    samples: tuple[str, ...]
    results: tuple[SampleCounts, ...]
    main: NDArray[np.float64] | None = None
    layers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def table_files(options: TableOptions) -> list[str]:
    """List every file that will be written (Matrix Market has two companions)."""
    if not options.filename:
        return []
    if options.format == "mtx":
        stem = options.filename[:-4]
        return [options.filename, f"{stem}_features.tsv", f"{stem}_samples.tsv"]
    return [options.filename]


def check_table(options: TableOptions) -> None:
    """Refuse, before counting, a table that could not be written.

    Raises:
        InputError: the extension of the file's name is not that of a format, or of one that cannot
            be written there; a package is missing, or standard output is closed.
    """
    require_standard_output(options.filename, remedy="name a file with -c")
    if options.format in _TEXT:
        return
    if options.format not in _MATRIX:
        raise InputError(
            "the extension of the file's name is not that of a table format",
            file=options.filename,
            remedy="use .tsv, .csv, .mtx, .h5ad or .loom, or leave -c out and redirect the output",
        )
    if options.format == "mtx" and not options.filename.endswith(".mtx"):
        raise InputError(
            "the name of a Matrix Market file must end in .mtx in lower case",
            file=options.filename,
        )
    if options.append:
        raise InputError(
            f"--append-output cannot add to a .{options.format} file",
            file=options.filename,
            remedy="append to a .tsv or .csv file",
        )
    from importlib.util import find_spec

    module = {"mtx": "scipy", "h5ad": "anndata", "loom": "h5py"}[options.format]
    if find_spec(module) is None:
        raise InputError(
            f"writing .{options.format} files needs {module}",
            remedy="run: pip install 'counterbias[h5ad]'",
        )


def write_table(table: CountTable, options: TableOptions) -> None:
    """Write the table; a file appears whole or not at all.

    Raises:
        InputError: the file cannot be written, or its format is unknown.
    """
    if not options.filename:
        write_standard_output("".join(_lines(table, options)))
        return
    check_table(options)
    if options.format in _TEXT:
        with whole_text(options.filename, keep=options.append) as stream:
            stream.writelines(_lines(table, options))
        return
    _MATRIX_WRITERS[options.format](table, options)


def _lines(table: CountTable, options: TableOptions) -> Iterator[str]:
    """Generate the lines of a text table."""
    join = options.delimiter.join
    padding = [""] * len(table.columns)
    if options.header:
        yield join(["", *padding, *table.samples]) + "\n"
    attributes = [table.features.attributes[name] for name in table.columns]
    cells = _cells(table)
    for row in zip(table.features.ids, *attributes, *cells, strict=True):
        yield join(row) + "\n"
    for position, name in enumerate(CLASSES):
        yield (
            join(
                [name, *padding, *(str(int(result.classes[position])) for result in table.results)]
            )
            + "\n"
        )


def _cells(table: CountTable) -> list[list[str]]:
    """Format every count, one list per sample."""
    if table.main is not None:
        return [[decimal(value) for value in column] for column in table.main.T.tolist()]
    columns = []
    for result in table.results:
        texts = [str(value) for value in result.counts.tolist()]
        if result.touched is not None and result.counts.dtype.kind == "f":
            # htseq-count starts from the integer 0, which stays one until a share is added.
            texts = [
                text if touched else "0"
                for text, touched in zip(texts, result.touched.tolist(), strict=True)
            ]
        columns.append(texts)
    return columns


def decimal(value: float) -> str:
    """Format a weighted count: up to six decimals, none where it is whole."""
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0").rstrip(".")


def _matrix(table: CountTable) -> NDArray[Any]:
    """Return the matrix of samples × (features and classes).

    It is float32, as in htseq-count, unless that would round an integer.
    """
    counts = (
        table.main.T
        if table.main is not None
        else np.stack([result.counts for result in table.results])
    )
    classes = np.array([result.classes for result in table.results], dtype=np.int64).reshape(
        len(table.results), len(CLASSES)
    )
    counted = np.asarray(counts, dtype=np.float64)
    matrix = np.concatenate([counted, classes.astype(np.float64)], axis=1)
    whole = matrix == np.floor(matrix)
    narrow = matrix.astype(np.float32)
    exact = narrow.astype(np.float64) == matrix
    return matrix if bool(np.any(whole & ~exact & (matrix > FLOAT32_INTEGERS))) else narrow


def _names_for_hdf5(names: Iterable[str]) -> list[str]:
    """Return names of samples as HDF5 can hold them."""
    return [readable(name) for name in names]


def row_metadata(features: Features, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return htseq-count's feature metadata.

    The attributes lack the five classes, and a repeated attribute occurs once.

    Args:
        features: the features.
        columns: names of their attributes.
    """
    metadata = {"id": [*features.ids, *CLASSES]}
    for name in columns:
        metadata[name] = list(features.attributes[name])
    return metadata


def _sparse(matrix: NDArray[Any]) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix(matrix)


def _write_mtx(table: CountTable, options: TableOptions) -> None:
    """Write the matrix (one row per sample) and its two companions, all three or none."""
    from scipy.io import mmwrite

    matrix = _matrix(table)
    main, *companions = table_files(options)
    with ExitStack() as stack:
        binary = stack.enter_context(whole_stream(main))
        features, samples = (stack.enter_context(whole_text(name)) for name in companions)
        mmwrite(binary, _sparse(matrix) if options.sparse else matrix)
        samples.writelines(name + "\n" for name in table.samples)
        features.writelines(metadata_lines(row_metadata(table.features, table.columns)))
        for stream in (binary, features, samples):
            stream.flush()  # a full disk is noticed before the first of them has its name


def metadata_lines(metadata: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Generate the lines of the file of features that accompanies a Matrix Market file."""
    yield "\t".join(metadata) + "\n"
    # htseq-count writes as many rows as its last column has: with attributes, the five classes are
    # left out.
    for row in zip(*metadata.values(), strict=False):
        yield "\t".join(row) + "\n"


def _write_h5ad(table: CountTable, options: TableOptions) -> None:
    """Write an AnnData file: X is the main table; the classes are among the variables."""
    matrix = _matrix(table)
    layers = {}
    for name, values in table.layers.items():
        # Classes have no weighted counterpart: every layer has them as they were counted.
        layer = np.concatenate(
            [np.asarray(values, dtype=np.float64).T, matrix[:, len(table.features) :]], axis=1
        )
        layers[name] = _sparse(layer) if options.sparse else layer
    metadata = row_metadata(table.features, table.columns)
    x = _sparse(matrix) if options.sparse else matrix
    write_h5ad(options.filename, table.samples, metadata, x, layers)


def write_h5ad(
    filename: str,
    samples: Sequence[str],
    metadata: Mapping[str, Sequence[str]],
    matrix: Any,
    layers: Mapping[str, Any],
) -> None:
    """Write an AnnData file whole or not at all.

    Args:
        filename: the file.
        samples: names of the observations, n of them.
        metadata: attribute → its values, from the first variable on; ``id`` names the variables.
        matrix: X, (n, variables), an array or a sparse matrix.
        layers: name → the same of a layer.

    Raises:
        InputError: the file cannot be written.
    """
    import anndata
    import pandas

    variables = pandas.DataFrame(
        {name: pandas.Series(values) for name, values in metadata.items()}
    ).set_index("id")
    with warnings.catch_warnings():
        # A file may be given twice, of which anndata would warn.
        warnings.filterwarnings("ignore", message="(Observation|Variable) names are not unique")
        data = anndata.AnnData(
            X=matrix, obs=pandas.DataFrame([], index=_names_for_hdf5(samples)), var=variables
        )
    data.layers.update(layers)
    room = _room(samples, metadata, [matrix, *layers.values()])
    with written_where_there_is_room(room, filename) as name:
        data.write_h5ad(name)


def _write_loom(table: CountTable, options: TableOptions) -> None:
    """Write a loom file: features are rows; the five classes have empty attributes."""
    matrix = _matrix(table)
    metadata = row_metadata(table.features, table.columns)
    write_loom(options.filename, table.samples, metadata, matrix, {})


def write_loom(
    filename: str,
    samples: Sequence[str],
    metadata: Mapping[str, Sequence[str]],
    matrix: Any,
    layers: Mapping[str, Any],
) -> None:
    """Write a loom file whole or not at all; it takes what :func:`write_h5ad` takes.

    It has the layout that loompy 3.0 gives htseq-count's files, less the times of writing, so that
    the same counts give the same bytes. loompy itself would bring numba and LLVM with it.
    http://linnarssonlab.org/loompy/format

    Raises:
        InputError: the file cannot be written, or not with such attributes.
    """
    import h5py

    size = len(metadata["id"])
    rows = {name: [*values, *[""] * (size - len(values))] for name, values in metadata.items()}
    for name in rows:
        if "/" in name:
            raise InputError(
                f"a loom file cannot hold the attribute {name}, whose name has a slash",
                file=filename,
                remedy="write a .tsv or .h5ad file",
            )
    matrices = {"matrix": matrix} | {f"layers/{name}": layer for name, layer in layers.items()}
    room = _room(samples, metadata, [matrix, *layers.values()], dense=True)
    with written_where_there_is_room(room, filename) as name, h5py.File(name, "w") as loom:
        for group in ("attrs", "col_attrs", "col_graphs", "layers", "row_attrs", "row_graphs"):
            loom.create_group(group)
        loom["attrs/LOOM_SPEC_VERSION"] = "3.0.0"
        for place, values in matrices.items():
            _add_loom_matrix(loom, place, values)
        for axis, attributes in (("row", rows), ("col", {"_index": _names_for_hdf5(samples)})):
            for attribute, texts in attributes.items():
                loom.create_dataset(
                    f"{axis}_attrs/{attribute}",
                    data=np.array(texts, dtype=object),
                    dtype=h5py.string_dtype(),
                    maxshape=(len(texts),),
                    **_PACKED,
                )


def _add_loom_matrix(loom: Any, place: str, matrix: Any) -> None:
    """Write a matrix of samples × features transposed; a sparse one is expanded row by row."""
    samples, features = matrix.shape
    data = loom.create_dataset(
        place,
        shape=(features, samples),
        dtype=matrix.dtype,
        chunks=(min(_LOOM_CHUNK, features), max(min(_LOOM_CHUNK, samples), 1)),
        maxshape=(features, None),  # samples may be added
        **_PACKED,
    )
    if isinstance(matrix, np.ndarray):
        data[:] = matrix.T
        return
    by_feature = matrix.tocsc()
    for first in range(0, features, _LOOM_CHUNK):
        rows = slice(first, min(first + _LOOM_CHUNK, features))
        data[rows] = by_feature[:, rows].toarray().T


def _room(
    samples: Sequence[str],
    metadata: Mapping[str, Sequence[str]],
    matrices: Sequence[Any],
    *,
    dense: bool = False,
) -> int:
    """Return the bytes that HDF5 needs at most for matrices and their names."""
    # A cell of a sparse matrix takes a number and its column.
    cells = 0
    for matrix in matrices:
        rows, columns = matrix.shape
        cells += rows * columns if dense else int(matrix.size) + rows
    texts = [*samples, *(text for values in metadata.values() for text in values)]
    return 24 * cells + sum(4 * len(text) + 64 for text in texts) + (1 << 20)


_MATRIX_WRITERS: dict[str, Callable[[CountTable, TableOptions], None]] = {
    "mtx": _write_mtx,
    "h5ad": _write_h5ad,
    "loom": _write_loom,
}
