"""Cells and UMIs: byte for byte what htseq-count-barcodes writes."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from tests.differential.barcoded import barcoded_cases, compare_barcodes
from tests.differential.harness import require_oracle, run_ours, run_theirs
from tests.differential.strategies import Case
from tests.differential.test_generated import CHECKED, EXAMPLES, as_bam

pytestmark = pytest.mark.timeout(3600 if EXAMPLES else 300)

FEWER = settings(CHECKED, max_examples=EXAMPLES or 40)


@pytest.fixture(autouse=True, scope="module")
def _oracle() -> None:
    require_oracle()


def written(case: Case, folder: Path) -> list[str]:
    """Write the input files; return the command line."""
    (folder / "x.gtf").write_text(case.gtf)
    (folder / "x.sam").write_text(case.sam)
    return [*case.options, *case.outputs, str(as_bam(folder / "x.sam")), str(folder / "x.gtf")]


def check(case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        compare_barcodes(written(case, Path(name)), Path(name))


@FEWER
@given(barcoded_cases(paired=False, order="name"))
def test_single_reads(case: Case) -> None:
    check(case)


@FEWER
@given(barcoded_cases(paired=True, order="name"))
def test_pairs_sorted_by_name(case: Case) -> None:
    check(case)


@FEWER
@given(barcoded_cases(paired=True, order="pos"))
def test_pairs_sorted_by_position(case: Case) -> None:
    check(case)


# -- one larger file -------------------------------------------------------------------------------

CELLS, UMIS = 3, 400
GENES = "".join(
    f'chr1\tx\texon\t{1 + 100 * i}\t{120 + 100 * i}\t.\t+\t.\tgene_id "g{i}"; gene_name "n{i}";\n'
    for i in range(9)
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Write reads of few cells with hundreds of UMIs, close to each other; return the files."""
    folder, rng = tmp_path_factory.mktemp("many"), random.Random(1)
    lines = ["@HD\tVN:1.6", "@SQ\tSN:chr1\tLN:2000"]
    umis = ["".join(rng.choices("ACGT", k=6)) for _ in range(UMIS)]
    for number in range(4000):
        umi, gene = umis[int(UMIS * rng.random() ** 2)], rng.randrange(9)
        position = 100 * (gene if rng.random() < 0.2 else len(umi) + umis.index(umi) % 3) + 10
        tags = f"NH:i:1\tCB:Z:cell{rng.randrange(CELLS)}\tUB:Z:{umi}"
        sequence = "A" * 20
        fields = f"{position}\t60\t20M\t*\t0\t0\t{sequence}\t{sequence}"
        lines.append(f"r{number}\t0\tchr1\t{fields}\t{tags}")
    (folder / "x.sam").write_text("\n".join(lines) + "\n")
    (folder / "x.gtf").write_text(GENES)
    return [str(as_bam(folder / "x.sam")), str(folder / "x.gtf")]


@pytest.mark.parametrize("distance", ["1", "2"])
def test_hundreds_of_close_umis(many: list[str], tmp_path: Path, distance: str) -> None:
    compare_barcodes(["--correct-UMI-distance", distance, *many], tmp_path)


def content_of_h5ad(path: Path) -> dict[str, Any]:
    found = anndata.read_h5ad(path)
    dense = found.X if isinstance(found.X, np.ndarray) else found.X.toarray()
    return {
        "X": (type(found.X).__name__, found.X.dtype.str, dense.tolist()),
        "obs": found.obs_names.tolist(),
        "var": found.var.to_dict(),
        "layers": list(found.layers),
    }


def content_of_loom(path: Path) -> dict[str, Any]:
    with h5py.File(path) as loom:
        return {
            "matrix": (loom["matrix"].dtype.str, loom["matrix"][()].tolist()),
            "rows": loom["row_attrs/id"][()].tolist(),
            "columns": loom["col_attrs/_index"][()].tolist(),
            "layers": list(loom["layers"]),
        }


@pytest.mark.parametrize("sparse", [(), ("--counts_output_sparse",)])
@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("x.h5ad", content_of_h5ad, ("--additional-attr", "gene_name", "--add-chromosome-info")),
        ("x.loom", content_of_loom, ()),  # htseq-count-barcodes fails with attributes
    ],
)
def test_hdf5_files_have_the_same_content(
    many: list[str],
    tmp_path: Path,
    sparse: tuple[str, ...],
    name: str,
    content: Callable[[Path], dict[str, Any]],
    options: tuple[str, ...],
) -> None:
    found = []
    for folder, run, program in (
        ("theirs", run_theirs, "count_with_barcodes"),
        ("ours", run_ours, "count-barcodes"),
    ):
        (tmp_path / folder).mkdir()
        done = run(
            ["-q", *options, *sparse, "-c", f"{{out}}/{name}", *many], tmp_path / folder, program
        )
        assert done.status == 0
        found.append(content(tmp_path / folder / name))
    assert found[0] == found[1]
    assert found[0]["layers"] == []
