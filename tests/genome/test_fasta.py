"""Genomes in every form that ``samtools faidx`` indexes, and indexes that do not fit."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main
from counterbias.errors import InputError
from counterbias.genome import Genome

CHR1 = "".join(random.Random(1).choices("ACGT", k=2000))
CHR2 = "".join(random.Random(2).choices("ACGT", k=150))


def fasta(
    ending: str = "\n",
    *,
    between: str = "",
    after: str = "\n",
    comment: str = "",
    change: Callable[[str], str] = str,
) -> bytes:
    """Write both contigs in lines of 60 bases."""
    contigs = []
    for name, bases in (("chr1", CHR1), ("chr2", CHR2)):
        lines = [
            f">{name}{comment}",
            *(change(bases[start : start + 60]) for start in range(0, len(bases), 60)),
        ]
        contigs.append(ending.join(lines))
    return (f"{ending}{between}".join(contigs) + after).encode()


#: Form → the file, and the rows that samtools 1.16 writes for chr1 and chr2.
FORMS: dict[str, tuple[bytes, str]] = {
    "plain": (fasta(), "chr1\t2000\t6\t60\t61\nchr2\t150\t2046\t60\t61\n"),
    "no break at the end": (fasta(after=""), "chr1\t2000\t6\t60\t61\nchr2\t150\t2046\t60\t61\n"),
    "blank lines at the end": (
        fasta(after="\n\n\n"),
        "chr1\t2000\t6\t60\t61\nchr2\t150\t2046\t60\t61\n",
    ),
    "blank lines between": (
        fasta(between="\n\n"),
        "chr1\t2000\t6\t60\t61\nchr2\t150\t2048\t60\t61\n",
    ),
    "blank lines at the start": (
        b"\n\n" + fasta(),
        "chr1\t2000\t8\t60\t61\nchr2\t150\t2048\t60\t61\n",
    ),
    "trailing blanks": (
        fasta(" \n", after=" \n"),
        "chr1\t2000\t7\t60\t62\nchr2\t150\t2082\t60\t62\n",
    ),
    "trailing tabs": (fasta("\t \n"), "chr1\t2000\t8\t60\t63\nchr2\t150\t2118\t60\t63\n"),
    "padded last lines": (
        fasta(change=lambda line: line.ljust(60)),
        "chr1\t2000\t6\t60\t61\nchr2\t150\t2086\t60\t61\n",
    ),
    "carriage returns": (
        fasta("\r\n", after="\r\n"),
        "chr1\t2000\t7\t60\t62\nchr2\t150\t2082\t60\t62\n",
    ),
    "carriage returns, no break at the end": (
        fasta("\r\n", after=""),
        "chr1\t2000\t7\t60\t62\nchr2\t150\t2082\t60\t62\n",
    ),
    "comments": (
        fasta(comment="\tof 1 (a > b)  len=9 caf\u00e9"),
        "chr1\t2000\t32\t60\t61\nchr2\t150\t2098\t60\t61\n",
    ),
    "lower case": (fasta(change=str.lower), "chr1\t2000\t6\t60\t61\nchr2\t150\t2046\t60\t61\n"),
    "empty contigs": (
        b">none\n" + fasta(between=">nil\n\n"),
        "chr1\t2000\t12\t60\t61\nchr2\t150\t2058\t60\t61\n",
    ),
}  # fmt: skip
form = pytest.mark.parametrize("form", list(FORMS))


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make alignments and annotation in a folder, and go there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genes.gtf").write_text(
        'chr1\tt\texon\t101\t1900\t.\t+\t.\tgene_id "a";\n'
        'chr1\tt\texon\t1\t9\t.\t+\t.\tgene_id "b";\n'
    )
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": "chr1", "LN": 2000}, {"SN": "chr2", "LN": 150}],
    }
    with pysam.AlignmentFile("reads.bam", "wb", header=header) as out:
        for i in range(600):
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.flag, read.reference_id, read.reference_start = (
                f"r{i}",
                0,
                0,
                100 + 5 * (i % 120) * (i % 3),
            )
            read.mapping_quality, read.cigartuples, read.query_sequence = 60, [(0, 20)], "A" * 20
            read.query_qualities = pysam.qualitystring_to_array("I" * 20)
            read.set_tag("NH", 1)
            out.write(read)
    return tmp_path


def count(genome: str | Path, capfd: pytest.CaptureFixture[str]) -> bytes:
    """Count with a bias model; return the table of weighted counts."""
    capfd.readouterr()
    status = main(
        [
            "count",
            "-q",
            "--bias-model",
            "pwm",
            "--bias-genome",
            str(genome),
            "--bias-output",
            "x",
            "reads.bam",
            "genes.gtf",
        ]
    )
    out, error = capfd.readouterr()
    assert status == 0, error
    return Path("x.counts.tsv").read_bytes() + Path("x.model").read_bytes() + out.encode()


def put_index(genome: Path, rows: str) -> None:
    """Put an index next to a genome that is older than it."""
    index = genome.with_name(genome.name + ".fai")
    index.write_text(rows)
    later = time.time() + 60
    os.utime(index, (later, later))


@form
def test_every_form_counts_the_same(
    inputs: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    content, rows = FORMS[form]
    genome = inputs / "g.fa"
    genome.write_bytes(fasta())
    expected = count(genome, capfd)
    genome.write_bytes(content)
    (inputs / "g.fa.fai").unlink()
    assert count(genome, capfd) == expected, "no index"
    assert (inputs / "g.fa.fai").read_text() == rows
    put_index(genome, rows)
    kept = os.stat("g.fa.fai").st_ino
    assert count(genome, capfd) == expected, "an index of samtools"
    assert os.stat("g.fa.fai").st_ino == kept
    (inputs / "packed.fa.gz").write_bytes(gzip.compress(content))
    assert count("packed.fa.gz", capfd) == expected, "compressed"


@form
def test_samtools_makes_the_same_index(tmp_path: Path, form: str) -> None:
    if shutil.which("samtools") is None:
        pytest.skip("samtools is not installed")
    content, rows = FORMS[form]
    (tmp_path / "g.fa").write_bytes(content)
    subprocess.run(["samtools", "faidx", "g.fa"], cwd=tmp_path, check=True)
    assert (tmp_path / "g.fa.fai").read_text() == rows


@form
def test_a_form_is_read_the_same_with_and_without_index(tmp_path: Path, form: str) -> None:
    """All names, lengths and letters; contigs without a sequence exist though not in the index."""
    content, rows = FORMS[form]
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    found = []
    for index in (None, rows):
        if index is not None:
            put_index(path, index)
        with Genome(path) as genome:
            found.append({name: genome.codes(name).tolist() for name in genome.names})
    assert found[0] == found[1]
    assert found[0]["chr1"] == ["ACGT".index(letter) for letter in CHR1]
    assert list(found[0]) == (
        ["none", "chr1", "nil", "chr2"] if form == "empty contigs" else ["chr1", "chr2"]
    )


def random_file(rng: random.Random) -> bytes:
    """Write contigs in lines of one width, and spoil some of it."""
    width, ending = rng.choice([1, 2, 3, 5]), rng.choice(["\n", "\n", "\r\n", " \n", "\t\n"])
    text = rng.choice(["", "", "\n"])
    for number in range(rng.randint(1, 3)):
        bases = "".join(rng.choices("ACGTn*-", k=rng.randint(0, 3 * width + 1)))
        lines = [bases[start : start + width] for start in range(0, len(bases), width)]
        text += (
            f">c{number}"
            + rng.choice(["", " x", "\ty"])
            + ending
            + "".join(line + ending for line in lines)
        )
        text += rng.choice(["", "", "\n", "\r\n", "  \n", "\n\n"])
    if rng.random() < 0.4:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice("\n >A\t\r") + text[at + rng.randint(0, 1) :]
    return (text.rstrip("\n") if rng.random() < 0.3 else text).encode()


@form
def test_pyfaidx_reads_the_same_bases(tmp_path: Path, form: str) -> None:
    """Where another reader accepts the file, it finds what we find."""
    pyfaidx = pytest.importorskip("pyfaidx", reason="pyfaidx is an oracle of these tests")
    path = tmp_path / "g.fa"
    path.write_bytes(FORMS[form][0])
    try:
        theirs = pyfaidx.Fasta(
            str(path), sequence_always_upper=True, indexname=str(tmp_path / "theirs.fai")
        )
        found = {name: str(theirs[name][:]) for name in ("chr1", "chr2")}
    except (pyfaidx.FastaIndexingError, UnicodeDecodeError):
        pytest.skip("pyfaidx does not take this form")
    with Genome(path) as genome:
        for name, bases in found.items():
            assert ["ACGTN"[code] for code in genome.codes(name)] == list("".join(bases.split())), (
                name
            )


def test_random_files_as_samtools_has_them(tmp_path: Path) -> None:
    """Both have the same index, but for contigs without a sequence; samtools' is believed."""
    if shutil.which("samtools") is None:
        pytest.skip("samtools is not installed")
    rng = random.Random(7)
    taken = 0
    for number in range(150):
        path, index = tmp_path / f"{number}.fa", tmp_path / f"{number}.fa.fai"
        path.write_bytes(random_file(rng))
        if subprocess.run(["samtools", "faidx", path], capture_output=True).returncode:
            continue
        rows = index.read_text()
        index.unlink()
        try:
            with Genome(path) as genome:
                codes = {name: genome.codes(name).tolist() for name in genome.names}
        except InputError:
            continue  # blanks between bases, no bases at all: samtools does not look
        assert index.read_text() == "".join(
            row for row in rows.splitlines(keepends=True) if row.split("\t")[1] != "0"
        )
        put_index(path, rows)
        with Genome(path) as genome:
            assert {name: genome.codes(name).tolist() for name in genome.names} == codes
        assert index.read_text() == rows
        taken += 1
    assert taken > 50


