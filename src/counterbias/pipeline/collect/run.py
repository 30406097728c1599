"""Reports, then tables, then the files of the cohort: the order of ``counterbias collect``.

All reports are read and compared first, so that samples which do not go together are refused at
once. Then each table is read, and its numbers are put behind those of the sample before it. The
files of the cohort are written from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from counterbias.errors import InputError
from counterbias.files import remove_leftovers, whole_folder
from counterbias.messages import SILENT, Messages
from counterbias.options import ALIGNMENTS
from counterbias.pipeline.collect.agreement import check_agreement, common_options, versions
from counterbias.pipeline.collect.number_store import NumberStore, number_store
from counterbias.pipeline.collect.reports import SampleReport, read_report
from counterbias.pipeline.collect.tables import (
    SampleTable,
    check_same_features,
    other_places,
    read_table,
)
from counterbias.writers.cohort import H5AD, MATRICES, CohortTables, write_cohort

#: The columns of the samples' tables that become matrices.
LAYERS = ("raw", "weighted", "corrected", "effective_length")
#: How far the sum of a table's counts may be from that in its report, which has eight digits.
_ROUNDING = 1e-6


def collect_tables(
    tables: Sequence[str],
    folder: Path,
    messages: Messages = SILENT,
    *,
    names: str = ALIGNMENTS,
    h5ad: bool = False,
) -> tuple[int, int]:
    """Write the matrices of a cohort to a folder, all files or none.

    Args:
        tables: ``PREFIX.counts.tsv`` of each sample, its quality report next to it.
        folder: the folder; made if needed, files of the same names are replaced.
        messages: where progress and warnings go.
        names: what names the samples, one of ``SAMPLE_NAMES``.
        h5ad: whether to write an AnnData file as well.

    Returns:
        the numbers of samples and of features.

    Raises:
        InputError: for everything that a user can fix.
    """
    columns = LAYERS if h5ad else MATRICES
    remove_leftovers([folder])
    with whole_folder(folder) as place, number_store(columns, place) as store:
        reports = [read_report(table, names) for table in tables]
        cohort = _read(reports, store, messages)
        write_cohort(cohort, place)
        if h5ad:
            from counterbias.writers.cohort_h5ad import write_h5ad

            write_h5ad(cohort, place / H5AD)
        return len(cohort.samples), len(cohort.features)


def _read(reports: Sequence[SampleReport], store: NumberStore, messages: Messages) -> CohortTables:
    """Compare the reports, then read the tables."""
    check_agreement(reports)
    _check_fingerprints(reports)
    found = versions(reports)
    if len(own := found.get("counterbias", [])) > 1:
        messages.warn(f"the samples were counted by versions {', '.join(own)} of Counterbias")
    first = _read_tables(reports, store, messages)
    return CohortTables(
        features=first.readable(0),
        attributes={
            name: first.readable(column) for column, name in enumerate(first.attributes, start=1)
        },
        lengths=first.lengths(),
        samples=tuple(report.sample for report in reports),
        matrices=store.matrices(),
        summary=[report.row for report in reports],
        options=common_options(reports),
        versions=found,
    )


def _check_fingerprints(reports: Sequence[SampleReport]) -> None:
    """Refuse features that are not the same, by the reports alone where these tell (InputError)."""
    known = [report for report in reports if report.fingerprint is not None]
    for report in known:
        if report.fingerprint != known[0].fingerprint:
            check_same_features(read_table(report.table), read_table(known[0].table))
            raise other_places(report.table, known[0].table)


def _read_tables(
    reports: Sequence[SampleReport], store: NumberStore, messages: Messages
) -> SampleTable:
    """Read all tables, check them, and keep their numbers; return the first table."""
    first = None
    for done, report in enumerate(reports, start=1):
        table = read_table(report.table)
        if first is None:
            first = table
        else:
            check_same_features(table, first)
        numbers = {name: table.numbers(name) for name in store.names}
        _check_run(report, "features", table.rows, report.features)
        _check_run(report, "fragments", float(numbers["raw"].sum()), report.row["assigned"])
        store.add(numbers)
        if messages.progress is not None:
            messages.progress("tables", done, len(reports))
    assert first is not None
    return first


def _check_run(report: SampleReport, what: str, found: float, reported: float | None) -> None:
    """Refuse a table that is not of the same run as its report (InputError)."""
    if reported is None or abs(found - reported) <= _ROUNDING * max(found, reported):
        return
    raise InputError(
        f"it has {found:.9g} {what}, its quality report {reported:.9g}: they are not of the same "
        "run",
        file=report.table,
        remedy="count the sample again",
    )
