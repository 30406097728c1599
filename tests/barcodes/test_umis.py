"""Which UMIs are counted, and for what: cases worked out by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterbias.cli import main
from tests.barcodes.small_cells import PLACES, count, counted, read, write


def reads(*groups: tuple[int, str, str, str]) -> list[str]:
    """Return so many reads each at a place, with a cell and a UMI."""
    return [read(place, cell, umi) for n, place, cell, umi in groups for _ in range(n)]


def test_copies_of_a_molecule_count_once(tmp_path: Path) -> None:
    table = count(
        tmp_path,
        reads((5, "a", "T", "AA"), (1, "a", "T", "CC"), (2, "a", "G", "AA"), (1, "c", "G", "CC")),
    )
    assert table[""] == ["G", "T"]  # sorted
    assert counted(table) == {"a": ["1", "2"], "c": ["1", "0"]}


def test_a_umi_counts_for_the_feature_of_most_of_its_reads(tmp_path: Path) -> None:
    assert counted(count(tmp_path, reads((2, "a", "T", "AA"), (3, "b", "T", "AA")))) == {"b": ["1"]}


@pytest.mark.parametrize("distance", ["0", "1"])
def test_a_tie_discards_the_umi_but_not_its_cell(tmp_path: Path, distance: str) -> None:
    lines = reads((2, "a", "T", "AA"), (2, "b", "T", "AA"), (1, "c", "T", "AA"), (1, "c", "G", "A"))
    table = count(tmp_path, lines, "--correct-UMI-distance", distance)
    assert table[""] == ["G", "T"]
    assert counted(table) == {"c": ["1", "0"]}


def test_classes_compete_with_features(tmp_path: Path) -> None:
    lines = reads((1, "a", "T", "AA"), (2, "__no_feature", "T", "AA"), (1, "a", "T", "CC"),
                  (1, "__ambiguous", "T", "CC"))  # fmt: skip
    assert counted(count(tmp_path, lines)) == {"__no_feature": ["1"]}


def test_reads_with_several_alignments_tie_with_themselves(tmp_path: Path) -> None:
    # With --nonunique all, such a read is one of its feature and one of __alignment_not_unique.
    lines = [read("a", "T", "AA", hits=2), read("a", "T", "CC", hits=2), read("a", "T", "CC")]
    assert counted(count(tmp_path, lines, "--nonunique", "all")) == {"a": ["1"]}
    assert counted(count(tmp_path, lines[:2])) == {"__alignment_not_unique": ["2"]}


def test_correction_merges_close_umis_of_a_cell_only(tmp_path: Path) -> None:
    lines = reads((3, "a", "T", "AAAA"), (1, "a", "T", "AAAC"), (1, "a", "G", "AAAC"),
                  (1, "a", "T", "AACC"))  # fmt: skip
    assert counted(count(tmp_path, lines))["a"] == ["1", "3"]
    # AACC is two bases from AAAA, and AAAC, one base away, is gone before its turn.
    assert counted(count(tmp_path, lines, "--correct-UMI-distance", "1"))["a"] == ["1", "2"]
    assert counted(count(tmp_path, lines, "--correct-UMI-distance", "2"))["a"] == ["1", "1"]


def test_merged_reads_decide_with_the_others(tmp_path: Path) -> None:
    lines = reads((2, "a", "T", "AA"), (1, "b", "T", "AA"), (2, "b", "T", "AC"))
    # First come first: AA has more reads. Together b has 3 of 5.
    assert counted(count(tmp_path, lines, "--correct-UMI-distance", "1")) == {"b": ["1"]}


def test_of_umis_with_equally_many_reads_the_first_takes_the_others(tmp_path: Path) -> None:
    # AC lies between AA and CC. Before them it takes both; after them AA takes it.
    middle, ends = (1, "a", "T", "AC"), ((1, "a", "T", "AA"), (1, "a", "T", "CC"))
    options = "--correct-UMI-distance", "1"
    assert counted(count(tmp_path, reads(middle, *ends), *options)) == {"a": ["1"]}
    assert counted(count(tmp_path, reads(*ends, middle), *options)) == {"a": ["2"]}


def test_umis_of_different_lengths_stay_apart(tmp_path: Path) -> None:
    lines = reads((2, "a", "T", "AAA"), (1, "a", "T", "AA"), (1, "a", "T", ""))
    assert counted(count(tmp_path, lines, "--correct-UMI-distance", "2")) == {"a": ["3"]}


def merged(counts: dict[str, Counter[str]], distance: int) -> dict[str, Counter[str]]:
    """Correct the UMIs of a cell, slowly: UMI → reads by feature."""
    left = sorted(counts, key=lambda umi: -counts[umi].total())
    found = {}
    while left:
        centre, *others = left
        near = [
            umi for umi in others
            if len(umi) == len(centre)
            and sum(a != b for a, b in zip(umi, centre, strict=True)) <= distance
        ]  # fmt: skip
        found[centre] = sum((counts[umi] for umi in near), counts[centre])
        left = [umi for umi in others if umi not in near]
    return found


def expected(lines: list[tuple[str, str, str]], distance: int) -> dict[str, dict[str, int]]:
    """Count, slowly: place → cell → UMIs."""
    cells: dict[str, dict[str, Counter[str]]] = {}
    for place, cell, umi in lines:
        cells.setdefault(cell, {}).setdefault(umi, Counter())[place] += 1
    found: dict[str, dict[str, int]] = {}
    for cell, counts in cells.items():
        for reads in merged(counts, distance).values():
            top = reads.most_common(2)
            if len(top) == 1 or top[0][1] > top[1][1]:
                row = found.setdefault(top[0][0], {})
                row[cell] = row.get(cell, 0) + 1
    return found


@settings(max_examples=30, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "__ambiguous"]),
            st.sampled_from(["T", "G"]),
            st.text("ACG", min_size=2, max_size=5),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 2),
)
def test_any_umis_are_counted_by_these_rules(
    tmp_path: Path, lines: list[tuple[str, str, str]], distance: int
) -> None:
    table = count(
        tmp_path, [read(*fields) for fields in lines], "--correct-UMI-distance", str(distance)
    )
    found = {
        name: {cell: int(n) for cell, n in zip(table[""], row, strict=True) if n != "0"}
        for name, row in counted(table).items()
    }
    assert found == expected(lines, distance)


def test_tables_grow_and_threads_change_nothing(tmp_path: Path) -> None:
    number = 25_000
    names = list(PLACES)
    lines = [
        (names[i * i % 7 % 5], f"cell{i * 7 % 2100}", f"umi{i * 11 % 9001}") for i in range(number)
    ]
    files = write(tmp_path, (read(*fields) for fields in lines))
    tables = []
    for threads in ("1", "3"):
        out = tmp_path / f"{threads}.mtx"
        options = ["-q", "--counts_output_sparse", "--bias-threads", threads, "-c", str(out)]
        assert main(["count-barcodes", *options, *files]) == 0
        tables.append(out.read_bytes())
    assert tables[0] == tables[1]
    total = sum(float(text.split()[2]) for text in tables[0].decode().splitlines()[3:])
    assert total == sum(sum(row.values()) for row in expected(lines, 0).values())
