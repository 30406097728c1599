"""Genomes and the windows that are cut out of them."""

from __future__ import annotations

import gzip
import mmap
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.errors import InputError
from counterbias.genome import Genome, extract, read_aliases
from counterbias.records import Positions, Window

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


class Contigs:
    """Contigs given as text, without a file."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    def codes(self, contig: str) -> np.ndarray:
        return encode(self.texts[contig])


def encode(text: str) -> np.ndarray:
    """Turn letters into codes, the slow way."""
    return np.array(
        ["ACGT".find(letter) if letter in "ACGT" else 4 for letter in text.upper()], dtype=np.uint8
    )


def at(*rows: tuple[int, int, int]) -> Positions:
    """Make positions from (contig, position, strand)."""
    contig, position, strand = (np.array(column) for column in zip(*rows, strict=True))
    return Positions(
        contig.astype(np.int32),
        position.astype(np.int64),
        strand.astype(np.uint8),
        np.ones(len(rows)),
    )


def naive_window(text: str, position: int, strand: int, window: Window) -> str | None:
    """Cut a window by text operations alone; None where it is not valid."""
    if strand == 0:
        first, last = position - window.upstream, position + window.downstream
    else:
        first, last = position - window.downstream, position + window.upstream
    if first < 0 or last >= len(text):
        return None
    cut = text[first : last + 1].upper()
    if set(cut) - set("ACGT"):
        return None
    return cut if strand == 0 else "".join(COMPLEMENT[letter] for letter in reversed(cut))


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_known_windows() -> None:
    contexts, valid = extract(
        Contigs(one="ACGTTGCA"),
        ["one"],
        at((0, 3, 0), (0, 3, 1), (0, 1, 0), (0, 0, 0), (0, 6, 1), (0, 7, 1)),
        Window(1, 2),
    )
    letters = ["".join("ACGT"[code] for code in row) for row in contexts]
    # Plus: one base before position 3, then two after. Minus: right to left and complemented.
    assert letters[:3] == ["GTTG", "AACG", "ACGT"]
    assert valid.tolist() == [True, True, True, False, True, False]
    assert letters[4] == "TGCA"
    assert not contexts[~valid].any()


def test_lower_case_uracil_and_unknown_bases(tmp_path: Path) -> None:
    genome = Genome(write(tmp_path / "g.fa", ">x\nacgtuU\nNRYKM-\n"))
    assert genome.codes("x").tolist() == [0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4]
    _, valid = extract(genome, ["x"], at((0, 2, 0), (0, 4, 0), (0, 5, 0), (0, 7, 0)), Window(1, 1))
    assert valid.tolist() == [True, True, False, False]
    genome.close()


def test_a_read_without_contig_and_an_empty_sample() -> None:
    contexts, valid = extract(Contigs(), [], at((-1, 5, 0)), Window(1, 1))
    assert contexts.tolist() == [[0, 0, 0]]
    assert valid.tolist() == [False]
    empty = Positions(
        np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0)
    )
    contexts, valid = extract(Contigs(), [], empty, Window(2, 3))
    assert contexts.shape == (0, 6)
    assert valid.shape == (0,)


def test_the_order_of_positions_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    texts = {
        name: "".join(rng.choice(list("ACGTN"), size, p=[0.24] * 4 + [0.04]))
        for name, size in (("a", 90), ("b", 40))
    }
    contig = np.repeat(np.array([-1, 0, 1], np.int32), 100)
    positions = Positions(
        contig, rng.integers(0, 95, 300), rng.integers(0, 2, 300).astype(np.uint8), np.ones(300)
    )
    names, window = ["b", "a"], Window(4, 2)
    contexts, valid = extract(Contigs(**texts), names, positions, window)
    order = rng.permutation(300)
    other, other_valid = extract(Contigs(**texts), names, positions.take(order), window)
    assert (other == contexts[order]).all()
    assert (other_valid == valid[order]).all()
    assert 0 < valid.sum() < 200
    assert not valid[:100].any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_equal_the_naive_ones(data: st.DataObject) -> None:
    texts = data.draw(
        st.lists(st.text("ACGTacgtN", min_size=1, max_size=40), min_size=1, max_size=3)
    )
    window = Window(data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6)))
    rows = data.draw(
        st.lists(
            st.tuples(st.integers(0, len(texts) - 1), st.integers(-3, 45), st.integers(0, 1)),
            min_size=1,
            max_size=20,
        )
    )
    names = [f"c{index}" for index in range(len(texts))]
    contexts, valid = extract(
        Contigs(**dict(zip(names, texts, strict=True))), names, at(*rows), window
    )
    for row, (contig, position, strand) in enumerate(rows):
        expected = naive_window(texts[contig], position, strand, window)
        assert valid[row] == (expected is not None)
        assert contexts[row].tolist() == (
            encode(expected).tolist() if expected else [0] * window.width
        )


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("width", [1, 7, 10, 100])
def test_line_layouts(tmp_path: Path, ending: str, final: bool, width: int) -> None:
    rng = np.random.default_rng(width)
    texts = {
        name: "".join(rng.choice(list("ACGT"), size))
        for name, size in (("one", 70), ("two", 33), ("three", 10))
    }
    parts = []
    for name, text in texts.items():
        parts += [
            f">{name} described",
            *(text[start : start + width] for start in range(0, len(text), width)),
        ]
    content = ending.join(parts) + (ending if final else "")
    with Genome(write(tmp_path / "g.fa", content)) as genome:
        assert genome.names == ("one", "two", "three")
        assert genome.lengths == {name: len(text) for name, text in texts.items()}
        for name, text in texts.items():
            assert (genome.codes(name) == encode(text)).all()


def test_pieces_smaller_than_a_contig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterbias.genome.pages.PAGE", 8)
    monkeypatch.setattr("counterbias.genome.pages.MOST_PAGES", 3)
    text = "ACGTTGCATG" * 11 + "ACG"
    lines = "\n".join(text[start : start + 10] for start in range(0, len(text), 10))
    for content in (f">x\n{lines}", f">x\n{lines[:-4]}\n", f">x\n{lines[:-4]}"):
        path = write(tmp_path / f"{len(content)}.fa", content)
        with Genome(path) as genome:
            expected = "".join(content.split("\n")[1:])
            assert (genome.codes("x") == encode(expected)).all()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 40),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.tuples(st.integers(-30, 330), st.integers(-5, 60)), max_size=6),
)
def test_only_what_is_asked_for_is_decoded(
    width: int, ending: str, wanted: list[tuple[int, int]]
) -> None:
    """Whatever the pages and lines, the bases of intervals are right; pages are reused."""
    text = "".join(np.random.default_rng(width).choice(list("ACGTN"), 300))
    lines = ending.join(text[start : start + width] for start in range(0, 300, width))
    start = np.array([first for first, _ in wanted], np.int64)
    end = start + np.array([size for _, size in wanted], np.int64)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("counterbias.genome.pages.PAGE", 16)
        patch.setattr("counterbias.genome.pages.MOST_PAGES", 2)
        with Genome(
            write(Path(folder, "g.fa"), f">x{ending}{lines}{ending}>y{ending}AC{ending}")
        ) as genome:
            for first, last in ([start[:2], end[:2]], [start, end]):
                codes = genome.codes_within("x", first, last, before=3, after=2)
                for one, other in zip(first, last, strict=True):
                    part = slice(max(one - 3, 0), max(other + 2, 0))
                    assert (codes[part] == encode(text)[part]).all()
            assert (genome.codes("x") == encode(text)).all()


def test_pages_that_nobody_asked_for_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "g.fa", ">x\n" + "A" * 5000 + "\n" + "A" * 4999 + "!\n")
    with Genome(path) as genome:
        early, late = np.array([10]), np.array([9990])
        assert genome.codes_within("x", early, early + 20)[10:30].tolist() == [0] * 20
        with pytest.raises(InputError, match="other than a sequence"):
            genome.codes_within("x", late, late + 20)
        with pytest.raises(InputError, match="other than a sequence"):
            genome.codes("x")
        assert genome.codes_within("x", early, early + 20)[10] == 0


@pytest.mark.parametrize("size", [100, 5 << 20])
def test_a_file_that_ends_too_early(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "g.fa", ">x\n" + "ACGT" * (size // 4) + "\n")
    with Genome(path) as genome:
        os.truncate(path, size // 2)
        if size > 100:
            assert genome.codes_within("x", np.array([1]), np.array([4]))[1:4].tolist() == [1, 2, 3]
        with pytest.raises(InputError, match="the file ends within the contig 'x'"):
            genome.codes("x")


def test_the_cache_holds_what_it_may(tmp_path: Path) -> None:
    path = write(tmp_path / "g.fa", "".join(f">{name}\n{'ACGTA' * 20}\n" for name in "abc"))
    with Genome(path, cache_bytes=250) as genome:
        first = genome.codes("a")
        assert genome.codes("a") is first
        second = genome.codes("b")
        genome.codes("c")
        # Contigs are read in turn: keeping the first ones is better than keeping the latest.
        assert genome.codes("a") is first
        assert genome.codes("b") is not second
    with Genome(path, cache_bytes=0) as genome:
        assert genome.codes("a") is genome.codes("a")
        with pytest.raises(ValueError, match="read-only"):
            genome.codes("a")[0] = 1


def test_the_index_is_kept_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "g.fa", ">x\nACGT\nAC\n>y\nGG\n")
    Genome(path).close()
    assert (tmp_path / "g.fa.fai").read_text() == "x\t6\t3\t4\t5\ny\t2\t14\t2\t3\n"
    assert sorted(os.listdir(tmp_path)) == ["g.fa", "g.fa.fai"]


@pytest.mark.parametrize(
    "broken",
    [
        "x\t6\t3\t4\t5\n",
        "x\t6\t3\n",
        "",
        "x\t6\t3\t4\t5\ny\t2\t12\t2\t3\n",
        "\x00\xff",
        "x\t4\t3\t4\t5\ny\t2\t14\t2\t3\n",  # x is longer
        "x\t6\t3\t4\t-5\ny\t2\t14\t2\t3\n",
        "x\t6\t3\t4\t3\ny\t2\t14\t2\t3\n",
        "x\t6\t3\t4\t5\nx\t2\t14\t2\t3\n",
    ],
)
def test_an_index_that_does_not_fit_is_made_anew(tmp_path: Path, broken: str) -> None:
    path = write(tmp_path / "g.fa", ">x\nACGT\nAC\n>y\nGG\n")
    write(tmp_path / "g.fa.fai", broken)
    later = time.time() + 60
    os.utime(tmp_path / "g.fa.fai", (later, later))
    with Genome(path) as genome:
        assert genome.lengths == {"x": 6, "y": 2}
        assert genome.codes("y").tolist() == [2, 2]
    assert (tmp_path / "g.fa.fai").read_text().startswith("x\t6\t3\t4\t5\ny\t2\t14")


def test_a_system_that_takes_no_hints_about_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stubborn(mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr("counterbias.genome.pages.mmap.mmap", Stubborn)
    monkeypatch.setattr("counterbias.genome.pages._SPARSE", 1)
    with Genome(write(tmp_path / "g.fa", ">x\nACGT\nAC\n>y\nGG\n")) as genome:
        assert genome.codes("x").tolist() == [0, 1, 2, 3, 0, 1]
        assert genome.codes("y").tolist() == [2, 2]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "g.fa", ">x\nACGT\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("counterbias.genome.fasta.os.replace", refuse)
    with Genome(path) as genome:
        assert genome.codes("x").tolist() == [0, 1, 2, 3]
    assert os.listdir(tmp_path) == ["g.fa"]


@pytest.mark.parametrize("name", ["g.fa.gz", "g.fa"])
def test_compressed_genomes(tmp_path: Path, name: str) -> None:
    # Several members, as bgzip writes them.
    (tmp_path / name).write_bytes(
        gzip.compress(b">x\nAC") + gzip.compress(b"GT\nAC\n") + gzip.compress(b"")
    )
    with Genome(tmp_path / name) as genome:
        assert genome.codes("x").tolist() == [0, 1, 2, 3, 0, 1]
    assert os.listdir(tmp_path) == [name]


def test_a_plain_file_named_gz(tmp_path: Path) -> None:
    with Genome(write(tmp_path / "g.fa.gz", ">x\nACGT\n")) as genome:
        assert genome.lengths == {"x": 4}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the genome is empty"),
        (b"chr1\tx\texon\n", "not a usable FASTA file"),
        (b"ACGT\n", "not a usable FASTA file"),
        (b"BAM\x01\xff\xfe\x00", "binary data"),
        (b">x\n", "no sequences"),
        (b">x\nAC\n>x\nGG\n", "two contigs are named 'x'"),
        (b">x\nACGT\nAC\nACGT\n", "not a usable FASTA file"),
        (gzip.compress(b">x\n" + b"ACGTTGCA" * 500, mtime=0)[:40], "truncated or damaged"),
        (b"\x1f\x8bnot really", "truncated or damaged"),
    ],
)
def test_files_that_are_no_genome(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        Genome(path)
    assert caught.value.file == str(path)
    assert os.listdir(tmp_path) == ["g.fa"]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Genome(tmp_path / "none.fa")
    with pytest.raises(InputError, match="cannot be read"):
        Genome(tmp_path)


def test_something_else_within_a_contig(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="other than a sequence"):
        Genome(write(tmp_path / "g.fa", ">x\nAC T\nACGT\n"))


def test_check_names_both_styles(tmp_path: Path) -> None:
    path = write(tmp_path / "g.fa", ">1\nACGT\n>2\nACG\n")
    with Genome(path) as genome:
        genome.check(["1", "2"], [4, 2])
        with pytest.raises(
            InputError, match=r"'chr2' where the genome says '2'.*--bias-contig-alias FILE"
        ):
            genome.check(["1", "chr2"], [4, 3])
        with pytest.raises(InputError, match="'I', 'II', the genome has '1', '2'"):
            genome.check(["I", "II"], [4, 3])
        with pytest.raises(InputError, match="'2' has 3 bases, but the alignments use 9"):
            genome.check(["1", "2"], [4, 9])
        assert "1" in genome
        assert "chr1" not in genome
    with Genome(path, {"chr2": "2"}) as genome:
        genome.check(["1", "chr2"], [4, 3])
        assert genome.codes("chr2").tolist() == [0, 1, 2]
        assert genome.length("chr2") == 3
        assert "chr2" in genome
    with pytest.raises(
        InputError, match="alias 'chr7' stands for the contig '7', which the genome lacks"
    ):
        Genome(path, {"chr7": "7"})


def test_aliases(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "# alignments\tgenome\nchr1\t1\r\n\nchrM\tMT\nchr1\t1\n")
    assert read_aliases(path) == {"chr1": "1", "chrM": "MT"}


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("chr1 1\n", "line 1", "two names separated by a tab"),
        ("chr1\t1\nchr2\t\n", "line 2", "two names separated by a tab"),
        ("chr1\t1\tx\n", "line 1", "two names separated by a tab"),
        ("chr1\t1\nchr1\t2\n", "line 2", "stands for both '1' and '2'"),
        ("# nothing\n", "", "no aliases"),
    ],
)
def test_bad_aliases(tmp_path: Path, content: str, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_aliases(write(tmp_path / "a.tsv", content))
    assert caught.value.place == place


def test_aliases_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_aliases(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        read_aliases(tmp_path)


@pytest.mark.parametrize(("folder", "contig"), [("fly_pasilla_chr4", "chr4"), ("yeast", "XIII")])
def test_real_genomes(data_dir: Path, folder: str, contig: str) -> None:
    path = data_dir / folder / "genome.fa"
    texts: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            texts[name] = []
        else:
            texts[name].append(line)
    text = "".join(texts[contig])
    rng = np.random.default_rng(1)
    rows = [(0, int(rng.integers(len(text))), int(rng.integers(2))) for _ in range(500)]
    window = Window(10, 10)
    with Genome(path) as genome:
        assert genome.lengths[contig] == len(text)
        contexts, valid = extract(genome, [contig], at(*rows), window)
    for row, (_, position, strand) in enumerate(rows):
        expected = naive_window(text, position, strand, window)
        assert valid[row] == (expected is not None)
        if expected:
            assert (contexts[row] == encode(expected)).all()
