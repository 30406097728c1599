"""The page on matrices of many samples: its Python runs on what ``counterbias collect`` writes."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import anndata
import numpy as np
import pytest

from counterbias.cli import main

HOW_TO = Path("docs") / "how-to"


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / HOW_TO / "matrices.md").read_text()


@pytest.fixture(scope="module")
def cohort(two_conditions: Path) -> Path:
    """Collect the samples as the page says; return the folder in which its code runs."""
    tables = sorted(map(str, (two_conditions / "counted").glob("*.counts.tsv")))
    out = str(two_conditions / "cohort")
    assert main(["collect", "-q", "-o", out, "--h5ad", *tables]) == 0
    return two_conditions


def python_block(page: str, word: str) -> str:
    (code,) = (
        code
        for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        if f"import {word}\n" in code
    )
    return str(code)


def run_python(code: str, folder: Path) -> tuple[str, dict[str, object]]:
    """Run code in a folder; return what it prints, and its variables."""
    printed, variables = io.StringIO(), {}
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(code, "docs/how-to/matrices.md", "exec"), variables)
    return printed.getvalue(), variables


def test_pandas_makes_the_samples_own_tpm(page: str, cohort: Path) -> None:
    printed, variables = run_python(python_block(page, "pandas"), cohort)
    assert printed.count("sample") >= 12
    tpm = variables["tpm"]
    for sample in tpm.columns:
        own = np.genfromtxt(cohort / "counted" / f"{sample}.counts.tsv", names=True, dtype=None)
        np.testing.assert_allclose(tpm[sample], own["tpm_corrected"], rtol=1e-7)


def test_scanpy_tells_the_conditions_apart(page: str, cohort: Path) -> None:
    pytest.importorskip("scanpy", reason="scanpy is not installed (pip install scanpy)")
    printed, variables = run_python(python_block(page, "scanpy"), cohort)
    assert printed.count("vlmm") == 6
    places = variables["data"].obsm["X_pca"][:, 0]
    assert max(places[:3]) < min(places[3:]) or min(places[:3]) > max(places[3:])


def test_the_layers_that_the_page_names_are_in_the_file(page: str, cohort: Path) -> None:
    data = anndata.read_h5ad(cohort / "cohort" / "cohort.h5ad")
    code = python_block(page, "scanpy")
    named = set(re.findall(r'layers\["(\w+)"\]\.copy', code))
    assert named == {"corrected"}
    assert named <= set(data.layers)
    assert set(re.findall(r'"(\w+)"', code.partition("data.obs[[")[2].partition("]]")[0])) <= set(
        data.obs.columns
    )
