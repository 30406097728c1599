"""``count --bias-bigwig``: the bias of read starts along exons, for a genome browser."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterbias
from counterbias.cli import main
from counterbias.records import Window
from counterbias.writers.bigwig import Run, room_for, runs_of, write_bigwig
from tests.bias.counted import command, count
from tests.helpers.samples_without_starts import COMPLEMENT

pyBigWig = pytest.importorskip("pyBigWig")

CODES = {letter: code for code, letter in enumerate("ACGT")}


def tracks(prefix: Path, *more: object) -> tuple[object, ...]:
    return ("--bias-bigwig", prefix, "-o", f"{prefix}.sam", "--bias-cap", "none", *more)


@pytest.fixture(scope="module")
def counted(singles: Path) -> Path:
    count(singles, singles / "t", "good", more=tracks(singles / "t" / "good"))
    return singles / "t" / "good"


def read(path: Path) -> dict[tuple[str, int], float]:
    """Return position → value of a whole file."""
    with pyBigWig.open(str(path)) as file:
        return {
            (contig, position): value
            for contig in file.chroms()
            for start, end, value in file.intervals(contig) or ()
            for position in range(start, end)
        }


def genome(folder: Path) -> dict[str, str]:
    records = (folder / "genome.fa").read_text().split(">")[1:]
    return {record.split("\n", 1)[0]: record.split("\n", 1)[1].strip() for record in records}


def exons(folder: Path, strand: str) -> set[tuple[str, int]]:
    """Return the positions of the exons of one strand."""
    fields = [line.split("\t") for line in (folder / "genes.gtf").read_text().splitlines()]
    return {
        (row[0], position)
        for row in fields
        if row[2] == "exon" and row[6] == strand
        for position in range(int(row[3]) - 1, int(row[4]))
    }


def by_hand(model: Any, sequence: str, position: int, strand: str, window: Window) -> float | None:
    """Return log2 of the bias of a read start; None without a whole window."""
    left, right = (
        (window.upstream, window.downstream)
        if strand == "+"
        else (window.downstream, window.upstream)
    )
    letters = sequence[max(position - left, 0) : position + right + 1]
    if len(letters) < window.width or "N" in letters or position < left:
        return None
    if strand == "-":
        letters = "".join(COMPLEMENT[letter] for letter in reversed(letters))
    codes = np.array([[CODES[letter] for letter in letters]], np.uint8)
    return float(model.log_bias(codes)[0] / np.log(2))


@pytest.mark.parametrize(("strand", "ending"), [("+", "forward"), ("-", "reverse")])
def test_each_position_of_an_exon_has_the_bias_that_the_model_gives_it(
    singles: Path, counted: Path, strand: str, ending: str
) -> None:
    found = read(counted.with_name(f"good.{ending}.bw"))
    fitted = counterbias.load_model(f"{counted}.model")
    (end,), sequences = fitted.ends, genome(singles)
    expected = {
        (contig, position): value
        for contig, position in sorted(exons(singles, strand))
        if (value := by_hand(end, sequences[contig], position, strand, fitted.window)) is not None
    }
    assert found.keys() == expected.keys(), "the exons of the strand, but for N and contigs' ends"
    keys = list(expected)
    np.testing.assert_allclose(
        [found[key] for key in keys], [expected[key] for key in keys], rtol=1e-5, atol=1e-5
    )
    assert len(expected) > 10_000
    assert np.std(list(expected.values())) > 0.1


def assert_weights_agree(counted: Path) -> None:
    """Check that all reads weigh 2 to the power of minus the value where they start."""
    values = {"+": read(Path(f"{counted}.forward.bw")), "-": read(Path(f"{counted}.reverse.bw"))}
    sums = []
    for line in Path(f"{counted}.sam").read_text().splitlines():
        if line.startswith("@"):
            continue
        fields = line.split("\t")
        weight = [float(tag[5:]) for tag in fields[11:] if tag.startswith("ZW:f:")]
        strand, length = "-" if int(fields[1]) & 16 else "+", len(fields[9])
        start = int(fields[3]) - 1 + (length - 1 if strand == "-" else 0)
        if weight and fields[5] == f"{length}M" and (fields[2], start) in values[strand]:
            sums.append(np.log2(weight[0]) + values[strand][fields[2], start])
    assert len(sums) > 500
    assert np.ptp(sums) < 2e-3, "all but the common factor of the weights"


def test_reads_weigh_two_to_the_power_of_minus_the_bias(counted: Path) -> None:
    assert_weights_agree(counted)


def test_contigs_are_in_the_order_of_the_alignments(counted: Path, singles: Path) -> None:
    header = [
        line.split("\t")[1][3:]
        for line in (singles / "good.sam").read_text().splitlines()
        if line.startswith("@SQ")
    ]
    for ending in ("forward", "reverse"):
        with pyBigWig.open(f"{counted}.{ending}.bw") as file:
            names = list(file.chroms())
        assert names == [name for name in header if name in names]
        assert {"chr1", "chr2"} <= set(names)


def test_threads_and_a_saved_model_change_no_byte(singles: Path, counted: Path) -> None:
    out = singles / "more"
    count(singles, out, "good", more=tracks(out / "two", "--bias-threads", 3))
    for ending in (".forward.bw", ".reverse.bw"):
        assert Path(f"{out}/two{ending}").read_bytes() == Path(f"{counted}{ending}").read_bytes()
    count(singles, out, "good", model=f"{counted}.model", more=("--bias-bigwig", out / "again"))
    for ending in (".forward.bw", ".reverse.bw"):
        one, two = read(Path(f"{out}/again{ending}")), read(Path(f"{counted}{ending}"))
        assert one.keys() == two.keys()
        assert list(one.values()) == pytest.approx(list(two.values()), abs=1e-5)


def test_windows_over_introns_are_those_that_weigh_reads(singles: Path, tmp_path: Path) -> None:
    for name in ("genome.fa", "good.sam"):
        (tmp_path / name).symlink_to(singles / name)
    lines = []
    for line in (singles / "genes.gtf").read_text().splitlines():
        row = line.split("\t")
        if row[0] in ("short", "unknown"):
            continue
        middle = (int(row[3]) + int(row[4])) // 2
        lines.append("\t".join([*row[:4], str(middle - 30), *row[5:]]))
        lines.append("\t".join([*row[:3], str(middle + 30), *row[4:]]))
    (tmp_path / "genes.gtf").write_text("\n".join(lines) + "\n")
    for context in ("genome", "transcript"):
        more = tracks(tmp_path / context, "--bias-context", context)
        count(tmp_path, tmp_path / "o", "good", more=more)
        assert_weights_agree(tmp_path / context)
    along = (tmp_path / f"{context}.forward.bw" for context in ("genome", "transcript"))
    genome_values, transcript_values = map(read, along)
    assert genome_values.keys() == transcript_values.keys() <= exons(tmp_path, "+")


def test_reads_1_and_2_of_a_stranded_library_have_files_each(pairs: Path, tmp_path: Path) -> None:
    count(pairs, tmp_path / "o", "good", more=("--bias-bigwig", tmp_path / "t"))
    found = {path.name: read(path) for path in tmp_path.glob("*.bw")}
    assert set(found) == {
        f"t.read{number}.{strand}.bw" for number in (1, 2) for strand in ("forward", "reverse")
    }
    # Read 1 lies on the strand of the gene, read 2 on the other.
    assert found["t.read1.forward.bw"].keys() <= exons(pairs, "+")
    assert found["t.read2.reverse.bw"].keys() <= exons(pairs, "+")
    assert found["t.read1.reverse.bw"].keys() <= exons(pairs, "-")
    assert len(found["t.read1.forward.bw"]) == len(found["t.read2.reverse.bw"]) > 10_000
    first = ("--bias-bigwig", tmp_path / "first", "--bias-ends", "first")
    count(pairs, tmp_path / "o", "good", more=first)
    assert sorted(path.name for path in tmp_path.glob("first*")) == [
        "first.read1.forward.bw",
        "first.read1.reverse.bw",
    ]


def test_nothing_is_written_where_no_model_is_used(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--bias-bigwig", f"{tmp_path}/t/")
    count(singles, tmp_path / "o", "empty", "good", more=more)
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == [
        "good.forward.bw",
        "good.reverse.bw",
    ]
    said = capsys.readouterr().err
    warning = "empty: no bigWig file is written, since no model is used; one of its name"
    assert warning in said
    assert "good: no bigWig" not in said


def test_what_an_earlier_run_left_does_not_change_the_report(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--bias-bigwig", f"{tmp_path}/t/")
    said = []
    for _ in range(2):
        count(singles, tmp_path / "o", "empty", more=more)
        said.append(capsys.readouterr().err)
        (tmp_path / "t" / "empty.reverse.bw").touch()
    assert said[0] == said[1]
    assert "is of an earlier run" in said[0]


# -- what is refused -------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(words) != 0
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if not line.startswith("Warning")]) == 1
    return str(lines[-1])


def test_a_missing_library_is_told_before_counting(
    singles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == "pyBigWig" else find(name)
    )
    words = command(singles, tmp_path / "o", "good", more=("--bias-bigwig", tmp_path / "t"))
    assert "pip install 'counterbias[bigwig]'" in refused(capsys, words)
    assert not list((tmp_path / "o").iterdir())


def test_files_that_cannot_be_written_are_refused(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = command(
        singles, tmp_path / "o", "good", more=("--bias-bigwig", tmp_path / "no" / "t")
    )
    assert "--bias-bigwig: the folder" in refused(capsys, nowhere)
    (tmp_path / "t.reverse.bw").mkdir()
    folder = command(singles, tmp_path / "o", "good", more=("--bias-bigwig", tmp_path / "t"))
    assert "--bias-bigwig is a folder" in refused(capsys, folder)
    twice = command(
        singles,
        tmp_path / "o",
        "good",
        more=("--bias-bigwig", tmp_path / "x", "-o", tmp_path / "x.forward.bw"),
    )
    assert "would write the same file twice" in refused(capsys, twice)
    assert not list((tmp_path / "o").iterdir())


def test_without_a_model_there_is_nothing_to_write(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(
        singles, tmp_path / "o", "good", model="none", more=("--bias-bigwig", tmp_path / "t")
    )
    assert "--bias-bigwig needs a bias model" in refused(capsys, words)


# -- the writer ------------------------------------------------------------------------------------


def test_values_are_written_in_runs_without_gaps(tmp_path: Path) -> None:
    values = np.array([np.nan, 1, 2, np.nan, np.nan, 3], np.float32)
    runs = list(runs_of("b", 10, values))
    assert [(run.start, run.values.tolist()) for run in runs] == [(11, [1, 2]), (15, [3])]
    assert list(runs_of("b", 10, values[:1])) == list(runs_of("b", 10, values[:0])) == []
    contigs = [("b", 20), ("a", 10)]
    runs.append(Run("a", 0, np.full(10, -1, np.float32)))
    write_bigwig(str(tmp_path / "t.bw"), contigs, runs, room=room_for(20, 4))
    found = read(tmp_path / "t.bw")
    assert list(found.items())[:3] == [(("b", 11), 1), (("b", 12), 2), (("b", 15), 3)]
    assert len(found) == 13
    write_bigwig(str(tmp_path / "none.bw"), contigs, [], room=room_for(0, 0))
    assert read(tmp_path / "none.bw") == {}


def test_a_file_that_is_not_complete_does_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "t.bw"
    target.write_text("before")

    class Full:
        """What the library does on a full disk: nothing is written, and nothing is said."""

        def __init__(self, name: str, mode: str) -> None:
            Path(name).write_bytes(bytes(100))

        def addHeader(self, contigs: object) -> None: ...

        def addEntries(self, *_: object, **__: object) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(pyBigWig, "open", Full)
    runs = [Run("a", 0, np.ones(5, np.float32))]
    with pytest.raises(counterbias.InputError, match="cannot be written"):
        write_bigwig(str(target), [("a", 10)], runs, room=room_for(5, 1))
    with pytest.raises(counterbias.InputError, match="cannot be written"):
        write_bigwig(str(target), [("a", 10)], runs, room=1 << 60)
    assert [path.name for path in tmp_path.iterdir()] == ["t.bw"]
    assert target.read_text() == "before"
