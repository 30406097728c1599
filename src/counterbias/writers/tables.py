"""Count tables as htseq-count writes them: standard output, TSV, CSV, Matrix Market, h5ad and loom.

What comes in: one :class:`~counterbias.records.SampleCounts` per alignment file and the features. What goes out:
htseq-count's bytes (for h5ad and loom, its content). htseq-count keeps merged tables in float32, which rounds integers above
16,777,216; here such a table is kept in float64, and all others have the bytes that they always had.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import (
    is_stream,
    readable,
    scratch_folder,
    whole_stream,
    whole_text,
    writing_errors,
)
from counterbias.records import CLASSES, Features, SampleCounts
from counterbias.writers.standard_output import require_standard_output, write_standard_output

#: The largest integer up to which float32 holds every integer.
FLOAT32_INTEGERS = 2**24

_TEXT = ("tsv", "csv")
_MATRIX = ("mtx", "h5ad", "loom")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """htseq-count's options on the form of the table.

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
    def kind(self) -> str:
        """The format, from the end of the file's name; ``tsv`` for standard output and for streams whose names tell none."""
        ending = self.filename.rsplit(".", 1)[-1].lower() if self.filename else "tsv"
        return "tsv" if ending not in (*_TEXT, *_MATRIX) and is_stream(self.filename) else ending


@dataclass(frozen=True, slots=True)
class CountTable:
    """What is written.

    Args:
        features: the n features, in the order of the rows.
        columns: names of the attributes written beside the feature's name, keys of ``features.attributes``; may repeat.
        samples: names of the s alignment files as the user gave them.
        results: the s results of counting.
        main: float64 (n, s) to be written in place of the counts (``--bias-counts weighted`` and so on), or None.
        layers: name → float64 (n, s), written to h5ad beside the main table.
    """

    features: Features
    columns: tuple[str, ...]
    samples: tuple[str, ...]
    results: tuple[SampleCounts, ...]
    main: NDArray[np.float64] | None = None
    layers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def table_files(options: TableOptions) -> list[str]:
    """Name every file that will be written (Matrix Market has two companions)."""
    if not options.filename:
        return []
    if options.kind == "mtx":
        stem = options.filename[:-4]
        return [options.filename, f"{stem}_features.tsv", f"{stem}_samples.tsv"]
    return [options.filename]


def check_table(options: TableOptions) -> None:
    """Find out before counting whether the table can be written in this format.

    Raises:
        InputError: the file name ends in no known format or in one that a stream cannot take, a package is missing, or standard output is
            closed.
    """
    require_standard_output(options.filename, remedy="name a file with -c")
    if options.kind in _TEXT:
        return
    if options.kind not in _MATRIX:
        raise InputError(
            "the end of the file's name tells no format that counts can be written in",
            file=options.filename,
            remedy="let it end in .tsv, .csv, .mtx, .h5ad or .loom, or leave -c out and redirect the output",
        )
    if options.kind == "mtx" and not options.filename.endswith(".mtx"):
        raise InputError(
            "a Matrix Market file's name has to end in .mtx in lower case", file=options.filename
        )
    if options.append:
        raise InputError(
            f"--append-output cannot add to a .{options.kind} file",
            file=options.filename,
            remedy="append to a .tsv or .csv file",
        )
    from importlib.util import find_spec

    module = {"mtx": "scipy", "h5ad": "anndata", "loom": "loompy"}[options.kind]
    if find_spec(module) is None:
        raise InputError(
            f"writing .{options.kind} files needs {module}",
            remedy="run: pip install 'counterbias[h5ad]'",
        )


def write_table(table: CountTable, options: TableOptions) -> None:
    """Write the table; a file appears whole or not at all.

    Raises:
        InputError: the file cannot be written, or its format is not known.
    """
    if not options.filename:
        write_standard_output("".join(_lines(table, options)))
        return
    check_table(options)
    if options.kind in _TEXT:
        with whole_text(options.filename, keep=options.append) as stream:
            stream.writelines(_lines(table, options))
        return
    _MATRIX_WRITERS[options.kind](table, options)


def _lines(table: CountTable, options: TableOptions) -> Iterator[str]:
    """Give the text table line by line."""
    join = options.delimiter.join
    padding = [""] * len(table.columns)
    if options.header:
        yield join(["", *padding, *table.samples]) + "\n"
    beside = [table.features.attributes[name] for name in table.columns]
    cells = _cells(table)
    for row in zip(table.features.ids, *beside, *cells, strict=True):
        yield join(row) + "\n"
    for position, name in enumerate(CLASSES):
        yield (
            join(
                [name, *padding, *(str(int(result.classes[position])) for result in table.results)]
            )
            + "\n"
        )


def _cells(table: CountTable) -> list[list[str]]:
    """Give the text of every count, one list per sample."""
    if table.main is not None:
        return [[_decimal(value) for value in column] for column in table.main.T.tolist()]
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


