"""Random and damaged files with the assignments of other counters."""

from __future__ import annotations

import random
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterbias.alignments import stream
from counterbias.errors import InputError
from counterbias.options import ASSIGNED, CountingOptions
from counterbias.pipeline.counting import Listeners, ReadingOptions, count_alignments
from counterbias.pipeline.counting.tag_schemes import tag_scheme
from counterbias.records import Annotation, TaggedBatch
from tests.helpers.alignment_builders import annotation, bam, bgzf, header
from tests.helpers.assignment_tags import GTF, NH, XT, tagged_pair, text, xf, xs


@pytest.fixture(scope="module")
def genes(tmp_path_factory: pytest.TempPathFactory) -> Annotation:
    return annotation(tmp_path_factory.mktemp("genes"), GTF, stranded=False)


def draw(rng: random.Random, names: list[str]) -> tuple[str, list[str]]:
    """Draw a status of featureCounts, and the features where it is assigned."""
    if rng.random() < 0.3:
        return rng.choice([one for one in tag_scheme("XT").statuses if one != "Assigned"]), []
    return "Assigned", rng.sample(names, rng.choice([1, 1, 1, 2, 3, 9]))


@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize("fraction", [False, True])
def test_random_tags_of_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, fraction: bool
) -> None:
    """Names of all lengths, in lists of any order; counted by a few lines of Python."""
    rng = random.Random(f"{order} {fraction}")
    drawn = {"".join(rng.choices("ab,é", k=rng.randint(1, 40))) for _ in range(300)}
    names = sorted(drawn)
    exons = (
        f'chr1\tt\texon\t{i}\t{i + 9}\t.\t+\t.\tgene_id "{name}";\n'
        for i, name in enumerate(names, start=1)
    )
    genes = annotation(tmp_path, "".join(exons), stranded=False)
    plain = [name for name in names if "," not in name]
    expected: Counter[str] = Counter()
    records: list[tuple[int, bytes]] = []
    for i in range(1500):
        status, features = draw(rng, plain)
        if rng.random() < 0.2:
            status, features = "Assigned", [rng.choice(names)]
        hits = rng.choice([1, 1, 2, 300])
        for name in features:
            expected[name] += 1 / (len(features) * hits) if fraction else 1
        tags = []
        for _ in range(2):
            listed = ",".join(rng.sample(features, len(features)))
            tags.append(
                xs(status, listed, len(features)).replace(NH, b"NHS" + struct.pack("<H", hits))
            )
        first = rng.randint(1, 2000)
        one, two = tagged_pair(f"read{i}", *tags, first)
        records += [(first, one), (first + 300, two)]
        if rng.random() < 0.5:
            records[-2:] = records[:-3:-1]
    if order == "pos":
        records.sort(key=lambda item: item[0])
    options = replace(XT, order=order, nonunique="fraction" if fraction else "none")
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([content for _, content in records], sizes=[3000]))
    monkeypatch.setattr(stream, "ENOUGH", 1 << 15)
    monkeypatch.setattr(stream, "HEADROOM", 1 << 12)
    results = [
        count_alignments(str(path), genes, options, reading=ReadingOptions(threads=threads))
        for threads in (1, 3)
    ]
    for result in results:
        counted = dict(zip(genes.features.ids, result.counts.tolist(), strict=True))
        assert {name: n for name, n in counted.items() if n} == pytest.approx(dict(expected))
    assert np.array_equal(results[0].counts, results[1].counts)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 50),
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
    order=st.sampled_from(["name", "pos"]),
    tag=st.sampled_from(ASSIGNED),
)
def test_damaged_records_give_a_result_or_one_line(
    tmp_path: Path,
    genes: Annotation,
    seed: int,
    flips: list[tuple[float, int]],
    order: str,
    tag: str,
) -> None:
    rng = random.Random(seed)
    content = bytearray()
    for i in range(6):
        features = rng.sample(genes.features.ids, rng.randint(1, 4))
        separator = tag_scheme(tag).separator
        tags = {
            "XT": xs("Assigned", ",".join(features), len(features)),
            "XF": xf(f"__ambiguous[{'+'.join(features)}]"),
        }.get(tag, text(tag, separator.join(features)))
        content += b"".join(tagged_pair(f"r{i}", tags, tags))
    for place, value in flips:
        content[int(place * len(content))] = value
    path = tmp_path / "damaged.bam"
    path.write_bytes(bgzf(header() + bytes(content)))
    batches: list[TaggedBatch] = []
    options = CountingOptions(order=order, assigned=tag, stranded="no", nonunique="all")
    for sink in (None, batches.append):
        try:
            result = count_alignments(
                str(path), genes, options, want_sites=True, listeners=Listeners(record_sink=sink)
            )
        except InputError as error:
            outcome = (error.file, len(error.line().splitlines()))
            assert outcome == (str(path), 1)
        else:
            assert result.sites is not None
            assert len(result.sites) == int(np.sum(result.counts))
