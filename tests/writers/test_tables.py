"""Count tables against HTSeq's own writer, fed with the same numbers."""

from __future__ import annotations

import errno
import os
import stat
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias.errors import InputError
from counterbias.files import whole_text
from counterbias.files.checks import check_outputs
from counterbias.records import Features, SampleCounts
from counterbias.writers import tables
from counterbias.writers.tables import (
    CountTable,
    TableOptions,
    check_table,
    table_files,
    write_table,
)

CLASS_KEYS = ("empty", "ambiguous", "lowqual", "notaligned", "nonunique")


def make_features(
    ids: tuple[str, ...], attributes: dict[str, tuple[str, ...]] | None = None
) -> Features:
    n = len(ids)
    return Features(
        ids=ids,
        attributes=attributes or {},
        contigs=("1",),
        block_offsets=np.arange(n + 1, dtype=np.int64),
        block_contig=np.zeros(n, np.int32),
        block_strand=np.zeros(n, np.int8),
        block_start=np.arange(n, dtype=np.int64) * 10,
        block_end=np.arange(n, dtype=np.int64) * 10 + 5,
    )


def make_sample(
    counts: list[Any], classes: tuple[int, int, int, int, int], touched: list[bool] | None = None
) -> SampleCounts:
    return SampleCounts(
        path="x.bam",
        paired=False,
        fragments=10,
        counts=np.array(counts),
        touched=None if touched is None else np.array(touched),
        classes=classes,
        sites=None,
        seconds=0.0,
    )


def whole_table(
    *, columns: tuple[str, ...] = (), second: bool = True, **changes: Any
) -> CountTable:
    ids = ("geneA", "geneB", "geneC", "genéD")
    attributes = {"gene_name": ("a b", "", "c", "d"), "Chromosome": ("1", "1", "2", "2")}
    results = [make_sample([5, 0, 123456, 16777216], (1, 2, 0, 4, 5))]
    if second:
        results.append(make_sample([0, 0, 7, 1], (0, 0, 0, 0, 9)))
    samples = ("a.bam", "dir/b.sam")[: len(results)]
    return CountTable(make_features(ids, attributes), columns, samples, tuple(results), **changes)


def fraction_table() -> CountTable:
    sample = make_sample([0.5, 0.0, 1 / 3 + 1 / 3, 3.0], (1, 2, 0, 4, 5), [True, False, True, True])
    return CountTable(make_features(("a", "b", "c", "d")), (), ("a.bam",), (sample,))


def oracle(table: CountTable, options: TableOptions) -> None:
    """Have HTSeq write the same counts."""
    utils = pytest.importorskip("HTSeq.scripts.utils", reason="HTSeq is the oracle of these tests")
    results = []
    for number, result in enumerate(table.results):
        counts: dict[str, Any] = dict(zip(table.features.ids, result.counts.tolist(), strict=True))
        if result.touched is not None:
            for name, touched in zip(table.features.ids, result.touched.tolist(), strict=True):
                if not touched:
                    counts[name] = 0
        results.append(
            {"isam": number, "counts": counts, **dict(zip(CLASS_KEYS, result.classes, strict=True))}
        )
    attributes = {
        name: [table.features.attributes[column][row] for column in table.columns]
        for row, name in enumerate(table.features.ids)
    }
    utils._write_output(
        results,
        list(table.samples),
        attributes,
        list(table.columns),
        options.filename,
        options.delimiter,
        options.append,
        sparse=options.sparse,
        dtype=np.float32,
        add_tsv_header=options.header,
    )


