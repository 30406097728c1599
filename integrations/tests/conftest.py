"""What the checks of several recipes need: commands, and what the plain command writes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

#: Runs a command in a folder and returns its output; fails with all that it said.
Run = Callable[[Sequence[str | Path], Path], str]

RECIPES = Path(__file__).resolve().parent.parent
#: The reads, annotation and genome that every recipe is tested with.
DATA = RECIPES / "cwl" / "test-data"
#: What follows the prefix in the names of the files of a bias model.
ENDINGS = (
    ".counts.tsv",
    ".genes.results",
    ".isoforms.results",
    ".model",
    ".counterbias.json",
    ".log",
)
#: Those whose bytes do not depend on how long the run took or how its files are named.
COMPARED = (".counts.tsv", ".genes.results", ".isoforms.results", ".model")


@pytest.fixture(scope="session")
def recipes() -> Path:
    """The folder of all recipes."""
    return RECIPES


@pytest.fixture(scope="session")
def run() -> Run:
    """The function that runs commands."""

    def run_command(words: Sequence[str | Path], folder: Path) -> str:
        done = subprocess.run(
            list(map(str, words)), cwd=folder, capture_output=True, text=True, check=False
        )
        said = f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        return done.stdout

    return run_command


@pytest.fixture(scope="session")
def plain(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the plain command writes: ``table.txt`` and ``sample.…`` of model pwm."""
    folder = tmp_path_factory.mktemp("plain")
    for name in ("sample.bam", "genes.gtf", "genome.fa"):
        shutil.copy(DATA / name, folder)
    command = (
        "counterbias count -q -s no -r pos --bias-model pwm --bias-genome genome.fa "
        "--bias-output sample --counts_output table.tsv sample.bam genes.gtf"
    )
    run(command.split(), folder)
    return folder


@pytest.fixture(scope="session")
def check_bias_files(plain: Path) -> Callable[[Path, str], None]:
    """A function that compares the files of a bias model with the plain command's."""

    def check(folder: Path, prefix: str) -> None:
        missing = [end for end in ENDINGS if not (folder / f"{prefix}{end}").is_file()]
        assert missing == []
        for end in COMPARED:
            made, expected = folder / f"{prefix}{end}", plain / f"sample{end}"
            assert made.read_bytes() == expected.read_bytes(), end

    return check
