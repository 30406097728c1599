"""Names whose bytes are not UTF-8, such as a Latin-1 ``ø`` in a file's name."""

from __future__ import annotations


def readable(text: str) -> str:
    r"""Escape the bytes of a name that are not UTF-8, as in ``pr\xf8ve.bam``.

    JSON and HDF5 hold only UTF-8. Text tables keep the bytes of such names as they are, as
    htseq-count does.
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate, which no file name gives
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
