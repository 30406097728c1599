"""Annotations as HTSeq itself reads them, and comparisons with ours."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import HTSeq

from counterbias.annotation import load_annotation
from counterbias.options import AnnotationOptions
from counterbias.records import Annotation

LINE = 'chr1\tsrc\texon\t11\t20\t.\t+\t.\tgene_id "A"; gene_name "a";\n'


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def htseq(path: str, capture: Any = None, **options: Any) -> tuple[Any, dict[str, list[str]]]:
    """Read a file as htseq-count does; return the array and the attributes."""
    scan = HTSeq.make_feature_genomicarrayofsets(
        HTSeq.GFF_Reader(path),
        list(options.get("id_attributes", ["gene_id"])),
        feature_type=list(options.get("feature_types", ["exon"])),
        feature_query=options.get("feature_query"),
        additional_attributes=list(options.get("additional_attributes", [])),
        stranded=options.get("stranded", True),
        verbose=capture is not None,
        add_chromosome_info=options.get("add_chromosome_info", False),
    )
    return scan["features"], scan["attributes"]


def our_steps(annotation: Annotation, contig: int, strand: int) -> list[tuple[int, frozenset[str]]]:
    """Return the steps of a vector by name, as (start, set)."""
    steps = annotation.steps
    vector = steps.vector(contig, strand)
    rows = slice(int(steps.offsets[vector]), int(steps.offsets[vector + 1]))
    sets = [
        frozenset(
            annotation.features.ids[m]
            for m in steps.members[steps.member_offsets[s] : steps.member_offsets[s + 1]]
        )
        for s in steps.sets[rows]
    ]
    return list(zip(steps.starts[rows].tolist(), sets, strict=True))


def their_steps(array: Any, contig: str, strand: str) -> list[tuple[int, frozenset[str]]]:
    """Return HTSeq's steps, equal neighbours merged."""
    merged: list[tuple[int, frozenset[str]]] = []
    for interval, value in array.chrom_vectors[contig][strand].steps():
        if not merged or merged[-1][1] != frozenset(value):
            merged.append((interval.start, frozenset(value)))
    return merged


def read_annotation(
    path: str,
    *,
    add_chromosome_info: bool = False,
    feature_query: str | None = None,
    stranded: bool = True,
    on_lines: Callable[[str], None] | None = None,
    **options: Any,
) -> Annotation:
    """Read an annotation with options named as HTSeq names them."""
    wanted = AnnotationOptions(path, chromosome=add_chromosome_info, query=feature_query, **options)
    return load_annotation(wanted, stranded=stranded, on_lines=on_lines)


def compare(path: str, **options: Any) -> Annotation:
    """Check that a file means the same to HTSeq and to us."""
    array, attributes = htseq(path, **options)
    ours = read_annotation(path, **options)
    stranded = options.get("stranded", True)
    assert list(ours.features.ids) == sorted(attributes)
    names = [
        *options.get("additional_attributes", ()),
        *(["Chromosome"] if options.get("add_chromosome_info") else []),
    ]
    assert list(ours.features.attributes) == names
    for row, name in enumerate(ours.features.ids):
        assert [ours.features.attributes[key][row] for key in names] == attributes[name]
    assert ours.features.contigs == ours.steps.contigs == tuple(array.chrom_vectors)
    assert ours.steps.stranded == stranded
    assert ours.steps.member_offsets[:2].tolist() == [0, 0]
    for index, contig in enumerate(ours.steps.contigs):
        for number, strand in enumerate("+-" if stranded else "."):
            steps = our_steps(ours, index, number)
            assert steps == their_steps(array, contig, strand)
    check_blocks(ours)
    return ours


def check_blocks(annotation: Annotation) -> None:
    """Check that the merged intervals are sorted, disjoint, and cover what the steps do."""
    features = annotation.features
    covered: dict[tuple[int, int, str], int] = {}
    for row, name in enumerate(features.ids):
        blocks = range(int(features.block_offsets[row]), int(features.block_offsets[row + 1]))
        keys = [
            (
                int(features.block_contig[b]),
                int(features.block_strand[b]),
                int(features.block_start[b]),
            )
            for b in blocks
        ]
        assert keys == sorted(keys)
        assert keys
        for one, two in pairwise(blocks):
            if keys[one - blocks[0]][:2] == keys[two - blocks[0]][:2]:
                assert features.block_end[one] < features.block_start[two]
        for b in blocks:
            strand = int(features.block_strand[b]) if annotation.steps.stranded else 0
            key = (int(features.block_contig[b]), strand, name)
            covered[key] = covered.get(key, 0) + int(
                features.block_end[b] - features.block_start[b]
            )
        assert features.lengths[row] == sum(
            features.block_end[b] - features.block_start[b] for b in blocks
        )
    if annotation.steps.stranded:
        stepped: dict[tuple[int, int, str], int] = {}
        for contig in range(len(features.contigs)):
            for strand in (0, 1):
                steps = our_steps(annotation, contig, strand)
                for (start, names), (end, _) in pairwise(steps):
                    for name in names:
                        stepped[contig, strand, name] = (
                            stepped.get((contig, strand, name), 0) + end - start
                        )
        assert stepped == covered