@pytest.mark.parametrize("content", [b">a\nACGT\n>b\n", b">a\nACGT\n>b", b">a\nACGT\n\n>b\n\n\n"])
def test_an_empty_contig_at_the_end(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    for _ in range(2):
        with Genome(path) as genome:
            assert genome.lengths == {"a": 4, "b": 0}
    assert (tmp_path / "g.fa.fai").read_bytes() == b"a\t4\t3\t4\t5\n"


@pytest.mark.parametrize("form", ["trailing blanks", "blank lines between"])
def test_bgzip_with_its_indexes(inputs: Path, capfd: pytest.CaptureFixture[str], form: str) -> None:
    content, rows = FORMS[form]
    (inputs / "g.fa").write_bytes(fasta())
    expected = count("g.fa", capfd)
    with pysam.BGZFile("packed.fa.gz", "wb") as file:
        file.write(content)
    assert count("packed.fa.gz", capfd) == expected
    put_index(inputs / "packed.fa.gz", rows)
    assert count("packed.fa.gz", capfd) == expected
    assert not (inputs / "packed.fa.gz.gzi").exists()


@pytest.mark.parametrize("form", ["plain", "trailing blanks", "empty contigs"])
def test_a_folder_that_cannot_be_written(
    inputs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    (inputs / "g.fa").write_bytes(fasta())
    expected = count("g.fa", capfd)
    (inputs / "fixed").mkdir()
    (inputs / "fixed" / "g.fa").write_bytes(FORMS[form][0])
    (inputs / "fixed").chmod(0o555)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("counterbias.genome.index_file.whole_stream", refuse)
    assert count("fixed/g.fa", capfd) == expected
    assert os.listdir("fixed") == ["g.fa"]


def test_letters_that_are_no_bases(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(b">x\nACGTUNRYKMSWBDHVX\n>y\nac*gt-n.acgtu----\n")
    with Genome(path) as genome:
        assert genome.codes("x").tolist() == [0, 1, 2, 3, 3, *[4] * 12]
        assert genome.codes("y").tolist() == [0, 1, 4, 2, 3, 4, 4, 4, 0, 1, 2, 3, 3, 4, 4, 4, 4]


BAD_ROWS = [
    "chr1\t2000\t99999999999999999999999\t60\t61\nchr2\t150\t2046\t60\t61\n",
    "chr1\t2000\t9223372036854775807\t60\t61\nchr2\t150\t2046\t60\t61\n",
    "chr1\t9223372036854775807\t6\t9223372036854775807\t9223372036854775807\n",
    "chr1\t999999999999999999\t6\t999999999999999999\t999999999999999999\n",
    "chr1\t2000\t6\t60\t999999999999999999\nchr2\t150\t2046\t60\t61\n",
    "chr1\t2000\t6\t999999999999999999\t999999999999999999\nchr2\t150\t2046\t60\t61\n",
    "chr1\t-2000\t6\t60\t61\nchr2\t150\t2046\t60\t61\n",
    "chr1\t2000\t-6\t60\t61\nchr2\t150\t2046\t60\t61\n",
    "chr1\t2000\t6\t61\t60\nchr2\t150\t2046\t60\t61\n",
    "chr1\t2000\t6\t0\t0\nchr2\t150\t2046\t60\t61\n",
    "chr1\t2000\t6\t60\t61\nchr2\t150\t6\t60\t61\n",  # one over the other
    "chr1\t2000\t6\t60\t61\nchr1\t150\t2046\t60\t61\n",
    "chr1\t2000\t6\t60\t61\t9\nchr2\t150\t2046\t60\t61\t9\n",
    "chr1\t2000\t6\t60\t61\n",
    "chr2\t150\t2046\t60\t61\nchr1\t2000\t6\t60\t61\n",
    "chr1\t1980\t6\t60\t61\nchr2\t150\t2046\t60\t61\n",  # of a genome that is a little shorter
    # The ends are right, but the lines are not so long.
    "chr1\t2033\t6\t2033\t2034\nchr2\t150\t2046\t60\t61\n",
    "chr1\t2016\t6\t121\t122\nchr2\t150\t2046\t60\t61\n",
    "chr1\t1_0\t6\t60\t61\n", "\n\n", "\0", "chr1 2000 6 60 61\n", "",
]  # fmt: skip


@pytest.mark.parametrize("rows", BAD_ROWS)
def test_an_index_that_does_not_fit_is_made_anew(
    inputs: Path, capfd: pytest.CaptureFixture[str], rows: str
) -> None:
    genome = inputs / "g.fa"
    genome.write_bytes(fasta())
    put_index(genome, rows)
    with Genome(genome) as opened:
        assert opened.lengths == {"chr1": 2000, "chr2": 150}
        assert opened.codes("chr1").tolist() == ["ACGT".index(letter) for letter in CHR1]
    assert (inputs / "g.fa.fai").read_text() == FORMS["plain"][1]


def test_an_endless_index_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(fasta())
    for kind in ("pipe", "device", "folder"):
        index = tmp_path / "g.fa.fai"
        index.unlink(missing_ok=True)
        os.mkfifo(index) if kind == "pipe" else index.symlink_to(
            "/dev/zero"
        ) if kind == "device" else index.mkdir()
        with Genome(path) as genome:
            assert genome.lengths == {"chr1": 2000, "chr2": 150}


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b">x\nACGT\n>y\nACGT\nAC\nACGT\n", "line 5", "lines of the contig 'y' differ in length"),
        (b">x\nACGT\n>y\nACGT\n\nACGT\n", "line 5", "lines of the contig 'y' differ in length"),
        (b">x\n\nACGT\n", "line 2", "lines of the contig 'x' differ in length"),
        (b">x\nACGT\nACGTA\n", "line 3", "lines of the contig 'x' differ in length"),
        (b">x\nACGT\nACGT \n", "line 3", "lines of the contig 'x' differ in length"),
        (b">x\nACGT \nACG  \nACGT \n", "line 3", "lines of the contig 'x' differ in length"),
        (b">x\nACGT\n AC\n", "line 3", "a blank before or between bases"),
        (b">x\nACGT\nAC\0T\n", "line 3", "binary data"),
        (b">x\nACGT\n>x\nAC\n", "line 3", "two contigs are named 'x'"),
        (b">x\nACGT\n>\nAC\n", "line 3", "this contig has no name"),
        (b"\n;a comment\nACGT\n", "line 3", "text before the first contig"),
    ],
)
@pytest.mark.parametrize("index", [None, "x\t4\t3\t4\t5\n"])
def test_a_file_that_cannot_be_indexed(
    tmp_path: Path, content: bytes, place: str, message: str, index: str | None
) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    if index is not None:
        put_index(path, index)
    with pytest.raises(InputError, match=message) as caught:
        Genome(path)
    assert (caught.value.file, caught.value.place) == (str(path), place)


