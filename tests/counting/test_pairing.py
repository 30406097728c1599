"""Pairing, warnings and records for ``-o``, against HTSeq's own functions."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from counterbias.errors import InputError
from counterbias.options import CountingOptions
from counterbias.pipeline.counting import (
    Listeners,
    ReadingOptions,
    count_alignments,
    listeners,
    pairing,
    pairing_by_position,
)
from counterbias.records import CLASSES, TaggedBatch
from tests.helpers.alignment_builders import (
    annotation,
    bam,
    oracle,
    ours,
    pair,
    random_bam,
    random_gtf,
    record,
)  # fmt: skip

MODES = ("union", "intersection-strict", "intersection-nonempty")


def random_options(rng: random.Random, order: str) -> CountingOptions:
    return CountingOptions(
        order=order,
        stranded=rng.choice(["yes", "no", "reverse"]),
        mode=rng.choice(MODES),
        nonunique=rng.choice(["none", "all", "fraction"]),
        minaqual=rng.choice([0, 10, 30]),
        secondary_alignments=rng.choice(["ignore", "score"]),
        supplementary_alignments=rng.choice(["ignore", "score"]),
    )


@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_random_files_as_htseq_counts_them(
    tmp_path: Path, order: str, paired: bool, seed: int
) -> None:
    rng = random.Random(f"{order} {paired} {seed}")
    text = random_gtf(rng)
    path = tmp_path / "reads.bam"
    path.write_bytes(random_bam(rng, 120, paired=paired, order=order))
    for threads in (1, 2):
        options = random_options(rng, order)
        genes = annotation(tmp_path, text, stranded=options.stranded != "no")
        assert ours(path, genes, options, threads=threads) == oracle(
            path, tmp_path / "genes.gtf", options
        ), options


def test_progress_and_warnings_interleave_as_in_htseq(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is reported when the next fragment begins, after the warning of a missing mate."""
    rng = random.Random(3)
    records = [item for i in range(30) for item in pair(f"r{i:02}", 100 + i, 150 + i)]
    for lost in (rng.randrange(20, 60) for _ in range(3)):
        records.pop(lost)
    path = tmp_path / "reads.bam"
    path.write_bytes(bam(records))
    genes = annotation(tmp_path)
    monkeypatch.setattr(listeners, "PROGRESS", 1)
    lines = ours(path, genes, CountingOptions())[2].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("Warning: Read "))
    name = lines[first].split()[2]
    assert lines[first + 1].startswith(f"{int(name[1:])} alignment record pairs")
    assert lines[-2] == "Warning: 3 reads with missing mate encountered."
    assert lines[:first] + lines[first + 1 : -2] == [
        f"{i} alignment record pairs processed." for i in range(1, 30)
    ]


def test_ambiguous_mates_are_taken_first_come_first_served(tmp_path: Path) -> None:
    first, second = pair("twin", 100, 150)
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([first, first, first, second, second, *pair("z", 120, 170)]))
    genes = annotation(tmp_path)
    options = CountingOptions(order="pos")
    got = ours(path, genes, options)
    assert got == oracle(path, tmp_path / "genes.gtf", options)
    assert "Mate pairing was ambiguous for 2 records" in got[2]
    assert "('twin', 'first', 'chr1', 100, 'chr1', 150, 200)" in got[2]


def test_leftovers_are_reported_as_by_htseq(tmp_path: Path) -> None:
    rng = random.Random(11)
    records = [
        item
        for i in range(400)
        for item in pair(f"r{i}", rng.randint(100, 900), rng.randint(100, 900))
    ]
    records += [
        record("unmapped", 0x45, -1, -1, "", next_contig=0, next_position=300),
        record("half", 0x89, 0, 130, next_contig=-1),
    ]
    kept = [item for item in records if rng.random() < 0.6]
    rng.shuffle(kept)
    path = tmp_path / "reads.bam"
    path.write_bytes(bam(kept, sizes=(900,)))
    genes = annotation(tmp_path)
    options = CountingOptions(order="pos", nonunique="all")
    got = ours(path, genes, options)
    assert got == oracle(path, tmp_path / "genes.gtf", options)
    assert "Mate records missing for" in got[2]


