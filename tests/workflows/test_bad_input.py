"""What users get wrong, at the command line: one clear line, a non-zero exit, no half-written file."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main

GTF = (
    'chr1\ttest\texon\t101\t400\t.\t+\t.\tgene_id "a"; transcript_id "a.1";\n'
    'chr1\ttest\texon\t601\t900\t.\t-\t.\tgene_id "b"; transcript_id "b.1";\n'
    'chr1\ttest\tCDS\t601\t900\t.\t-\t.\tgene_id "b"; transcript_id "b.1";\n'
)
HEADER = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 2000}]}


def read(
    name: str, position: int, *, flag: int = 0, mate: int = -1, length: int = 50
) -> pysam.AlignedSegment:
    segment = pysam.AlignedSegment(pysam.AlignmentHeader.from_dict(HEADER))
    segment.query_name = name
    segment.flag = flag
    segment.reference_id = 0
    segment.reference_start = position
    segment.mapping_quality = 60
    segment.cigartuples = [(0, length)]
    segment.query_sequence = "A" * length
    segment.query_qualities = pysam.qualitystring_to_array("I" * length)
    if mate >= 0:
        segment.next_reference_id = 0
        segment.next_reference_start = mate
    segment.set_tag("NH", 1)
    return segment


class Files:
    """Small valid inputs in a folder, and what the command says of them."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capfd = folder, capfd
        self.gtf = folder / "genes.gtf"
        self.gtf.write_text(GTF)
        self.bam = folder / "reads.bam"
        self.write(self.bam, [read(f"r{i}", 100 + 7 * i) for i in range(40)])
        self.genome = folder / "genome.fa"
        letters = random.Random(1).choices("ACGT", k=2000)
        self.genome.write_text(">chr1\n" + "".join(letters) + "\n")

    def write(self, path: Path, reads: list[pysam.AlignedSegment], mode: str = "wb") -> Path:
        with pysam.AlignmentFile(str(path), mode, header=HEADER) as out:
            for one in reads:
                out.write(one)
        return path

    def fails(self, *argv: object, says: str) -> str:
        """Run ``counterbias count``; check that it fails with one line that matches, and changes no file."""
        before = self.snapshot()
        self.capfd.readouterr()
        status = main(["count", *(str(word) for word in argv)])
        out, error = self.capfd.readouterr()
        assert status == 1, (status, out, error)
        lines = [
            line
            for line in error.splitlines()
            if not line.endswith(" processed.") and not line.startswith("First run: ")
        ]
        assert len(lines) == 1, error
        assert lines[0].startswith("counterbias: ")
        assert re.search(says, lines[0]), lines[0]
        assert "Traceback" not in error
        assert out == ""
        assert self.snapshot() == before
        return lines[0]

    def snapshot(self) -> dict[str, bytes]:
        """Remember every file but the genome's index, which may appear."""
        found = sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".fai"
        )
        return {str(path): path.read_bytes() for path in found}


@pytest.fixture
def files(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Files:
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path, capfd)


def test_the_inputs_themselves_are_good(files: Files) -> None:
    assert main(["count", str(files.bam), str(files.gtf)]) == 0
    assert files.capfd.readouterr().out.startswith("a\t")


# -- alignments ------------------------------------------------------------------------------------------------------------


def test_missing(files: Files) -> None:
    files.fails("nowhere.bam", files.gtf, says="nowhere.bam")


def test_folder(files: Files) -> None:
    (files.folder / "folder.bam").mkdir()
    files.fails("folder.bam", files.gtf, says=r"folder\.bam.*(folder|directory)")


def test_empty(files: Files) -> None:
    (files.folder / "empty.bam").touch()
    files.fails("empty.bam", files.gtf, says=r"empty\.bam.*empty")


def test_text_named_bam(files: Files) -> None:
    (files.folder / "text.bam").write_text("This is not an alignment file.\nReally not.\n" * 10)
    files.fails("text.bam", files.gtf, says=r"text\.bam")


def test_sam_without_header(files: Files) -> None:
    (files.folder / "bare.sam").write_text(
        "r1\t0\tchr1\t101\t60\t5M\t*\t0\t0\tACGTA\tIIIII\tNH:i:1\n"
    )
    files.fails("bare.sam", files.gtf, says=r"bare\.sam.*header")


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(files: Files, kept: float) -> None:
    data = files.bam.read_bytes()
    (files.folder / "cut.bam").write_bytes(data[: int(len(data) * kept)])
    files.fails("cut.bam", files.gtf, says=r"cut\.bam.*(truncated|ends|cut|end)")


