"""The example networks of the docs: as the page builds them, installed, conforming, compared."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from tests.docs.example_environment import make_environment, make_place
from tests.docs.pages import blocks
from tests.docs.running import Place, Run, run_page

MODELS = ("dilated", "transformer")
#: Networks that learn in a second.
SMALLER = {
    "--pairs 10000 --genes 40": "--pairs 3000 --genes 30",
    "dilated,transformer,cnn": "dilated:channels=8+epochs=1+learning_rate=0.02,"
    "transformer:size=8+epochs=1+learning_rate=0.02,cnn:members=1+max_steps=100+distil_steps=100",
    "counterbias compare": "counterbias compare --no-figures",
    "--bias-model dilated": "--bias-model dilated --bias-option channels=8 "
    "--bias-option epochs=1 --bias-option learning_rate=0.02",
}


@pytest.fixture(scope="module")
def example(root: Path) -> Path:
    return root / "docs" / "examples" / "counterbias-networks"


@pytest.fixture(scope="module")
def tutorial(root: Path) -> Path:
    return root / "docs" / "tutorial" / "your-own-network.md"


@pytest.fixture(scope="module")
def place(example: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The folder of a copy of the example, in whose environment commands are run."""
    pytest.importorskip("torch")
    environment = make_environment(root, tmp_path_factory.mktemp("environment"))
    place = make_place(environment, example, tmp_path_factory.mktemp("networks"))
    return dataclasses.replace(place, smaller=SMALLER)


@pytest.fixture(scope="module")
def run(place: Place, tutorial: Path) -> Run:
    """The commands of the tutorial, installing and the conformance suite among them."""
    return run_page(tutorial, place, languages=["console"])


def test_the_tutorial_builds_the_example(tutorial: Path, example: Path) -> None:
    page = tutorial.read_text(encoding="utf-8")
    assert blocks(page, "toml") == [(example / "pyproject.toml").read_text()]
    pieces = blocks(page, "python")
    for path in ("tests/test_networks.py", "counterbias_networks/__init__.py"):
        pieces.remove((example / path).read_text())
    module = (example / "counterbias_networks" / "networks.py").read_text()
    for piece in pieces:
        assert module.count(piece) == 1, piece
        module = module.replace(piece, "")
    assert module.strip() == ""


def test_the_networks_pass_the_conformance_suite(run: Run) -> None:
    assert " passed" in run.text
    assert "failed" not in run.text


def test_compare_shows_them_beside_cnn(run: Run, place: Place) -> None:
    lines = (place.folder / "comparison" / "comparison.tsv").read_text().splitlines()
    table = csv.DictReader(lines, delimiter="\t")
    gains = {row["model"].partition(":")[0]: float(row["gain_cap5"]) for row in table}
    assert set(gains) == {*MODELS, "cnn"}
    assert min(gains.values()) > 0.1


def test_counts_are_corrected_with_them(run: Run, place: Place) -> None:
    report = json.loads((place.folder / "made" / "counted.counterbias.json").read_text())
    (end,) = report["ends"]
    assert end["calibration"]["applied"]
    curves = end["training"]["curves"]
    assert len(curves["validation_gain"]) == len(curves["validation_start_gain"]) == 1
    assert (place.folder / "made" / "counted.model").exists()


def test_they_are_listed_without_torch(run: Run, place: Place) -> None:
    script = (
        "import sys, counterbias; backends = counterbias.load_plugins().backends; "
        f"assert {set(MODELS)} <= set(backends), backends; assert 'torch' not in sys.modules"
    )
    python = place.settings["PIP_PYTHON"]
    subprocess.run([python, "-c", script], check=True, cwd=place.folder, env=place.environment())
