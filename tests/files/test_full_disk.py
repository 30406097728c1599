"""A full disk under every output: one line that names the file, no half file, nothing left over."""

from __future__ import annotations

import gzip
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest

from tests.helpers.output_inputs import MANY, bias, fails, make_inputs, names, run

INPUTS = ("reads.bam", "genes.gtf")
GENOME = ("--bias-genome", "genome.fa")


@pytest.fixture
def disk() -> Iterator[Path]:
    """Mount a disk of 64 kB in memory."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip("a small disk cannot be mounted here")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    make_inputs(tmp_path, MANY)
    return tmp_path


def fill(disk: Path, free: int) -> None:
    """Leave this many kB free."""
    (disk / "fill").write_bytes(bytes(1024 * (64 - free)))


OUTPUTS = {
    "tsv": ["count", "-c", "{}/c.tsv"],
    "mtx": ["count", "-c", "{}/c.mtx"],
    "h5ad": ["count", "-c", "{}/c.h5ad"],
    "loom": ["count", "-c", "{}/c.loom"],
    "SAM": ["count", "-c", "c.tsv", "-o", "{}/o.sam"],
    "BAM": ["count", "-c", "c.tsv", "-o", "{}/o.bam", "-p", "BAM"],
    "spool": ["count", "-c", "c.tsv", "-o", "{}/o.bam", "-p", "BAM", *bias()],
    "bias files": ["count", "-c", "c.tsv", *bias("{}/p")],
    "model of a cohort": [
        "train",
        "--bias-no-own",
        "--bias-model",
        "pwm",
        *GENOME,
        "-o",
        "{}/m.model",
    ],
    "comparison": [
        "compare",
        "--models",
        "pwm",
        "--folds",
        "1",
        "--seeds",
        "1",
        *GENOME,
        "-o",
        "{}/v",
    ],
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_no_room_at_all(files: Path, disk: Path, output: str) -> None:
    fill(disk, 0)
    command, *words = (word.format(disk) for word in OUTPUTS[output])
    done = run(files, command, "-q", *words, *INPUTS)
    last = done.stderr.decode().splitlines()[-1]
    assert done.returncode == 1, done.stderr
    assert last.startswith(f"counterbias: {disk}/"), done.stderr
    assert "No space left on device" in last
    assert b"Traceback" not in done.stderr
    assert os.listdir(disk) == ["fill"]


@pytest.mark.parametrize("ending", ["h5ad", "loom", "mtx"])
@pytest.mark.parametrize("free", [4, 8, 12])
def test_room_for_a_part(files: Path, disk: Path, ending: str, free: int) -> None:
    """HDF5 notices a full disk late."""
    annotation = "".join(
        f'chr1\tt\texon\t{begin}\t{begin + 1}\t.\t+\t.\tgene_id "gene{begin:07}";\n'
        for begin in range(1, 2900)
    )
    (files / "many.gtf").write_text(annotation)
    fill(disk, free)
    assert "No space left" in fails(
        run(files, "count", "-q", "-c", f"{disk}/c.{ending}", "reads.bam", "many.gtf")
    )
    assert os.listdir(disk) == ["fill"]


@pytest.mark.parametrize("free", [0, 8, 40])
def test_simulation(tmp_path: Path, disk: Path, free: int) -> None:
    fill(disk, free)
    line = fails(
        run(tmp_path, "simulate", "-q", "-o", f"{disk}/a/s", "--pairs", "1000", "--genes", "5")
    )
    assert line.startswith(f"counterbias: {disk}/a/s/genome.fa: cannot be written: No space left")
    assert os.listdir(disk) == ["fill"]


def test_no_room_for_temporary_files(files: Path, disk: Path) -> None:
    fill(disk, 4)
    (files / "big.fa.gz").write_bytes(
        gzip.compress(
            (files / "genome.fa").read_bytes() + b">chr2\n" + 4000 * (b"ACGT" * 15 + b"\n")
        )
    )
    how = {"env": {**os.environ, "TMPDIR": str(disk)}}
    unpacked = fails(
        run(
            files,
            "count",
            "-q",
            "-c",
            "c.tsv",
            "--bias-model",
            "pwm",
            "--bias-genome",
            "big.fa.gz",
            *INPUTS,
            **how,
        )
    )
    assert "TMPDIR" in unpacked
    # A plain genome is indexed without temporary files.
    assert (
        run(
            files, "count", "-q", "-c", "index.tsv", "--bias-model", "pwm", *GENOME, *INPUTS, **how
        ).returncode
        == 0
    )
    stashed = fails(
        run(
            files,
            "train",
            "-q",
            "--bias-no-own",
            "--bias-model",
            "pwm",
            *GENOME,
            "-o",
            "m.model",
            *INPUTS,
            **how,
        )
    )
    assert "TMPDIR" in stashed
    assert os.listdir(disk) == ["fill"]
    assert "c.tsv" not in names(files)


@pytest.mark.parametrize("kind", ["SAM", "BAM"])
@pytest.mark.parametrize("free", [8, 24])
def test_no_room_for_a_long_header(tmp_path: Path, disk: Path, kind: str, free: int) -> None:
    """htslib rewrites it, and reports a full disk in its own ways."""
    fill(disk, free)
    contigs = [{"SN": f"contig_number_{number}", "LN": 3000 + number} for number in range(3000)]
    with pysam.AlignmentFile(
        str(tmp_path / "reads.bam"), "wb", header={"HD": {"VN": "1.6"}, "SQ": contigs}
    ):
        pass
    (tmp_path / "genes.gtf").write_text('contig_number_1\tt\texon\t1\t90\t.\t+\t.\tgene_id "g";\n')
    done = run(
        tmp_path,
        "count",
        "-q",
        "-o",
        "o",
        "-p",
        kind,
        *INPUTS,
        env={**os.environ, "TMPDIR": str(disk)},
    )
    if done.returncode:
        assert "TMPDIR" in fails(done)
    else:
        assert done.stderr == b""
        with pysam.AlignmentFile(str(tmp_path / "o"), check_sq=False) as found:
            assert found.nreferences == 3000
    assert os.listdir(disk) == ["fill"]


def test_no_room_for_the_alignments_that_wait_for_a_stream(files: Path, disk: Path) -> None:
    fill(disk, 16)
    how = {"env": {**os.environ, "TMPDIR": str(disk)}}
    line = fails(
        run(files, "count", "-q", "-c", "c.tsv", "-o", "/dev/stdout", *bias(), *INPUTS, **how)
    )
    assert "TMPDIR" in line
    assert str(disk) in line
    assert os.listdir(disk) == ["fill"]


def test_an_index_that_cannot_be_kept_is_no_harm(files: Path, disk: Path) -> None:
    (disk / "genome.fa").write_bytes((files / "genome.fa").read_bytes())
    (disk / "fill").write_bytes(bytes(60 * 1024))
    options = ["--bias-model", "pwm", "--bias-genome", f"{disk}/genome.fa", "--bias-output", "p"]
    assert run(files, "count", "-q", "-c", "c.tsv", *options, *INPUTS).returncode == 0
    assert sorted(os.listdir(disk)) == ["fill", "genome.fa"]


def test_a_device_that_is_always_full(files: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    for name, words in {
        "c.h5ad": ["-c", "c.h5ad"],
        "o.sam": ["-o", "o.sam"],
        "p.model": bias(),
    }.items():
        (files / name).symlink_to("/dev/full")
        done = run(files, "count", "-q", *words, *INPUTS)
        last = done.stderr.decode().splitlines()[-1]
        assert done.returncode == 1
        assert last.startswith(f"counterbias: {name}: cannot be written: No space left"), (
            done.stderr
        )
        assert (files / name).is_symlink()
