"""Generated annotations, alignments and options: byte for byte what htseq-count writes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pysam
import pytest
from hypothesis import HealthCheck, given, settings

from tests.differential.harness import compare, require_oracle
from tests.differential.strategies import Case, cases

#: More examples, freshly drawn, on request: COUNTERBIAS_EXAMPLES=2000.
EXAMPLES = int(os.environ.get("COUNTERBIAS_EXAMPLES", "0"))

CHECKED = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)

pytestmark = pytest.mark.timeout(3600 if EXAMPLES else 300)


@pytest.fixture(autouse=True, scope="module")
def _oracle() -> None:
    require_oracle()


def as_bam(path: Path) -> Path:
    """Convert a SAM file."""
    target = path.with_suffix(".bam")
    with (
        pysam.AlignmentFile(str(path)) as source,
        pysam.AlignmentFile(str(target), "wb", template=source) as stream,
    ):
        for record in source:
            stream.write(record)
    return target


def check(case: Case) -> None:
    """Write the files and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "x.gtf").write_text(case.gtf)
        (folder / "x.sam").write_text(case.sam)
        alignments = folder / "x.sam"
        if not case.text:
            alignments = as_bam(alignments)
        compare([*case.options, *case.outputs, str(alignments), str(folder / "x.gtf")], folder)


@CHECKED
@given(cases(paired=False, order="name"))
def test_single_reads(case: Case) -> None:
    check(case)


@CHECKED
@given(cases(paired=True, order="name"))
def test_pairs_sorted_by_name(case: Case) -> None:
    check(case)


@CHECKED
@given(cases(paired=True, order="pos"))
def test_pairs_sorted_by_position(case: Case) -> None:
    check(case)
