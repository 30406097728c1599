"""Damaged bytes give one clear error or a valid result, never a crash."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterbias.errors import InputError
from counterbias.options import CountingOptions
from counterbias.pipeline.counting import Listeners, count_alignments
from counterbias.records import Annotation
from tests.helpers.alignment_builders import annotation, bgzf, header, random_records


@pytest.fixture(scope="module")
def genes(tmp_path_factory: pytest.TempPathFactory) -> Annotation:
    return annotation(tmp_path_factory.mktemp("fuzz"))


def check(folder: Path, content: bytes, genes: Annotation, order: str) -> None:
    path = folder / "damaged.bam"
    path.write_bytes(content)
    batches: list[int] = []
    for sink in (None, lambda batch: batches.append(len(batch))):
        try:
            result = count_alignments(
                str(path),
                genes,
                CountingOptions(order=order, nonunique="all"),
                want_sites=True,
                listeners=Listeners(record_sink=sink),
            )
        except InputError as error:
            outcome = (error.file, len(error.line().splitlines()))
            assert outcome == (str(path), 1)
        else:
            assert result.fragments >= 0
            assert result.sites is not None
            assert len(result.sites) == int(np.sum(result.counts))


def records_of(seed: int, paired: bool) -> bytes:
    """Return eight groups of records, single or paired."""
    drawn = random_records(random.Random(seed), 8, paired=paired)
    return b"".join(content for _, content in drawn)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    records=st.builds(records_of, seed=st.integers(0, 20), paired=st.booleans()),
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5
    ),
    order=st.sampled_from(["name", "pos"]),
    headers=st.booleans(),
)
def test_damaged_records(
    tmp_path: Path,
    genes: Annotation,
    records: bytes,
    flips: list[tuple[float, int]],
    order: str,
    headers: bool,
) -> None:
    """Change bytes of the inflated stream and compress it again, so that checksums do not help."""
    head = header()
    content = bytearray(head + records)
    start = 0 if headers else len(head)
    for where, value in flips:
        if len(content) > start:
            content[start + int(where * (len(content) - start))] = value
    check(tmp_path, bgzf(bytes(content), sizes=(300, 70)), genes, order)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 20),
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5
    ),
    cut=st.floats(0, 1),
)
def test_damaged_file(
    tmp_path: Path, genes: Annotation, seed: int, flips: list[tuple[float, int]], cut: float
) -> None:
    """Change or cut bytes of the compressed file, but not its first ones, which tell its format."""
    content = bytearray(bgzf(header() + records_of(seed, paired=True)))
    for where, value in flips:
        content[18 + int(where * (len(content) - 18))] = value
    check(tmp_path, bytes(content[: max(40, int(cut * len(content)))]), genes, "name")
