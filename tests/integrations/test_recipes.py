"""The recipes under ``integrations/`` keep step with the command line.

``make integrations`` runs them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from counterbias.cli import main
from counterbias.cli.count import build_count_parser
from counterbias.plugins import load_plugins

GALAXY = "galaxy"
NF_CORE = "nf-core/modules/counterbias/count"
WRAPPER = "snakemake-wrapper/bio/counterbias/count"
CWL = "cwl/counterbias-count.cwl"
#: Where each recipe has its copy of the reads that it is tested with.
TEST_DATA = ("cwl/test-data", "galaxy/test-data", f"{NF_CORE}/tests/data", f"{WRAPPER}/test")
NAMES = ("sample.bam", "genes.gtf", "genome.fa")
#: All files that name options.
WITH_OPTIONS = (
    "galaxy/counterbias_count.xml",
    "galaxy/macros.xml",
    f"{NF_CORE}/main.nf",
    f"{NF_CORE}/tests/main.nf.test",
    f"{WRAPPER}/wrapper.py",
    f"{WRAPPER}/test/Snakefile",
    CWL,
    "make-test-data",
)
#: Options of other programs in these files.
OTHERS = {"--seed", "--genes", "--contigs", "--bases", "--overlapping", "--pairs", "--read-length"}
OTHERS |= {"--errors", "--strength", "--spread", "--output", "--no-container"}


@pytest.fixture(scope="module")
def recipes(root: Path) -> Path:
    return root / "integrations"


@pytest.fixture(scope="module")
def options() -> dict[str, argparse.Action]:
    """The options of ``counterbias count`` by name."""
    actions = build_count_parser()._actions
    return {name: action for action in actions for name in action.option_strings}


@pytest.fixture(scope="module")
def version(root: Path) -> str:
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


@pytest.fixture(scope="module")
def endings(recipes: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What follows the prefix in the names of all files that a bias run writes."""
    folder, data = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("data")
    for name in NAMES:
        shutil.copy(recipes / "cwl" / "test-data" / name, data)  # an index is written beside it
    words = ["count", "-q", "-s", "no", "-r", "pos", "--bias-model", "pwm"]
    words += ["--bias-genome", str(data / "genome.fa"), "--bias-output", str(folder / "p")]
    words += ["-c", str(folder / "table.tsv"), str(data / "sample.bam"), str(data / "genes.gtf")]
    assert main(words) == 0
    return {path.name.removeprefix("p") for path in folder.iterdir()} - {"table.tsv"}


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_every_option_of_a_recipe_exists(
    recipes: Path, options: dict[str, argparse.Action], name: str
) -> None:
    text = (recipes / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*[a-z]", text)) - OTHERS
    assert named - options.keys() == set()


def galaxy_parameters(recipes: Path) -> dict[str, ElementTree.Element]:
    """Return the Galaxy tool's parameters that have an option's name."""
    tree = ElementTree.parse(recipes / GALAXY / "macros.xml")
    found = {one.get("argument", ""): one for one in tree.iter("param")}
    return {name: one for name, one in found.items() if name.startswith("--")}


def test_galaxy_offers_the_choices_that_there_are(
    recipes: Path, options: dict[str, argparse.Action]
) -> None:
    checked = 0
    for name, parameter in galaxy_parameters(recipes).items():
        offered = [str(one.get("value")) for one in parameter.findall("option")]
        choices = options[name].choices
        if offered and choices is not None:
            assert set(offered) == set(choices), name
            checked += 1
    assert checked >= 8


def test_galaxy_offers_models_that_there_are(
    recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = ElementTree.parse(recipes / GALAXY / "macros.xml")
    (parameter,) = (one for one in tree.iter("param") if one.get("label") == "Kind of model")
    offered = {str(one.get("value")) for one in parameter.findall("option")}
    assert main(["models"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert offered - listed <= {"auto"}
    shipped = {
        name
        for name, registration in load_plugins().backends.items()
        if registration.plugin.distribution == "counterbias"
    }
    assert shipped <= offered


def test_galaxy_starts_from_the_defaults_of_the_command(
    recipes: Path, options: dict[str, argparse.Action]
) -> None:
    given = {"--minaqual": "10", "--type": "exon", "--idattr": "gene_id"}
    parameters = galaxy_parameters(recipes)
    assert {name: parameters[name].get("value") for name in given} == given
    parsed = build_count_parser().parse_args(["a.bam", "g.gtf"])
    for name, parameter in parameters.items():
        selected = [one.get("value") for one in parameter.findall("option") if one.get("selected")]
        default = getattr(parsed, options[name].dest)
        if selected and default is not None:
            assert selected == [default], name


def test_cwl_takes_the_choices_that_there_are(
    recipes: Path, options: dict[str, argparse.Action]
) -> None:
    tool = yaml.safe_load((recipes / CWL).read_text(encoding="utf-8"))
    enumerated = {
        one["inputBinding"]["prefix"]: one["type"][1]["symbols"]
        for one in tool["inputs"].values()
        if isinstance(one["type"], list)
    }
    assert len(enumerated) == 4
    choices = {name: options[name].choices for name in enumerated}
    assert {name: list(found or ()) for name, found in choices.items()} == enumerated


# -- files -----------------------------------------------------------------------------------------


def test_every_recipe_has_all_files_of_a_bias_run(recipes: Path, endings: set[str]) -> None:
    def named(file: str, pattern: str) -> set[str]:
        return set(re.findall(pattern, (recipes / file).read_text(encoding="utf-8")))

    galaxy = named("galaxy/counterbias_count.xml", r'from_work_dir="bias(\..+?)"')
    assert galaxy == endings
    assert named(f"{NF_CORE}/main.nf", r'path\("\*(\..+?)"\)') == endings | {".txt"}
    assert named(f"{WRAPPER}/wrapper.py", r'": "(\..+?)"') == endings
    assert named(f"{WRAPPER}/test/Snakefile", r'"bias/\{sample\}(\..+?)"') == endings
    assert named(CWL, r"glob: \$\(inputs\.bias_output\)(\..+?)\}") == endings


def test_every_recipe_is_tested_with_the_same_small_files(recipes: Path) -> None:
    for name in NAMES:
        copies = {(recipes / folder / name).read_bytes() for folder in TEST_DATA}
        assert len(copies) == 1
        assert len(copies.pop()) < 100_000


def test_galaxy_expects_the_counts_of_its_reads(recipes: Path, tmp_path: Path) -> None:
    data, table = recipes / "galaxy" / "test-data", tmp_path / "table.tsv"
    words = ["count", "-q", "-s", "no", "-r", "pos", "-c", str(table)]
    assert main([*words, str(data / "sample.bam"), str(data / "genes.gtf")]) == 0
    lines = table.read_text().splitlines(keepends=True)
    assert (data / "counts.tsv").read_text() == "".join(
        line for line in lines if not line.startswith("__")
    )
    assert (data / "summary.tsv").read_text() == "".join(
        line for line in lines if line.startswith("__")
    )


# -- releases --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("galaxy/macros.xml", r'name="@TOOL_VERSION@">(.+?)<'),
        (f"{NF_CORE}/main.nf", r"/counterbias:(.+?)--"),
        (f"{NF_CORE}/environment.yml", r"counterbias=(.+?)\""),
        (f"{WRAPPER}/environment.yaml", r"counterbias =(\S+)"),
        (CWL, r"counterbias:\s+version: \[\"(.+?)\"\]"),
        (CWL, r"/counterbias:(.+?)--"),
    ],
)
def test_recipes_are_of_this_version(recipes: Path, version: str, file: str, pattern: str) -> None:
    named = re.findall(pattern, (recipes / file).read_text(encoding="utf-8"))
    assert named
    assert set(named) == {version}


@pytest.mark.parametrize("name", ["check", "make-test-data", "galaxy/run-in-galaxy"])
def test_scripts_can_be_run(recipes: Path, name: str) -> None:
    assert (recipes / name).stat().st_mode & 0o111
    subprocess.run(["bash", "-n", recipes / name], check=True)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a b's/\t(1).bam", "a_b_s___1_.bam"),
        ("-o", "_o"),  # no option of ln or counterbias
        ("Probe-ä", "Probe-ä"),
    ],
)
def test_galaxy_names_files_by_samples_in_a_harmless_way(
    recipes: Path, name: str, file: str
) -> None:
    text = (recipes / "galaxy" / "counterbias_count.xml").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"#set \$name = re\.sub\(r'(.+?)', '_', ", text)
    assert re.sub(pattern, "_", name) == file
