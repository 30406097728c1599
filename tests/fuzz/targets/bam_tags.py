"""The loop that reads assignments from tags, on memory that ends at a forbidden page.

Records have tags of other counters, sound and damaged. The oracle is a reading of the same bytes
in plain Python, which must find the same features or statuses, or the same reason to refuse them.
"""

from __future__ import annotations

import itertools
import random
import struct
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from counterbias.alignments import decoding
from counterbias.errors import InputError
from counterbias.native import SLACK
from counterbias.options import ASSIGNED, CountingOptions
from counterbias.pipeline.counting.assigned import FIRST_STATUS, TagAssigner
from counterbias.pipeline.counting.assignment import NONE
from counterbias.pipeline.counting.pairing import FIRST_POOLED
from counterbias.pipeline.counting.tag_schemes import SEVERAL
from counterbias.records import Annotation
from tests.fuzz import bam_changes, scratch
from tests.fuzz.bam_records import INTEGERS, sound_records, tag_places, tags_start
from tests.fuzz.case import Case
from tests.fuzz.guarded import Guarded
from tests.fuzz.judging import refusal_wording
from tests.helpers.alignment_builders import CONTIGS, annotation

LONGEST = 1 << 15
#: Numbers of features that a tag does not say, or in no integer.
ANY, UNREADABLE = -1, -2
NAMES = ("a", "b", "a,b", "a+b", "a;b", "é", "gene-with-a-name-of-some-length", "__x", "12345678")


def mutate(rng: random.Random) -> Case:
    """Draw records with assignments, some with other changes; and the tag that is read."""
    tag = rng.choice(ASSIGNED)
    records = []
    for item in sound_records(rng, rng.random() < 0.5, rng.choice((1, 2, 5))):
        content = bytearray(item + b"".join(_tags(rng, tag)))
        struct.pack_into("<i", content, 0, len(content) - 4)
        if rng.random() < 0.3:
            rng.choice((bam_changes.change_tag, bam_changes.add_tag))(rng, content)
        records.append(bytes(content))
    return Case(
        records, {"tag": tag, "pool": rng.choice((1, 2, 7, 64)), "front": rng.random() < 0.5}
    )


def _tags(rng: random.Random, tag: str) -> list[bytes]:
    """Draw the tags of one counter, mostly whole."""
    drawn = [rng.choice(NAMES) for _ in range(rng.choice((1, 1, 1, 2, 3, 20)))]
    names = drawn if rng.random() < 0.2 else list(dict.fromkeys(drawn))
    if rng.random() < 0.05:
        names.append(rng.choice(("", "nowhere", "-", "a,", "x" * 300)))
    if tag == "XF":
        value = f"__ambiguous[{'+'.join(names)}]" if len(names) > 1 else names[0]
        if rng.random() < 0.3:
            value = rng.choice(("__no_feature", "__ambiguous", "__ambiguous[", "__ambiguous[]", ""))
        return [f"XFZ{value}\0".encode()]
    if tag in ("GX", "GN"):
        return [f"{tag}Z{';'.join(names)}\0".encode()] if rng.random() < 0.8 else []
    status = "Assigned"
    if rng.random() < 0.2:
        status = rng.choice(("Unassigned_Ambiguity", "Unassigned_Split", "Assigned_", "Unassigned"))
    number = len(names) if rng.random() < 0.9 else rng.randint(-2, 3)
    tags = [f"XSZ{status}\0".encode(), b"XNi" + struct.pack("<i", number)]
    tags.append(f"XTZ{','.join(names)}\0".encode())
    return tags if rng.random() < 0.9 else rng.sample(tags, 2)


@lru_cache(maxsize=1)
def _genes() -> Annotation:
    lines = (
        f'chr1\tt\texon\t{i}\t{i + 9}\t.\t+\t.\tgene_id "{name}";\n'
        for i, name in enumerate(NAMES, start=1)
    )
    loaded = annotation(scratch.folder("bam_tags"), "".join(lines), stranded=False)
    return replace(loaded, path="genes.gtf")


@lru_cache(maxsize=1)
def _room() -> Guarded:
    return Guarded(LONGEST + SLACK, np.uint8)


@lru_cache(maxsize=len(ASSIGNED))
def _assigner(tag: str) -> TagAssigner:
    stream: Any = SimpleNamespace(
        header=SimpleNamespace(contigs=tuple(name for name, _ in CONTIGS)),
        source=SimpleNamespace(path="reads.bam"),
        name=lambda batch, record: "name",
        problem=lambda batch, record, problem: InputError(
            decoding.PROBLEMS[problem], file="reads.bam", place=f"record {record + 1}"
        ),
    )
    return TagAssigner(_genes(), stream, CountingOptions(assigned=tag, stranded="no"))


