"""Read the table of samples and check it, with the configuration, before any job starts.

Nothing here needs Snakemake: ``rules/common.smk`` calls it when the workflow is read, and a script
can. Each problem is one line that names the file and the row, counted as spreadsheets count: the
line of column names is row 1.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from jsonschema import Draft202012Validator

#: Endings that an alignment file's name loses to give a sample's name: those of `counterbias`.
ENDINGS = (".bam", ".cram", ".sam", ".sam.gz")
#: Options that the workflow gives itself, and where the user sets them instead.
GIVEN = {
    **dict.fromkeys(("-s", "--stranded"), "it is the column strandedness of the table of samples"),
    **dict.fromkeys(
        ("-c", "--counts_output", "-o", "--output", "--samout", "--bias-output"),
        "the workflow names all files",
    ),
    **dict.fromkeys(("-n", "--nprocesses"), "every sample is a job of its own"),
    "--bias-model": "it is the setting model",
    "--bias-genome": "it is the setting genome",
    "--bias-threads": "it is set by the profile, or by --set-threads",
}


class SheetError(ValueError):
    """A problem in the table of samples or in the configuration, in one line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the table of samples.

    Args:
        name: the sample's name.
        alignments: its alignment file.
        group: the group that it is a replicate of.
        strandedness: ``yes``, ``no`` or ``reverse``.
        batch: samples of one protocol; empty if the table does not say.
        options: further options of `counterbias count` for this sample.
        row: where it stands in the table.
    """

    name: str
    alignments: str
    group: str
    strandedness: str
    batch: str
    options: str
    row: int

    @property
    def is_named_alike(self) -> bool:
        """Whether its alignment file has the sample's name, which all commands take over."""
        name = os.path.basename(self.alignments)
        return any(name.lower() == self.name.lower() + end for end in ENDINGS) and name.startswith(
            self.name
        )

    @property
    def ending(self) -> str:
        """The ending of its alignment file's name."""
        found = [end for end in ENDINGS if self.alignments.lower().endswith(end)]
        return max(found, key=len, default=ENDINGS[0])


def check_config(config: Mapping[str, Any], path: str, schema: str, *, exist: bool = True) -> None:
    """Check the configuration by its schema and beyond it.

    Args:
        config: the configuration.
        path: its file.
        schema: the schema.
        exist: whether files must exist here; those in an object store do not.

    Raises:
        SheetError: it names the file and the setting.
    """
    if problem := _first_problem(_validator(schema), config):
        raise SheetError(f"{path}: {problem}")
    pooled, compared = config.get("pooled", {}), config.get("compare", {})
    for setting, text in (
        ("counting", config.get("counting", "")),
        ("count_options", config.get("count_options", "")),
        ("pooled.options", pooled.get("options", "")),
        ("compare.options", compared.get("options", "")),
    ):
        if problem := _given_option(text):
            raise SheetError(f"{path}: {setting}: {problem}")
    if config.get("model") == "none" and "--bias-lengths" not in config.get("count_options", ""):
        raise SheetError(
            f"{path}: model: without a bias model or --bias-lengths in count_options there are no "
            "tables to collect"
        )
    for setting in ("annotation", "genome", "model"):
        name = config.get(setting, "")
        is_file = setting != "model" or name.endswith(".model")  # else a backend's name
        if exist and is_file and not os.path.isfile(name):
            raise SheetError(f"{path}: {setting}: there is no file '{name}'")


def read_samples(config: Mapping[str, Any], schema: str, *, exist: bool = True) -> list[Sample]:
    """Read the table of samples and check it.

    Args:
        config: the configuration, checked and with its defaults.
        schema: the schema of a row.
        exist: whether files must exist here; those in an object store do not.

    Raises:
        SheetError: it names the file, and the row where there is one.
    """
    path = config["samples"]
    rows = _read_rows(path)
    validator = _validator(schema)
    samples = []
    for number, row in rows:
        if problem := _first_problem(validator, row) or _given_option(row.get("options", "")):
            raise SheetError(f"{path}, row {number}: {problem}")
        samples.append(_sample(number, row))
    _check_names(path, samples)
    for sample in samples:
        if sample.group not in config["groups"]:
            raise SheetError(
                f"{path}, row {sample.row}: the group '{sample.group}' is not among those of the "
                f"configuration ({', '.join(config['groups'])})"
            )
    _check_annotation(path, rows, config["annotation"])
    _check_pools(path, samples, config)
    _check_compared(path, samples, config)
    if exist:
        _check_files(path, samples)
    return samples


def pool_of(sample: Sample, by: str) -> str:
    """Return the name of the pooled model of a sample; by ``cohort`` or ``batch``."""
    return sample.batch if by == "batch" else "cohort"


