"""What fragments are assigned to and counted for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias.options import AnnotationOptions, CountingOptions
from counterbias.pipeline.counting import ReadingOptions, count_alignments, starts
from counterbias.pipeline.counting.assignment import Assigner
from counterbias.pipeline.counting.step_index import index_steps
from counterbias.records import (
    CLIPPED,
    PRESENT,
    REVERSE,
    TRAINABLE,
    Annotation,
    Features,
    SampleCounts,
    Steps,
)
from tests.helpers.alignment_builders import (
    annotation,
    bam,
    cigar_words,
    oracle,
    ours,
    pair,
    record,
)


def count(
    folder: Path,
    records: list[bytes],
    options: CountingOptions,
    text: str | None = None,
    **more: Any,
) -> SampleCounts:
    path = folder / "reads.bam"
    path.write_bytes(bam(records))
    stranded = options.stranded != "no"
    genes = (
        annotation(folder, stranded=stranded)
        if text is None
        else annotation(folder, text, stranded=stranded)
    )
    return count_alignments(str(path), genes, options, **more)


def covering(steps: Steps, contig: int, strand: int, position: int) -> set[int]:
    """Return the features at one position, by looking at every step."""
    vector = steps.vector(contig, strand)
    found: set[int] = set()
    for row in range(int(steps.offsets[vector]), int(steps.offsets[vector + 1])):
        if steps.starts[row] <= position:
            chosen = steps.sets[row]
            found = set(
                steps.members[
                    steps.member_offsets[chosen] : steps.member_offsets[chosen + 1]
                ].tolist()
            )
    return found


def expected_set(steps: Steps, mode: str, strand: int, positions: list[int]) -> set[int]:
    """Apply the three modes base by base."""
    sets = [covering(steps, 0, strand, position) for position in positions]
    if mode == "intersection-nonempty":
        sets = [members for members in sets if members]
    if not sets:
        return set()
    return set.union(*sets) if mode == "union" else set.intersection(*sets)


@pytest.mark.parametrize("mode", ["union", "intersection-strict", "intersection-nonempty"])
@pytest.mark.parametrize("stranded", ["yes", "no", "reverse"])
def test_overlap_base_by_base(tmp_path: Path, mode: str, stranded: str) -> None:
    """A read gets the union or intersection of its bases' sets, worked out base by base."""
    rng = random.Random(f"{mode}{stranded}")
    text = "".join(
        f"chr1\tt\texon\t{start}\t{start + rng.randint(0, 60)}\t.\t"
        f'{rng.choice("+-")}\t.\tgene_id "g{i:02}";\n'
        for i, start in enumerate(rng.randint(1, 300) for _ in range(25))
    )
    genes = annotation(tmp_path, text, stranded=stranded != "no")
    options = CountingOptions(mode=mode, stranded=stranded, nonunique="all")
    for _ in range(60):
        position, minus = rng.randint(0, 380), rng.random() < 0.5
        sizes = [rng.randint(1, 30), rng.randint(1, 60), rng.randint(1, 30)]
        positions = [
            *range(position, position + sizes[0]),
            *range(position + sizes[0] + sizes[1], position + sum(sizes)),
        ]
        strand = 0 if stranded == "no" else int(minus) ^ (stranded == "reverse")
        got = count(
            tmp_path,
            [record(position=position, flag=16 * minus, cigar="{}M{}N{}M".format(*sizes))],
            options,
            text,
        )
        assert set(np.flatnonzero(got.counts).tolist()) == expected_set(
            genes.steps, mode, strand, positions
        )


def test_index_finds_every_position() -> None:
    """The index finds the step of any position, before, between and far behind the edges."""
    starts = np.array([0, 1, 64, 65, 100_000, 0, 0, 2_000_000_000], dtype=np.int64)
    steps = Steps(
        stranded=False,
        contigs=("a", "b", "c"),
        offsets=np.array([0, 5, 6, 8]),
        starts=starts,
        sets=np.array([0, 1, 2, 0, 3, 0, 1, 2], dtype=np.int32),
        member_offsets=np.array([0, 0, 1, 2, 4]),
        members=np.array([0, 1, 0, 1], dtype=np.int32),
    )
    index = index_steps(steps, 3, ("c", "unknown", "a"))
    assert index.contig_of.tolist() == [2, -1, 0]
    assert len(index.buckets) <= (1 << 20) + 3
    # A feature that is nowhere alone still has its own set.
    assert index.members[index.member_offsets[index.single[2]]] == 2
    for v in range(3):
        own = starts[steps.offsets[v] : steps.offsets[v + 1]]
        for position in [0, 1, 63, 64, 65, 99_999, 100_000, 100_001, 1_999_999_999]:
            bucket = min(
                int(index.bucket_offsets[v]) + (position >> index.shift),
                int(index.bucket_offsets[v + 1]) - 1,
            )
            low = int(index.buckets[bucket])
            assert steps.offsets[v] <= low < steps.offsets[v + 1]
            edge = min(position, int(own[-1])) >> index.shift << index.shift
            found = own[low - int(steps.offsets[v]) :]
            assert found[0] <= edge
            assert (found[1:] > edge).all()


