"""Text of files, names and options in messages: safe for a terminal, on one line, not too long."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from counterbias.cli import main
from counterbias.cli.progress import ProgressBar
from counterbias.errors import LONGEST, InputError, harmless, shown
from counterbias.figures.data import ModelFigures, SampleFigures
from counterbias.figures.drawing import draw
from counterbias.writers.comparison import write_between, write_document

#: A colour, a cleared screen in one byte, a bell, a right-to-left override, a zero-width space, a
#: line separator, a NEL.
NASTY = "\x1b[31m\x9b2J\a\u202e\u200b\u2028\x85"
GTF = 'chr1\ttest\texon\t101\t400\t.\t+\t.\tgene_id "a"; transcript_id "a.1";\n'
SAM = "@SQ\tSN:chr1\tLN:2000\nr1\t0\tchr1\t101\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    path = tmp_path / "reads.sam"
    path.write_text(SAM)
    return path


def failure_line(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """Run the command, which must fail; return its one line."""
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    message = capfd.readouterr().err
    assert status in (1, 2)
    assert not FORBIDDEN.search(message), ascii(message)
    last = message.splitlines()[-1]
    assert len(last) < 300
    return last


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (GTF.replace("gene_id", f"ge{NASTY}ne"), r"ge\x1b[31m\x9b2J\x07\u202e\u200b"),
        (
            GTF.replace("chr1", f"chr{NASTY}").replace("\t+\t", f"\t{NASTY}\t"),
            "the strand (column 7)",
        ),
        (GTF.replace("exon", f"ex{NASTY}on"), r"ex\x1b[31m\x9b2J\x07\u202e\u200b"),
        (f"one{NASTY}column\n", "expected 9 tab-separated columns"),
    ],
)
def test_annotation_lines_are_shown_harmlessly(
    line: str, expected: str, reads: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gtf = reads.with_name("genes.gtf")
    gtf.write_text(line)
    assert expected in failure_line(["count", str(reads), str(gtf)], capfd)


def test_a_line_of_a_thousand_attributes_leaves_the_remedy_readable(
    reads: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gtf = reads.with_name("genes.gtf")
    gtf.write_text(
        GTF.replace("gene_id", " ".join(f'k{number} "v";' for number in range(1000)) + "gene")
    )
    message = failure_line(["count", str(reads), str(gtf)], capfd)
    assert "this 'exon' line has no attribute 'gene_id'. It has: k0, k1," in message
    assert message.endswith("choose one with -i (--idattr)")


def test_file_names_are_shown_harmlessly(reads: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gtf = reads.with_name("genes.gtf")
    gtf.write_text(GTF)
    assert r"no\x1b[31m\x9b2J\x07\u202e" in failure_line(
        ["count", f"no{NASTY}.bam", str(gtf)], capfd
    )
    assert r"no\xff.gtf" in failure_line(["count", str(reads), os.fsdecode(b"no\xff.gtf")], capfd)
    long = f"{'d' * 200}/{'e' * 200}/genes.gtf"
    message = failure_line(["count", str(reads), long], capfd)
    assert "ddd" in message
    assert "genes.gtf: there is no such file. Check the name of the annotation" in message


@pytest.mark.parametrize(
    "options",
    [
        [f"--no-such={NASTY}"],
        ["-s", f"x{NASTY}"],
        ["-t", f"x{NASTY}"],
        ["--bias-model", f"x{NASTY}", "--bias-genome", "x"],
        ["--bias-option", f"{NASTY}"],
        ["--feature-query", f"x{NASTY}"],
        ["-i", f"{NASTY}"],
    ],
)
def test_options_are_shown_harmlessly(
    options: list[str], reads: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gtf = reads.with_name("genes.gtf")
    gtf.write_text(GTF)
    # Placed first, an unknown option would take the file names.
    assert r"\x1b[31m\x9b2J\x07\u202e" in failure_line(
        ["count", str(reads), str(gtf), *options], capfd
    ).replace("\\\\", "\\")


def test_commands_are_shown_harmlessly(capfd: pytest.CaptureFixture[str]) -> None:
    assert r"there is no command '\x1b[31m" in failure_line([f"{NASTY}"], capfd)


def test_warnings_show_read_names_harmlessly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "genes.gtf").write_text(GTF)
    (tmp_path / "reads.sam").write_text(
        SAM.replace("r1\t0\t", "r\x1b[31m1\t65\t").replace("*\t0\t0", "=\t201\t100")
    )
    assert main(["count", str(tmp_path / "reads.sam"), str(tmp_path / "genes.gtf")]) == 0
    message = capfd.readouterr().err
    assert not FORBIDDEN.search(message)
    assert "Warning: Read r\\x1b[31m1 claims to have an aligned mate" in message


def test_the_bar_shows_samples_harmlessly() -> None:
    code = (
        "from counterbias.cli.progress import ProgressBar\n"
        "with ProgressBar(True) as bar:\n"
        "    bar.progress('s\\x1b[5mx\\x9b2J\\u202e: training', 1, 3)\n"
        "    bar.write('Warning: s\\x1b[5mx\\x9b2J\\u202e')\n"
    )
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=follower, env=environment
    ) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the other side was closed
                break
            if not part:
                break
            seen += part
    os.close(leader)
    assert process.returncode == 0
    text = seen.decode()
    assert "\x1b[5m" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert r"s\x1b[5mx\x9b2J\u202e: training" in text
    assert r"Warning: s\x1b[5mx\x9b2J\u202e" in text


def test_lines_without_a_bar_are_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(False) as bar:
        bar.write(f"Warning: {NASTY}\n")
    assert capfd.readouterr().err == "Warning: \\x1b[31m\\x9b2J\\x07\\u202e\\u200b\\u2028\\x85\n"


def test_plain_text_stays_as_it_is() -> None:
    text = "Größe 5′ – 日本語 العربية 🧬 …"
    assert shown(text) == harmless(text) == text
    assert shown("a\tb\r\n  c ") == "a b c"
    assert shown("\udcff\ud800") == r"\xff\ud800"


@pytest.mark.parametrize("file", ["", "/f", "/" + "f" * 5000 + ".gtf"])
@pytest.mark.parametrize("place", ["", "line 3", "p" * 5000])
@pytest.mark.parametrize(
    "problem", ["it is wrong", "'" + NASTY * 5000 + "' is wrong", "a, " * 2000 + "z"]
)
@pytest.mark.parametrize("remedy", ["", "mend it", "choose one of " + "b, " * 2000 + "with -i"])
def test_messages_are_short_and_keep_both_ends_of_each_part(
    file: str, place: str, problem: str, remedy: str
) -> None:
    line = InputError(problem, file=file, place=place, remedy=remedy).line()
    assert len(line) <= LONGEST
    assert not FORBIDDEN.search(line)
    assert line.startswith(file[:2])
    assert f"{problem[-3:]}" in line
    assert line.endswith(remedy[-6:])


def test_figures_and_tables_take_any_name(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib (extra compare)")
    name = f"s{NASTY}\udcff$x_1$"
    shares = {
        part: {base: [0.25, 0.25] for base in "ACGT"} for part in ("before", "after", "background")
    }
    nothing = np.zeros(0)
    model = ModelFigures(name, True, 0.1, 0.01, 1.0, [0, 1], {"both": shares}, {})
    folder = tmp_path / "figures"
    folder.mkdir()
    written = draw([SampleFigures(name, nothing, [model])], folder)
    assert any(path.endswith(".svg") for path in written)
    for path in written:
        if path.endswith(".svg"):
            ElementTree.parse(path)
    write_between(tmp_path / "between.tsv", [(name, "raw", "a", "1,1", "b", "1,1", 0.5)])
    assert b"\xff$x_1$" in (tmp_path / "between.tsv").read_bytes()
    write_document(
        tmp_path / "comparison.json", {"counterbias_comparison": [1, 0], "samples": [name]}
    )
    assert json.loads((tmp_path / "comparison.json").read_text(encoding="ascii"))["samples"] == [
        name
    ]