TABLES = {
    "one": whole_table(second=False),
    "two": whole_table(),
    "attributes": whole_table(columns=("gene_name", "Chromosome")),
    "repeated attribute": whole_table(columns=("gene_name", "gene_name")),
    "fraction": fraction_table(),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("delimiter", ["\t", ",", "::"])
def test_standard_output(
    name: str, header: bool, delimiter: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    options = TableOptions(delimiter=delimiter, header=header)
    oracle(TABLES[name], options)
    expected = capfdbinary.readouterr().out
    write_table(TABLES[name], options)
    assert capfdbinary.readouterr().out == expected
    assert expected.count(b"\n") == 9 + header


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("suffix", ["tsv", "csv", "TSV"])
def test_text_file(
    tmp_path: Path, name: str, header: bool, append: bool, exists: bool, suffix: str
) -> None:
    expected, got = tmp_path / f"theirs.{suffix}", tmp_path / f"ours.{suffix}"
    for path in (expected, got):
        if exists:
            path.write_text("what was there\n")
    oracle(TABLES[name], TableOptions(str(expected), append=append, header=header))
    write_table(TABLES[name], TableOptions(str(got), append=append, header=header))
    assert got.read_bytes() == expected.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([expected.name, got.name])


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("sparse", [False, True])
def test_matrix_market(tmp_path: Path, name: str, sparse: bool) -> None:
    theirs, ours = (
        TableOptions(str(tmp_path / "theirs.mtx"), sparse=sparse),
        TableOptions(str(tmp_path / "ours.mtx"), sparse=sparse),
    )
    oracle(TABLES[name], theirs)
    write_table(TABLES[name], ours)
    for expected, got in zip(table_files(theirs), table_files(ours), strict=True):
        assert Path(got).read_bytes() == Path(expected).read_bytes()
    assert len(list(tmp_path.iterdir())) == 6


def test_large_integers_are_not_rounded(tmp_path: Path) -> None:
    table = CountTable(
        make_features(("a", "b")),
        (),
        ("a.bam",),
        (make_sample([16777217, 3], (0, 0, 0, 0, 123456789)),),
    )
    write_table(table, TableOptions(str(tmp_path / "counts.mtx")))
    from scipy.io import mmread

    assert mmread(tmp_path / "counts.mtx").tolist() == [[16777217, 3, 0, 0, 0, 0, 123456789]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("sparse", [False, True])
def test_h5ad(tmp_path: Path, name: str, sparse: bool) -> None:
    anndata = pytest.importorskip("anndata")
    oracle(TABLES[name], TableOptions(str(tmp_path / "theirs.h5ad"), sparse=sparse))
    write_table(TABLES[name], TableOptions(str(tmp_path / "ours.h5ad"), sparse=sparse))
    expected, got = (
        anndata.read_h5ad(tmp_path / "theirs.h5ad"),
        anndata.read_h5ad(tmp_path / "ours.h5ad"),
    )
    assert type(got.X) is type(expected.X)
    assert got.X.dtype == expected.X.dtype == np.float32
    dense = (lambda x: x.toarray()) if sparse else np.asarray
    assert np.array_equal(dense(got.X), dense(expected.X))
    assert got.obs.equals(expected.obs)
    assert got.var.equals(expected.var)
    assert list(got.var_names) == [*TABLES[name].features.ids, *tables.CLASSES]


@pytest.mark.filterwarnings("ignore")
def test_h5ad_layers(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    weighted = np.array([[5.5, 0.0], [0.0, 0.0], [2.25, 7.0], [9.0, 1.5]])
    write_table(whole_table(layers={"weighted": weighted}), TableOptions(str(tmp_path / "x.h5ad")))
    data = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert np.array_equal(data.layers["weighted"][:, :4], weighted.T)
    assert np.array_equal(data.layers["weighted"][:, 4:], data.X[:, 4:])
    assert data.X[0].tolist() == [5, 0, 123456, 16777216, 1, 2, 0, 4, 5]


def loom_content(path: Path) -> tuple[Any, ...]:
    loompy = pytest.importorskip("loompy")
    with loompy.connect(str(path), validate=False) as loom:
        rows = {key: list(loom.ra[key]) for key in loom.ra}
        return (
            loom[:, :].tolist(),
            str(loom[:, :].dtype),
            rows,
            {key: list(loom.ca[key]) for key in loom.ca},
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["one", "two", "fraction"])
def test_loom(tmp_path: Path, name: str) -> None:
    pytest.importorskip("loompy")
    oracle(TABLES[name], TableOptions(str(tmp_path / "theirs.loom")))
    write_table(TABLES[name], TableOptions(str(tmp_path / "ours.loom")))
    assert loom_content(tmp_path / "ours.loom") == loom_content(tmp_path / "theirs.loom")
    write_table(TABLES[name], TableOptions(str(tmp_path / "sparse.loom"), sparse=True))
    assert loom_content(tmp_path / "sparse.loom") == loom_content(tmp_path / "theirs.loom")


def loom_layout(path: Path) -> dict[str, Any]:
    """Return name → dtype, chunks, compression and content of everything in the file."""
    h5py = pytest.importorskip("h5py")
    found: dict[str, Any] = {}

    def note(name: str, part: Any) -> None:
        found[name] = None
        if isinstance(part, h5py.Dataset):
            packing = (part.compression, part.compression_opts, part.shuffle, part.fletcher32)
            kind = (str(part.dtype), h5py.check_string_dtype(part.dtype), part.chunks)
            found[name] = (kind, packing, part.maxshape, np.asarray(part[()]).tolist())

    with h5py.File(path) as loom:
        loom.visititems(note)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["one", "two", "fraction"])
def test_loom_has_the_layout_that_loompy_gives_it(tmp_path: Path, name: str) -> None:
    loompy = pytest.importorskip("loompy")
    oracle(TABLES[name], TableOptions(str(tmp_path / "theirs.loom")))
    write_table(TABLES[name], TableOptions(str(tmp_path / "ours.loom")))
    expected = loom_layout(tmp_path / "theirs.loom")
    del expected["attrs/CreationDate"]
    assert loom_layout(tmp_path / "ours.loom") == expected
    assert loompy.LoomValidator().validate(str(tmp_path / "ours.loom"))


def test_loom_of_the_same_counts_has_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    for name in ("a.loom", "b.loom"):
        write_table(TABLES["attributes"], TableOptions(str(tmp_path / name)))
        time.sleep(1.1)  # HDF5 knows times in seconds
    assert (tmp_path / "a.loom").read_bytes() == (tmp_path / "b.loom").read_bytes()


def test_loom_cannot_hold_a_slash_in_the_name_of_an_attribute(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    features = make_features(("a",), {"x/y": ("1",)})
    table = CountTable(features, ("x/y",), ("a.bam",), (make_sample([1], (0, 0, 0, 0, 0)),))
    with pytest.raises(InputError, match="whose name has a slash"):
        write_table(table, TableOptions(str(tmp_path / "x.loom")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
def test_loom_with_attributes_where_htseq_count_fails(tmp_path: Path) -> None:
    pytest.importorskip("loompy")
    write_table(TABLES["attributes"], TableOptions(str(tmp_path / "ours.loom")))
    _, _, rows, _ = loom_content(tmp_path / "ours.loom")
    assert rows["gene_name"] == ["a b", "", "c", "d", "", "", "", "", ""]


def test_other_main_table(capsys: pytest.CaptureFixture[str]) -> None:
    main = np.array([[1.5], [0.0], [2.0], [1 / 3]])
    write_table(whole_table(second=False, main=main), TableOptions())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["geneA\t1.5", "geneB\t0", "geneC\t2", "genéD\t0.333333"]
    assert lines[4] == "__no_feature\t1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TableOptions("counts.txt"), "is not that of a table format"),
        (TableOptions("counts"), "is not that of a table format"),
        (TableOptions("counts.MTX"), "lower case"),
        (TableOptions("counts.h5ad", append=True), "--append-output"),
    ],
)
def test_unusable_format_is_found_before_counting(options: TableOptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_table(options)


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"Run: pip install 'counterbias\[h5ad\]'") as caught:
        check_table(TableOptions("x.loom"))
    assert "h5py" in caught.value.problem


def test_outputs_are_checked_before_counting(tmp_path: Path) -> None:
    (tmp_path / "folder.tsv").mkdir()
    (tmp_path / "in.bam").write_text("x")
    (tmp_path / "link.bam").symlink_to(tmp_path / "in.bam")
    here = str(tmp_path / "out.tsv")
    check_outputs(
        [("-c", here), ("-o", "/dev/null"), ("-o", "/dev/null")],
        inputs=["-", str(tmp_path / "in.bam")],
    )
    for outputs, words in [
        ([("-c", str(tmp_path / "folder.tsv"))], "is a folder"),
        ([("-c", str(tmp_path / "absent" / "out.tsv"))], "does not exist"),
        ([("-c", here), ("-o", here)], "-c and -o would write the same file twice"),
        ([("-o", here), ("-o", str(tmp_path / "." / "out.tsv"))], "same file twice"),
        ([("-o", str(tmp_path / "link.bam"))], "overwrite an input"),
        ([("-o", "")], "needs a file name"),
        ([("-c", str(tmp_path / "in.bam" / "out.tsv"))], "does not exist"),
    ]:
        with pytest.raises(InputError, match=words):
            check_outputs(outputs, inputs=[str(tmp_path / "in.bam")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.tsv", "in.bam", "link.bam"]


def test_unwritable_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    target = folder / "x.tsv"
    if os.access(folder, os.W_OK):
        # The super-user may write anywhere but here.
        target = Path("/proc/x.tsv")
        if not target.parent.is_dir():
            pytest.skip("no folder that the super-user cannot write to")
    with pytest.raises(InputError, match="cannot be written"):
        check_outputs([("-c", str(target))])


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("suffix", ["tsv", "mtx"])
def test_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    target = tmp_path / f"x.{suffix}"
    target.write_text("before\n")
    monkeypatch.setattr(tables, "_cells" if suffix == "tsv" else "row_metadata", full_disk)
    with pytest.raises(InputError, match=r"x\S*: cannot be written: No space left on device"):
        write_table(TABLES["one"], TableOptions(str(target)))
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "before\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_device(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").symlink_to("/dev/full")
    with pytest.raises(InputError, match="No space left on device") as caught:
        write_table(TABLES["one"], TableOptions(str(tmp_path / "x.tsv")))
    assert "\n" not in caught.value.line()


def test_whole_text_keeps_rights_and_links_and_cleans_up(tmp_path: Path) -> None:
    real, link = tmp_path / "real.tsv", tmp_path / "link.tsv"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with whole_text(link) as stream:
        stream.write("new")
        assert real.read_text() == "old"
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    with pytest.raises(KeyboardInterrupt), whole_text(real):
        raise KeyboardInterrupt
    assert real.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


def test_warnings_do_not_stop_text_tables(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_table(TABLES["two"], TableOptions())
    assert capsys.readouterr().out.startswith("geneA\t5\t0\n")