@pytest.mark.parametrize(
    "content", [b">x\nACGT\nACGTA\n", b">x\nACGT\n>x\nAC\n", b">x\nACGT\n>\nACG\n"]
)
def test_an_index_that_hides_what_cannot_be_indexed(tmp_path: Path, content: bytes) -> None:
    """An index that fits at both ends is found wrong when a contig is read; so is the file."""
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    with pytest.raises(InputError) as without:
        Genome(path)
    put_index(path, "x\t9\t3\t4\t5\n")
    with pytest.raises(InputError) as caught, Genome(path) as genome:
        genome.codes("x")
    assert caught.value.line() == without.value.line()


def test_the_remedy_for_uneven_lines_helps(inputs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """``seqtk seq -l 60`` writes the plain form; the uneven file's newer index does not matter."""
    genome = inputs / "g.fa"
    genome.write_bytes(fasta())
    expected = count(genome, capfd)
    genome.write_bytes(fasta(change=lambda line: line[:20] + "\n" + line[20:]))
    assert (
        main(
            [
                "count",
                "-q",
                "--bias-model",
                "pwm",
                "--bias-genome",
                "g.fa",
                "--bias-output",
                "x",
                "reads.bam",
                "genes.gtf",
            ]
        )
        == 1
    )
    line = capfd.readouterr().err
    assert line.startswith(
        "counterbias: g.fa, line 3: not a usable FASTA file "
        "(lines of the contig 'chr1' differ in length"
    )
    assert "seqtk seq -l 60" in line
    even = fasta()
    if shutil.which("seqtk") is not None:
        even = subprocess.run(
            ["seqtk", "seq", "-l", "60", "g.fa"], check=True, capture_output=True
        ).stdout
    genome.write_bytes(even)
    assert count(genome, capfd) == expected


def test_the_remedy_for_a_byte_order_mark_helps(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes("\ufeff>x\nACGT\n".encode())
    with pytest.raises(InputError, match="begins with a byte order mark") as caught:
        Genome(path)
    command = caught.value.remedy.partition(": ")[2]
    if "GNU" in subprocess.run(["sed", "--version"], capture_output=True, text=True).stdout:
        subprocess.run(
            f"{command} {path}", shell=True, check=True, env={**os.environ, "LC_ALL": "C"}
        )
        with Genome(path) as genome:
            assert genome.lengths == {"x": 4}


def test_a_strange_letter_is_named_and_the_index_is_not_blamed(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(b">x\nACGT\nA!GT\n")
    for _ in range(2):
        with (
            Genome(path) as genome,
            pytest.raises(InputError, match=r"other than a sequence \('!'\)") as caught,
        ):
            genome.codes("x")
        assert caught.value.place == "line 3"
        assert ".fai" not in caught.value.line()


def test_the_remedy_for_an_index_that_fits_at_the_ends_only(tmp_path: Path) -> None:
    """No look at first lines and ends shows it, but deleting the index, as advised, helps."""
    path = tmp_path / "g.fa"
    path.write_bytes(b">x\n" + (b"A" * 9000 + b"\n") * 2 + b"ACGT\n")
    put_index(path, "x\t18006\t3\t18006\t18007\n")
    with (
        Genome(path) as genome,
        pytest.raises(InputError, match="the index next to the file does not match it") as caught,
    ):
        genome.codes("x")
    assert caught.value.remedy == f"delete {path}.fai, so that it is rebuilt"
    os.unlink(f"{path}.fai")
    with Genome(path) as genome:
        assert genome.codes("x")[-4:].tolist() == [0, 1, 2, 3]


def test_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of the file may end anywhere: in a name, a line, a line break."""
    path = tmp_path / "g.fa"
    for content, _ in FORMS.values():
        short = content.replace(CHR1[60:1980].encode(), b"")
        path.write_bytes(content)
        entries = []
        for size in (1 << 22, 1, 7, 61, 62, 64):
            monkeypatch.setattr("counterbias.genome.indexing._CHUNK", size)
            (tmp_path / "g.fa.fai").unlink(missing_ok=True)
            with Genome(path) as genome:
                entries.append((genome.names, genome._entries))
        assert all(one == entries[0] for one in entries), short
