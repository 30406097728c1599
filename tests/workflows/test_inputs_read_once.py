"""Inputs that can be read only once: refused where they are given twice; how copies are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterbias import load_model
from counterbias.errors import InputError
from counterbias.genome import Genome
from counterbias.inputs import check_inputs, file_of, open_input, read_again, reads_once
from tests.workflows.piped_inputs import Inputs, program

# A pipe that is opened once too often would block for ever.
pytestmark = pytest.mark.timeout(60)


# -- what is refused before anything is opened -------------------------------------------------


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
        "counterbias: link: this can be read only once, "
        "but it is given as both the annotation and --bias-genome. "
        "Give a file for one of them"
    )
    line = inputs.fails(*words[:-2], "--bias-genome", "g.fa", "a.bam", "pipe", "pipe")
    assert "both the alignments and the annotation" in line
    assert not Path("out").exists()


def test_simulate_with_the_same_pipe_twice(inputs: Inputs) -> None:
    os.mkfifo("pipe")
    line = inputs.fails("simulate", "-o", "out", "--genome", "pipe", "--annotation", "pipe")
    assert "both --genome and --annotation" in line


@pytest.mark.parametrize("pipe", [True, False])
def test_standard_input_twice(inputs: Inputs, pipe: bool) -> None:
    with open("genes.gtf", "rb") as file:
        reading, writing = os.pipe()
        for name in ("/dev/stdin", "/dev/fd/0"):
            done = program("count", "-q", "-", name, stdin=reading if pipe else file.fileno())
            message = (
                "standard input can be read only once, "
                "but it is given as both the alignments and the annotation"
            )
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


# -- the mechanism itself ----------------------------------------------------------------------


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
    """A genome and a model that are opened once need no ``read_again``."""
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
