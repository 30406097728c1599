"""The nf-core module, as far as it can be checked without Nextflow.

nf-core's own linter runs on it, in a stand-in for the repository of all modules: what it would ask
Nextflow for, Groovy answers, and its JSON Schemas of ``meta.yml`` and ``environment.yml``, which it
would download, are left open. The commands of ``script:`` and ``stub:`` are evaluated by Groovy and
run by bash, as Nextflow runs them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLACE = Path("modules/nf-core/counterbias/count")

pytestmark = pytest.mark.skipif(
    shutil.which("groovy") is None, reason="Groovy is not installed (Debian package groovy)"
)


@pytest.fixture
def module(recipes: Path) -> Path:
    return recipes / "nf-core" / "modules" / "counterbias" / "count"


@pytest.fixture
def rendered(module: Path) -> Callable[..., dict[str, str]]:
    """A function that evaluates the module's blocks for a genome, options and an engine."""

    def render(fasta: str = "", args: str = "", engine: str = "docker") -> dict[str, str]:
        bindings = {
            "meta": {"id": "sample", "single_end": False},
            "input": "sample.bam",
            "gtf": "genes.gtf",
            "fasta": fasta or [],
            "task": {"cpus": 2, "process": "COUNTERBIAS_COUNT", "ext": {"args": args}},
            "workflow": {"containerEngine": engine},
        }
        script = module.parents[2] / "render.groovy"
        done = subprocess.run(
            ["groovy", script, module / "main.nf"],
            input=json.dumps(bindings),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        blocks: dict[str, str] = json.loads(done.stdout)
        return blocks

    return render


def emitted(module: Path) -> dict[str, str]:
    """Return the output channels and the patterns of their files."""
    text = (module / "main.nf").read_text(encoding="utf-8")
    return {name: glob for glob, name in re.findall(r'path\("(.+?)"\)\s*, emit: (\w+)', text)}


def new_files(folder: Path) -> set[str]:
    """Return the names of what was not there before, but for the index of the genome."""
    inputs = {"sample.bam", "genes.gtf", "genome.fa", "genome.fa.fai"}
    return {path.name for path in folder.iterdir()} - inputs


def execute(command: str, folder: Path, inputs: Path) -> None:
    """Run what Nextflow would, as it does: with bash, in a folder that holds the inputs."""
    for name in ("sample.bam", "genes.gtf", "genome.fa"):
        shutil.copy(inputs / name, folder)
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, check=True)


# -- the linter ------------------------------------------------------------------------------------


def stand_in(folder: Path, module: Path) -> Path:
    """Make a git repository that is laid out as nf-core/modules is, with one module in it."""
    shutil.copytree(module, folder / PLACE)
    (folder / ".nf-core.yml").write_text("repository_type: modules\norg_path: nf-core\n")
    for name in ("meta-schema.json", "environment-schema.json"):
        (folder / "modules" / name).write_text("{}")
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    commands = (
        ["init", "-q", "-b", "master"],
        ["remote", "add", "origin", str(folder)],
        ["add", "."],
        [*identity, "commit", "-qm", "A module"],
    )
    for words in commands:
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def test_nf_core_finds_nothing_wrong_with_the_module(
    module: Path,
    rendered: Callable[..., dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import nf_core.modules.modules_repo as repositories
    import nf_core.utils
    from nf_core.components.nfcore_component import NFCoreComponent
    from nf_core.modules.lint import ModuleLint

    def container(_: Any, profile: str = "docker") -> str:
        return rendered(engine=profile)["container"]

    monkeypatch.setattr(NFCoreComponent, "get_container_with_inspect", container)
    monkeypatch.setattr(nf_core.utils, "fetch_wf_config", lambda *_, **__: {})
    monkeypatch.setattr(repositories, "NFCORE_DIR", tmp_path / "cache")
    # The address is a relative path: of an absolute one it would make no clone.
    monkeypatch.chdir(tmp_path)
    repository = stand_in(tmp_path / "org" / "modules", module)
    lint = ModuleLint(repository, remote_url="org/modules", hide_progress=True)
    lint.lint(module="counterbias/count", print_results=False)
    assert {(one.lint_test, one.message) for one in lint.failed} == set()
    # The package is not on Bioconda yet, and there is no network where this is checked.
    assert {one.lint_test for one in lint.warned} <= {"bioconda_version"}
    assert len(lint.passed) > 30


# -- what it runs ----------------------------------------------------------------------------------


def test_without_a_genome_it_is_htseq_count(
    rendered: Callable[..., dict[str, str]], plain: Path, tmp_path: Path
) -> None:
    execute(rendered(args="-s no -r pos")["script"], tmp_path, plain)
    assert new_files(tmp_path) == {"sample.txt"}
    assert (tmp_path / "sample.txt").read_bytes() == (plain / "table.tsv").read_bytes()


def test_with_a_genome_every_channel_has_its_file(
    module: Path,
    rendered: Callable[..., dict[str, str]],
    plain: Path,
    check_bias_files: Callable[[Path, str], None],
    tmp_path: Path,
) -> None:
    blocks = rendered("genome.fa", "-s no -r pos --bias-model pwm")
    execute(blocks["script"], tmp_path, plain)
    channels = emitted(module)
    assert len(channels) == 7
    found = {name: len(list(tmp_path.glob(pattern))) for name, pattern in channels.items()}
    assert {name: number for name, number in found.items() if number != 1} == {}
    assert (tmp_path / "sample.txt").read_bytes() == (plain / "table.tsv").read_bytes()
    check_bias_files(tmp_path, "sample")


@pytest.mark.parametrize("fasta", ["", "genome.fa"])
def test_the_stub_makes_the_files_that_the_script_makes(
    rendered: Callable[..., dict[str, str]], plain: Path, tmp_path: Path, fasta: str
) -> None:
    blocks = rendered(fasta, "-s no -r pos --bias-model pwm" if fasta else "-s no -r pos")
    made = {}
    for name in ("script", "stub"):
        (tmp_path / name).mkdir()
        execute(blocks[name], tmp_path / name, plain)
        made[name] = new_files(tmp_path / name)
    assert made["stub"] == made["script"]


def test_its_version_command_prints_a_bare_version(run: Callable, tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run(["counterbias", "--version"], tmp_path))
