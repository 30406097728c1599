"""Standard streams that are closed, full, unread, or of another character set: no traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterbias.cli import failures, main
from tests.helpers.messages import lines_of

NAMES = ("plain", "gén-β30", "third")
#: The shell's words for a stream that is closed or full, or whose reader has gone.
CLOSED, FULL = ">&-", "> /dev/full"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write reads of three genes, one of whose names is not ASCII."""
    folder = tmp_path_factory.mktemp("streams")
    exons = [
        f'c\tt\texon\t{1 + 100 * at}\t{100 + 100 * at}\t.\t+\t.\tgene_id "{name}";\n'
        for at, name in enumerate(NAMES)
    ]
    (folder / "genes.gtf").write_text("".join(exons), encoding="utf-8")
    lines = ["@SQ\tSN:c\tLN:400"]
    lines += [f"r{place}\t0\tc\t{place}\t60\t4M\t*\t0\t0\tACGT\tIIII" for place in range(5, 280, 9)]
    (folder / "reads.sam").write_text("\n".join(lines) + "\n")
    (folder / "genome.fa").write_text(">c\n" + "ACGTTGCA" * 50 + "\n")
    assert (
        main(
            [
                "count",
                "-q",
                "-c",
                str(folder / "right.tsv"),
                str(folder / "reads.sam"),
                str(folder / "genes.gtf"),
            ]
        )
        == 0
    )
    return folder


def run(
    *argv: object,
    redirected: str = "",
    folder: Path | None = None,
    timeout: float = 120,
    **environment: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command with streams redirected as a shell does it."""
    command = [sys.executable, "-m", "counterbias", *map(str, argv)]
    shell = ["sh", "-c", f'exec "$@" {redirected}', "sh", *command]
    return subprocess.run(
        shell,
        capture_output=True,
        cwd=folder,
        check=False,
        timeout=timeout,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


def one_line(text: bytes) -> str:
    """Check that an error is one line and no traceback; return it."""
    lines = lines_of(text.decode())
    assert len(lines) == 1, text
    assert lines[0].startswith("counterbias: ")
    return lines[0]


# -- standard output --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C"}, {}],
)
def test_table_on_standard_output_has_the_bytes_of_the_file(
    files: Path, environment: dict[str, str]
) -> None:
    done = run("count", "-q", files / "reads.sam", files / "genes.gtf", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (files / "right.tsv").read_bytes()


def test_name_that_is_not_even_utf_8(files: Path, tmp_path: Path) -> None:
    """The table holds the bytes of a file's name as they are."""
    reads = tmp_path / "byte-\udce9.sam"
    reads.write_bytes((files / "reads.sam").read_bytes())
    shown = run("count", "-q", "--with-header", reads, files / "genes.gtf")
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout.splitlines()[0].endswith(b"byte-\xe9.sam")
    assert (
        run(
            "count", "-q", "--with-header", "-c", tmp_path / "t.tsv", reads, files / "genes.gtf"
        ).returncode
        == 0
    )
    assert (tmp_path / "t.tsv").read_bytes() == shown.stdout


def test_closed_standard_output_is_no_harm_to_a_file(files: Path, tmp_path: Path) -> None:
    done = run(
        "count",
        "-q",
        "-c",
        tmp_path / "t.tsv",
        files / "reads.sam",
        files / "genes.gtf",
        redirected=CLOSED,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "t.tsv").read_bytes() == (files / "right.tsv").read_bytes()


@pytest.mark.parametrize(
    "argv",
    [
        ["count", "reads.sam", "genes.gtf"],
        ["count", "-c", "/dev/stdout", "reads.sam", "genes.gtf"],
        ["count", "--help"],
        ["--version"],
        ["models"],
        ["models", "--json"],
        ["--help"],
    ],
)
def test_closed_standard_output_where_the_result_goes_there(files: Path, argv: list[str]) -> None:
    done = run(*argv, redirected=CLOSED, folder=files)
    assert done.returncode == 1
    assert "standard output is closed" in one_line(done.stderr)  # and nothing was counted first


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "argv",
    [["count", "-q", "reads.sam", "genes.gtf"], ["count", "--help"], ["--version"], ["models"]],
)
def test_full_disk(files: Path, argv: list[str]) -> None:
    done = run(*argv, redirected=FULL, folder=files)
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert line == (
        "counterbias: standard output cannot be written: No space left on device. "
        "Free some space, or send it to another disk"
    )


