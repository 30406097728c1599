"""Counts with a bias model of samples that teach it nothing, and what they wrote.

What a sample without a model has is told by lengths by the union of exons: there all columns are
the raw counts. With ``lengths=None``, the default, counts are corrected for lengths all the same.
"""

from __future__ import annotations

from pathlib import Path

from counterbias.cli import main
from tests.helpers.samples_without_starts import (
    report,
    table,
)

ENDINGS = (".counts.tsv", ".model")
#: The files of lengths by transcripts, whatever the model.
BY_TRANSCRIPTS = (".counts.tsv", ".isoforms.results")


def command(
    folder: Path,
    out: Path,
    *samples: str,
    model: object = "pwm",
    more: tuple[object, ...] = (),
    lengths: str | None = "union",
) -> list[str]:
    out.mkdir(exist_ok=True)
    options: list[object] = [
        "count",
        "-q",
        "-s",
        "yes",
        "--nonunique",
        "all",
        "--bias-model",
        model,
        "--bias-genome",
        folder / "genome.fa",
    ]
    options += ["--bias-output", f"{out}/", *more]
    options += [] if lengths is None else ["--bias-lengths", lengths]
    options += [] if "-c" in more else ["-c", out / "table.tsv"]
    return [
        str(word)
        for word in (
            *options,
            *(folder / f"{sample}.sam" for sample in samples),
            folder / "genes.gtf",
        )
    ]


def count(
    folder: Path,
    out: Path,
    *samples: str,
    model: object = "pwm",
    more: tuple[object, ...] = (),
    lengths: str | None = "union",
) -> None:
    assert main(command(folder, out, *samples, model=model, more=more, lengths=lengths)) == 0


def raw(folder: Path, out: Path, *samples: str) -> str:
    """Count without a model; return the table."""
    files = [str(folder / f"{sample}.sam") for sample in samples]
    assert (
        main(
            [
                "count",
                "-q",
                "-s",
                "yes",
                "--nonunique",
                "all",
                "-c",
                str(out),
                *files,
                str(folder / "genes.gtf"),
            ]
        )
        == 0
    )
    return out.read_text()


def assert_as_it_is(prefix: Path) -> None:
    """Check that nothing was corrected."""
    found = table(prefix)
    assert found
    for row in found:
        assert row["weighted"] == row["corrected"] == row["raw"]
        assert row["effective_length"] == row["length"]


def assert_same(one: Path, two: Path, *, endings: tuple[str, ...] = ENDINGS) -> None:
    """Check that a sample's files are the same in two folders."""
    for ending in endings:
        assert (
            one.with_name(one.name + ending).read_bytes()
            == two.with_name(two.name + ending).read_bytes()
        )
    assert report(one) == report(two)
