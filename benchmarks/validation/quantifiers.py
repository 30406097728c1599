"""Run the transcript quantifiers that counterbias is compared with: salmon and kallisto.

Their command lines are built here once, for peers.py, real_lengths.py and differential.py. Reads
are one FASTQ file (single-end) or two; libraries are unstranded.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from counterbias.options import AssumedLengths

PROGRAMS = ("salmon", "kallisto")
#: Program → its option that corrects sequence-specific bias.
CORRECTS = {"salmon": "--seqBias", "kallisto": "--bias"}

Command = list[str]


def run(command: Sequence[str | Path]) -> float:
    """Run a program and return its wall time.

    Raises:
        RuntimeError: the program failed; the message has the end of its stderr.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, command[:2]))} failed: {done.stderr.strip()[-300:]}"
        )
    return time.perf_counter() - began


def version(program: str) -> str | None:
    """Return the version of a program, or None if it is not installed."""
    path = shutil.which(program)
    if path is None:
        return None
    command = [path, "--version"] if program == "salmon" else [path, "version"]
    return (
        subprocess.run(command, capture_output=True, text=True, check=False)
        .stdout.strip()
        .replace(", version", "")
    )


def salmon_index(transcripts: Path, index: Path, threads: int) -> Command:
    """Return the command that indexes transcripts (FASTA) for salmon."""
    return ["salmon", "index", "-t", str(transcripts), "-i", str(index), "-p", str(threads)]


def salmon_quant(
    index: Path,
    reads: Sequence[Path],
    output: Path,
    *,
    corrects: bool = False,
    lengths: AssumedLengths | None = None,
    threads: int = 1,
) -> Command:
    """Return the command that writes ``output/quant.sf``.

    Args:
        index: from :func:`salmon_index`.
        reads: one FASTQ file, or two.
        output: a folder.
        corrects: whether bias is corrected.
        lengths: the fragment lengths of single-end reads; by default salmon's.
        threads: number of threads.
    """
    command = ["salmon", "quant", "-i", str(index)]
    if len(reads) == 2:
        command += ["-l", "IU", "-1", str(reads[0]), "-2", str(reads[1])]
    else:
        command += ["-l", "U", "-r", str(reads[0])]
        if lengths is not None:
            command += ["--fldMean", f"{lengths.mean:g}", "--fldSD", f"{lengths.sd:g}"]
    command += ["-p", str(threads), "-o", str(output)]
    return [*command, CORRECTS["salmon"]] if corrects else command


def kallisto_index(transcripts: Path, index: Path) -> Command:
    """Return the command that indexes transcripts (FASTA) for kallisto."""
    return ["kallisto", "index", "-i", str(index), str(transcripts)]


def kallisto_quant(
    index: Path,
    reads: Sequence[Path],
    output: Path,
    *,
    corrects: bool = False,
    lengths: AssumedLengths | None = None,
    threads: int = 1,
) -> Command:
    """Return the command that writes ``output/abundance.tsv``.

    Args:
        index: from :func:`kallisto_index`.
        reads: one FASTQ file, or two.
        output: a folder.
        corrects: whether bias is corrected.
        lengths: the fragment lengths of single-end reads, which kallisto has no default for.
        threads: number of threads.
    """
    command = ["kallisto", "quant", "-i", str(index), "--plaintext", "-t", str(threads)]
    command += ["-o", str(output)]
    if corrects:
        command.append(CORRECTS["kallisto"])
    if len(reads) == 1:
        assumed = AssumedLengths() if lengths is None else lengths
        command += ["--single", "-l", f"{assumed.mean:g}", "-s", f"{assumed.sd:g}"]
    return [*command, *map(str, reads)]
