"""MultiQC shows any text of a file as text, and no odd value in a file crashes it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import multiqc_builders as builders

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")

#: Live wherever it is not escaped: as an HTML element, as the end of an attribute or of a script,
#: as markdown, and as a template.
PAYLOAD = "'\"><img src=x onerror=PWNED(1)>[a](javascript:PWNED)`{{7*7}}**"
#: The same, ending a script and a table. Of a sample's name, only what follows the last slash is
#: kept.
CLOSING = "'\"></td></script>--><img src=x onerror=PWNED(1)>"
#: Becomes an HTML element if an escaped text is unescaped once too often.
TWICE = "&lt;img src=x onerror=PWNED(2)&gt;"
#: Texts that decide what is shown: with any other text, the report has fewer sections.
KEYWORDS = {
    "ok",
    "higher",
    "lower",
    "yes",
    "no",
    "reverse",
    "read1",
    "read2",
    "both",
    "gain_cap5",
    "auc",
    "none",
    "10,10",
}


def poisoned(tree: Any, payload: str, kept: set[str]) -> Any:
    """Append a payload to every text except those ``kept``, and to a copy of every key."""
    if isinstance(tree, dict):
        both = {key: poisoned(value, payload, kept) for key, value in tree.items()}
        return both | {f"{key}{payload}": value for key, value in both.items()}
    if isinstance(tree, list):
        return [poisoned(value, payload, kept) for value in tree]
    return f"{tree}{payload}" if isinstance(tree, str) and tree not in kept else tree


def write(folder: Path, payload: str, kept: set[str]) -> None:
    """Write two quality reports of one sample and a comparison, with a payload in every text."""
    with_alerts = {
        "contigs": {"annotation": 2, "unmatched": ["chrX"], "unmatched_features": 90},
        "warnings": ["a warning"],
        "ends": [
            builders.end(applied=False, starts=3),
            builders.end("read2", training={"curves": {"loss": [1, 2]}}),
        ],
        "strandedness": {"sense": 1, "antisense": 9, "verdict": "reverse"},
    }
    files = {
        "a.counterbias.json": builders.document("s1", **with_alerts),
        "b.counterbias.json": builders.document(
            "s1", model={"backend": "cnn", "upstream": 10, "downstream": 10}
        ),
        "x.comparison.json": builders.comparison(["s1", "s2"]),
    }
    folder.mkdir(parents=True)
    (folder / "cohort.counterbias-train.json").write_text(
        json.dumps({"counterbias_train": [1, 0], "samples": [payload], payload: payload})
    )
    for name, document in files.items():
        tag = next(
            key for key in ("counterbias_schema", "counterbias_comparison") if key in document
        )
        found = {
            tag: document[tag],
            **poisoned(
                {key: value for key, value in document.items() if key != tag}, payload, kept
            ),
        }
        (folder / name).write_text(
            "{"
            + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
            + "}"
        )


class Elements(HTMLParser):
    """Collect the HTML elements that a payload is a live part of."""

    def __init__(self) -> None:
        super().__init__()
        self.live: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = " ".join(name for name, _ in attrs)
        values = " ".join(
            value or ""
            for name, value in attrs
            if name.startswith("on") or name in ("href", "src", "style")
        )
        if "PWNED" in named or "PWNED" in values:
            self.live.append(f"{self.getpos()}: <{tag} {named}>")


def live(page: str) -> list[str]:
    parser = Elements()
    parser.feed(page)
    return parser.live


def embedded(page: str) -> list[str]:
    """Return the data of the plots, which the page decompresses and draws."""
    packed = re.search(r'id="mqc_compressed_plotdata">([^<]+)<', page)
    assert packed
    return [gzip.decompress(base64.b64decode(packed[1])).decode()]


@pytest.mark.parametrize("payload", [PAYLOAD, CLOSING, TWICE], ids=["once", "closing", "twice"])
@pytest.mark.parametrize("kept", [KEYWORDS, set()], ids=["shown", "all"])
def test_no_text_or_key_becomes_live_html(payload: str, kept: set[str], tmp_path: Path) -> None:
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
    # The page reads titles, descriptions and ids of columns as text and inserts them as HTML, so
    # that none may come from a file.
    columns = re.findall(
        r"<th id=\"(header_[^\"]*)\"[^>]*><span[^>]* title=\"([^\"]*)\"[^>]*>(.*?)</span>", page
    )
    assert len(columns) > 10
    assert "PWNED" not in str(columns)


@pytest.mark.slow
def test_plots_are_drawn_and_exported_whatever_the_names(tmp_path: Path) -> None:
    write(tmp_path / "in", PAYLOAD, KEYWORDS)
    formats = "export_plot_formats: [png]"
    done = builders.command_line(
        "-m", "counterbias", "--flat", "-p", "--cl-config", formats, "in", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert builders.complaints(done.stdout + done.stderr) == []
    assert live((tmp_path / "multiqc_report.html").read_text()) == []
    drawn = [path.name for path in (tmp_path / "multiqc_plots" / "png").iterdir()]
    assert len(drawn) > 5
    assert all(re.fullmatch(r"[\w.-]+", name) for name in drawn)


def written(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "{"
        + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
        + "}"
    )


ODD = [
    "1e999",
    "-1e999",
    "NaN",
    "1e308",
    "-1e308",
    "5e-324",
    "1e20",
    "1" + "0" * 400,
    "true",
    "null",
    '"x"',
    "[]",
    "{}",
    "[[1e308]]",
]


def test_odd_numbers_never_stop_a_report(tmp_path: Path) -> None:
    """Every number of a file is replaced by each odd value in turn."""
    sources = [
        ("run", builders.document("s"), ".counterbias.json"),
        ("compared", builders.comparison(["s"]), ".comparison.json"),
    ]
    for prefix, document, ending in sources:
        numbers = list(re.finditer(r"(?<=[\[ ])-?\d[\d.e-]*(?=[,\]}])", json.dumps(document)))
        for shift, odd in enumerate(ODD):
            text = json.dumps({**document, "run": document.get("run")})
            for number in reversed(numbers[2 + shift :: len(ODD)]):
                text = text[: number.start()] + odd + text[number.end() :]
            name = f"{prefix}{shift}"
            text = text.replace('"sample": "s"', f'"sample": "{name}"')
            (tmp_path / "in").mkdir(exist_ok=True)
            (tmp_path / "in" / f"{name}{ending}").write_text(
                text.replace(', "versions"', ',\n "versions"', 1)
            )
    found = builders.run(tmp_path / "in", output=tmp_path / "out")
    assert found.status == 0
    assert found.messages == ()
    assert len(found.rows) == 2 * len(ODD)
    assert not re.search(r"\b(NaN|Infinity)\b", json.dumps(found.data["report_saved_raw_data"]))


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    written(tmp_path / "in" / "a.counterbias.json", builders.document("s1"))
    path = tmp_path / "in" / "a.counterbias.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    found = builders.run(tmp_path / "in", output=tmp_path / "out", make_report=False)
    assert found.messages == ()
    assert set(found.rows) == {"s1"}


def test_names_are_not_markup_in_the_log(tmp_path: Path) -> None:
    """MultiQC's log understands markup, and an unmatched closing tag would stop the module."""
    for folder in ("a", "b"):
        written(
            tmp_path / folder / "[i]\x1b[31m.counterbias.json",
            builders.document("[/b]\x1b[31m", inputs={"alignments": folder}),
        )
    (tmp_path / "a" / "[bold]\x1b[5m.counterbias.json").write_text('{"counterbias_schema": [1, 0],')
    done = builders.command_line("-m", "counterbias", ".", cwd=tmp_path)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "\x1b" not in output
    assert "Skipping [bold] [5m.counterbias.json: it is not valid JSON" in " ".join(output.split())
    assert "2 samples are called b] [31m: they are shown as a, b" in " ".join(output.split())


def test_samples_of_a_comparison_are_never_lost_silently(tmp_path: Path) -> None:
    document = builders.comparison(["a/reads", "b/reads", "c"])
    document["samples"] += [{**document["samples"][0]}, {"sample": None}, 7]
    document["samples"][2]["models"][0]["model"] = None
    written(tmp_path / "in" / "comparison.json", document)
    found = builders.run(tmp_path / "in", output=tmp_path / "out", make_report=False)
    assert found.messages == ("comparison.json: skipping 4 samples or models that cannot be used",)
    assert set(found.rows) == {"a/reads", "b/reads", "c"}
