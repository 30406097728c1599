"""BAM streams and headers with changes to the fields, tags and bytes of sound records."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from tests.fuzz.bam_records import (
    BASES,
    BLOCK_SIZE,
    CONTIG,
    FLAG,
    MAPQ,
    NAME,
    NAME_LENGTH,
    NEXT_CONTIG,
    NEXT_POSITION,
    OPERATIONS,
    POSITION,
    TEMPLATE,
    random_name,
    random_tag,
    sound_records,
    tag_places,
    tags_start,
)
from tests.helpers.alignment_builders import header

#: Integers at or next to a limit of some field or buffer.
EDGES = (
    -(1 << 31),
    -2,
    -1,
    0,
    1,
    2,
    31,
    32,
    35,
    36,
    255,
    256,
    4999,
    5000,
    65535,
    65536,
    1 << 28,
    (1 << 31) - 2,
    (1 << 31) - 1,
)


def _resize(item: bytearray) -> None:
    struct.pack_into("<i", item, BLOCK_SIZE, len(item) - 4)


def _edge(rng: random.Random, item: bytearray, at: int) -> None:
    """Replace an integer of four bytes by one of :data:`EDGES`, or change it a little."""
    value = rng.choice(EDGES)
    if rng.random() < 0.4:
        value = struct.unpack_from("<i", item, at)[0] + rng.choice((-2, -1, 1, 2, 4, 10))
    struct.pack_into("<I", item, at, value & 0xFFFFFFFF)


def change_number(rng: random.Random, item: bytearray) -> None:
    """Change an integer of four bytes."""
    _edge(
        rng,
        item,
        rng.choice(
            (CONTIG, POSITION, POSITION, BASES, NEXT_CONTIG, NEXT_POSITION, TEMPLATE, BLOCK_SIZE)
        ),
    )


def change_short(rng: random.Random, item: bytearray) -> None:
    """Change the length of the name, the number of operations or MAPQ."""
    which = rng.randrange(3)
    if which == 0:
        item[NAME_LENGTH] = rng.choice(
            (0, 1, 2, 3, 254, 255, (item[NAME_LENGTH] + 1) & 255, (item[NAME_LENGTH] - 1) & 255)
        )
    elif which == 1:
        number = struct.unpack_from("<H", item, OPERATIONS)[0]
        struct.pack_into(
            "<H",
            item,
            OPERATIONS,
            rng.choice((0, 1, 2, (number + 1) & 0xFFFF, (number - 1) & 0xFFFF, 65535)),
        )
    else:
        item[MAPQ] = rng.choice((0, 9, 10, 254, 255))


def change_flag(rng: random.Random, item: bytearray) -> None:
    """Change one or all bits of the flag."""
    flag = struct.unpack_from("<H", item, FLAG)[0]
    struct.pack_into(
        "<H",
        item,
        FLAG,
        rng.randrange(65536) if rng.random() < 0.2 else flag ^ 1 << rng.choice((*range(12), 15)),
    )


def change_name(rng: random.Random, item: bytearray) -> None:
    """Change the name, or put unusual bytes into it."""
    length = item[NAME_LENGTH]
    end = NAME + length
    if length < 1 or end > len(item):
        return
    chance = rng.random()
    if chance < 0.2:
        item[end - 1] = rng.choice(b"x\x01\xff")
    elif chance < 0.4:
        item[rng.randrange(NAME, end)] = rng.choice((0, 0, 9, 10, 27, 32, 128, 255))
    else:
        name = random_name(rng).encode() if chance < 0.9 else b""
        item[NAME:end] = name + b"\0"
        item[NAME_LENGTH] = len(name) + 1
        _resize(item)


def change_operation(rng: random.Random, item: bytearray) -> None:
    """Change the type or the length of one CIGAR operation."""
    number = struct.unpack_from("<H", item, OPERATIONS)[0]
    first = NAME + item[NAME_LENGTH]
    number = min(number, (len(item) - first) // 4)
    if number < 1:
        return
    at = first + 4 * rng.randrange(number)
    word = struct.unpack_from("<I", item, at)[0]
    if rng.random() < 0.6:
        word = word & ~15 | rng.randrange(16 if rng.random() < 0.3 else 9)
    else:
        size = rng.choice((0, 1, (word >> 4) + 1, max((word >> 4) - 1, 0), (1 << 28) - 1, 1 << 27))
        word = (size << 4 | word & 15) & 0xFFFFFFFF
    struct.pack_into("<I", item, at, word)


def change_cigar(rng: random.Random, item: bytearray) -> None:
    """Replace the CIGAR, often by one that no longer fits the bases."""
    first = NAME + item[NAME_LENGTH]
    number = struct.unpack_from("<H", item, OPERATIONS)[0]
    if first + 4 * number > len(item):
        return
    bases = max(struct.unpack_from("<i", item, BASES)[0], 0)
    words = [
        rng.choice((0, 1, 3, 50, 5000, 1 << 20, (1 << 28) - 1)) << 4 | rng.randrange(10)
        for _ in range(rng.choice((0, 1, 2, 3, 20)))
    ]
    if rng.random() < 0.5 and bases < 1 << 28:
        # Make the CIGAR fit the bases.
        words = [word for word in words if (word & 15) in (2, 3, 5, 6)]
        words.insert(rng.randint(0, len(words)), bases << 4 | rng.choice((0, 1, 4, 7, 8)))
    item[first : first + 4 * number] = struct.pack(f"<{len(words)}I", *words)
    struct.pack_into("<H", item, OPERATIONS, len(words))
    _resize(item)


def add_tag(rng: random.Random, item: bytearray) -> None:
    """Add a well-formed tag before, between or after the others."""
    start = tags_start(item)
    places = tag_places(bytes(item), start)
    name = rng.choice(("NH", "NH", "CG", "XF", "ZW", ""))
    if places is not None:
        at = rng.choice([*places, len(item)])
        item[at:at] = random_tag(rng, name)
        _resize(item)


def change_tag(rng: random.Random, item: bytearray) -> None:
    """Damage a tag: its type, its value or its end."""
    places = tag_places(bytes(item), tags_start(item))
    if not places:
        return
    which = rng.randrange(len(places))
    at = places[which]
    end = places[which + 1] if which + 1 < len(places) else len(item)
    chance = rng.random()
    if chance < 0.25:
        item[at + 2] = rng.choice(b"AcCsSiIfdZHBazQ\0\xff")
    elif chance < 0.4:
        item[at + 3 : end] = b"\0" * (end - at - 3)
    elif chance < 0.55:
        item[end - 1] = rng.choice(b"x\x01\xff\0")
    elif chance < 0.7 and item[at + 2] == 66 and at + 8 <= len(item):
        _edge(rng, item, at + 4)
    elif chance < 0.8 and item[at + 2] == 66:
        item[at + 3] = rng.choice(b"cCsSiIfAZHBd\0")
    elif chance < 0.9:
        item[at : at + 2] = rng.choice((b"NH", b"CG", b"XF", b"ZW", b"\0\0", b"\xff\xff", b"  "))
    else:
        del item[rng.randrange(at, end) :]
        _resize(item)


def change_bytes(rng: random.Random, item: bytearray) -> None:
    """Change, remove or insert any bytes, with or without adjusting the record's length."""
    at = rng.randrange(len(item))
    chance = rng.random()
    if chance < 0.6:
        item[at] = rng.randrange(256)
    elif chance < 0.8:
        del item[at : at + rng.choice((1, 2, 4, 8, 100))]
    else:
        item[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 4, 8, 100))))
    if rng.random() < 0.5 and len(item) >= 4:
        _resize(item)


