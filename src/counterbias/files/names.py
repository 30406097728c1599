"""Names whose bytes are not UTF-8, as a Latin-1 ``ø`` in a file's name is not."""

from __future__ import annotations


def readable(text: str) -> str:
    r"""Give a text that UTF-8 can hold: each byte that is not UTF-8 becomes an escape, as in ``pr\xf8ve.bam``.

    JSON and HDF5 hold nothing but UTF-8. Tables of text keep such a name's bytes as they are, as htseq-count does.
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which no file's name makes
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