def _read_rows(path: str) -> list[tuple[int, dict[str, str]]]:
    """Return (row, column → value) of a tab-separated table. Raises SheetError."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as problem:
        raise SheetError(f"{path}: {problem.strerror or problem}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise SheetError(f"{path}: this is no table of text: {problem}") from None
    if not table:
        raise SheetError(f"{path}: the table is empty")
    columns = [name.strip() for name in table[0]]
    for name in columns:
        if columns.count(name) > 1:
            raise SheetError(f"{path}, row 1: the column '{name}' is there twice")
    rows = []
    for number, values in enumerate(table[1:], start=2):
        if not any(value.strip() for value in values) or values[0].startswith("#"):
            continue
        if len(values) != len(columns):
            raise SheetError(
                f"{path}, row {number}: {len(values)} values for {len(columns)} columns, which are "
                "separated by tabs"
            )
        rows.append((number, dict(zip(columns, (value.strip() for value in values), strict=True))))
    if not rows:
        raise SheetError(f"{path}: the table has no samples")
    return rows


def _sample(number: int, row: Mapping[str, str]) -> Sample:
    return Sample(
        name=row["sample"],
        alignments=row["alignments"],
        group=row["group"],
        strandedness=row["strandedness"],
        batch=row.get("batch", ""),
        options=row.get("options", ""),
        row=number,
    )


def _check_names(path: str, samples: Sequence[Sample]) -> None:
    """Refuse a sample, or an alignment file, that is there twice."""
    names: dict[str, Sample] = {}
    files: dict[str, Sample] = {}
    for sample in samples:
        other = names.setdefault(sample.name, sample)
        if other is not sample:
            raise SheetError(
                f"{path}, row {sample.row}: the sample '{sample.name}' is in row {other.row} too"
            )
        other = files.setdefault(os.path.normpath(sample.alignments), sample)
        if other is not sample:
            raise SheetError(
                f"{path}, row {sample.row}: the alignments '{sample.alignments}' are those of "
                f"'{other.name}' in row {other.row}"
            )


def _check_annotation(
    path: str, rows: Sequence[tuple[int, Mapping[str, str]]], annotation: str
) -> None:
    """Refuse tables that name another annotation than the configuration does."""
    for number, row in rows:
        if row.get("annotation", annotation) != annotation:
            raise SheetError(
                f"{path}, row {number}: the annotation is '{row['annotation']}', that of the "
                f"cohort '{annotation}': counts with different annotations do not compare"
            )


def _check_pools(path: str, samples: Sequence[Sample], config: Mapping[str, Any]) -> None:
    """Refuse samples that cannot share a model: `train` takes one strandedness."""
    by = config["pooled"]["by"]
    if by == "none":
        return
    first: dict[str, Sample] = {}
    for sample in samples:
        pool = pool_of(sample, by)
        if not pool:
            raise SheetError(
                f"{path}, row {sample.row}: there is no batch, and models are pooled by batch"
            )
        other = first.setdefault(pool, sample)
        if other.strandedness != sample.strandedness:
            raise SheetError(
                f"{path}, row {sample.row}: the strandedness '{sample.strandedness}' differs from "
                f"'{other.strandedness}' in row {other.row}, and both are to share the model "
                f"'{pool}'"
            )


def _check_compared(path: str, samples: Sequence[Sample], config: Mapping[str, Any]) -> None:
    """Refuse a comparison of samples that are not there or that differ in strandedness."""
    named = {sample.name: sample for sample in samples}
    compared: list[Sample] = []
    for name in config["compare"]["samples"]:
        if name not in named:
            raise SheetError(f"{path}: the sample '{name}', which is to be compared, is not there")
        compared.append(named[name])
    for sample in compared:
        if sample.strandedness != compared[0].strandedness:
            raise SheetError(
                f"{path}, row {sample.row}: the strandedness '{sample.strandedness}' differs from "
                f"'{compared[0].strandedness}' in row {compared[0].row}, and both are to be "
                "compared in one run"
            )


def _check_files(path: str, samples: Sequence[Sample]) -> None:
    """Refuse alignment files that are not there."""
    for sample in samples:
        if not os.path.isfile(sample.alignments):
            raise SheetError(f"{path}, row {sample.row}: there is no file '{sample.alignments}'")


def _validator(schema: str) -> Draft202012Validator:
    with open(schema, encoding="utf-8") as file:
        return Draft202012Validator(yaml.safe_load(file))


def _first_problem(validator: Draft202012Validator, found: Mapping[str, Any]) -> str | None:
    """Return what is wrong first, in the schema's words, with the place."""
    problems = sorted(validator.iter_errors(found), key=lambda problem: problem.json_path)
    if not problems:
        return None
    place = ".".join(map(str, problems[0].absolute_path))
    message = " ".join(problems[0].message.split())
    return f"{place}: {message}" if place else message


def _given_option(text: str) -> str | None:
    """Say which option the workflow gives itself, if the text has one."""
    for word in text.split():
        option = word.split("=")[0]
        if option in GIVEN:
            return f"{option} cannot be given here: {GIVEN[option]}"
    return None
