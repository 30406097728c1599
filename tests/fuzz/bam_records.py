"""Sound BAM records with anything that the format allows, and where their fields and tags are.

The layout of a record is that of the SAM specification (SAMv1), section 4.2.
"""

from __future__ import annotations

import random
import struct
from functools import lru_cache

from tests.helpers.alignment_builders import CONTIGS, random_cigar, record

#: Positions of a record's integers of four bytes.
BLOCK_SIZE, CONTIG, POSITION, BASES, NEXT_CONTIG, NEXT_POSITION, TEMPLATE = 0, 4, 8, 20, 24, 28, 32
#: Positions of its smaller integers and of the name.
NAME_LENGTH, MAPQ, OPERATIONS, FLAG, NAME = 12, 13, 16, 18, 36
#: Type of a tag → format of :mod:`struct`.
INTEGERS = {"c": "b", "C": "B", "s": "h", "S": "H", "i": "i", "I": "I"}
#: Type of a tag → smallest and largest value.
LIMITS = {
    "c": (-128, 127),
    "C": (0, 255),
    "s": (-32768, 32767),
    "S": (0, 65535),
    "i": (-(1 << 31), (1 << 31) - 1),
    "I": (0, (1 << 32) - 1),
}


def random_tag(rng: random.Random, name: str = "") -> bytes:
    """Draw one well-formed tag of any type."""
    code = (
        name or rng.choice(("XA", "NH", "XS", "MD", "Zz", "XF", "ZW", "CG", "X0", "NM"))
    ).encode()
    tag_type = rng.choice("AcCsSiIfZHBZi" if rng.random() < 0.98 else "d")
    if tag_type == "A":
        value = bytes([rng.choice(b"+-!~*0aA")])
    elif tag_type == "f":
        value = struct.pack(
            "<f", rng.choice((0.0, 1.0, 1.5, -2.5, 1e30, float("inf"), float("nan"), 1e-42))
        )
    elif tag_type == "d":
        value = struct.pack("<d", rng.choice((0.0, 1.0, 2.5, float("nan"))))
    elif tag_type == "Z":
        value = (
            bytes(rng.choice(b" !~:+azAZ09\t") for _ in range(rng.choice((0, 1, 7, 8, 40)))) + b"\0"
        )
    elif tag_type == "H":
        value = b"1AE301"[: 2 * rng.randrange(4)] + b"\0"
    elif tag_type == "B":
        inner = rng.choice("cCsSiIf")
        count = rng.choice((0, 1, 2, 3, 17))
        form = INTEGERS.get(inner, "f")
        numbers = [rng.choice(LIMITS[inner]) if inner in LIMITS else 0.5 for _ in range(count)]
        value = inner.encode() + struct.pack(f"<i{count}{form}", count, *numbers)
    else:
        low, high = LIMITS[tag_type]
        value = struct.pack(
            "<" + INTEGERS[tag_type],
            rng.choice((low, high, 0, 1, 2, min(high, 128), min(high, 40000))),
        )
    return code + tag_type.encode() + value


def hits_tag(rng: random.Random) -> bytes:
    """Draw an NH tag as aligners write it, in any integer type."""
    tag_type = rng.choice("cCsSiI")
    return (
        b"NH"
        + tag_type.encode()
        + struct.pack("<" + INTEGERS[tag_type], rng.choice((1, 1, 1, 1, 0, 2, 3, 100)))
    )


def random_name(rng: random.Random) -> str:
    """Draw a read name of any length that the format allows."""
    size = rng.choice((1, 2, 7, 8, 9, 15, 16, 17, 30, 60, 253, 254))
    return "".join(rng.choice("abcXYZ019:./_-#") for _ in range(size))