def test_reader_that_goes_away(files: Path) -> None:
    """``| head`` ends the run without a word."""
    command = [
        sys.executable,
        "-m",
        "counterbias",
        "count",
        "-q",
        str(files / "reads.sam"),
        str(files / "genes.gtf"),
    ]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_nothing_of_a_table_that_cannot_be_rendered(
    files: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from counterbias.writers import tables

    def lines(*_: object) -> object:
        yield "half a table\n"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(tables, "_lines", lines)
    assert main(["count", "-q", str(files / "reads.sam"), str(files / "genes.gtf")]) == 1
    assert capfd.readouterr() == ("", "counterbias: Input/output error\n")


def test_pipe_that_does_not_block(tmp_path: Path) -> None:
    """A reader that is slower than we are, on a pipe set to non-blocking, gets every byte."""
    code = (
        "import os, sys, time; sys.path[:0] = []\n"
        "from counterbias.writers.standard_output import write_standard_output\n"
        "os.set_blocking(1, False)\n"
        "write_standard_output('x' * 300_000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    total = 0
    while part := os.read(process.stdout.fileno(), 10_000):
        total += len(part)
    process.stdout.close()
    assert (process.wait(), total) == (0, 300_000)


# -- standard error ---------------------------------------------------------------------------


@pytest.mark.parametrize("redirected", ["2>&-", "2> /dev/full", "2>&- <&-", "<&-"])
def test_run_goes_on_without_standard_error(files: Path, tmp_path: Path, redirected: str) -> None:
    done = run(
        "count",
        "-c",
        tmp_path / "t.tsv",
        files / "reads.sam",
        files / "genes.gtf",
        redirected=redirected,
    )
    assert done.returncode == 0
    assert (tmp_path / "t.tsv").read_bytes() == (files / "right.tsv").read_bytes()


def test_run_goes_on_where_nobody_reads_standard_error(files: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "counterbias",
        "count",
        str(files / "reads.sam"),
        str(files / "genes.gtf"),
    ]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writer, check=False)
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, (files / "right.tsv").read_bytes())


def test_everything_closed(files: Path, tmp_path: Path) -> None:
    """No opened file takes the number of a closed stream: no file contains a message."""
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    redirected = "<&- >&- 2>&-"
    done = run(
        "count",
        "-c",
        tmp_path / "t.tsv",
        "-o",
        tmp_path / "o.sam",
        files / "reads.sam",
        files / "genes.gtf",
        redirected=redirected,
    )
    assert done.returncode == 0
    assert (tmp_path / "t.tsv").read_bytes() == (files / "right.tsv").read_bytes()
    assert b"processed" not in (tmp_path / "o.sam").read_bytes()
    assert (
        run("count", files / "reads.sam", files / "genes.gtf", redirected=redirected).returncode
        == 1
    )
    assert (
        run(
            "count",
            files / "no.sam",
            files / "genes.gtf",
            "-c",
            tmp_path / "u.tsv",
            redirected=redirected,
        ).returncode
        == 1
    )
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_messages_in_any_character_set(files: Path, tmp_path: Path) -> None:
    done = run(
        "count", files / "gén-β.sam", files / "genes.gtf", PYTHONIOENCODING="ascii", PYTHONUTF8="1"
    )
    assert done.returncode == 1
    assert "g\\xe9n-\\u03b2.sam: there is no such file" in one_line(done.stderr)
    done = run("count", files / "byte-\udce9.sam", files / "genes.gtf")
    assert done.returncode == 1
    assert "byte-\\xe9.sam: there is no such file" in one_line(done.stderr)


# -- standard input ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["count", "-", "genes.gtf"],
        ["train", "-o", "m.model", "--bias-genome", "genome.fa", "-", "genes.gtf"],
        ["compare", "-o", "out", "--bias-genome", "genome.fa", "-", "genes.gtf"],
    ],
)
def test_closed_standard_input(files: Path, argv: list[str]) -> None:
    done = run(*argv, redirected="<&-", folder=files)
    assert done.returncode == 1
    assert (
        one_line(done.stderr)
        == "counterbias: -: standard input is closed. Send the alignments there, or name a file"
    )
    assert not (files / "out").exists()


# -- the other commands -----------------------------------------------------------------------