def test_strandedness_must_fit_the_steps(tmp_path: Path) -> None:
    genes = annotation(tmp_path, stranded=True)
    with pytest.raises(ValueError, match="strandedness"):
        Assigner(genes.steps, len(genes.features), ("chr1",), CountingOptions(stranded="no"))


def test_annotation_without_features(tmp_path: Path) -> None:
    none = np.empty(0, dtype=np.int32)
    zero = np.zeros(1, dtype=np.int64)
    features = Features(
        (), {}, (), zero, none, none.astype(np.int8), none.astype(np.int64), none.astype(np.int64)
    )
    steps = Steps(True, (), zero, none.astype(np.int64), none, np.zeros(2, dtype=np.int64), none)
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([record(), record(flag=4)]))
    got = count_alignments(str(path), Annotation("", features, steps, 0), CountingOptions())
    assert got.classes == (1, 0, 0, 1, 0)
    assert len(got.counts) == 0


def test_classes_and_their_order(tmp_path: Path) -> None:
    hits = b"NHC\2"
    records = [
        record("a", position=110, cigar="20M"),
        record("b", position=110, cigar="20M", tags=hits, mapq=0),
        record("c", position=110, cigar="20M", mapq=9),
        record("d", position=160, cigar="20M"),
        record("e", position=1000),
        record("f", contig=2),
        record("g", flag=4),
        record("h", flag=0x100, tags=hits),
        record("i", flag=0x800),
        record("j", cigar="10S"),
    ]
    got = count(tmp_path, records, CountingOptions())
    assert got.counts.tolist() == [1, 0, 0, 0]
    assert got.classes == (3, 1, 1, 1, 1)
    assert got.fragments == 10
    # With --nonunique all, NH > 1 is counted and goes on to the next question.
    assert count(tmp_path, records, CountingOptions(nonunique="all")).classes == (3, 1, 2, 1, 1)


@pytest.mark.parametrize(
    ("tags", "unique"),
    [
        ((b"", b"NHC\2"), True),
        ((b"NHC\1", b""), True),
        ((b"NHC\1", b"NHC\2"), False),
        ((b"NHC\2", b""), False),
    ],
)
def test_hits_of_mates_as_htseq_asks(
    tmp_path: Path, tags: tuple[bytes, bytes], unique: bool
) -> None:
    """The question is dropped at the first record without NH: a later NH > 1 does not count."""
    first, second = (pair("p", 110, 130, cigar="20M", tags=tag)[i] for i, tag in enumerate(tags))
    got = count(tmp_path, [first, second], CountingOptions())
    assert (got.counts[0], got.classes[4]) == ((1, 0) if unique else (0, 1))


def test_long_cigar_in_a_tag(tmp_path: Path) -> None:
    """A CIGAR of more than 65,535 operations is in the tag CG, behind a placeholder."""
    words = cigar_words("20M30N20M")
    tag = b"CGBI" + np.array([len(words), *words], dtype="<u4").tobytes()
    path = tmp_path / "reads.bam"
    text = (
        'chr1\tt\texon\t151\t170\t.\t+\t.\tgene_id "a";\n'
        'chr1\tt\texon\t121\t149\t.\t+\t.\tgene_id "b";\n'
    )
    genes = annotation(tmp_path, text)
    placeholder = record(position=100, cigar="40S70N", tags=b"NHC\1" + tag)
    path.write_bytes(bam([placeholder]))
    assert ours(path, genes, CountingOptions()) == oracle(
        path, tmp_path / "genes.gtf", CountingOptions()
    )
    assert ours(path, genes, CountingOptions())[0] == [1, 0]
    path.write_bytes(bam([record(position=100, cigar="40S70N", tags=b"")]))
    assert ours(path, genes, CountingOptions())[0] == [0, 0]


def overlapping(tmp_path: Path, features: int) -> tuple[str, list[bytes]]:
    text = "".join(f'chr1\tt\texon\t101\t200\t.\t+\t.\tgene_id "g{i}";\n' for i in range(features))
    return text, [record(f"r{i}", position=120, cigar="10M") for i in range(6000)]


def test_random_is_seeded_and_even(tmp_path: Path) -> None:
    text, records = overlapping(tmp_path, 3)
    got = count(tmp_path, records, CountingOptions(nonunique="random", seed=1), text)
    assert got.counts.sum() == 6000
    assert got.classes[1] == 6000
    # Even to within five standard deviations.
    assert np.all(np.abs(got.counts - 2000) < 5 * np.sqrt(6000 * 2 / 9))
    again = count(
        tmp_path,
        records,
        CountingOptions(nonunique="random", seed=1),
        text,
        reading=ReadingOptions(threads=2),
    )
    other = count(tmp_path, records, CountingOptions(nonunique="random", seed=2), text)
    assert again.counts.tolist() == got.counts.tolist() != other.counts.tolist()