def test_mates_that_disagree_about_the_length_are_found(tmp_path: Path) -> None:
    """htseq-count counts such mates singly, so twice; we pair them and say so."""
    one = [record("r", 0x63, 0, 110, "20M", next_contig=0, next_position=120, length=60)]
    two = [record("r", 0x93, 0, 120, "20M", next_contig=0, next_position=110, length=-61)]
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([*one, *two, *one, *two, *pair("s", 110, 120, cigar="20M")]))
    genes = annotation(tmp_path)
    options = CountingOptions(order="pos")
    assert oracle(path, tmp_path / "genes.gtf", options)[0] == [5, 0, 0, 0]
    batches: list[list[int]] = []
    counts, _, lines = ours(
        path, genes, options, record_sink=lambda batch: batches.append(batch.code.tolist())
    )
    assert counts == [3, 0, 0, 0]
    assert lines.count("template length") == 1
    assert "2 pairs were put together" in lines
    assert "Mate records missing" not in lines
    assert [len(codes) for codes in batches] == [2, 4]


def test_order_of_the_file_does_not_change_position_pairing(tmp_path: Path) -> None:
    rng = random.Random(5)
    records = [
        item
        for i in range(500)
        for item in pair(f"r{i}", rng.randint(80, 480), rng.randint(80, 480), length=i)
    ]
    path = tmp_path / "reads.bam"
    results = []
    for _ in range(3):
        rng.shuffle(records)
        path.write_bytes(bam(records, sizes=(2000,)))
        results.append(ours(path, annotation(tmp_path), CountingOptions(order="pos")))
    assert results[0] == results[1] == results[2]


def test_mates_apart_are_distinguished_from_missing_mates(tmp_path: Path) -> None:
    path = tmp_path / "reads.bam"
    genes = annotation(tmp_path)
    records = [item for i in range(50) for item in pair(f"r{i}", 100 + i, 160 + i)]
    path.write_bytes(bam(records[1:]))
    assert "claims to have an aligned mate" in ours(path, genes, CountingOptions())[2]
    path.write_bytes(bam(records[1:] + records[:1]))
    with pytest.raises(InputError) as caught:
        count_alignments(str(path), genes, CountingOptions())
    assert "r0 and its mate are not adjacent" in caught.value.problem
    assert caught.value.place == "records 1 and 100"
    assert "-r pos" in caught.value.remedy
    assert "samtools sort -n" in caught.value.remedy


def test_names_alike_in_part_are_kept_apart(tmp_path: Path) -> None:
    records = []
    for name in ("a" * 8, "a" * 9, "a" * 16, "a" * 17, "b" * 254):
        records += pair(name, 110, 120, cigar="20M")
    path = tmp_path / "reads.bam"
    path.write_bytes(bam(records))
    genes = annotation(tmp_path)
    for order in ("name", "pos"):
        assert ours(path, genes, CountingOptions(order=order))[0][0] == 5


