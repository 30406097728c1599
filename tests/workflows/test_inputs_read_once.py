"""Pipes and standard input for every input but alignments: read once, or copied where they are needed again; no run waits for ever."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pysam
import pytest

from counterbias import load_model
from counterbias.cli import main
from counterbias.contexts import Genome
from counterbias.errors import InputError
from counterbias.inputs import check_inputs, file_of, open_input, read_again, reads_once

# A pipe that is opened once too often would wait for ever.
pytestmark = pytest.mark.timeout(60)

LENGTH = 40_000


def gtf(contig: str = "chr1") -> str:
    rows = []
    for number, start in enumerate(range(101, LENGTH - 1000, 700)):
        names = f'gene_id "g{number}"; transcript_id "t{number}";'
        rows += [
            f"{contig}\tt\texon\t{first}\t{first + 249}\t.\t+\t.\t{names}\n"
            for first in (start, start + 350)
        ]
    return "".join(rows)


class Inputs:
    """Good inputs in the working folder, and pipes that give what is in them."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.capfd = capfd
        self.descriptors: list[int] = []
        letters = random.Random(1)
        genome = "".join(letters.choices("ACGT", k=LENGTH))
        lines = "\n".join(genome[start : start + 60] for start in range(0, LENGTH, 60))
        Path("g.fa").write_text(f">chr1\n{lines}\n")
        Path("genes.gtf").write_text(gtf())
        header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr1", "LN": LENGTH}]}
        for name in ("a", "b"):
            starts = sorted(
                letters.choices([i for i in range(100, LENGTH - 500) if genome[i] == "A"], k=3000)
            )
            with pysam.AlignmentFile(f"{name}.bam", "wb", header=header) as out:
                for i, start in enumerate(starts):
                    read = pysam.AlignedSegment(out.header)
                    read.query_name, read.flag, read.reference_id, read.reference_start = (
                        f"r{i}",
                        0,
                        0,
                        start,
                    )
                    read.mapping_quality, read.cigartuples, read.query_sequence = (
                        60,
                        [(0, 30)],
                        genome[start : start + 30],
                    )
                    read.query_qualities = pysam.qualitystring_to_array("I" * 30)
                    read.set_tag("NH", 1)
                    out.write(read)

    def fifo(self, source: str, name: str | None = None, *, packed: bool = False) -> str:
        """Make a named pipe that somebody writes a file to, once."""
        name = name or f"pipe.{source}"
        os.mkfifo(name)
        content = Path(source).read_bytes()
        self._feed(
            lambda: os.open(name, os.O_WRONLY), gzip.compress(content) if packed else content
        )
        return name

    def descriptor(self, source: str) -> str:
        """Make what a shell puts in the place of ``<(cat FILE)``."""
        reading, writing = os.pipe()
        self.descriptors.append(reading)
        self._feed(lambda: writing, Path(source).read_bytes())
        return f"/dev/fd/{reading}"

    def _feed(self, start: Callable[[], int], content: bytes) -> None:
        def write() -> None:
            with suppress(OSError), open(start(), "wb", buffering=0) as pipe:
                # The first byte alone: what is compressed is told by two.
                pipe.write(content[:1])
                rest = memoryview(content)[1:]
                while rest:
                    rest = rest[pipe.write(rest) :]

        threading.Thread(target=write, daemon=True).start()

    def run(self, *words: str) -> str:
        """Run a command; give stdout."""
        self.capfd.readouterr()
        status = main([str(word) for word in words])
        out, error = self.capfd.readouterr()
        assert status == 0, error
        return out

    def fails(self, *words: str) -> str:
        """Run a command that fails; give its one line."""
        self.capfd.readouterr()
        status = main([str(word) for word in words])
        out, error = self.capfd.readouterr()
        lines = [line for line in error.splitlines() if line.startswith("counterbias: ")]
        assert (status, len(lines), out) == (1, 1, ""), error
        return lines[0]

    def count(self, genome: str, annotation: str, *more: str, alignments: str = "a.bam") -> bytes:
        """Count with a bias model; give all that came of it."""
        given = () if "--bias-model" in more else ("--bias-model", "pwm")
        out = self.run(
            "count",
            "-q",
            *given,
            "--bias-genome",
            genome,
            "--bias-output",
            "x",
            *more,
            alignments,
            annotation,
        )
        return out.encode() + Path("x.counts.tsv").read_bytes() + Path("x.model").read_bytes()


@pytest.fixture
def inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Inputs]:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    made = Inputs(capfd)
    yield made
    for number in made.descriptors:
        os.close(number)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("context", ["genome", "transcript"])
