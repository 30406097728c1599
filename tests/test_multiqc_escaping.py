"""MultiQC: whatever the texts of a file hold, the report shows it as text; files of odd values are shown or named, never a crash."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import multiqc_builders as builders

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")

#: Live where it is not escaped: as an element, as the end of an attribute or of a script, as markdown, as a template.
PAYLOAD = "'\"><img src=x onerror=PWNED(1)>[a](javascript:PWNED)`{{7*7}}**"
#: The same, out of a script and a table; a sample's name keeps what follows the last slash.
CLOSING = "'\"></td></script>--><img src=x onerror=PWNED(1)>"
#: What an element may look like once an escaped text is unescaped once too often.
TWICE = "&lt;img src=x onerror=PWNED(2)&gt;"
#: Texts that choose what is shown; with any other text less of the report is there to look at.
CHOOSING = {"ok", "higher", "lower", "yes", "no", "reverse", "read1", "read2", "both", "gain_cap5", "auc", "none", "10,10"}


def poisoned(tree: Any, payload: str, kept: set[str]) -> Any:
    """Append a payload to every text but those ``kept``, and give every object each key a second time with it."""
    if isinstance(tree, dict):
        both = {key: poisoned(value, payload, kept) for key, value in tree.items()}
        return both | {f"{key}{payload}": value for key, value in both.items()}
    if isinstance(tree, list):
        return [poisoned(value, payload, kept) for value in tree]
    return f"{tree}{payload}" if isinstance(tree, str) and tree not in kept else tree


def write(folder: Path, payload: str, kept: set[str]) -> None:
    """Write two QC files of one sample and a comparison, with a payload wherever a text may stand."""
    warned = {"contigs": {"annotation": 2, "unmatched": ["chrX"], "unmatched_features": 90}, "warnings": ["a warning"],
              "ends": [builders.end(applied=False, starts=3), builders.end("read2", training={"parameters": 3, "curves": {"loss": [1, 2]}})],
              "strandedness": {"sense": 1, "antisense": 9, "verdict": "reverse"}}  # fmt: skip
    files = {
        "a.counterbias.json": builders.document("s1", **warned),
        "b.counterbias.json": builders.document("s1", model={"backend": "cnn", "upstream": 10, "downstream": 10}),
        "x.comparison.json": builders.comparison(["s1", "s2"]),
    }
    folder.mkdir(parents=True)
    for name, document in files.items():
        tag = next(key for key in ("counterbias_schema", "counterbias_comparison") if key in document)
        found = {tag: document[tag], **poisoned({key: value for key, value in document.items() if key != tag}, payload, kept)}
        (folder / name).write_text("{" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()) + "}")


class Elements(HTMLParser):
    """Collect the elements that a browser would make, and the texts of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.live: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = " ".join(name for name, _ in attrs)
        values = " ".join(value or "" for name, value in attrs if name.startswith("on") or name in ("href", "src", "style"))
        if "PWNED" in named or "PWNED" in values:
            self.live.append(f"{self.getpos()}: <{tag} {named}>")


def live(page: str) -> list[str]:
    parser = Elements()
    parser.feed(page)
    return parser.live


def embedded(page: str) -> list[str]:
    """Give the texts of the plots' data, which the page unpacks and draws."""
    packed = re.search(r'id="mqc_compressed_plotdata">([^<]+)<', page)
    assert packed
    return [gzip.decompress(base64.b64decode(packed[1])).decode()]


@pytest.mark.parametrize("payload", [PAYLOAD, CLOSING, TWICE], ids=["once", "closing", "twice"])
@pytest.mark.parametrize("kept", [CHOOSING, set()], ids=["shown", "all"])
def test_nothing_of_any_text_or_key_is_live(payload: str, kept: set[str], tmp_path: Path) -> None:
    write(tmp_path / "in", payload, kept)
    found = builders.run(tmp_path / "in", output=tmp_path / "out")
    assert found.status == 0
    assert found.messages == ()
    page = found.html
    assert "PWNED" in page
    assert live(page) == []
    for text in (page, *embedded(page)):
        assert "<img src=x" not in text
        assert "49**" not in text
