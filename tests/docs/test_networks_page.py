"""The reference of networks names what ``counterbias_torch`` has, does and says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias import Window
from counterbias.testing import planted_sample
from tests.docs.pages import section

torch = pytest.importorskip("torch")
counterbias_torch = pytest.importorskip("counterbias_torch")
stack = pytest.importorskip("counterbias_torch.stack")


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "reference" / "networks.md").read_text(encoding="utf-8")


def table(text: str) -> list[list[str]]:
    """Return the cells of all rows of the tables in a text, without their heads."""
    lines = re.sub(r"^\|.*\n\|[-|]+\n", "", text, flags=re.MULTILINE).splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in lines if row[:1] == "|"]


def names(text: str) -> list[str]:
    """Return what the first cells of a text's tables name."""
    return [name for row in table(text) for name in re.findall(r"`([^`]+)`", row[0])]


def below(page: str, heading: str) -> str:
    """Return what stands below a heading of the third level."""
    found = re.search(rf"^### {heading}\n(.*?)(?=^##|\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_all_public_names_are_there(page: str) -> None:
    assert sorted(names(page.partition("\n## ")[0])) == sorted(counterbias_torch.__all__)


def test_options_have_the_defaults_of_the_code(page: str) -> None:
    documented = {row[0]: row[1] for row in table(below(page, "`TrainingOptions`"))}
    assert documented == {
        f"`{field.name}`": str(field.default)
        for field in dataclasses.fields(counterbias_torch.TrainingOptions)
    }


def test_class_attributes_have_the_defaults_of_the_code(page: str) -> None:
    model = counterbias_torch.NetworkModel
    members = section(page, "`NetworkModel`").partition("### ")[0]
    documented = {row[0].strip("`"): row[1].strip("`") for row in table(members)}
    assert documented.pop("network()") == ""
    assert documented.pop("Options") == model.Options.__name__
    assert documented == {name: str(getattr(model, name)) for name in documented}
    assert set(documented) == {"objective", "takes", "slides"}


def test_choices_are_those_of_the_code(page: str) -> None:
    assert tuple(names(below(page, "What a network takes"))) == stack.INPUTS
    headings = re.findall(r"^### `(\w+)`", section(page, "Objectives"), flags=re.MULTILINE)
    assert tuple(headings) == counterbias_torch.OBJECTIVES
    choices = {row[0]: row[1] for row in table(page.partition("\n## ")[0])}
    for name in ("OBJECTIVES", "PRECISIONS"):
        written = tuple(re.findall(r"`(\w+)`", choices[f"`{name}`"]))
        assert written == getattr(counterbias_torch, name)


@pytest.mark.parametrize("objective", counterbias_torch.OBJECTIVES)
def test_the_report_holds_what_the_page_says(page: str, objective: str) -> None:
    class Outputs(torch.nn.Module):
        """Log odds of the bases, the same in every window."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.odds = torch.nn.Parameter(0.01 * torch.randn(width, 4))

        def forward(self, letters: Any) -> Any:
            return self.odds.expand(len(letters), -1, -1)

    chosen = objective

    class Positions(counterbias_torch.NetworkModel):
        objective = chosen

        def network(self) -> torch.nn.Module:
            return Outputs(self.window.width)

    sample = planted_sample(Window(2, 2), starts=300, seed=1)
    model = Positions(sample.window, counterbias_torch.TrainingOptions(epochs=2))
    report = model.fit(sample, np.random.default_rng(1))
    documented = names(section(page, "The report"))
    prefix = "(foreground|background)_" if objective == "language" else ""
    assert {re.sub(f"^{prefix}", "", name) for name in report.details} <= set(documented)
    measures = set(re.findall(r"`(_\w+)`", section(page, "The report")))
    found = {re.fullmatch(rf"{prefix}(training|validation)(_\w+)", name) for name in report.curves}
    assert all(found)
    assert {one[one.re.groups] for one in found if one} <= measures
    assert set(report.perplexity) == ({"foreground", "background"} if prefix else set())


def test_errors_are_said_as_the_page_says(page: str, root: Path) -> None:
    folders = [root / "plugins" / "counterbias_torch", root / "plugins" / "counterbias_backends"]
    files = [path for folder in folders for path in folder.glob("*.py")]
    files.append(root / "src" / "counterbias" / "plugins.py")
    # Texts of several lines of code, as one.
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))
    messages = names(section(page, "Errors"))
    assert len(messages) == 19
    for message in messages:
        pieces = [piece.strip() for piece in re.split(r"\([^)]*\)|…|\d+|'\w*'|:", message)]
        said = [piece for piece in pieces if len(piece.split()) > 1]
        assert said, message
        for piece in said:
            assert piece in code, (message, piece)
