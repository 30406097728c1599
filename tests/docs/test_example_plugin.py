"""The example plug-in of the docs: small, installed by itself, listed, trained and conforming."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import subprocess
import tokenize
from pathlib import Path

import pytest

from tests.docs.example_environment import install_example, make_environment, make_place
from tests.docs.running import Place, run_page
from tests.docs.sample_files import lay_out

MOST_LINES = 40


@pytest.fixture(scope="module")
def example(root: Path) -> Path:
    return root / "docs" / "examples" / "counterbias-dinucleotide"


def code_lines(source: Path) -> int:
    """Count lines that hold code: not blank, not comment, not docstring."""
    tree = ast.parse(source.read_text())
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            docstrings |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.ENCODING,
    }
    lines: set[int] = set()
    with source.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type not in skipped:
                lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_it_is_one_module_of_at_most_40_lines(example: Path) -> None:
    modules = [
        path for path in example.rglob("*.py") if "tests" not in path.relative_to(example).parts
    ]
    assert [path.name for path in modules] == ["counterbias_dinucleotide.py"]
    assert 10 < code_lines(modules[0]) <= MOST_LINES


def test_code_lines_are_counted_right(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text(
        '"""Doc\nstring."""\n\n# comment\nx = """a\nb"""  # code, two lines\n\n'
        'def f():\n    "doc"\n    return 1\n'
    )
    assert code_lines(source) == 4


@pytest.fixture(scope="module")
def environment(example: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the example."""
    folder = tmp_path_factory.mktemp("environment")
    python = make_environment(root, folder)
    install_example(python, example, folder)
    return python


def run(python: Path, *arguments: str, cwd: Path) -> str:
    """Run Python away from the source tree, with warnings as errors; return its stdout."""
    settings = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        [python, *arguments], capture_output=True, text=True, cwd=cwd, env=settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed(environment: Path, tmp_path: Path) -> None:
    listing = json.loads(run(environment, "-m", "counterbias", "models", "--json", cwd=tmp_path))
    entry = next(entry for entry in listing["backends"] if entry["name"] == "dinucleotide")
    assert entry["distribution"] == "counterbias-dinucleotide"
    assert entry["version"] == "0.1.0"
    assert entry["options"] == {"pseudocount": 10.0}
    assert entry["problem"] is None


SCRIPT = """
import sys
import numpy as np
import counterbias
from counterbias.testing import planted_log_bias, planted_sample

manager = counterbias.load_plugins()
backend = manager.require("dinucleotide")
origin = manager.registration("dinucleotide").plugin
assert sys.prefix in sys.modules["counterbias_dinucleotide"].__file__
sample = planted_sample(counterbias.Window(10, 10), starts=5000, seed=1)
model = backend.load()(sample.window, counterbias.parse_options(backend.load(), ["pseudocount=20"]))
report = model.fit(sample, np.random.default_rng(1))
end = counterbias.EndModel("both", model)
made = counterbias.ModelFile(
    "dinucleotide", origin.distribution, origin.version, sample.window, (end,)
)
counterbias.save_models("x.model", made)
loaded = counterbias.load_model("x.model", manager=manager)
contexts = sample.validation.foreground
scores = loaded.end(0).log_bias(contexts)
assert np.array_equal(scores, model.log_bias(contexts))
correlation = np.corrcoef(scores, planted_log_bias(sample.window, contexts))[0, 1]
print(report.parameters, loaded.options.pseudocount, correlation)
metrics = manager.qc_metrics(model, sample.validation)
print(metrics.values["dinucleotide.largest_effect"], metrics.problems)
"""


def test_it_is_trained_saved_and_scores(environment: Path, tmp_path: Path) -> None:
    first, second = run(environment, "-W", "error", "-c", SCRIPT, cwd=tmp_path).splitlines()
    parameters, pseudocount, correlation = map(float, first.split())
    assert (parameters, pseudocount) == (2 * (3 + 20 * 12), 20.0)
    assert correlation > 0.9
    effect, problems = second.split(" ", 1)
    assert 0.5 < float(effect) < 5
    assert problems == "()"


@pytest.fixture
def place(environment: Path, example: Path, tmp_path: Path) -> Place:
    """The folder of a copy of the example, in whose environment commands are run."""
    return make_place(environment, example, tmp_path)


def test_the_commands_of_the_readme_run(
    place: Place, example: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lay_out((example / "README.md").read_text(encoding="utf-8"), place.folder, tmp_path_factory)
    run = run_page(example / "README.md", place)
    assert "dinucleotide" in run.text
    assert " passed" in run.text


def test_the_commands_of_the_tutorial_run(place: Place, root: Path) -> None:
    fewer = {  # none but its own model; the README's tests are the same
        "^pytest$": "pytest --collect-only",
        "--models [^ ]+": "--models dinucleotide --folds 1 --seeds 1 --no-figures",
        "--pairs 50000 --genes 200": "--pairs 10000 --genes 40",
    }
    tutorial = root / "docs" / "tutorial" / "your-own-model.md"
    run_page(tutorial, dataclasses.replace(place, smaller=fewer), languages=["console"])
    table = (place.folder / "comparison" / "comparison.tsv").read_text().splitlines()
    found = dict(zip(table[0].split("\t"), table[1].split("\t"), strict=True))
    assert found["model"] == "dinucleotide"
    assert float(found["gain_cap5"]) > 0.3
    report = json.loads((place.folder / "made" / "counted.counterbias.json").read_text())
    assert report["ends"][0]["calibration"]["applied"]
    assert "dinucleotide.largest_effect" in report["ends"][0]["metrics"]
