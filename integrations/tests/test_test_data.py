"""The reads that recipes are tested with are those that the script simulates."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path


def content(path: Path) -> bytes:
    """Return what a file holds; of a BAM file, what is packed in it."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".bam" else path.read_bytes()


def test_the_script_makes_the_files_that_are_here(
    recipes: Path, run: Callable, tmp_path: Path
) -> None:
    shutil.copy(recipes / "make-test-data", tmp_path)
    run([tmp_path / "make-test-data"], tmp_path)
    made = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    names = [path.relative_to(tmp_path) for path in made if path.name != "make-test-data"]
    assert len(names) == 15
    different = [name for name in names if content(tmp_path / name) != content(recipes / name)]
    assert different == []
