"""A folder with a cohort, as users have it, and Snakemake run in it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import ROOT

WORKFLOW = ROOT / "workflow"
#: Files of a comparison that do not say how long fits took.
COMPARED = ("comparison/outcome.tsv", "comparison/per_gene.tsv", "comparison/between_models.tsv")
#: A finished run.
Done = subprocess.CompletedProcess[str]
COLUMNS = ("sample", "alignments", "group", "strandedness", "batch", "options")


def load(name: str) -> ModuleType:
    """Import a module of the workflow's scripts; skip the test where what it needs is missing."""
    for needed in ("yaml", "jsonschema"):
        pytest.importorskip(needed, reason="the extra `workflow` is not installed")
    spec = importlib.util.spec_from_file_location(name, WORKFLOW / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def need_snakemake(*plugins: str) -> None:
    """Skip the test where Snakemake or a plug-in is not installed."""
    for package in ("snakemake", *plugins):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (extra `workflow`)")


def write_samples(folder: Path, rows: Iterable[Mapping[str, str]], *columns: str) -> None:
    """Write the table of samples, with further columns; absent values are empty."""
    names = (*COLUMNS, *columns)
    lines = ["\t".join(row.get(name, "") for name in names) for row in rows]
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "samples.tsv").write_text("\n".join(["\t".join(names), *lines, ""]))


def write_config(folder: Path, **settings: Any) -> None:
    """Write the configuration, which YAML reads as JSON."""
    settings = {"annotation": "genes.gtf", "genome": "genome.fa", "groups": ["g1", "g2"]} | settings
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "config.yaml").write_text(json.dumps(settings))


def environment(*programs: Path) -> dict[str, str]:
    """Return the environment of a run: commands in folders, and of the tests' own environment."""
    places = (*map(str, programs), str(Path(sys.executable).parent), os.environ["PATH"])
    # Users' Python writes compiled modules.
    kept = {k: value for k, value in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PATH": os.pathsep.join(places)}


def command(*words: str) -> list[str]:
    """Return the command line of the workflow."""
    return [sys.executable, "-m", "snakemake", "-s", str(WORKFLOW / "Snakefile"), *words]


def run(folder: Path, *words: str, programs: Path | None = None) -> Done:
    """Run the workflow in a folder, with one processor; ``programs`` stand before all others."""
    return subprocess.run(
        command("--cores", "1", *words),
        cwd=folder,
        env=environment(*([programs] if programs else [])),
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


def own_line(done: Done) -> str:
    """Return the one line that the workflow itself has written to standard error."""
    (line,) = [
        line for line in done.stderr.splitlines() if line.startswith("counterbias workflow: ")
    ]
    return line


def started(done: Done) -> list[str]:
    """List the rules of the jobs that were started, in order."""
    lines = [line for line in done.stderr.splitlines() if line.endswith(":")]
    words = [line.rstrip(":").split() for line in lines]
    return [found[1] for found in words if len(found) == 2 and found[0] in ("localrule", "rule")]


def untimed(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a document says, but how long things took and what was typed."""
    timed = ("run", "seconds", "command_line")
    return {key: value for key, value in document.items() if key not in timed}


def contents(results: Path) -> dict[str, bytes | dict[str, Any]]:
    """Return what results hold, file → content, but when and where they were made."""
    found: dict[str, bytes | dict[str, Any]] = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if not path.is_file() or path.is_symlink() or name.split("/")[0] == "multiqc":
            continue
        if name.startswith("comparison/") and name not in COMPARED:
            continue
        if path.suffix == ".log":
            continue
        if name.endswith(".json"):
            found[name] = json.loads(path.read_text(), object_hook=untimed)
        else:
            found[name] = path.read_bytes()
    return found