def test_missing_end_of_file_block(files: Files) -> None:
    (files.folder / "cut.bam").write_bytes(files.bam.read_bytes()[:-28])
    files.fails("cut.bam", files.gtf, says=r"cut\.bam.*end-of-file")


def bgzf(data: bytes) -> bytes:
    """Compress into BGZF blocks, end-of-file block included (SAMv1 section 4.1)."""
    out = b""
    for part in [data[i : i + 60000] for i in range(0, len(data), 60000)] + [b""]:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(part) + packer.flush()
        out += (
            b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
            + struct.pack("<H", len(packed) + 25)
            + packed
        )
        out += struct.pack("<II", zlib.crc32(part), len(part))
    return out


def test_wrong_checksum(files: Files) -> None:
    data = bytearray(files.bam.read_bytes())
    size = struct.unpack_from("<H", data, 16)[0] + 1
    data[size - 8] ^= 0xFF
    (files.folder / "flipped.bam").write_bytes(data)
    files.fails("flipped.bam", files.gtf, says=r"flipped\.bam.*(CRC|checksum)")


@pytest.mark.parametrize(
    ("name", "offset", "value"),
    [
        ("block_size", 0, struct.pack("<i", 5)),
        ("block_size", 0, struct.pack("<i", -7)),
        ("refID", 4, struct.pack("<i", 77)),
        ("l_read_name", 12, b"\xff"),
        ("l_read_name", 12, b"\x00"),
        ("n_cigar_op", 16, struct.pack("<H", 65000)),
        ("l_seq", 20, struct.pack("<i", 1 << 28)),
        ("l_seq", 20, struct.pack("<i", -1)),
        ("next_refID", 24, struct.pack("<i", -9)),
    ],
)
def test_impossible_lengths(files: Files, name: str, offset: int, value: bytes) -> None:
    raw = bytearray(b"")
    with io.BytesIO() as whole:
        import gzip

        whole.write(gzip.decompress(files.bam.read_bytes()))
        raw = bytearray(whole.getvalue())
    text = struct.unpack_from("<i", raw, 4)[0]
    first = 8 + text + 4 + 4 + struct.unpack_from("<i", raw, 8 + text + 4)[0] + 4
    record = first
    for _ in range(3):
        record += 4 + struct.unpack_from("<i", raw, record)[0]
    raw[record + offset : record + offset + len(value)] = value
    (files.folder / "odd.bam").write_bytes(bgzf(bytes(raw)))
    line = files.fails("odd.bam", files.gtf, says=r"odd\.bam")
    assert re.search(r"record|block|byte", line), (name, line)


def test_pairs_that_are_not_sorted_by_name(files: Files) -> None:
    pairs = [(f"p{i}", 110 + 5 * i, 200 + 5 * i) for i in range(12)]
    first = [read(name, at, flag=99, mate=mate) for name, at, mate in pairs]
    second = [read(name, mate, flag=147, mate=at) for name, at, mate in pairs]
    path = files.write(files.folder / "pos.bam", first + second)
    before = files.snapshot()
    assert main(["count", "-r", "name", str(path), str(files.gtf)]) == 1
    out, error = files.capfd.readouterr()
    assert out == ""
    assert files.snapshot() == before
    last = error.splitlines()[-1]
    assert re.search(r"counterbias: .*pos\.bam.*not sorted by name.*-r pos", last), error


