"""The tests of `differential.py`: run in R, and their calls compared with the simulated truth."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
from differential_studies import Study, Tables
from numpy.typing import NDArray

R_SCRIPT = Path(__file__).with_name("differential.R")
#: R packages that differential.R needs → Debian packages.
PACKAGES = {
    "DESeq2": "r-bioc-deseq2",
    "edgeR": "r-bioc-edger",
    "limma": "r-bioc-limma",
    "statmod": "r-cran-statmod",
}
TESTS = ("DESeq2", "edgeR", "voom")
FDR = 0.05


def r_versions() -> dict[str, str | None]:
    """Return the R packages: name → version, None if not installed; all None without R."""
    if shutil.which("Rscript") is None:
        return dict.fromkeys(PACKAGES)
    names = ", ".join(f'"{name}"' for name in PACKAGES)
    code = (
        f"for (p in c({names})) cat(p, if (nzchar(system.file(package = p))) "
        "packageDescription(p)$Version else '', '\\n', sep = '\\t')"
    )
    lines = subprocess.run(
        ["Rscript", "-e", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name: version or None for name, version, *_ in (line.split("\t") for line in lines)}


def run_tests(
    study: Study, tables: Tables, kept: NDArray[np.bool_], folder: Path
) -> dict[str, list[str]]:
    """Test the kept genes in R with every method, and return the columns of its results.

    Raises:
        RuntimeError: R failed.
    """
    folder.mkdir()
    genes = [gene for gene, keep in zip(tables.genes, kept, strict=True) if keep]
    conditions = [f"group{group + 1}" for group in study.groups]
    _write(
        folder / "samples.tsv", ["sample", "condition"], zip(study.names, conditions, strict=True)
    )
    rows = []
    for number, (method, counts) in enumerate(tables.counts.items()):
        files = {
            "counts": counts,
            **({"lengths": tables.lengths[method]} if method in tables.lengths else {}),
        }
        for table, values in files.items():
            lines = (
                [gene, *map(repr, line)]
                for gene, line in zip(genes, values[kept].tolist(), strict=True)
            )
            _write(folder / f"{table}{number}.tsv", ["gene", *study.names], lines)
        rows.append(
            [method, f"counts{number}.tsv", f"lengths{number}.tsv" if "lengths" in files else ""]
        )
    _write(folder / "methods.tsv", ["method", "counts", "lengths"], rows)
    done = subprocess.run(
        ["Rscript", str(R_SCRIPT), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"differential.R failed: {' '.join(done.stderr.split())[-500:]}")
    return est.read_table(folder / "results.tsv")


def _write(path: Path, head: Sequence[str], rows: Any) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in [head, *rows]))


def judge(results: dict[str, list[str]], changed: dict[str, bool]) -> list[dict[str, Any]]:
    """Count false and true calls at 5% FDR, a row for each method and test."""
    calls: dict[tuple[str, str], list[bool]] = {}
    for method, test, gene, adjusted in zip(
        *(results[name] for name in ("method", "test", "gene", "adjusted")), strict=True
    ):
        called = calls.setdefault((method, test), [])
        if adjusted != "NA" and float(adjusted) < FDR:
            called.append(changed[gene])
    rows = []
    for (method, test), called in calls.items():
        true = sum(called)
        false = len(called) - true
        rows.append(
            {
                "method": method,
                "test": test,
                "false": false,
                "true": true,
                "fdr": false / max(1, len(called)),
            }
        )
    return rows


def removed(
    study: Study, tables: Tables, kept: NDArray[np.bool_]
) -> tuple[float, dict[str, float]]:
    """Measure the difference in bias between the groups, and the fraction that each model removes.

    Returns the standard deviation over genes of the log2 ratio of the groups' true mean biases, and
    model → slope over genes of the log2 ratio of effective lengths on that ratio (1: all of the
    difference is removed). The latter is empty if both groups have the same bias.
    """
    truth = [est.read_table(study.folder / f"{name}.genes.tsv") for name in study.names]
    bias = np.stack(
        [
            est.in_order(one["gene_id"], tables.genes, np.array(one["mean_bias"], np.float64))
            for one in truth
        ],
        axis=1,
    )
    usable = kept & (bias > 0).all(axis=1)
    group = np.array(study.groups)

    def contrast(values: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.log2(values[usable])
        difference = logs[:, group == 0].mean(axis=1) - logs[:, group == 1].mean(axis=1)
        return np.asarray(difference - difference.mean())

    wanted = contrast(bias)
    size = float((wanted**2).sum())
    found = {
        method: float((contrast(lengths) * wanted).sum())
        for method, lengths in tables.lengths.items()
    }
    differs = float(wanted.std())
    if differs < 1e-4:  # rounding: the tables have six digits
        return 0.0, {}
    return differs, {
        method.removesuffix(", offsets"): value / size for method, value in found.items()
    }