def test_pool_grows_and_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many waiting mates, some with several features, in a pool that must grow many times."""
    made: list[pairing_by_position.MatePool] = []

    class Small(pairing_by_position.MatePool):
        def __init__(self, keep: bool) -> None:
            super().__init__(keep, capacity=8)
            made.append(self)

    monkeypatch.setattr(pairing_by_position, "MatePool", Small)
    text = "".join(
        f'chr1\tt\texon\t{100 + 7 * i}\t{180 + 7 * i}\t.\t+\t.\tgene_id "g{i:02}";\n'
        for i in range(40)
    )
    genes = annotation(tmp_path, text)
    rng = random.Random(2)
    firsts, seconds = [], []
    for i in range(3000):
        first, second = pair(
            f"r{i}", rng.randint(60, 500), rng.randint(60, 500), length=i, cigar="30M20N20M"
        )
        firsts.append(first)
        seconds.append(second)
    rng.shuffle(seconds)
    path = tmp_path / "reads.bam"
    path.write_bytes(bam(firsts + seconds[:-5], sizes=(5000,)))
    for mode in MODES:
        options = CountingOptions(order="pos", mode=mode, nonunique="all")
        assert ours(path, genes, options) == oracle(path, tmp_path / "genes.gtf", options)
    assert len(made[0].waiting) >= 4096
    path.write_bytes(
        bam(
            [
                item
                for both in zip(firsts, sorted(seconds, key=lambda r: r[36:42]), strict=True)
                for item in both
            ]
        )
    )
    ours(path, genes, CountingOptions(order="pos"))
    assert len(made[-1].waiting) < 5000


def entries(
    path: Path, folder: Path, options: CountingOptions, text: str, threads: int
) -> list[tuple[str, int, list[str]]]:
    """List name, flag and XF tags of what would be written."""
    genes = annotation(folder, text, stranded=options.stranded != "no")
    out: list[tuple[str, int, list[str]]] = []
    sites: list[tuple[int, int]] = []

    def take(batch: TaggedBatch) -> None:
        for e in range(len(batch)):
            start = int(batch.offsets[batch.record[e]])
            raw = batch.buffer[start : start + int(batch.lengths[batch.record[e]])].tobytes()
            assert int.from_bytes(raw[:4], "little") + 4 == len(raw)
            code = int(batch.code[e])
            members = batch.members[batch.member_offsets[e] : batch.member_offsets[e + 1]].tolist()
            assert bool(members) == (code == -2)
            name = genes.features.ids[code] if code >= 0 else CLASSES[-1 - code]
            if members:
                name += "[" + "+".join(genes.features.ids[i] for i in members) + "]"
            tags = ["__alignment_not_unique", name] if batch.repeated[e] else [name]
            out.append(
                (raw[36 : 35 + raw[12]].decode(), int.from_bytes(raw[18:20], "little"), tags)
            )
            sites.append((code, int(batch.site[e])))

    result = count_alignments(
        str(path),
        genes,
        options,
        want_sites=True,
        reading=ReadingOptions(threads=threads),
        listeners=Listeners(record_sink=take),
    )
    assert result.sites is not None
    for code, site in sites:
        assert site < len(result.sites)
        if code >= 0 and result.counts.any():
            assert result.sites.feature[site] == code
    return out


@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize("seed", range(6))
def test_records_for_output_as_htseq_writes_them(tmp_path: Path, order: str, seed: int) -> None:
    import warnings

    import HTSeq
    from HTSeq.scripts.count_features.count_features_per_file import count_reads_single_file

    rng = random.Random(f"{order} {seed}")
    text = random_gtf(rng)
    path, out = tmp_path / "reads.bam", tmp_path / "out.sam"
    path.write_bytes(random_bam(rng, 80, paired=seed > 0, order=order))
    options = random_options(rng, order)
    got = entries(path, tmp_path, options, text, threads=1 + seed % 2)
    scan = HTSeq.make_feature_genomicarrayofsets(
        HTSeq.GFF_Reader(str(tmp_path / "genes.gtf")),
        ["gene_id"],
        feature_type=["exon"],
        stranded=options.stranded != "no",
        verbose=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        count_reads_single_file(
            0, str(path), scan["features"], sorted(scan["attributes"]), order, 10**9,
            options.stranded, options.mode, options.nonunique,
            options.secondary_alignments, options.supplementary_alignments, ["exon"], ["gene_id"],
            [], True, options.minaqual, "SAM",
            str(out),
        )  # fmt: skip
    expected = []
    for line in out.read_text().splitlines():
        if not line.startswith("@"):
            fields = line.split("\t")
            expected.append(
                (
                    fields[0],
                    int(fields[1]),
                    [field[5:] for field in fields[11:] if field.startswith("XF:Z:")],
                )
            )
    assert len(got) == len(expected) > 0
    assert got == expected


def test_matching_without_length_is_first_come_first_served() -> None:
    rows = np.zeros((7, 8), dtype=np.int64)
    rows[:, pairing.NAME] = [1, 2, 1, 1, 2, 1, 3]
    first = np.array([1, 0, 1, 0, 1, 0, 1], dtype=bool)
    rows[:, pairing.INFO] = np.where(first, 0x40, 0x80)
    rows[:, pairing.HERE] = np.where(first, 5, 9)
    rows[:, pairing.NEXT] = np.where(first, 9, 5)
    one, two = pairing_by_position.match_without_length(rows)
    assert list(zip(one.tolist(), two.tolist(), strict=True)) == [(0, 3), (4, 1), (2, 5)]