def _texts(item: bytes) -> dict[str, Any] | None:
    """Return the last value of each text, and the number of features; None for malformed tags."""
    starts = tag_places(item, tags_start(bytearray(item)))
    if starts is None:
        return None
    found: dict[str, Any] = {"number": ANY}
    for start, end in itertools.pairwise([*starts, len(item)]):
        name, kind, value = item[start : start + 2], chr(item[start + 2]), item[start + 3 : end]
        if kind == "Z":
            found[name.decode("latin-1")] = value[:-1].decode("utf-8", "surrogateescape")
        elif name == b"XN":
            form = INTEGERS.get(kind.replace("I", "i"))
            found["number"] = struct.unpack(f"<{form}", value)[0] if form else UNREADABLE
    return found


def _split(text: str, separator: str) -> list[str] | None:
    """Cut a list into names, each as short as possible; None where that leaves a rest."""
    names, part = [], ""
    for piece in text.split(separator):
        part = piece if not part else part + separator + piece
        if part in NAMES:
            names.append(part)
            part = ""
        elif not part:
            return None
    return None if part else names


def _expected(texts: dict[str, Any] | None, tag: str, aligned: bool) -> Any:
    """Return the features (sorted), a status, '' for an unaligned record, or None for a refusal."""
    if texts is None:
        return None
    scheme = _assigner(tag).scheme
    listed, number = texts.get(tag), texts["number"] if scheme.number else ANY
    if scheme.status is None:
        if listed in (None, "", "-"):
            return [] if aligned else ""
        names = [listed] if listed in NAMES else _split(listed, scheme.separator)
        return None if names is None else sorted(set(names))
    status = texts.get(scheme.status)
    if status is None:
        return None if aligned else ""
    if status in scheme.statuses and status != "Assigned":
        return status
    if tag == "XT":
        return _listed(listed, ",", number) if status == "Assigned" and listed is not None else None
    if status.startswith(SEVERAL) and status.endswith("]"):
        return _listed(status[len(SEVERAL) : -1], "+", UNREADABLE)
    return _listed(status, "+", 1)


def _listed(text: str, separator: str, number: int) -> list[str] | None:
    """Return the features that a text lists, None where that is not clear."""
    if number in (1, ANY) and text in NAMES:
        return [text]
    names = None if number == 1 else _split(text, separator)
    if names is None or len(set(names)) < len(names) or (number >= 0 and number != len(names)):
        return None
    return sorted(names)


def _found(code: int, assigner: TagAssigner, pool: Any) -> Any:
    """Return what a SET means, as :func:`_expected` does."""
    if code >= FIRST_STATUS:
        return list(assigner.scheme.statuses)[code - FIRST_STATUS]
    if code == NONE:
        return ""
    index, ids = assigner.index, _genes().features.ids
    members = index.members[
        index.member_offsets[max(code, 0)] : index.member_offsets[max(code, 0) + 1]
    ]
    if code <= FIRST_POOLED:
        place = FIRST_POOLED - code
        members = pool[place + 1 : place + 1 + pool[place]]
        assert (np.diff(members) > 0).all()
    return sorted(ids[member] for member in members)


def check(case: Case) -> str:
    """Read the tags of records whose fixed parts are sound."""
    content = b"".join(case.parts)
    if len(content) > LONGEST:
        return "too long"
    room, size = _room(), len(content) + SLACK
    data = room.beginning(size) if case.options["front"] else room.ending(size)
    data[: len(content)] = np.frombuffer(content, dtype=np.uint8)
    data[len(content) :] = 0
    offsets = np.cumsum([0, *map(len, case.parts)])[:-1].astype(np.int64)
    count, tag = len(case.parts), case.options["tag"]
    rows = np.full((count, decoding.COLUMNS), -1, dtype=np.int64)
    aligned = [not item[18] & decoding.UNMAPPED for item in case.parts]
    rows[aligned, decoding.HERE] = 0
    batch: Any = SimpleNamespace(data=data, offsets=offsets, rows=rows, count=count, first_record=0)
    expected = [
        _expected(_texts(item), tag, here)
        for item, here in zip(case.parts, aligned, strict=True)
    ]  # fmt: skip
    assigner = _assigner(tag)
    pool, refusal = np.empty(case.options["pool"], dtype=np.int32), None
    try:
        pool, _ = assigner.find_sets(batch, True, pool)
    except InputError as error:
        refusal = error
    if refusal is not None:
        assert None in expected, refusal.line()
        assert refusal.place == f"record {expected.index(None) + 1}", refusal.line()
        return f"refused: {refusal_wording(refusal, ('reads.bam',))}"
    assert [_found(int(code), assigner, pool) for code in rows[:, decoding.SET]] == expected
    return "read"
