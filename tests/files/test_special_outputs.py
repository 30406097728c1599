"""Outputs that are no plain files: streams are written into, links stay links."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main
from counterbias.errors import InputError
from counterbias.files import descriptor_of, is_stream, whole_folder, whole_stream, whole_text
from counterbias.files.checks import check_outputs
from tests.helpers.output_inputs import READS, bias, fails, make_inputs, names, partials, run


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


INPUTS = ("reads.bam", "genes.gtf")


@pytest.fixture
def table(files: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> bytes:
    """Return the table as standard output has it."""
    assert main(["count", "-q", *INPUTS]) == 0
    return capfdbinary.readouterr().out


def drain(pipe: Path) -> tuple[threading.Thread, io.BytesIO]:
    """Read a named pipe to its end, in a thread."""
    content = io.BytesIO()

    def read() -> None:
        with pipe.open("rb") as stream:
            content.write(stream.read())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, content


# -- the program's own descriptors ------------------------------------------------------------


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link.tsv"])
def test_table_goes_where_the_shell_redirects_standard_output(
    files: Path, table: bytes, name: str
) -> None:
    (files / "link.tsv").symlink_to("/dev/stdout")
    target = files / "t"
    with target.open("wb") as stream:
        stream.write(b"what stands before\n")
        stream.flush()
        done = run(files, "count", "-q", "-c", name, *INPUTS, stdout=stream)
        assert done.returncode == 0, done.stderr
        stream.write(b"what comes after\n")
    assert target.read_bytes() == b"what stands before\n" + table + b"what comes after\n"
    assert (files / "link.tsv").is_symlink()
    assert not partials(names(files))


def test_table_is_appended_where_the_shell_appends(files: Path, table: bytes) -> None:
    target = files / "t"
    target.write_bytes(b"before\n")
    for more in ([], ["--append-output"]):
        with target.open("ab") as stream:
            assert (
                run(
                    files, "count", "-q", "-c", "/dev/stdout", *more, *INPUTS, stdout=stream
                ).returncode
                == 0
            )
    assert target.read_bytes() == b"before\n" + table + table


def test_another_descriptor(files: Path, table: bytes) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        done = run(files, "count", "-q", "-c", f"/dev/fd/{writing}", *INPUTS, pass_fds=[writing])
        os.close(writing)
        assert (done.returncode, stream.read()) == (0, table)


@pytest.mark.parametrize("kind", ["SAM", "BAM"])
@pytest.mark.parametrize("regular", [False, True])
def test_alignments_to_standard_output(files: Path, kind: str, regular: bool) -> None:
    with (files / "out").open("wb") as stream:
        how = {"stdout": stream} if regular else {}
        done = run(
            files,
            "count",
            "-q",
            "-o",
            "/dev/stdout",
            "-p",
            kind,
            "-c",
            "c.tsv",
            *bias(),
            *INPUTS,
            **how,
        )
    assert done.returncode == 0, done.stderr
    content = (files / "out").read_bytes() if regular else done.stdout
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(content)
        copy.flush()
        with pysam.AlignmentFile(copy.name, check_sq=False) as found:
            assert sum(record.has_tag("XF") for record in found) == READS


def test_model_and_report_of_a_cohort_into_streams(files: Path) -> None:
    (files / "m.model").symlink_to("/dev/stdout")
    (files / "m.counterbias-train.json").symlink_to("/dev/stderr")
    words = ["-q", "--bias-no-own", "--bias-model", "pwm", "--bias-genome", "genome.fa"]
    done = run(files, "train", *words, "-o", "m.model", *INPUTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"PK")
    assert b'"counterbias_train"' in done.stderr
    assert not partials(names(files))


def test_descriptors_that_cannot_be_written(files: Path) -> None:
    assert "is not open" in fails(run(files, "count", "-q", "-c", "/dev/fd/77", *INPUTS))
    with (files / "genes.gtf").open() as stream:
        os.set_inheritable(stream.fileno(), True)
        line = fails(
            run(
                files,
                "count",
                "-q",
                "-o",
                f"/dev/fd/{stream.fileno()}",
                *INPUTS,
                pass_fds=[stream.fileno()],
            )
        )
    assert "reading only" in line


# -- pipes and devices ------------------------------------------------------------------------


def test_named_pipes_of_all_outputs(files: Path, table: bytes) -> None:
    pipes = [
        files / name for name in ("c.tsv", "o.sam", "p.counts.tsv", "p.model", "p.counterbias.json")
    ]
    for pipe in pipes:
        os.mkfifo(pipe)
    readers = [drain(pipe) for pipe in pipes]
    assert main(["count", "-q", "-c", "c.tsv", "-o", "o.sam", *bias(), *INPUTS]) == 0
    for thread, _ in readers:
        thread.join(30)
    counts, alignments, weighted, model, report = (content.getvalue() for _, content in readers)
    assert counts == table
    assert alignments.count(b"XF:Z:") == READS
    assert weighted.startswith(b"feature\t")
    assert model.startswith(b"PK")
    assert json.loads(report)["sample"] == "reads"
    assert all(pipe.is_fifo() for pipe in pipes)
    assert not partials(names(files))


def test_a_pipe_whose_name_tells_no_format(files: Path, table: bytes) -> None:
    os.mkfifo(files / "counts")
    thread, content = drain(files / "counts")
    assert main(["count", "-q", "-c", "counts", "--append-output", *INPUTS]) == 0
    thread.join(30)
    assert content.getvalue() == table


def test_a_matrix_into_a_pipe(files: Path) -> None:
    assert main(["count", "-q", "-c", "plain.mtx", *INPUTS]) == 0
    os.mkfifo(files / "pipe.mtx")
    thread, content = drain(files / "pipe.mtx")
    assert main(["count", "-q", "-c", "pipe.mtx", *INPUTS]) == 0
    thread.join(30)
    assert content.getvalue() == (files / "plain.mtx").read_bytes()
    assert (files / "pipe_samples.tsv").read_bytes() == (files / "plain_samples.tsv").read_bytes()


@pytest.mark.parametrize("ending", ["h5ad", "loom"])
def test_hdf5_into_a_pipe(files: Path, ending: str) -> None:
    h5py = pytest.importorskip("h5py")
    pytest.importorskip({"h5ad": "anndata", "loom": "h5py"}[ending])
    os.mkfifo(files / f"c.{ending}")
    thread, content = drain(files / f"c.{ending}")
    assert main(["count", "-q", "-c", f"c.{ending}", *INPUTS]) == 0
    thread.join(30)
    content.seek(0)
    with h5py.File(content, "r") as found:
        matrix = found["X"][()] if ending == "h5ad" else found["matrix"][()].T
    assert int(matrix.sum()) == READS


def test_the_null_device_takes_everything_and_stays(files: Path) -> None:
    for name in ("counts.tsv", "model", "counterbias.json"):
        (files / f"p.{name}").symlink_to("/dev/null")
    assert main(["count", "-q", "-c", "/dev/null", "-o", "/dev/null", *bias(), *INPUTS]) == 0
    assert not os.path.isfile("/dev/null")
    assert all(
        (files / f"p.{name}").is_symlink() for name in ("counts.tsv", "model", "counterbias.json")
    )


def test_two_outputs_into_one_stream_are_refused(files: Path) -> None:
    for pair in (("/dev/stdout", "/dev/fd/1"), ("/dev/stderr", "/proc/self/fd/2")):
        assert "would write the same file twice" in fails(
            run(files, "count", "-q", "-c", pair[0], "-o", pair[1], *INPUTS)
        )


def test_a_reader_that_goes_away_is_no_fault(files: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(files, "count", "-q", "-c", f"/dev/fd/{writing}", *INPUTS, pass_fds=[writing])
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


# -- links ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dangling", [False, True])
def test_links_stay_links(files: Path, dangling: bool) -> None:
    (files / "real").mkdir()
    outputs = ["c.tsv", "o.sam", "p.counts.tsv", "p.model", "p.counterbias.json"]
    for name in outputs:
        (files / name).symlink_to(Path("real", name))
        if not dangling:
            (files / "real" / name).write_text("old")
            (files / "real" / name).chmod(0o640)
    assert main(["count", "-q", "-c", "c.tsv", "-o", "o.sam", *bias(), *INPUTS]) == 0
    for name in outputs:
        assert (files / name).is_symlink()
        assert (files / "real" / name).stat().st_size > 20
        if not dangling:
            assert (files / "real" / name).stat().st_mode & 0o777 == 0o640
    assert names(files / "real") == sorted(outputs)


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no second file system at /dev/shm")
def test_links_to_another_file_system(files: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        for name in ("c.tsv", "p.model"):
            (files / name).symlink_to(Path(other, name))
        assert main(["count", "-q", "-c", "c.tsv", *bias(), *INPUTS]) == 0
        assert all((files / name).is_symlink() for name in ("c.tsv", "p.model"))
        assert sorted(os.listdir(other)) == ["c.tsv", "p.model"]
        (files / "s").mkdir()
        (files / "s" / "genes.gtf").symlink_to(Path(other, "genes.gtf"))
        (files / "s" / "truth.tsv").symlink_to("/dev/null")
        assert (
            main(
                [
                    "simulate",
                    "-q",
                    "--force",
                    "-o",
                    "s",
                    "--pairs",
                    "200",
                    "--genes",
                    "4",
                    "--contigs",
                    "1",
                ]
            )
            == 0
        )
        assert (files / "s" / "genes.gtf").is_symlink()
        assert (files / "s" / "truth.tsv").is_symlink()
        assert Path(other, "genes.gtf").read_text().startswith("#!genome-build")
        assert not partials([*names(files), *os.listdir(other)])


# -- the parts by themselves ------------------------------------------------------------------


def test_what_stands_for_a_descriptor(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("/dev/stdout")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    (tmp_path / "1").write_text("")
    assert [
        descriptor_of(name) for name in ("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/12")
    ] == [0, 1, 2, 12]
    assert descriptor_of(tmp_path / "two") == 1
    for name in (
        "",
        "/",
        "1",
        tmp_path / "1",
        tmp_path / "round",
        "/dev/null",
        "/dev/fd",
        "/dev/fd/x",
    ):
        assert descriptor_of(name) is None
    assert not is_stream("")
    assert not is_stream(tmp_path / "round")


def test_sockets_and_unwritable_streams_are_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
        with pytest.raises(InputError, match="is a socket"):
            check_outputs([("-c", "s")])


def test_a_failure_inside_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old\n")

    def interrupted(keep: bool) -> None:
        with whole_text(target, keep=keep) as stream:
            stream.write("new")
            raise KeyboardInterrupt

    for keep in (False, True):
        with pytest.raises(KeyboardInterrupt):
            interrupted(keep)
    with whole_text(target, keep=True) as stream:
        stream.write("pr\udcf8ve\n")
    assert target.read_bytes() == b"old\npr\xf8ve\n"
    with pytest.raises(InputError, match="cannot be written"), whole_stream(tmp_path):
        pass
    assert names(tmp_path) == ["x.txt"]


@pytest.mark.parametrize("length", [40, 180, 255])
def test_long_names(tmp_path: Path, length: int) -> None:
    target = tmp_path / ("x" * (length - 4) + ".tsv")
    check_outputs([("-c", str(target))])
    with whole_text(target) as stream:
        stream.write("all\n")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_folders_made_for_a_run_that_fails_go(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError) as caught,
        whole_folder(tmp_path / "a" / "b") as folder,
        whole_stream(folder / "none" / "x"),
    ):
        pass
    assert caught.value.file == str(tmp_path / "a" / "b" / "none" / "x")
    assert list(tmp_path.iterdir()) == []


def test_the_table_follows_what_was_printed_before(files: Path, table: bytes) -> None:
    code = (
        "import sys; from counterbias.cli import main; print('first'); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "count", "-q", "-c", "/dev/stdout", *INPUTS]
    done = subprocess.run(command, capture_output=True, cwd=files, check=False, timeout=60)
    assert done.stdout == b"first\n" + table, done.stderr


def test_a_prefix_that_ends_like_a_folder_makes_it(files: Path) -> None:
    where = ("--bias-output", "new/folder/")
    assert main(["count", "-q", "-c", "c.tsv", *bias(), *where, "reads.bam", "genes.gtf"]) == 0
    assert {"reads.counts.tsv", "reads.model", "reads.counterbias.json"} <= set(
        os.listdir(files / "new" / "folder")
    )


def test_such_a_folder_goes_with_a_run_that_fails(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["count", "-q", *bias(), "--bias-output", "new/folder/", "missing.bam", "genes.gtf"])
        == 1
    )
    assert (
        main(["count", "-q", *bias(), "--bias-output", "genes.gtf/", "reads.bam", "genes.gtf"]) == 1
    )
    assert "genes.gtf/: cannot be written: Not a directory" in capsys.readouterr().err
    assert not (files / "new").exists()