def test_cram_without_reference(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.folder / "reads.cram"
    with pysam.AlignmentFile(
        str(path), "wc", header=HEADER, reference_filename=str(files.genome)
    ) as out:
        for i in range(40):
            out.write(read(f"r{i}", 100 + 7 * i))
    hidden = files.folder / "elsewhere.fa"
    files.genome.rename(hidden)
    monkeypatch.setenv("REF_PATH", str(files.folder / "none"))
    monkeypatch.setenv("REF_CACHE", str(files.folder / "none"))
    files.fails(path, files.gtf, says=r"reads\.cram.*--bias-genome")


def test_no_contig_in_common(files: Files) -> None:
    files.gtf.write_text(GTF.replace("chr1\t", "1\t"))
    files.fails(files.bam, files.gtf, says=r"reads\.bam.*'chr1'.*'1'.*--bias-contig-alias")


# -- annotation ------------------------------------------------------------------------------------------------------------


def test_missing_annotation(files: Files) -> None:
    files.fails(files.bam, "nowhere.gtf", says=r"nowhere\.gtf")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('chr1\ttest\texon\t101\t400\t.\t+\t.\tgene_id "a\n', "quote"),
        ("chr1\ttest\texon\t101\t400\n", "column"),
        ('chr1\ttest\texon\tx\t400\t.\t+\t.\tgene_id "a";\n', "'x'"),
        ('chr1\ttest\texon\t500\t400\t.\t+\t.\tgene_id "a";\n', "500"),
        ('chr1\ttest\texon\t500\t600\t.\t+\t.\ttranscript_id "a";\n', "gene_id"),
        ('chr1\ttest\texon\t500\t600\t.\t.\t.\tgene_id "a";\n', "strand"),
    ],
)
def test_broken_line(files: Files, line: str, says: str) -> None:
    files.gtf.write_text(GTF + line + GTF)
    message = files.fails("-q", files.bam, files.gtf, says=says)
    assert "genes.gtf, line 4" in message


def test_no_feature_of_the_type(files: Files) -> None:
    files.fails(files.bam, files.gtf, "-t", "gene", says=r"genes\.gtf.*'gene'.*exon")


def test_missing_attribute(files: Files) -> None:
    files.fails(
        "-q",
        files.bam,
        files.gtf,
        "-i",
        "gene_name",
        says=r"genes\.gtf, line 1.*gene_name.*gene_id",
    )


# -- genome and model ------------------------------------------------------------------------------------------------------


def test_bias_model_without_genome(files: Files) -> None:
    files.fails("--bias-model", "pwm", files.bam, files.gtf, says="--bias-genome")


def test_weighted_counts_without_genome_or_model(files: Files) -> None:
    files.fails(
        "--bias-counts",
        "weighted",
        files.bam,
        files.gtf,
        says="--bias-counts weighted needs the genome.*--bias-genome",
    )
    files.fails(
        "--bias-output",
        "out",
        files.bam,
        files.gtf,
        says="--bias-output out needs the genome.*--bias-genome",
    )
    files.fails(
        "--bias-prior",
        "x.model",
        files.bam,
        files.gtf,
        says="--bias-prior x.model needs the genome.*--bias-genome",
    )
    files.fails(
        "--bias-counts",
        "weighted",
        "--bias-model",
        "none",
        files.bam,
        files.gtf,
        says="--bias-model none",
    )


def test_windows_of_transcripts_that_the_annotation_lacks(files: Files) -> None:
    text = Path(files.gtf).read_text().replace("transcript_id", "other_id")
    Path(files.gtf).write_text(text)
    model = ("--bias-model", "pwm", "--bias-genome", files.genome, "--bias-context", "transcript")
    files.fails(
        *model, files.bam, files.gtf, says=r"genes\.gtf.*transcript_id.*--bias-context genome"
    )


def test_genome_missing(files: Files) -> None:
    files.fails(
        "--bias-model", "pwm", "--bias-genome", "none.fa", files.bam, files.gtf, says=r"none\.fa"
    )


def test_genome_without_the_contig(files: Files) -> None:
    files.genome.write_text(">chr2\n" + "ACGT" * 500 + "\n")
    files.fails(
        "--bias-model",
        "pwm",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        says=r"genome\.fa.*chr",
    )


def test_genome_shorter_than_a_position(files: Files) -> None:
    files.genome.write_text(">chr1\n" + "ACGT" * 40 + "\n")
    files.fails(
        "--bias-model",
        "pwm",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        says=r"genome\.fa.*160 bases",
    )


def test_unknown_backend(files: Files) -> None:
    files.fails(
        "--bias-model",
        "pmw",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        says=r"'pmw'.*pwm",
    )


def test_unknown_model_option(files: Files) -> None:
    files.fails(
        "--bias-model",
        "pwm",
        "--bias-option",
        "depth=3",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        says="pseudocount",
    )


def fitted(files: Files) -> Path:
    """Fit a model on the small sample."""
    command = [
        "count",
        "-q",
        "--bias-model",
        "pwm",
        "--bias-genome",
        files.genome,
        "--bias-output",
        "fit",
        files.bam,
        files.gtf,
    ]
    assert main([str(word) for word in command]) == 0
    files.capfd.readouterr()
    return files.folder / "fit.model"