def _decimal(value: float) -> str:
    """Write a weighted count: up to six decimals, none where it is whole."""
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0").rstrip(".")


def _matrix(table: CountTable) -> NDArray[Any]:
    """Give samples × (features and classes), in float32 as htseq-count has it unless that would round an integer."""
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


def _names(table: CountTable) -> list[str]:
    return [*table.features.ids, *CLASSES]


def _sample_names(table: CountTable) -> list[str]:
    """Give the samples' names as HDF5 can hold them."""
    return [readable(name) for name in table.samples]


def _row_metadata(table: CountTable) -> dict[str, list[str]]:
    """Give htseq-count's feature metadata: the attributes lack the five classes, and a repeated name stands once."""
    metadata = {"id": _names(table)}
    for name in table.columns:
        metadata[name] = list(table.features.attributes[name])
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
        metadata = _row_metadata(table)
        features.write("\t".join(metadata) + "\n")
        # htseq-count writes as many rows as its last column has: with attributes, the five classes are left out.
        features.writelines("\t".join(row) + "\n" for row in zip(*metadata.values(), strict=False))
        for stream in (binary, features, samples):
            stream.flush()  # a full disk is noticed before the first of them has its name


def _write_h5ad(table: CountTable, options: TableOptions) -> None:
    """Write an AnnData file: X the main table, further tables in ``layers``, classes among the variables."""
    import anndata
    import pandas

    matrix = _matrix(table)
    metadata = pandas.DataFrame(
        {name: pandas.Series(values) for name, values in _row_metadata(table).items()}
    )
    metadata = metadata.set_index("id")
    with warnings.catch_warnings():
        # A file may be given twice; anndata would say so in lines of Python.
        warnings.filterwarnings("ignore", message="(Observation|Variable) names are not unique")
        data = anndata.AnnData(
            X=_sparse(matrix) if options.sparse else matrix,
            obs=pandas.DataFrame([], index=_sample_names(table)),
            var=metadata,
        )
    for name, values in table.layers.items():
        # Classes have no weighted counterpart: they stand in every layer as they were counted.
        layer = np.concatenate(
            [np.asarray(values, dtype=np.float64).T, matrix[:, len(table.features) :]], axis=1
        )
        data.layers[name] = _sparse(layer) if options.sparse else layer
    with _made_where_there_is_room(table, options.filename) as name:
        data.write_h5ad(name)


def _write_loom(table: CountTable, options: TableOptions) -> None:
    """Write a loom file: features are rows; the five classes have empty attributes."""
    import loompy

    matrix = _matrix(table)
    total = len(table.features) + len(CLASSES)
    rows = {
        name: [*values, *[""] * (total - len(values))]
        for name, values in _row_metadata(table).items()
    }
    with _made_where_there_is_room(table, options.filename) as name:
        loompy.create(
            name,
            layers={"": _sparse(matrix).T.tocoo() if options.sparse else matrix.T},
            row_attrs=rows,
            col_attrs={"_index": _sample_names(table)},
        )


@contextmanager
def _made_where_there_is_room(table: CountTable, filename: str) -> Iterator[str]:
    """Lend a name for HDF5 to write to; its bytes become the file ``filename``.

    HDF5 notices a full disk, and a limit on the size of files, when a file is closed, and then brings the whole program down. So it writes
    where there is room beyond doubt.
    """
    cells = len(table.samples) * len(_names(table)) * (1 + len(table.layers))
    texts = [*table.samples, *(text for texts in _row_metadata(table).values() for text in texts)]
    room = (
        24 * cells + sum(4 * len(text) + 64 for text in texts) + (1 << 20)
    )  # a sparse cell takes a number and its column
    with writing_errors(filename), scratch_folder(_roomy(room, filename)) as folder:
        name = os.path.join(folder, "table")
        yield name
        with open(name, "rb") as made, whole_stream(filename) as stream:
            shutil.copyfileobj(made, stream, 1 << 20)


def _roomy(room: int, filename: str) -> str:
    """Find a folder with as many bytes: in memory (as most Linux systems have one), for temporary files, or that of the file itself."""
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]  # counts in memory, too
    if largest != resource.RLIM_INFINITY and largest < room:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    folders = ["/dev/shm"]
    with suppress(OSError):  # there may be none for temporary files
        folders.append(tempfile.gettempdir())
    for folder in (*folders, os.path.dirname(os.path.realpath(filename))):
        with suppress(OSError):
            there = os.statvfs(folder)
            if os.access(folder, os.W_OK) and there.f_bavail * there.f_frsize >= room:
                return folder
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_MATRIX_WRITERS: dict[str, Callable[[CountTable, TableOptions], None]] = {
    "mtx": _write_mtx,
    "h5ad": _write_h5ad,
    "loom": _write_loom,
}
