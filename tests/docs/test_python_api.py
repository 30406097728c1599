"""The page on the Python API: its examples run in order, and its tables name what there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import counterbias
from tests.docs.running import Place, run_page
from tests.docs.sample_files import lay_out

PAGE = Path("docs") / "reference" / "python-api.md"
OPTIONS = (
    counterbias.CountingOptions,
    counterbias.AnnotationOptions,
    counterbias.BiasOptions,
    counterbias.AssumedLengths,
    counterbias.TrainOptions,
    counterbias.Window,
)


@pytest.fixture
def page(root: Path) -> str:
    return (root / PAGE).read_text(encoding="utf-8")


def test_examples_run_one_after_another(
    page: str, root: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    lay_out(page, tmp_path, tmp_path_factory)
    run = run_page(root / PAGE, Place(tmp_path))
    assert len(run.output) == 7
    assert "fragments are assigned to 20 genes" in run.text
    assert "first both" in run.text
    assert "missing.bam | there is no such file" in run.text


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_options_are_documented_with_their_defaults(page: str, kind: type) -> None:
    (row,) = re.findall(rf"^\| `{kind.__name__}` \| (`.*) \|$", page, re.MULTILINE)
    fields = []
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING:
            fields.append(f"`{field.name}`")
        else:
            fields.append(f"`{field.name}={field.default!r}`".replace("'", '"'))
    assert row == ", ".join(fields)


def test_public_functions_take_public_types_only(page: str) -> None:
    """Each name of the page's code is exported, and so is every type that these functions take."""
    import inspect
    import typing

    for name in ("count_reads", "fit_model", "train_cohort"):
        function = getattr(counterbias, name)
        assert f"{name}(" in page
        hints = typing.get_type_hints(function)
        for hint in (*hints.values(), *(a for h in hints.values() for a in typing.get_args(h))):
            if inspect.isclass(hint) and hint.__module__.startswith("counterbias"):
                assert hint.__name__ in counterbias.__all__