def _tags(rng: random.Random) -> bytes:
    tags = [random_tag(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
    # A record with two NH tags stops htseq-count, so only the changes below make some.
    tags = [tag for tag in tags if not tag.startswith((b"NH", b"CG"))]
    if rng.random() < 0.8:
        tags.append(hits_tag(rng))
    rng.shuffle(tags)
    return b"".join(tags)


def _cigar(rng: random.Random) -> dict[str, object]:
    """Draw a CIGAR: usual, unusual but allowed, or one that is stored in the tag CG."""
    chance = rng.random()
    if chance < 0.8:
        return {"cigar": random_cigar(rng)}
    if chance < 0.88:
        return {
            "cigar": rng.choice(
                (
                    "0M10M",
                    "5M0D5M",
                    "10S",
                    "3H10S3H",
                    "5I",
                    "10N",
                    "4P6M",
                    "10M200000N5M",
                    "1X",
                    "2S0M",
                    "5M3N2N5M",
                )
            )
        }
    if chance < 0.92:
        return {"cigar": random_cigar(rng), "sequence": 0}
    if chance < 0.94:
        return {"cigar": "", "sequence": rng.choice((0, 12))}
    # SAMv1, section 4.2.2: a CIGAR that is too long for its field is stored in CG, and the field
    # holds <bases>S<span>N.
    words = [
        rng.randint(1, 6) << 4 | operation
        for operation in rng.choices((0, 1, 2, 3, 4, 7, 8), k=rng.randint(1, 9))
    ]
    bases = sum(word >> 4 for word in words if (word & 15) in (0, 1, 4, 7, 8))
    span = sum(word >> 4 for word in words if (word & 15) in (0, 2, 3, 7, 8))
    integer = rng.choice((b"I", b"i"))
    tag = b"CGB" + integer + struct.pack(f"<i{len(words)}I", len(words), *words)
    return {"raw_cigar": [bases << 4 | 4, span << 4 | 3], "sequence": bases, "more_tags": tag}


def _record(rng: random.Random, name: str, flag: int, **place: int) -> bytes:
    cigar = _cigar(rng)
    more = cigar.pop("more_tags", b"")
    tags = _tags(rng)
    tags = tags + more if rng.random() < 0.7 else more + tags  # type: ignore[operator]
    content = bytearray(
        record(
            name,
            flag,
            tags=tags,
            mapq=rng.choice((0, 5, 10, 20, 60, 60, 60, 255)),
            **cigar,
            **place,
        )
    )  # type: ignore[arg-type]
    if rng.random() < 0.3:
        # Any bases and qualities; record() only has A and 33.
        start = NAME + content[NAME_LENGTH] + 4 * struct.unpack_from("<H", content, OPERATIONS)[0]
        bases = struct.unpack_from("<i", content, BASES)[0]
        first = rng.choice((0xFF, 0, 93, 40))
        for at in range(start, start + (bases + 1) // 2):
            content[at] = rng.randrange(256)
        for at in range(start + (bases + 1) // 2, start + (bases + 1) // 2 + bases):
            content[at] = first
    return bytes(content)


def _group(rng: random.Random, number: int, paired: bool) -> list[bytes]:
    """Draw all records with the same name."""
    name = random_name(rng) if rng.random() < 0.3 else f"r{number}"
    out: list[bytes] = []
    for alignment in range(rng.choice((1, 1, 1, 1, 2, 3)) if paired else 1):
        ends = []
        for which in (0x40, 0x80) if paired else (0,):
            flag = (
                which
                | (1 if paired else 0)
                | (0x100 if alignment and paired else 0)
                | (2 if rng.random() < 0.5 else 0)
            )
            for bit, chance in (
                (0x10, 0.5),
                (0x4, 0.1),
                (0x800, 0.06),
                (0x200, 0.03),
                (0x400, 0.03),
                (0x100, 0.0 if paired else 0.1),
            ):
                flag |= bit if rng.random() < chance else 0
            ends.append(
                {
                    "flag": flag,
                    "contig": rng.randrange(len(CONTIGS)),
                    "position": rng.randint(0, 1000),
                }
            )
        if paired:
            one, two = ends
            if rng.random() < 0.9:
                two.update(contig=one["contig"], position=one["position"] + rng.randint(0, 100))
            length = rng.randint(-300, 300)
            for end, mate, sign in ((one, two, 1), (two, one, -1)):
                end["flag"] |= (0x8 if mate["flag"] & 4 else 0) | (
                    0x20 if mate["flag"] & 0x10 else 0
                )
                end.update(
                    next_contig=mate["contig"], next_position=mate["position"], length=sign * length
                )
        for end in ends:
            if end["flag"] & 4 and rng.random() < 0.5:
                end.update(contig=-1, position=-1)
        out += [_record(rng, name, **end) for end in ends]  # type: ignore[arg-type]
        if rng.random() < 0.1:
            out.pop(rng.randrange(len(out)))
    return out


@lru_cache(maxsize=1)
def pool() -> tuple[list[list[bytes]], list[list[bytes]]]:
    """Return groups of sound single-end and paired-end records, always the same ones."""
    rng = random.Random(20)
    return [_group(rng, number, False) for number in range(300)], [
        _group(rng, number, True) for number in range(300)
    ]


def sound_records(rng: random.Random, paired: bool, groups: int) -> list[bytes]:
    """Draw groups of sound records. Names rarely occur in two groups."""
    chosen = rng.sample(range(300), groups)
    return [item for group in chosen for item in pool()[paired][group]]


def tags_start(item: bytearray) -> int:
    """Return where the tags of a record begin, at most its length."""
    size = NAME + item[NAME_LENGTH] + 4 * struct.unpack_from("<H", item, OPERATIONS)[0]
    bases = max(struct.unpack_from("<i", item, BASES)[0], 0)
    return min(size + (bases + 1) // 2 + bases, len(item))


def tag_places(item: bytes, start: int) -> list[int] | None:
    """Return where each tag after ``start`` begins, None if any is malformed.

    Slow and simple, and written from the specification.
    """
    widths = {"A": 1, "c": 1, "C": 1, "s": 2, "S": 2, "i": 4, "I": 4, "f": 4, "d": 8}
    starts = []
    position = start
    while position < len(item):
        starts.append(position)
        if position + 4 > len(item):
            return None
        tag_type = chr(item[position + 2])
        position += 3
        if tag_type in widths:
            position += widths[tag_type]
        elif tag_type in "ZH":
            end = item.find(b"\0", position)
            if end < 0:
                return None
            position = end + 1
        elif tag_type == "B":
            if position + 5 > len(item):
                return None
            width = widths.get(chr(item[position]), 0) if chr(item[position]) in "cCsSiIf" else 0
            count = struct.unpack_from("<i", item, position + 1)[0]
            if not width or count < 0:
                return None
            position += 5 + width * count
        else:
            return None
        if position > len(item):
            return None
    return starts
