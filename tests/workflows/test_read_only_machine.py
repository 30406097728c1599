"""Machines where little can be written, as in containers: no index, no temporary files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pysam
import pytest

import counterbias
from tests.helpers.output_inputs import COMMAND, make_inputs

MOUNT = ["unshare", "--mount", "--map-root-user", "sh", "-ec"]


def shielded(folder: Path, mounts: str, words: str) -> subprocess.CompletedProcess[str]:
    """Run the command after shell commands that mount what only it sees; skip where that fails."""
    if subprocess.run(
        [*MOUNT, "mount -t tmpfs t /mnt"], capture_output=True, check=False
    ).returncode:
        pytest.skip("nothing can be mounted here")
    hidden = [place for place in ("/tmp", "/var/tmp", "/dev/shm", "/mnt") if f" {place}" in mounts]
    if any(
        Path(needed).is_relative_to(place)
        for needed in (sys.prefix, sys.base_prefix, counterbias.__file__)
        for place in hidden
    ):
        pytest.skip("the program itself lies where the test mounts something")
    script = f'{mounts}\nexec "$@" {words}'
    return subprocess.run(
        [*MOUNT, script, "sh", *COMMAND],
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    make_inputs(tmp_path)
    (tmp_path / "genome").mkdir()
    (tmp_path / "genome.fa").rename(tmp_path / "genome" / "genome.fa")
    return tmp_path


def test_cram_with_a_genome_beside_which_no_index_can_be_kept(files: Path) -> None:
    genome = str(files / "genome" / "genome.fa")
    pysam.view(
        "-C",
        "-T",
        genome,
        "-o",
        str(files / "reads.cram"),
        str(files / "reads.bam"),
        catch_stdout=False,
    )
    Path(f"{genome}.fai").unlink()
    words = "count -q -c c.tsv --bias-genome genome/genome.fa reads.cram genes.gtf"
    done = shielded(files, "mount --bind genome genome; mount -o remount,bind,ro genome", words)
    assert (done.returncode, done.stderr) == (0, "")
    assert not os.path.exists(f"{genome}.fai")


@pytest.mark.parametrize("ending", ["h5ad", "loom"])
def test_hdf5_where_only_its_own_folder_can_be_written(files: Path, ending: str) -> None:
    (files / "empty").mkdir()
    mounts = "mount --bind . /mnt; cd /mnt; mount -t tmpfs -o ro t empty; unset TMPDIR TEMP TMP\n"
    mounts += (
        "for d in /dev/shm /tmp /var/tmp /usr/tmp; do "
        "if [ -d $d ]; then mount -t tmpfs -o ro t $d; fi; done; cd empty"
    )
    done = shielded(files, mounts, f"count -q -c ../c.{ending} ../reads.bam ../genes.gtf")
    assert done.returncode == 0, done.stderr
    assert not any("\x1b" in line or len(line) > 299 for line in done.stderr.splitlines()), (
        done.stderr
    )


def test_other_packages_warn_in_one_line(files: Path) -> None:
    (files / "plugin.py").write_text(
        "import warnings\nwarnings.warn('\\x1b[1mlook\\nhere\\x1b[0m' + 'e' * 900)\n"
    )
    program = "import sys; from counterbias.cli import streams; streams.prepare(); import plugin"
    done = subprocess.run(
        [COMMAND[0], "-c", program], cwd=files, capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith("Warning: \\x1b[1mlook here\\x1b[0meee")
    assert (done.stderr.count("\n"), len(done.stderr) <= 300) == (1, True)
