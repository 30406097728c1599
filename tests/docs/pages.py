"""What stands on a page: its sections, code blocks and calls of counterbias."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def section(page: str, heading: str) -> str:
    """Return what stands below a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"no heading {heading}"
    return found.group(1)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of counterbias in the console blocks of a page."""
    for block in blocks(text, "console"):
        lines = re.sub(r" *\\\n(?:> )? *", " ", block).splitlines()
        for line in lines:
            if not re.match(r"[$>] ", line) or "…" in line or "counterbias " not in line:
                continue
            words = shlex.split(line[2:], comments=True)
            if "counterbias" not in words:
                continue
            words = words[words.index("counterbias") + 1 :]
            if words:  # not `pip install counterbias`
                yield list(itertools.takewhile(lambda word: word not in (">", "|", "<"), words))