def test_model_of_another_window(files: Files) -> None:
    model = fitted(files)
    files.fails(
        "--bias-model", model, "--bias-window", "5,5", "--bias-genome", files.genome, "--bias-output", "again", files.bam,
        files.gtf, says=r"fit\.model.*10,10.*5,5|fit\.model.*5,5.*10,10",
    )  # fmt: skip


def test_model_of_a_newer_schema(files: Files) -> None:
    model = fitted(files)
    with zipfile.ZipFile(model) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    description = json.loads(members["model.json"])
    description["schema"] = [2, 0]
    members["model.json"] = json.dumps(description).encode()
    newer = files.folder / "newer.model"
    with zipfile.ZipFile(newer, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    files.fails(
        "--bias-model",
        newer,
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        says=r"newer\.model.*(2\.0|schema)",
    )


def test_model_file_missing(files: Files) -> None:
    files.fails(
        "--bias-model",
        "old/fit.model",
        "--bias-genome",
        files.genome,
        files.bam,
        files.gtf,
        says=r"old/fit\.model",
    )


# -- outputs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-c", "-o", "--bias-output"])
def test_folder_that_does_not_exist(
    files: Files, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("counted before the outputs were checked")

    monkeypatch.setattr("counterbias.pipeline.run.count_alignments", refuse)
    more: list[object] = (
        ["--bias-model", "pwm", "--bias-genome", files.genome] if option == "--bias-output" else []
    )
    name = "none/out" if option == "--bias-output" else "none/out.tsv"
    files.fails(option, name, *more, files.bam, files.gtf, says="none")


def test_output_that_is_an_input(files: Files) -> None:
    files.fails("-o", files.bam, "-p", "BAM", files.bam, files.gtf, says=r"reads\.bam.*overwrite")


def test_unknown_format_of_the_table(files: Files) -> None:
    files.fails("-c", "counts.xlsx", files.bam, files.gtf, says=r"counts\.xlsx.*\.tsv")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("option", ["-c", "-o"])
def test_full_disk(files: Files, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (files.folder / "full.tsv").symlink_to("/dev/full")
    files.fails(option, "full.tsv", files.bam, files.gtf, says=r"full\.tsv.*[Nn]o space")


def test_full_disk_behind_standard_output(files: Files) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        command = [
            sys.executable,
            "-m",
            "counterbias",
            "count",
            "-q",
            str(files.bam),
            str(files.gtf),
        ]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"counterbias: .*[Nn]o space.*\n", done.stderr), done.stderr


def test_interrupted(files: Files) -> None:
    big = files.folder / "big.bam"
    with pysam.AlignmentFile(str(big), "wb", header=HEADER) as out:
        one = read("r", 150)
        for i in range(600_000):
            one.query_name = f"r{i}"
            out.write(one)
    # Compiled before: a signal that arrives while a loop is being compiled may be noticed late.
    assert main(["count", "-q", "-o", "first.sam", str(files.bam), str(files.gtf)]) == 0
    (files.folder / "first.sam").unlink()
    before = files.snapshot()
    command = [
        sys.executable,
        "-m",
        "counterbias",
        "count",
        "-c",
        "out.tsv",
        "-o",
        "out.sam",
        "-",
        str(files.gtf),
    ]

    def heed_interrupts() -> None:
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # shells make what runs in the background deaf to Ctrl-C

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    ) as run:
        assert run.stdin is not None
        assert run.stderr is not None
        run.stdin.write(big.read_bytes()[:-28])
        run.stdin.flush()
        deadline = time.monotonic() + 200
        while (
            not any(path.name.endswith(".partial.sam") for path in files.folder.iterdir())
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        status = run.wait(timeout=90)
        error = run.stderr.read()
    assert status == 130, error
    assert error.decode().splitlines()[-1].startswith("counterbias: interrupted"), error
    assert b"Traceback" not in error
    assert files.snapshot() == before


def test_bad_usage_exits_with_two(files: Files) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["count", "--stranded", "maybe", str(files.bam), str(files.gtf)])
    assert stopped.value.code == 2


def test_unknown_command(files: Files) -> None:
    assert main(["cuont"]) == 2
    assert "did you mean 'count'" in files.capfd.readouterr().err.lower()