def test_fraction_sums_as_python_does(tmp_path: Path) -> None:
    text, records = overlapping(tmp_path, 3)
    got = count(
        tmp_path,
        records,
        CountingOptions(nonunique="fraction"),
        text + 'chr2\tt\texon\t1\t9\t.\t+\t.\tgene_id "z";\n',
    )
    total = 0
    for _ in range(6000):
        total += 1.0 / 3
    assert got.counts.tolist() == [total, total, total, 0]
    assert got.touched is not None
    assert got.touched.tolist() == [True, True, True, False]


def sites(folder: Path, records: list[bytes], options: CountingOptions, **more: Any) -> Any:
    got = count(folder, records, options, want_sites=True, **more)
    assert got.sites is not None
    return got.sites


def test_start_sites_of_pairs(tmp_path: Path) -> None:
    records = [
        *pair("both", 110, 130, cigar="20M"),
        record("one", 0x49, 0, 115, "3S17M"),
        *pair("clipped", 120, 140, cigar="2H5M5D15M1S"),
        *pair("elsewhere", 1000, 1100),
        *pair("many", 120, 140, cigar="10M", tags=b"NHC\3"),
    ]
    got = sites(tmp_path, records, CountingOptions(nonunique="all"))
    assert got.contigs == ("chr1", "chr2", "chrX", "chr3")
    assert got.contig_lengths == (5000, 5000, 5000, 5000)
    assert got.feature.tolist() == [0, 0, 0, 1, 0]
    assert got.share is None
    one, two = got.ends
    assert one.contig.tolist() == [0] * 5
    assert one.position.tolist() == [110, 115, 120, 120, 120]
    assert one.bits.tolist() == [
        PRESENT | TRAINABLE, PRESENT | CLIPPED, PRESENT | CLIPPED, PRESENT | CLIPPED, PRESENT,
    ]  # fmt: skip
    assert two.contig.tolist() == [0, -1, 0, 0, 0]
    assert two.position.tolist() == [149, -1, 164, 164, 149]
    assert two.bits.tolist() == [
        PRESENT | REVERSE | TRAINABLE, 0, PRESENT | REVERSE | CLIPPED, PRESENT | REVERSE | CLIPPED,
        PRESENT | REVERSE,
    ]  # fmt: skip


def test_start_sites_of_single_reads(tmp_path: Path) -> None:
    records = [
        record("plus", position=110, cigar="10M5I10M"),
        record("minus", 16, position=430, cigar="5S10M100N10M"),
        record("clipped", 16, position=430, cigar="10M1S"),
        record("secondary", 0x100, position=110, cigar="10M"),
        record("off", position=110, cigar="10M", mapq=1),
    ]
    got = sites(
        tmp_path, records, CountingOptions(secondary_alignments="score", nonunique="fraction")
    )
    assert got.feature.tolist() == [0, 2, 2, 0]
    assert got.share is not None
    assert got.share.tolist() == [1, 1, 1, 1]
    (end,) = got.ends
    assert end.position.tolist() == [110, 549, 439, 110]
    assert end.bits.tolist() == [
        PRESENT | TRAINABLE,
        PRESENT | REVERSE | TRAINABLE,
        PRESENT | REVERSE | CLIPPED,
        PRESENT,
    ]


@pytest.mark.parametrize("order", ["name", "pos"])
def test_chunks_of_start_sites_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    rng = random.Random(4)
    text = "".join(
        f'chr1\tt\texon\t{100 + i}\t{200 + 9 * i}\t.\t+\t.\tgene_id "g{i:02}";\n' for i in range(30)
    )
    records = [
        item
        for i in range(300)
        for item in pair(f"r{i}", rng.randint(90, 400), rng.randint(90, 400), length=i)
    ]
    options = CountingOptions(order=order, nonunique="fraction")

    def columns(**more: Any) -> list[list[float]]:
        got = sites(tmp_path, records, options, text=text, **more)
        ends = [
            column.tolist() for end in got.ends for column in (end.contig, end.position, end.bits)
        ]
        return [got.feature.tolist(), got.share.tolist(), *ends]

    whole = columns()
    assert len(whole[0]) > 1000
    monkeypatch.setattr(starts, "CHUNK", 1)
    assert columns(reading=ReadingOptions(threads=2)) == whole


def test_start_sites_are_small(tmp_path: Path) -> None:
    got = sites(tmp_path, pair("p", 110, 130, cigar="20M"), CountingOptions())
    row = got.feature.itemsize + sum(
        column.itemsize for end in got.ends for column in (end.contig, end.position, end.bits)
    )
    assert row <= 40


def test_real_data_as_htseq_counts_it(data_dir: Path) -> None:
    from counterbias.annotation import load_annotation

    path, gtf = (
        data_dir / "human_maqc_chr22" / "HBR_Rep1.bam",
        data_dir / "human_maqc_chr22" / "genes.gtf",
    )
    for options in (
        CountingOptions(order="pos", stranded="no"),
        CountingOptions(order="pos", mode="intersection-nonempty", nonunique="all"),
    ):
        wanted = AnnotationOptions(str(gtf))
        genes: Annotation = load_annotation(wanted, stranded=options.stranded != "no")
        assert ours(path, genes, options, threads=2) == oracle(path, gtf, options)