def test_count_with_named_pipes(inputs: Inputs, context: str, packed: bool) -> None:
    expected = inputs.count("g.fa", "genes.gtf", "--bias-context", context)
    genome, annotation = inputs.fifo("g.fa", packed=packed), inputs.fifo("genes.gtf", packed=packed)
    assert inputs.count(genome, annotation, "--bias-context", context) == expected
    assert not Path("pipe.g.fa.fai").exists()


def test_count_with_descriptors(inputs: Inputs) -> None:
    """As htseq-count does, the annotation of a pipe without a name is read as GFF3: identifiers keep their quotes."""
    shutil.copy("genes.gtf", "genes.txt")
    expected = inputs.count("g.fa", "genes.txt", "--bias-context", "transcript")
    again = inputs.count(
        inputs.descriptor("g.fa"), inputs.descriptor("genes.gtf"), "--bias-context", "transcript"
    )
    assert again == expected
    assert b'"g1"\t' in again


def test_count_without_a_model(inputs: Inputs) -> None:
    assert inputs.run("count", "-q", "a.bam", inputs.fifo("genes.gtf")) == inputs.run(
        "count", "-q", "a.bam", "genes.gtf"
    )


def test_aliases_models_and_priors(inputs: Inputs) -> None:
    Path("aliases.tsv").write_text("chr1\t1\n")
    Path("1.fa").write_text(Path("g.fa").read_text().replace(">chr1", ">1"))
    Path("1.gtf").write_text(gtf("1"))
    inputs.count("g.fa", "genes.gtf")
    os.rename("x.model", "old.model")
    expected = inputs.count(
        "1.fa", "1.gtf", "--bias-contig-alias", "aliases.tsv", "--bias-model", "old.model"
    )
    given = (
        "--bias-contig-alias",
        inputs.fifo("aliases.tsv"),
        "--bias-model",
        inputs.descriptor("old.model"),
    )
    assert inputs.count(inputs.fifo("1.fa"), inputs.fifo("1.gtf"), *given) == expected
    expected = inputs.count("g.fa", "genes.gtf", "--bias-prior", "old.model")
    assert (
        inputs.count("g.fa", "genes.gtf", "--bias-prior", inputs.fifo("old.model", "prior"))
        == expected
    )


def test_a_model_in_a_pipe_without_slash_or_ending(inputs: Inputs) -> None:
    inputs.count("g.fa", "genes.gtf")
    os.rename("x.model", "old.model")
    expected = inputs.count("g.fa", "genes.gtf", "--bias-model", "old.model")
    assert (
        inputs.count("g.fa", "genes.gtf", "--bias-model", inputs.fifo("old.model", "mine"))
        == expected
    )


def test_the_genome_of_a_cram_file_comes_through_a_pipe(inputs: Inputs) -> None:
    pysam.faidx("g.fa")
    with (
        pysam.AlignmentFile("a.bam") as source,
        pysam.AlignmentFile("a.cram", "wc", template=source, reference_filename="g.fa") as out,
    ):
        for read in source:
            out.write(read)
    expected = inputs.count("g.fa", "genes.gtf", alignments="a.cram")
    os.rename("g.fa", "elsewhere.fa")
    genome = inputs.fifo("elsewhere.fa")
    assert inputs.count(genome, "genes.gtf", alignments="a.cram") == expected
    table = inputs.run(
        "count", "-q", "--bias-genome", inputs.fifo("elsewhere.fa", "again"), "a.cram", "genes.gtf"
    )
    assert expected.startswith(table.encode())


def test_train(inputs: Inputs) -> None:
    def train(genome: str, annotation: str) -> bytes:
        words = (
            "-q",
            "--bias-model",
            "pwm",
            "--bias-context",
            "transcript",
            "--bias-no-own",
            "-o",
            "t.model",
            "--bias-genome",
            genome,
        )
        return (
            inputs.run("train", *words, "a.bam", "b.bam", annotation).encode()
            + Path("t.model").read_bytes()
        )

    expected = train("g.fa", "genes.gtf")
    assert train(inputs.fifo("g.fa"), inputs.fifo("genes.gtf")) == expected


