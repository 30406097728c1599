"""The tests of `differential.py`: run in R, and their calls compared with the simulated truth."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
from differential_peers import TXIMPORT
from differential_studies import Study, Tables, true_lengths
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
        return dict.fromkeys([*PACKAGES, *TXIMPORT])
    names = ", ".join(f'"{name}"' for name in [*PACKAGES, *TXIMPORT])
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

    Lengths that only R knows, those of peers, are added to the tables.

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
        lengths = f"lengths{number}.tsv" if "lengths" in files else ""
        rows.append([method, f"counts{number}.tsv", lengths, ""])
    rows += [[method, "", "", str(place)] for method, place in tables.quantified.items()]
    _write(folder / "methods.tsv", ["method", "counts", "lengths", "quantified"], rows)
    _write(folder / "genes.tsv", ["gene"], ([gene] for gene in genes))
    done = subprocess.run(
        ["Rscript", str(R_SCRIPT), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"differential.R failed: {' '.join(done.stderr.split())[-500:]}")
    for method, place in tables.quantified.items():
        found = est.read_table(place / "lengths.tsv")
        columns = [np.array(found[name], np.float64) for name in study.names]
        tables.lengths[method] = np.stack(
            [est.in_order(found["gene"], tables.genes, values) for values in columns], axis=1
        )
    return est.read_table(folder / "results.tsv")


def _write(path: Path, head: Sequence[str], rows: Any) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in [head, *rows]))


def judge(
    results: dict[str, list[str]], changed: dict[str, bool], switched: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Count false and true calls at 5% FDR, a row for each method and test.

    ``false_switched`` is the number of false calls among the switched genes: those whose molecules
    do not change, but are of other transcripts.
    """
    calls: dict[tuple[str, str], list[str]] = {}
    for method, test, gene, adjusted in zip(
        *(results[name] for name in ("method", "test", "gene", "adjusted")), strict=True
    ):
        called = calls.setdefault((method, test), [])
        if adjusted != "NA" and float(adjusted) < FDR:
            called.append(gene)
    rows = []
    for (method, test), called in calls.items():
        wrong = [gene for gene in called if not changed[gene]]
        false = len(wrong)
        rows.append(
            {
                "method": method,
                "test": test,
                "false": false,
                "true": len(called) - false,
                "fdr": false / max(1, len(called)),
                "false_switched": sum(gene in switched for gene in wrong),
            }
        )
    return rows


def removed(
    study: Study, tables: Tables, kept: NDArray[np.bool_]
) -> tuple[float, dict[str, float]]:
    """Measure how lengths differ between the groups, and the fraction that each method removes.

    The true difference of a gene is the log2 ratio of the groups' fragments per molecule: that of
    its mean biases and, if it switches, of its transcripts' lengths. Returns its standard deviation
    over genes, and method → slope over genes of the log2 ratio of effective lengths on it (1: all
    of the difference is removed). The latter is empty if the groups do not differ.
    """
    true = true_lengths(study, tables.genes)
    usable = kept & (true > 0).all(axis=1)
    group = np.array(study.groups)

    def contrast(values: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.log2(values[usable])
        difference = logs[:, group == 0].mean(axis=1) - logs[:, group == 1].mean(axis=1)
        return np.asarray(difference - difference.mean())

    wanted = contrast(true)
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
