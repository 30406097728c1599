"""htslib's warnings while it reads SAM or CRAM reach the user once each; pipes are read once."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pysam
import pytest

GTF = 'chr1\tt\texon\t1\t900\t.\t+\t.\tgene_id "a";\nchr2\tt\texon\t1\t900\t.\t+\t.\tgene_id "b";\n'
HEADER = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:5000\n@SQ\tSN:chr2\tLN:5000\n"


def line(name: str, contig: str, flag: int = 0, mate: str = "*\t0") -> str:
    return f"{name}\t{flag}\t{contig}\t101\t60\t4M\t{mate}\t0\tACGT\tIIII\n"


def run(*argv: object, stdin: object = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run ``counterbias count``; a hang fails fast."""
    words = [sys.executable, "-m", "counterbias", "count", *(str(word) for word in argv)]
    return subprocess.run(words, stdin=stdin, capture_output=True, text=True, timeout=120)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def gtf(tmp_path: Path) -> Path:
    path = tmp_path / "genes.gtf"
    path.write_text(GTF)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_reads_on_contigs_without_a_header_line_are_told_of(
    tmp_path: Path, gtf: Path, packed: bool
) -> None:
    text = (
        HEADER + line("r", "chr1") + "".join(line(f"x{i}", f"chr{3 + i % 5}") for i in range(1200))
    )
    path = tmp_path / ("reads.sam.gz" if packed else "reads.sam")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    done = run(path, gtf, "-q")
    assert done.returncode == 0
    assert "a\t1\nb\t0\n" in done.stdout
    assert "__not_aligned\t1200\n" in done.stdout
    warnings = done.stderr.splitlines()
    assert len(warnings) == 1, done.stderr
    assert warnings[0].startswith(
        f'Warning: {path}: htslib: unrecognized reference name "chr3"; treated as unmapped '
        "(reported 1,200 times"
    )
    assert "chr4" in warnings[0]


def test_two_kinds_are_two_lines(tmp_path: Path, gtf: Path) -> None:
    path = tmp_path / "reads.sam"
    path.write_text(
        HEADER
        + line("r", "chr1", 0x41, "chr9\t7")
        + line("r", "chr8", 0x81, "chr1\t101")
        + line("s", "chr8", 0x41, "chr1\t5")
    )
    warnings = run(path, gtf, "-q").stderr.splitlines()
    assert sum("mate" in warning for warning in warnings if "htslib" in warning) == 1
    assert (
        sum(
            "unrecognized reference" in warning and "reported 2 times" in warning
            for warning in warnings
        )
        == 1
    )


def test_a_sound_file_is_read_in_silence(tmp_path: Path, gtf: Path) -> None:
    path = tmp_path / "reads.sam"
    path.write_text(HEADER + line("r", "chr1"))
    assert run(path, gtf, "-q").stderr == ""


# -- pipes ------------------------------------------------------------------------------------


@pytest.fixture(params=["sam", "sam.gz", "bam", "raw bam"])
def reads(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    text = HEADER + "".join(line(f"r{i}", "chr1" if i % 3 else "chr2") for i in range(5000))
    path = tmp_path / "reads.sam"
    path.write_text(text)
    kind = str(request.param)
    if kind == "sam.gz":
        path = tmp_path / "reads.sam.gz"
        path.write_bytes(gzip.compress(text.encode()))
    elif kind != "sam":
        target = tmp_path / "reads.bam"
        mode = "wbu" if "raw" in kind else "wb"
        with (
            pysam.AlignmentFile(str(path)) as source,
            pysam.AlignmentFile(str(target), mode, template=source) as out,
        ):
            for one in source:
                out.write(one)
        path = target
    return path


def test_pipes_and_dash_give_what_the_file_gives(tmp_path: Path, gtf: Path, reads: Path) -> None:
    wanted = run(reads, gtf, "-q")
    assert wanted.returncode == 0
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    feeder = threading.Thread(target=lambda: fifo.write_bytes(reads.read_bytes()), daemon=True)
    feeder.start()
    assert run(fifo, gtf, "-q").stdout == wanted.stdout
    feeder.join(10)
    with reads.open("rb") as file:
        assert run("/dev/stdin", gtf, "-q", stdin=file).stdout == wanted.stdout
    for name in ("-", "/dev/fd/0"):
        with subprocess.Popen(["cat", str(reads)], stdout=subprocess.PIPE) as feed:
            assert run(name, gtf, "-q", stdin=feed.stdout).stdout == wanted.stdout, name


def test_a_file_name_that_starts_with_a_dash(tmp_path: Path, gtf: Path) -> None:
    """htslib's command line would take it for an option."""
    path = tmp_path / "-h.sam"
    path.write_text(HEADER + line("r", "chr1"))
    assert run(path, gtf, "-q").returncode == 0


def test_modules_in_the_current_folder_are_not_run(
    tmp_path: Path, gtf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child process that reads SAM must not import what lies next to the data."""
    path = tmp_path / "reads.sam"
    path.write_text(HEADER + line("r", "chr1"))
    (tmp_path / "pysam.py").write_text("raise SystemExit('run')\n")
    monkeypatch.chdir(tmp_path)
    program = "from counterbias.cli import main; main(['count', '-q', 'reads.sam', 'genes.gtf'])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert gtf.exists()


def test_train_and_compare_read_alignments_from_a_pipe(tmp_path: Path) -> None:
    """A named pipe reads as the file does."""
    bases = random.Random(1)
    (tmp_path / "genome.fa").write_text(
        "".join(f">{name}\n{''.join(bases.choices('ACGT', k=5000))}\n" for name in ("chr1", "chr2"))
    )
    (tmp_path / "genes.gtf").write_text(GTF.replace("\t1\t900\t", "\t1\t4900\t"))
    reads = tmp_path / "reads.sam"
    rows = [
        f"r{i}\t0\tchr{1 + i % 2}\t{50 + 2 * i}\t60\t4M\t*\t0\t0\tACGT\tIIII\n" for i in range(2000)
    ]
    reads.write_text(HEADER + "".join(rows))
    commands = {
        "train": ["--bias-no-own", "--bias-model", "pwm"],
        "compare": ["--models", "pwm", "--folds", "0,1", "--seeds", "1", "--no-figures"],
    }
    found: dict[str, list[str]] = {"train": [], "compare": []}
    for folder in ("file", "pipe"):
        place = tmp_path / folder
        place.mkdir()
        for command, options in commands.items():
            source = place / "reads.sam"
            source.unlink(missing_ok=True)
            if folder == "pipe":
                os.mkfifo(source)
                threading.Thread(
                    target=lambda to=source: to.write_bytes(reads.read_bytes()), daemon=True
                ).start()
            else:
                source.write_bytes(reads.read_bytes())
            out = place / (command if command == "compare" else "m.model")
            words = [
                sys.executable,
                "-m",
                "counterbias",
                command,
                "-q",
                "-s",
                "no",
                *options,
                "-o",
                str(out),
            ]
            words += ["--bias-genome", str(tmp_path / "genome.fa")]
            done = subprocess.run(
                [*words, source, tmp_path / "genes.gtf"],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            table = (out / "per_gene.tsv").read_text() if command == "compare" else done.stdout
            found[command].append(table)
    assert found["train"][0] == found["train"][1]
    assert found["compare"][0] == found["compare"][1]
