"""Run ``counterbias simulate`` and read what it wrote; cut the genome's windows at read starts."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pysam

from counterbias.cli import main
from counterbias.model_file import EndModel, ModelFile, Training, save_models
from counterbias.plugins import load_plugins
from counterbias.records import TrainingSet, Window


def words(line: str) -> list[str]:
    """Return the words of a command line without quotes."""
    return line.split()


def run(folder: Path, *options: str) -> Path:
    assert main(["simulate", "-q", "-o", str(folder), *options]) == 0
    return folder


def table(path: Path) -> list[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(content.decode()), delimiter="\t"))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def records(path: Path) -> list[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(path), check_sq=False) as stream:
        return list(stream.fetch(until_eof=True))


def start_of(record: pysam.AlignedSegment) -> tuple[str, int, str]:
    """Return contig, position from 1 and strand of a read's first base."""
    position = record.reference_end if record.is_reverse else record.reference_start + 1
    return record.reference_name, position, "-" if record.is_reverse else "+"


def windows(
    folder: Path, rows: list[dict[str, str]], window: Window, *, before: int = 0
) -> np.ndarray:
    """Cut the genome's windows at read starts, or some bases before; 4 outside a contig."""
    with pysam.FastaFile(str(folder / "genome.fa")) as fasta:
        codes = {
            name: np.array(["ACGT".find(base) for base in fasta.fetch(name)], dtype=np.uint8)
            for name in fasta.references
        }
    found = np.empty((len(rows), window.width), dtype=np.uint8)
    for number, row in enumerate(rows):
        sequence, place = codes[row["contig"]], int(row["position"]) - 1
        if row["strand"] == "+":
            found[number] = sequence[
                place - before - window.upstream : place - before + window.downstream + 1
            ]
        else:
            found[number] = (
                3
                - sequence[
                    place + before - window.downstream : place + before + window.upstream + 1
                ][::-1]
            )
    return found


def inside(folder: Path, rows: list[dict[str, str]], margin: int) -> np.ndarray:
    """Return which starts lie in an exon far from any edge: their windows are the genome's."""
    edges: dict[str, list[int]] = {}
    with (folder / "genes.gtf").open() as stream:
        for line in stream:
            fields = line.split("\t")
            if len(fields) > 4 and fields[2] == "exon":
                edges.setdefault(fields[0], []).extend((int(fields[3]), int(fields[4])))
    every = {contig: np.array(sorted(set(places))) for contig, places in edges.items()}
    return np.array(
        [np.min(np.abs(every[row["contig"]] - int(row["position"]))) > margin for row in rows]
    )


def save_model(path: Path, *, ends: tuple[str, ...] = ("both",), slope: float = 0.8) -> ModelFile:
    """Fit the backend pwm to made-up windows and save it."""
    registration = load_plugins().backends["pwm"]
    rng = np.random.default_rng(3)
    window, fitted = Window(3, 4), []
    for label in ends:
        model = registration.backend.load()(window)
        foreground = rng.integers(0, 4, (2000, 8)).astype(np.uint8)
        foreground[:, 3 + (label == "read2")] = rng.choice(4, 2000, p=(0.6, 0.2, 0.1, 0.1))
        background = rng.integers(0, 4, (2000, 8)).astype(np.uint8)
        weights = np.ones(2000)
        model.fit(TrainingSet(window, foreground, weights, background, weights), rng)
        fitted.append(EndModel(label, model, 0.1, slope))
    plugin = registration.plugin
    models = ModelFile(
        "pwm", plugin.distribution, plugin.version, window, tuple(fitted), Training()
    )
    save_models(path, models)
    return models