def test_compare(inputs: Inputs) -> None:
    inputs.count("g.fa", "genes.gtf")
    os.rename("x.model", "old.model")
    Path("aliases.tsv").write_text("chr1\tchr1\n")
    Path("groups.tsv").write_text("sample\tgroup\na\tone\nb\tone\n")
    Path("truth.tsv").write_text("id\tvalue\n" + "".join(f"g{i}\t{i + 1}\n" for i in range(50)))

    def compare(genome: str, annotation: str, model: str, *more: str) -> bytes:
        shutil.rmtree("out", ignore_errors=True)
        words = (
            "-q",
            "--folds",
            "0,",
            "--seeds",
            "1",
            "--no-figures",
            "--truth-column",
            "value",
            "-o",
            "out",
            "--bias-genome",
            genome,
        )
        inputs.run(
            "compare", *words, "--models", f"pwm,{model}", *more, "a.bam", "b.bam", annotation
        )
        return Path("out/per_gene.tsv").read_bytes()

    tables = (
        "--bias-contig-alias",
        "aliases.tsv",
        "--groups",
        "groups.tsv",
        "--truth",
        "truth.tsv",
    )
    expected = compare("g.fa", "genes.gtf", "old.model", *tables)
    pipes = [word if word.startswith("--") else inputs.fifo(word) for word in tables]
    assert (
        compare(
            inputs.fifo("g.fa"), inputs.fifo("genes.gtf"), inputs.fifo("old.model"), *pipes
        ).replace(b"pipe.", b"")
        == expected
    )


def test_simulate(inputs: Inputs) -> None:
    inputs.count("g.fa", "genes.gtf")

    def simulate(genome: str, annotation: str, model: str) -> dict[str, bytes]:
        shutil.rmtree("out", ignore_errors=True)
        words = (
            "--bias-model",
            model,
            "--strength",
            "1,2",
            "--samples",
            "2",
            "--groups",
            "2",
            "--pairs",
            "200",
        )
        inputs.run(
            "simulate", "-q", "-o", "out", *words, "--genome", genome, "--annotation", annotation
        )
        return {
            path.name: path.read_bytes() for path in Path("out").iterdir() if path.suffix != ".json"
        }

    expected = {
        name: content.replace(b"x.model", b"M")
        for name, content in simulate("g.fa", "genes.gtf", "x.model").items()
    }
    given = inputs.fifo("g.fa", packed=True), inputs.descriptor("genes.gtf"), inputs.fifo("x.model")
    assert {
        name: content.replace(b"pipe.x.model", b"M") for name, content in simulate(*given).items()
    } == expected


def test_copies_go_with_a_run_that_fails(inputs: Inputs) -> None:
    """The genome is copied, the annotation too, and then a line of it is wrong; the fixture looks for what is left."""
    Path("bad.gtf").write_text(gtf() + "chr1\tonly three\tcolumns\n")
    genome, annotation = inputs.fifo("g.fa"), inputs.fifo("bad.gtf")
    words = (
        "count",
        "-q",
        "--bias-model",
        "pwm",
        "--bias-context",
        "transcript",
        "--bias-genome",
        genome,
        "--bias-output",
        "x",
    )
    line = inputs.fails(*words, "a.bam", annotation)
    assert line.startswith(f"counterbias: {annotation}, line 113: expected 9 tab-separated columns")


def test_no_room_for_a_copy(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        "count",
        "-q",
        "--bias-model",
        "pwm",
        "--bias-context",
        "transcript",
        "--bias-output",
        "x",
    )
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", "/nowhere")
        line = inputs.fails(*words, "--bias-genome", "g.fa", "a.bam", inputs.fifo("genes.gtf"))
        assert line.startswith(
            "counterbias: pipe.genes.gtf: this is needed more than once, and cannot be copied to /nowhere"
        )
        assert "TMPDIR" in line
        line = inputs.fails(*words, "--bias-genome", inputs.fifo("g.fa"), "a.bam", "genes.gtf")
        assert line.startswith(
            "counterbias: pipe.g.fa: this is needed more than once, and cannot be copied to /nowhere"
        )


# -- what is refused before anything is opened -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["count", "train", "compare"])
def test_the_same_pipe_twice(inputs: Inputs, command: str) -> None:
    os.mkfifo("pipe")
    os.symlink("pipe", "link")
    words = (
        command,
        "-q",
        *(("-o", "out") if command != "count" else ("--bias-model", "pwm")),
        "--bias-genome",
        "link",
    )
    line = inputs.fails(*words, "a.bam", "pipe")
    assert line == (
        "counterbias: link: this can be read only once, but it is given as both the annotation and --bias-genome. "
        "Give a file for one of them"
    )
    line = inputs.fails(*words[:-2], "--bias-genome", "g.fa", "a.bam", "pipe", "pipe")
    assert "both the alignments and the annotation" in line
    assert not Path("out").exists()


def test_simulate_with_the_same_pipe_twice(inputs: Inputs) -> None:
    os.mkfifo("pipe")
    line = inputs.fails("simulate", "-o", "out", "--genome", "pipe", "--annotation", "pipe")
    assert "both --genome and --annotation" in line


