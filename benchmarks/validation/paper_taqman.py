"""The TaqMan values of MAQC as a truth table for ``counterbias compare --truth``."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import estimates as est
import numpy as np


def write_taqman_truth(source: Path, target: Path) -> dict[str, int]:
    """Write a truth table of the TaqMan values.

    For each gene symbol and sample it has the mean over the replicates in which the gene was
    detected, averaged over the assays of the symbol; NA if detected in none.

    Returns:
        Sample → number of genes.
    """
    table = est.read_table(source)
    values: dict[str, dict[str, list[float]]] = {}
    for place, symbol in enumerate(table["Symbol"]):
        own = values.setdefault(symbol, {sample: [] for sample in "ABCD"})
        for sample in "ABCD":
            replicates = [
                (
                    table[f"{sample}{number}_value"][place],
                    table[f"{sample}{number}_detection"][place],
                )
                for number in range(1, 5)
            ]
            detected = [float(value) for value, call in replicates if call == "P"]
            if detected:
                own[sample].append(float(np.mean(detected)))
    temporary = target.with_name(f"{target.name}.part")
    with temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(["Symbol", *"ABCD"])
        for symbol, own in values.items():
            writer.writerow(
                [
                    symbol,
                    *(f"{np.mean(own[sample]):.9g}" if own[sample] else "NA" for sample in "ABCD"),
                ]
            )
    os.replace(temporary, target)
    return {sample: sum(bool(own[sample]) for own in values.values()) for sample in "ABCD"}