@pytest.mark.parametrize("redirected", [">&- 2>&- <&-", "2> /dev/full >&-"])
def test_simulate_without_streams(tmp_path: Path, redirected: str) -> None:
    small = ["--genes", 5, "--contigs", 1, "--pairs", 50]
    assert run("simulate", "-o", tmp_path / "s", *small, redirected=redirected).returncode == 0
    assert run("simulate", "-o", tmp_path / "t", *small).returncode == 0
    assert {
        path.name: path.read_bytes()
        for path in (tmp_path / "s").iterdir()
        if path.suffix in (".fa", ".gtf", ".bam")
    } == {
        path.name: path.read_bytes()
        for path in (tmp_path / "t").iterdir()
        if path.suffix in (".fa", ".gtf", ".bam")
    }
    assert {path.name for path in (tmp_path / "s").iterdir()} == {
        path.name for path in (tmp_path / "t").iterdir()
    }


# -- usage errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["count", "-m", "intersection", "a", "g"],
            "argument -m/--mode: invalid choice: 'intersection' (choose from ",
        ),
        (
            ["count", "--bias-counts", "x" * 5000, "a", "g"],
            "argument --bias-counts: invalid choice: 'xxx",
        ),
        (
            ["count", "--bias-modle", "pwm", "a", "g"],
            "unrecognized arguments: --bias-modle (did you mean --bias-model?)",
        ),
        (
            ["count", "--bias-window", "ten", "a", "g"],
            "argument --bias-window: 'ten' is not two numbers",
        ),
        (["count"], "the following arguments are required: alignments, annotation"),
        (
            ["compare", "--truth-scale", "tpm", "a", "g"],
            "argument --truth-scale: invalid choice: 'tpm' (choose from ",
        ),
        (
            ["train", "--bias-pool", "even", "a", "g"],
            "argument --bias-pool: invalid choice: 'even' (choose from ",
        ),
        (
            ["simulate", "--library", "pair"],
            "argument --library: invalid choice: 'pair' (choose from ",
        ),
        (["simulate", "--genes", "many"], "argument --genes: invalid int value: 'many'"),
        (["models", "--yaml"], "unrecognized arguments: --yaml"),
    ],
)
def test_wrong_options_are_one_line(
    argv: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    out, error = capfd.readouterr()
    line = one_line(error.encode())
    assert line.startswith(f"counterbias: {message}")
    assert line.endswith(f". See `counterbias {argv[0]} --help`")
    assert len(line) < 300
    assert out == ""


# -- what the machine does to a run -----------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            MemoryError("Unable to allocate 9 TiB"),
            "there is not enough memory (Unable to allocate 9 TiB). Give the job more memory",
        ),
        (RecursionError(), "the input is nested too deeply. Look at the files given"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "No space left on device. Free some space; temporary files can be put ",
        ),
        (
            OSError(errno.EMFILE, "Too many open files", "a.bam"),
            "a.bam: Too many open files. Raise the limit with `ulimit -n 4096`",
        ),
        (OSError("Could not load\nshared object file"), "Could not load shared object file"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found"),
            "there is no folder for temporary files. Name",
        ),
        (
            ModuleNotFoundError("No module named 'numba.core'", name="numba.core"),
            "the package 'numba' cannot be imported: No module named",
        ),
        (
            ImportError("it needs NumPy 2.5 or less", name="numba"),
            "the package 'numba' cannot be imported: it needs NumPy 2.5 or less. Run: ",
        ),
        (
            RuntimeError("can't start new thread"),
            "no further thread can be started. Raise the limit",
        ),
    ],
)
def test_errors_of_the_machine_are_one_line(
    error: Exception,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr("counterbias.cli.models.main", fail)
    assert main(["models"]) == 1
    assert one_line(capsys.readouterr().err.encode()).startswith(f"counterbias: {message}")


def test_broken_package_is_named(files: Path, tmp_path: Path) -> None:
    """As after a failed upgrade, when a package's message may fill a page."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(
        "raise ImportError('Please\\n\\nread ' + 'this ' * 900)"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = run("count", files / "reads.sam", files / "genes.gtf", PYTHONPATH=path)
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert line.startswith(
        "counterbias: the package 'numpy' cannot be imported: Please read this this"
    )
    assert line.endswith(" …. Run: pip install --force-reinstall numpy")
    assert len(line) < 350


def test_own_faults_are_not_hidden() -> None:
    assert failures.explain(KeyError("gone")) is None