#: Changes of one record. Those that are listed twice are drawn twice as often.
CHANGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    change_number, change_number, change_short, change_flag, change_flag, change_name,
    change_operation, change_cigar, change_cigar, add_tag, add_tag, change_tag, change_tag,
    change_bytes,
)  # fmt: skip


def random_stream(rng: random.Random, changes: int | None = None) -> list[bytes]:
    """Draw records, usually with some changes."""
    paired = rng.random() < 0.65
    records = sound_records(rng, paired, rng.choice((1, 1, 2, 3, 5, 8)))
    if rng.random() < 0.03:
        records += sound_records(rng, not paired, 1)
    if rng.random() < 0.15:
        rng.shuffle(records)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3)) if changes is None else changes):
        if not records:
            break
        at = rng.randrange(len(records))
        chance = rng.random()
        if chance < 0.05:
            records.insert(rng.randint(0, len(records)), records[at])
        elif chance < 0.07:
            del records[at]
        else:
            item = bytearray(records[at])
            if len(item) > NAME:
                rng.choice(CHANGES)(rng, item)
                records[at] = bytes(item)
    if rng.random() < 0.04 and records:
        records[-1] = records[-1][: rng.randrange(len(records[-1]) + 1)]
    return records


def random_header(rng: random.Random) -> bytes:
    """Draw a header, sometimes with a change to its numbers, names or text."""
    content = header()
    chance = rng.random()
    if chance < 0.9:
        return content
    item = bytearray(content)
    text = struct.unpack_from("<i", item, 4)[0]
    first = 12 + text
    if chance < 0.92:
        _edge(rng, item, 4)
    elif chance < 0.94:
        _edge(rng, item, 8 + text)
    elif chance < 0.96:
        _edge(rng, item, rng.choice((first, first + 9, first + 13)))
    elif chance < 0.97:
        names = [
            (
                rng.choice(("chr1", "chr2", "", "a\tb", "x" * 300, "\xe9", "chr1\n")),
                rng.choice(EDGES) & 0x7FFFFFFF,
            )
            for _ in range(3)
        ]
        return header(
            names, text=rng.choice((None, "", "@CO\thello\n", "@SQ\tSN:chr1\n", "no header at all"))
        )
    elif chance < 0.98:
        return content[: rng.randrange(len(content))]
    else:
        item[rng.randrange(len(item))] = rng.randrange(256)
    return bytes(item)
