"""Counts by the assignments that another program has left in the tags of the alignments."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from counterbias.errors import InputError
from counterbias.options import CountingOptions
from counterbias.pipeline.counting import Listeners, count_alignments
from counterbias.pipeline.counting.assignment import LISTED, SKIPPED
from counterbias.pipeline.counting.tag_schemes import tag_scheme
from counterbias.records import CLASSES, Annotation, SampleCounts
from tests.helpers.alignment_builders import annotation, bam, pair, record
from tests.helpers.assignment_tags import GTF, GX, NH, XF, XT, retagged, tagged_pair, text, xf, xs


@pytest.fixture(scope="module")
def genes(tmp_path_factory: pytest.TempPathFactory) -> Annotation:
    return annotation(tmp_path_factory.mktemp("genes"), GTF, stranded=False)


def count(
    folder: Path, genes: Annotation, records: list[bytes], options: CountingOptions, **more: Any
) -> SampleCounts:
    path = folder / "reads.bam"
    path.write_bytes(bam(records))
    return count_alignments(str(path), genes, options, **more)


def found(result: SampleCounts, genes: Annotation) -> dict[str, float]:
    """Return what is not 0: features and classes."""
    numbers = dict(zip(genes.features.ids, result.counts.tolist(), strict=True))
    numbers |= dict(zip(CLASSES, result.classes, strict=True))
    return {name: number for name, number in numbers.items() if number}


def refusal(
    folder: Path, genes: Annotation, records: list[bytes], options: CountingOptions
) -> InputError:
    """Return the error of a file that cannot be counted, which is one line that names it."""
    with pytest.raises(InputError) as caught:
        count(folder, genes, records, options)
    assert caught.value.file == str(folder / "reads.bam")
    assert len(caught.value.line().splitlines()) == 1
    return caught.value


# -- featureCounts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "row"),
    [
        ("Unassigned_Unmapped", "__not_aligned"),
        ("Unassigned_MappingQuality", "__too_low_aQual"),
        ("Unassigned_MultiMapping", "__alignment_not_unique"),
        ("Unassigned_NoFeatures", "__no_feature"),
        ("Unassigned_Overlapping_Length", "__no_feature"),
        ("Unassigned_Ambiguity", "__ambiguous"),
    ],
)
def test_statuses_of_featurecounts(
    tmp_path: Path, genes: Annotation, status: str, row: str
) -> None:
    assert found(count(tmp_path, genes, [record(tags=xs(status))], XT), genes) == {row: 1}


def test_what_featurecounts_has_left_out_is_reported(tmp_path: Path, genes: Annotation) -> None:
    left_out = {
        "Unassigned_Read_Type": 1,
        "Unassigned_Singleton": 2,
        "Unassigned_Chimera": 1,
        "Unassigned_FragmentLength": 3,
        "Unassigned_Duplicate": 1,
        "Unassigned_Secondary": 1,
        "Unassigned_Split": 1,
        "Unassigned_NonSplit": 2,
    }
    records = [record(tags=xs(status)) for status in Counter(left_out).elements()]
    warned: list[str] = []
    result = count(
        tmp_path,
        genes,
        [*records, record(tags=xs("Assigned", "a"))],
        XT,
        listeners=Listeners(warn=warned.append),
    )
    assert found(result, genes) == {"a": 1}
    assert result.fragments == 13
    assert warned == [
        f"{tmp_path / 'reads.bam'}: reads that featureCounts has left out are in no row of the "
        "table: 1 Unassigned_Read_Type, 2 Unassigned_Singleton, 1 Unassigned_Chimera, "
        "3 Unassigned_FragmentLength, 1 Unassigned_Duplicate, 1 Unassigned_Secondary, "
        "1 Unassigned_Split, 2 Unassigned_NonSplit"
    ]


@pytest.mark.parametrize(
    ("nonunique", "counts"),
    [
        ("none", {"a": 2, "b": 1, "c": 1}),
        ("all", {"a": 2, "b": 1, "c": 1}),
        # The first read has two features; the second one has four alignments.
        ("fraction", {"a": 1 / 2 + 1 / 4, "b": 1 / 2, "c": 1 / 8}),
    ],
)
def test_features_of_featurecounts_are_counted_each(
    tmp_path: Path, genes: Annotation, nonunique: str, counts: dict[str, float]
) -> None:
    records = [
        record("one", tags=xs("Assigned", "b,a")),
        record("two", flag=0x100, tags=xs("Assigned", "a").replace(NH, b"NHC\4")),
        record("three", mapq=0, tags=xs("Assigned", "c").replace(NH, b"NHS\x08\0")),
    ]
    result = count(tmp_path, genes, records, replace(XT, nonunique=nonunique), want_sites=True)
    assert result.sites is not None
    expected = counts | ({} if nonunique == "fraction" else {"c": 1})
    assert found(result, genes) == expected
    if result.sites.share is not None:
        assert result.sites.share.tolist() == [0.5, 0.5, 0.25, 0.125]


def test_one_of_several_features_at_random(tmp_path: Path, genes: Annotation) -> None:
    records = [record(f"r{i}", tags=xs("Assigned", "a,c")) for i in range(60)]
    result = count(tmp_path, genes, records, replace(XT, nonunique="random"))
    counted = found(result, genes)
    assert counted["a"] + counted["c"] == 60
    assert counted.keys() == {"a", "c"}


def test_tags_of_aligners_with_the_same_names_do_not_count(
    tmp_path: Path, genes: Annotation
) -> None:
    """STAR and HISAT2 write XS:A:+, bwa XT:A:U and XS:i; the last text of several counts."""
    star = b"XSA+XTAU" + xs("Assigned", "c") + b"XSi\5\0\0\0"
    twice = xs("Assigned", "a") + xs("Assigned", "b")
    result = count(tmp_path, genes, [record(tags=star), record(tags=twice)], XT)
    assert found(result, genes) == {"c": 1, "b": 1}
    again = xs("Assigned", "a") + xs("Unassigned_NoFeatures")
    assert found(count(tmp_path, genes, [record(tags=again)], XT), genes) == {"__no_feature": 1}


@pytest.mark.parametrize(
    ("features", "number", "counts"),
    [
        ("x,y", 1, {"x,y": 1}),
        ("a,x,y", 2, {"a": 1, "x,y": 1}),
        ("x,y,a", 2, {"a": 1, "x,y": 1}),
        ("x;y", 1, {"x;y": 1}),
        ("c,x,y,a,x+y", 4, {"c": 1, "x,y": 1, "a": 1, "x+y": 1}),
    ],
)
def test_names_with_commas(
    tmp_path: Path, genes: Annotation, features: str, number: int, counts: dict[str, int]
) -> None:
    result = count(tmp_path, genes, [record(tags=xs("Assigned", features, number))], XT)
    assert found(result, genes) == counts


# -- htseq-count -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ("a", {"a": 1}),
        ("__odd", {"__odd": 1}),
        ("x+y", {"x+y": 1}),
        ("__no_feature", {"__no_feature": 1}),
        ("__too_low_aQual", {"__too_low_aQual": 1}),
        ("__not_aligned", {"__not_aligned": 1}),
        ("__alignment_not_unique", {"__alignment_not_unique": 1}),
        ("__ambiguous[a+b]", {"__ambiguous": 1}),
        ("__ambiguous", {"__ambiguous": 1}),
    ],
)
def test_values_of_htseq_count(
    tmp_path: Path, genes: Annotation, value: str, counts: dict[str, int]
) -> None:
    assert found(count(tmp_path, genes, [record(tags=xf(value))], XF), genes) == counts


@pytest.mark.parametrize(
    ("nonunique", "counts"),
    [
        ("none", {"__ambiguous": 1}),
        ("all", {"a": 1, "c": 1, "x+y": 1, "__ambiguous": 1}),
        ("fraction", {"a": 1 / 3, "c": 1 / 3, "x+y": 1 / 3, "__ambiguous": 1}),
    ],
)
def test_ambiguous_reads_as_in_htseq_count(
    tmp_path: Path, genes: Annotation, nonunique: str, counts: dict[str, float]
) -> None:
    records = [record(tags=xf("__ambiguous[a+x+y+c]"))]
    assert found(count(tmp_path, genes, records, replace(XF, nonunique=nonunique)), genes) == counts


def test_a_read_that_htseq_count_has_written_twice(tmp_path: Path, genes: Annotation) -> None:
    """With --nonunique all, a read of several alignments has XF twice when written again."""
    first = xf("__alignment_not_unique")
    result = count(tmp_path, genes, [record(tags=first), record(tags=first + xf("c"))], XF)
    assert found(result, genes) == {"c": 1, "__alignment_not_unique": 1}


# -- tags that only name genes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("c;c", {"c": 1}),
        ("c;a;c", {"a": 1, "c": 1, "__ambiguous": 1}),
        ("x;y;a;x;y;a", {"a": 1, "x;y": 1, "__ambiguous": 1}),
    ],
)
def test_genes_of_one_name_are_one(
    tmp_path: Path, genes: Annotation, names: str, expected: dict[str, float]
) -> None:
    """GN names two genes that share their name twice; with -i gene_name they are one feature."""
    every = replace(GX, nonunique="all")
    assert found(count(tmp_path, genes, [record(tags=NH + text("GX", names))], every), genes) == (
        expected
    )


@pytest.mark.parametrize("tags", [b"", text("GX", ""), text("GX", "-"), b"GXA-"])
def test_no_gene(tmp_path: Path, genes: Annotation, tags: bytes) -> None:
    assert found(count(tmp_path, genes, [record(tags=NH + tags)], GX), genes) == {"__no_feature": 1}


def test_genes_by_name_the_rest_by_options(tmp_path: Path, genes: Annotation) -> None:
    gene = NH + text("GX", "c")
    records = [
        record("counted", position=3000, tags=gene),
        record("several", tags=NH + text("GX", "a;c;x;y")),
        record("low", mapq=3, tags=gene),
        record("secondary", flag=0x100, tags=gene),
        record("multiple", tags=b"NHC\2" + text("GX", "c")),
        record("unaligned", flag=4, tags=gene),
    ]
    expected = {
        "c": 1,
        "__ambiguous": 1,
        "__too_low_aQual": 1,
        "__alignment_not_unique": 1,
        "__not_aligned": 1,
    }
    assert found(count(tmp_path, genes, records, GX), genes) == expected
    lenient = replace(GX, minaqual=0, nonunique="all", secondary_alignments="score")
    assert found(count(tmp_path, genes, records, lenient), genes) == {
        "a": 1,
        "c": 5,
        "x;y": 1,
        "__ambiguous": 1,
        "__alignment_not_unique": 1,
        "__not_aligned": 1,
    }


@pytest.mark.parametrize(("mode", "row"), [("union", "a"), ("intersection-strict", "__no_feature")])
def test_genes_of_mates_are_combined(
    tmp_path: Path, genes: Annotation, mode: str, row: str
) -> None:
    one, two = pair("p", 110, 400)
    one, two = retagged(one, NH + text("GX", "a")), retagged(two, NH + text("GX", "-"))
    assert found(count(tmp_path, genes, [one, two], replace(GX, mode=mode)), genes) == {row: 1}


# -- pairs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["name", "pos"])
def test_a_pair_is_one_fragment(tmp_path: Path, genes: Annotation, order: str) -> None:
    both = xs("Assigned", "b,a")
    records = tagged_pair("p", both, xs("Assigned", "a,b"))
    records += tagged_pair("q", xs("Unassigned_NoFeatures"), xs("Unassigned_NoFeatures"), 2000)
    options = replace(XT, order=order)
    result = count(tmp_path, genes, records, options, want_sites=True)
    assert found(result, genes) == {"a": 1, "b": 1, "__no_feature": 1}
    assert result.fragments == 2
    assert result.sites is not None
    first, second = result.sites.ends
    assert (first.position.tolist(), second.position.tolist()) == ([110] * 2, [459] * 2)


@pytest.mark.parametrize("order", ["name", "pos"])
def test_a_record_without_its_mate(tmp_path: Path, genes: Annotation, order: str) -> None:
    alone = tagged_pair("p", xs("Assigned", "c"), xs("Assigned", "c"))[1:]
    supplementary = record("q", 0x841, 0, 100, tags=xs("Assigned", "a"))
    result = count(tmp_path, genes, [*alone, supplementary], replace(XT, order=order))
    assert found(result, genes) == {"c": 1, "a": 1}


@pytest.mark.parametrize("order", ["name", "pos"])
def test_an_unaligned_mate_needs_no_tag(tmp_path: Path, genes: Annotation, order: str) -> None:
    records = [
        record("p", 0x49, 0, 110, next_contig=0, next_position=110, tags=xs("Assigned", "a")),
        record("p", 0x85, 0, 110, next_contig=0, next_position=110, tags=b""),
        record("q", 0x4D, -1, -1, "", tags=b""),
        record("q", 0x8D, -1, -1, "", tags=b""),
    ]
    result = count(tmp_path, genes, records, replace(XT, order=order))
    assert found(result, genes) == {"a": 1, "__not_aligned": 1}


@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize(
    ("tags", "options", "remedy"),
    [
        ((xs("Assigned", "a"), xs("Assigned", "c")), XT, "featureCounts -p --countReadPairs"),
        ((xs("Assigned", "a"), xs("Unassigned_NoFeatures")), XT, "featureCounts -p"),
        ((xs("Assigned", "a,b"), xs("Assigned", "a,c")), XT, "featureCounts -p"),
        ((xs("Assigned", "a,b"), xs("Assigned", "a,b,c")), XT, "featureCounts -p"),
        ((xf("a"), xf("__no_feature")), XF, "both mates have the same tags"),
    ],
)
def test_mates_that_were_counted_one_by_one(
    tmp_path: Path,
    genes: Annotation,
    order: str,
    tags: tuple[bytes, bytes],
    options: CountingOptions,
    remedy: str,
) -> None:
    same = tags[0]
    records = [*tagged_pair("fine", same, same, 100), *tagged_pair("odd", *tags, 102)]
    error = refusal(tmp_path, genes, records, replace(options, order=order))
    assert error.problem == (
        f"the mates of 'odd' are assigned differently (tag {options.assigned})"
    )
    assert error.place == "read pair 2"
    assert remedy in error.remedy


# -- what cannot be counted ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "options", "problem", "remedy"),
    [
        (
            xs("Assigned", "nowhere"),
            XT,
            "read 'bad' is assigned to 'nowhere' (tag XT), which is no feature of GENES",
            "give the annotation that featureCounts had, and its -t and -g as -t and -i",
        ),
        (
            xs("Assigned", "c,nowhere"),
            XT,
            "read 'bad' is assigned to 'nowhere' (tag XT), which is no feature of GENES",
            "give the annotation that featureCounts had, and its -t and -g as -t and -i",
        ),
        (
            xf("nowhere"),
            XF,
            "read 'bad' is assigned to 'nowhere' (tag XF), which is no feature of GENES",
            "give the annotation that htseq-count had, and its -t and -i as -t and -i",
        ),
        (
            xf("__ambiguous[a+nowhere]"),
            XF,
            "read 'bad' is assigned to 'nowhere' (tag XF), which is no feature of GENES",
            "give the annotation that htseq-count had, and its -t and -i as -t and -i",
        ),
        (
            text("GX", "ENSG1"),
            GX,
            "read 'bad' is assigned to 'ENSG1' (tag GX), which is no feature of GENES",
            "give the annotation that the reads were aligned with, and -i gene_id",
        ),
        (
            NH + b"XSA+",
            XT,
            "read 'bad' is aligned but has no tag XS or XT of type Z",
            "give a file all of whose records featureCounts has written",
        ),
        (
            xs("Assigned"),
            XT,
            "read 'bad' is aligned but has no tag XS or XT of type Z",
            "give a file all of whose records featureCounts has written",
        ),
        (
            NH,
            XF,
            "read 'bad' is aligned but has no tag XF of type Z",
            "give a file all of whose records htseq-count has written",
        ),
        (
            xs("Unassigned_Whatever"),
            XT,
            "read 'bad' has an unknown status in its tag XS: 'Unassigned_Whatever'",
            "give what featureCounts has written",
        ),
        (
            xs("Assigned", "a,c", 3),
            XT,
            "read 'bad' has other features in its tag XT than XN says: 'a,c'",
            "shorten the names: featureCounts cuts them after 255 characters",
        ),
        (
            xs("Assigned", "c,a,c"),
            XT,
            "read 'bad' is assigned to a feature twice (tag XT): 'c,a,c'",
            "count genes, not exons: featureCounts without -f",
        ),
        (
            xf("__ambiguous[a+c+a]"),
            XF,
            "read 'bad' is assigned to a feature twice (tag XF): 'a+c+a'",
            "give what htseq-count has written",
        ),
        (
            NH + b"XSZAssigned",
            XT,
            "a tag runs over the end of the record or has an unknown type",
            "the file is corrupted",
        ),
    ],
)
def test_tags_that_cannot_be_used(
    tmp_path: Path,
    genes: Annotation,
    tags: bytes,
    options: CountingOptions,
    problem: str,
    remedy: str,
) -> None:
    good = {"XT": xs("Assigned", "a"), "XF": xf("a"), "GX": text("GX", "a")}[str(options.assigned)]
    error = refusal(tmp_path, genes, [record(tags=good), record("bad", tags=tags)], options)
    assert error.problem == problem.replace("GENES", genes.path)
    assert error.place == "record 2"
    assert error.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("name", "problem"), [("n", "which is no feature of"), ("c", "is assigned to a feature twice")]
)
def test_a_long_list(tmp_path: Path, genes: Annotation, name: str, problem: str) -> None:
    """The time does not grow with the square of its length, nor the message with the length."""
    error = refusal(tmp_path, genes, [record(tags=xs("Assigned", "a" + f",{name}" * 200_000))], XT)
    assert problem in error.problem
    assert len(error.line()) < 300


# -- the page --------------------------------------------------------------------------------------


def test_every_status_stands_on_the_how_to_page(root: Path) -> None:
    page = (root / "docs/how-to/other-counters.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(Un\w+)` \| (`__\w+`|none) \|$", page, re.MULTILINE))
    outcomes = {f"`{row}`": outcome for row, outcome in tag_scheme("XF").statuses.items()}
    outcomes["none"] = SKIPPED
    assert {"Assigned": LISTED} | {
        status: outcomes[row] for status, row in rows.items()
    } == tag_scheme("XT").statuses