def program(*words: str, stdin: int) -> subprocess.CompletedProcess[str]:
    """Run the program with a standard input of its own."""
    return subprocess.run(
        [sys.executable, "-m", "counterbias", *words],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize("pipe", [True, False])
def test_standard_input_twice(inputs: Inputs, pipe: bool) -> None:
    with open("genes.gtf", "rb") as file:
        reading, writing = os.pipe()
        for name in ("/dev/stdin", "/dev/fd/0"):
            done = program("count", "-q", "-", name, stdin=reading if pipe else file.fileno())
            message = "standard input can be read only once, but it is given as both the alignments and the annotation"
            assert (done.returncode, done.stdout, done.stderr) == (
                1,
                "",
                f"counterbias: {message}. Give a file for one of them\n",
            )
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("pipe", [True, False])
def test_standard_input_as_genome(inputs: Inputs, pipe: bool) -> None:
    """It may be a file, too: no index is looked for or left beside ``/dev/stdin``."""
    expected = inputs.count("g.fa", "genes.gtf")
    with open("g.fa", "rb") as file:
        number = os.open(inputs.descriptor("g.fa"), os.O_RDONLY) if pipe else file.fileno()
        words = ("--bias-model", "pwm", "--bias-genome", "/dev/stdin", "--bias-output", "x")
        done = program("count", "-q", *words, "a.bam", "genes.gtf", stdin=number)
        if pipe:
            os.close(number)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.encode() + Path("x.counts.tsv").read_bytes() + Path("x.model").read_bytes()
        == expected
    )
    assert not os.path.lexists("/dev/stdin.fai")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "socket"])
def test_devices(inputs: Inputs, device: str) -> None:
    what = "device"
    if device == "socket":
        import socket

        what = "socket"
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
    genome = ("--bias-genome", "g.fa")
    for words in (
        ("count", "-q", "a.bam", device),
        ("count", "-q", "--bias-model", "pwm", "--bias-genome", device, "a.bam", "genes.gtf"),
        ("count", "-q", "--bias-model", device, *genome, "a.bam", "genes.gtf"),
        ("count", "-q", "--bias-prior", device, *genome, "a.bam", "genes.gtf"),
        (
            "count",
            "-q",
            "--bias-model",
            "pwm",
            "--bias-contig-alias",
            device,
            *genome,
            "a.bam",
            "genes.gtf",
        ),
        ("train", "-o", "m", "--bias-genome", device, "a.bam", "genes.gtf"),
        (
            "compare",
            "-o",
            "out",
            *genome,
            "--truth",
            device,
            "--truth-column",
            "c",
            "a.bam",
            "genes.gtf",
        ),
        ("compare", "-o", "out", *genome, "--groups", device, "a.bam", "genes.gtf"),
        ("compare", "-o", "out", *genome, "--models", device, "a.bam", "genes.gtf"),
        ("simulate", "-o", "out", "--genome", device, "--annotation", "genes.gtf"),
        ("simulate", "-o", "out", "--bias-model", device),
    ):
        assert (
            inputs.fails(*words)
            == f"counterbias: {device}: this is a {what}, not a file or a pipe. Give a file"
        )
    assert not Path("out").exists()


# -- the mechanism itself ----------------------------------------------------------------------------------------------------


def test_a_copy_lasts_as_long_as_any_block_wants_it(inputs: Inputs) -> None:
    pipe = inputs.fifo("genes.gtf")
    content = Path("genes.gtf").read_bytes()
    with read_again(pipe, None):
        with read_again(pipe):
            for _ in range(3):
                with open_input(pipe) as file:
                    assert file.readall() == content
        copy = file_of(pipe)
        assert Path(copy).read_bytes() == content
    assert not os.path.exists(copy)
    assert file_of(pipe) == pipe
    with read_again("genes.gtf"):
        assert file_of("genes.gtf") == "genes.gtf"


def test_scripts_may_give_pipes(inputs: Inputs) -> None:
    """A genome and a model that are opened once need no block of ``read_again``."""
    inputs.count("g.fa", "genes.gtf")
    with Genome("g.fa") as genome, Genome(inputs.fifo("g.fa")) as piped:
        assert (piped.codes("chr1") == genome.codes("chr1")).all()
    assert load_model(inputs.fifo("x.model")).window == load_model("x.model").window


def test_what_can_be_read_only_once(inputs: Inputs) -> None:
    os.mkfifo("pipe")
    for missing in ("/dev/fd/987654", "/dev/fd/98765432109876"):
        assert inputs.fails("count", "-q", "a.bam", missing).startswith(f"counterbias: {missing}: ")
    assert [
        reads_once(name)
        for name in ("pipe", "/dev/stdin", "/dev/fd/7", "g.fa", ".", "missing", "/dev")
    ] == [True] * 3 + [False] * 4
    check_inputs([("a", "missing"), ("b", None), ("c", "g.fa"), ("d", "g.fa"), ("e", "pipe")])
    with pytest.raises(InputError, match="it is given as a model twice"):
        check_inputs([("a model", "pipe"), ("a model", "pipe")])
