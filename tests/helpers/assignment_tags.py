"""Records with the tags in which other counters leave their assignments."""

from __future__ import annotations

import struct

from counterbias.options import CountingOptions
from tests.helpers.alignment_builders import pair

#: Genes a and b overlap; the names of three others contain what separates names in a tag.
GTF = "".join(
    f'chr1\tt\texon\t{start}\t{start + 99}\t.\t{strand}\t.\tgene_id "{name}";\n'
    for name, start, strand in [
        ("a", 101, "+"),
        ("b", 151, "+"),
        ("c", 401, "-"),
        ("x,y", 601, "+"),
        ("x+y", 801, "+"),
        ("x;y", 901, "+"),
        ("__odd", 1001, "+"),
    ]
)
NH = b"NHC\1"
XT, XF, GX = (CountingOptions(assigned=tag, stranded="no") for tag in ("XT", "XF", "GX"))


def text(tag: str, value: str) -> bytes:
    return f"{tag}Z{value}\0".encode()


def xs(status: str, features: str = "", number: int | None = None) -> bytes:
    """Return the tags of featureCounts, after NH."""
    tags = NH + text("XS", status)
    if features:
        number = features.count(",") + 1 if number is None else number
        tags += b"XNi" + struct.pack("<i", number) + text("XT", features)
    return tags


def xf(value: str) -> bytes:
    return NH + text("XF", value)


def retagged(content: bytes, tags: bytes) -> bytes:
    """Replace the tags of a record, which were NH alone."""
    assert content.endswith(NH)
    body = content[4 : -len(NH)] + tags
    return struct.pack("<i", len(body)) + body


def tagged_pair(name: str, one: bytes, two: bytes, first: int = 110) -> list[bytes]:
    mates = pair(name, first, first + 300)
    return [retagged(mate, tags) for mate, tags in zip(mates, (one, two), strict=True)]
