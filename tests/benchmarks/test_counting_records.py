"""The reads of the counting benchmark look as a sequencer and an aligner write them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest

from counterbias import simulation
from tests.helpers.scripts import load

#: Shares of qualities within the first 50 cycles in the sources that the instruments name:
#: quality → least and largest share.
SHARES = {
    "hiseq": {41: (0.15, 0.4), 40: (0.1, 0.25), 35: (0.03, 0.2), 34: (0.02, 0.12), 2: (0, 0.03)},
    "novaseq": {37: (0.94, 0.97), 25: (0.02, 0.04), 11: (0.005, 0.02), 2: (0, 0.001)},
}


@pytest.fixture(scope="module")
def reads() -> simulation.Reads:
    rng = np.random.default_rng(5)
    genome = simulation.simulate_genome(rng, {"a": 200_000, "b": 100_000})
    genes = simulation.simulate_annotation(rng, genome.lengths, 20)
    library = simulation.Library(
        4000, multi_mapped=0.1, unmapped_mate=0.05, unmapped=0.05, error_rate=0.01
    )
    abundance = simulation.simulate_abundance(rng, genes)
    return simulation.simulate_reads(rng, genome, genes, abundance, library)


def written(
    reads: simulation.Reads, folder: Path, order: str, name: str
) -> list[pysam.AlignedSegment]:
    path = folder / f"{order}.bam"
    count = load("counting_records").write_realistic_bam(path, reads, order, name)
    with pysam.AlignmentFile(str(path)) as stream:
        records = list(stream.fetch(until_eof=True))
    assert len(records) == count
    return records


def test_what_the_simulator_decides_stays(reads: simulation.Reads, tmp_path: Path) -> None:
    """Only names, qualities, tags and mapping quality are new; secondary reads have bases."""
    plain = tmp_path / "plain.bam"
    simulation.write_bam(plain, reads)
    with pysam.AlignmentFile(str(plain)) as stream:
        before = list(stream.fetch(until_eof=True))
    after = written(reads, tmp_path, "name", "hiseq")
    for old, new in zip(before, after, strict=True):
        assert (old.flag, old.reference_id, old.pos) == (new.flag, new.reference_id, new.pos)
        assert (old.cigarstring, old.tlen) == (new.cigarstring, new.tlen)
        assert (old.next_reference_id, old.mpos) == (new.next_reference_id, new.mpos)
        assert len(new.query_sequence) == len(new.query_qualities) == 50
        if not old.is_secondary:
            assert old.query_sequence == new.query_sequence
        if old.is_unmapped:
            assert new.get_tags() == []
            continue
        names = [tag for tag, _ in new.get_tags()]
        assert names == ["NH", "HI", "AS", "nM"]
        assert new.get_tag("NH") == old.get_tag("NH")
        assert 1 <= new.get_tag("HI") <= new.get_tag("NH")
        assert new.is_secondary == (new.get_tag("HI") > 1)
        assert new.get_tag("AS") == 98 - 2 * new.get_tag("nM")
        assert (new.mapping_quality == 255) == (new.get_tag("NH") == 1)


@pytest.mark.parametrize("instrument", sorted(SHARES))
def test_both_orders_hold_the_same_records(
    reads: simulation.Reads, tmp_path: Path, instrument: str
) -> None:
    by_name, by_position = (
        written(reads, tmp_path, order, instrument) for order in ("name", "pos")
    )
    texts = [sorted(record.to_string() for record in found) for found in (by_name, by_position)]
    assert texts[0] == texts[1]
    placed = [(one.reference_id, one.pos) for one in by_position if one.reference_id >= 0]
    assert placed == sorted(placed)


@pytest.mark.parametrize("instrument", sorted(SHARES))
def test_names_have_seven_fields_and_ascend(
    reads: simulation.Reads, tmp_path: Path, instrument: str
) -> None:
    names = list(
        dict.fromkeys(one.query_name for one in written(reads, tmp_path, "name", instrument))
    )
    assert len(names) == reads.library.fragments
    fields = [name.split(":") for name in names]
    assert {len(parts) for parts in fields} == {7}
    numbers = [tuple(map(int, parts[3:])) for parts in fields]
    assert numbers == sorted(numbers)
    assert all(re.fullmatch("[12][1-9][0-9][0-9]", parts[4]) for parts in fields)


@pytest.mark.parametrize("instrument", sorted(SHARES))
def test_qualities_are_distributed_as_in_the_source(
    reads: simulation.Reads, tmp_path: Path, instrument: str
) -> None:
    found = []
    for record in written(reads, tmp_path, "name", instrument):
        own = list(record.query_qualities)
        found.append(own[::-1] if record.is_reverse else own)
    table = np.array(found)
    for quality, (least, most) in SHARES[instrument].items():
        assert least <= (table == quality).mean() <= most, quality
    assert table[:, 40:].mean() < table[:, 14:24].mean(), "quality falls off along the read"
    assert np.corrcoef(table[:, :25].mean(axis=1), table[:, 25:].mean(axis=1))[0, 1] > 0.3
    mates = table[:2000:2].mean(axis=1), table[1:2000:2].mean(axis=1)
    assert not np.array_equal(*mates)


def test_hiseq_starts_below_its_ceilings(reads: simulation.Reads, tmp_path: Path) -> None:
    for record in written(reads, tmp_path, "name", "hiseq"):
        own = list(record.query_qualities)
        cycles = own[::-1] if record.is_reverse else own
        assert max(cycles[:3]) <= 34
        assert max(cycles[3:8]) <= 37
        assert max(cycles[8:13]) <= 39
        assert max(cycles) <= 41


def test_shares_of_every_state_add_up() -> None:
    for instrument in load("counting_instruments").INSTRUMENTS.values():
        rates, states, qualities, shares, ceilings = instrument.chain(60)
        assert states[-1] == pytest.approx(1.0)
        assert shares[:, -1] == pytest.approx(1.0)
        assert (np.diff(shares, axis=1) >= 0).all()
        assert len(set(qualities)) == len(qualities) == shares.shape[1]
        assert (len(rates), len(ceilings)) == (3, 60)


def test_no_reads_leave_a_header(reads: simulation.Reads, tmp_path: Path) -> None:
    none = replace(
        reads,
        **{
            name: getattr(reads, name)[:0]
            for name in ("fragment", "transcript", "start", "length", "bits", "hits")
        },
    )
    assert written(none, tmp_path, "name", "novaseq") == []
