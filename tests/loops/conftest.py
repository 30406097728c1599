"""A small library of the example loops, compiled and linked once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterbias.loops import Loop
from counterbias.loops.building import library as building
from counterbias.loops.building.compiling import Entry
from counterbias.loops.library import LIBRARY

EXAMPLES = "tests.loops.examples"


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a library of the example loops, whose path has a space."""
    folder = tmp_path_factory.mktemp("a library")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "PACKAGES", (EXAMPLES,))
        patch.delenv(building.VARIABLE, raising=False)
        building.build(building.wanted_levels(), folder / "kept", folder, editable=True)
    return folder


@pytest.fixture(scope="session")
def example_entry(example_folder: Path) -> Callable[[str], list[Entry]]:
    """Return what reads the object code of an example by its name."""

    def find(name: str) -> list[Entry]:
        (kept,) = example_folder.glob(f"kept/*/*.{name}-*.entry")
        found = building.read_kept(kept)
        assert found is not None
        return found

    return find


def loaded(library: Path) -> Any:
    """Load a library as a Python module."""
    spec = importlib.util.spec_from_file_location("_library", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def examples(example_folder: Path) -> Any:
    """Return that library, loaded as a Python module."""
    module = loaded(example_folder / Path(LIBRARY).name)
    assert module.choose(None) in building.wanted_levels()
    return module


@pytest.fixture(scope="session")
def compiled(examples: Any) -> Callable[[Loop], Callable[..., Any]]:
    """Return what finds the compiled function of an example."""

    def find(loop: Loop) -> Callable[..., Any]:
        found = examples.find(loop.py_func.__module__, loop.py_func.__qualname__)
        assert found is not None
        return found  # type: ignore[no-any-return]

    return find
