"""How pages are run: what is a command, what is output, and what a failure says."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.docs.pages import read_blocks, read_commands
from tests.docs.running import PageFailure, Place, Run, run_page, unlike
from tests.docs.sample_files import lay_out


def run(folder: Path, text: str) -> Run:
    (folder / "page.md").write_text(textwrap.dedent(text), encoding="utf-8")
    return run_page(folder / "page.md", Place(folder))


def test_commands_go_on_after_a_backslash_and_at_the_second_prompt() -> None:
    text = (
        "1. Do\n\n    <!-- not run: far too slow -->\n    ```console\n"
        "    $ one a \\\n          b   # why\n    its output\n\n"
        "    $ for x in a b; do\n    >   two $x\n    > done\n    > more output\n    ```\n"
    )
    (block,) = read_blocks(text)
    assert (block.language, block.line, block.note) == ("console", 5, "not run: far too slow")
    first, second = read_commands(block)
    assert first.line == 5
    assert first.code == "one a \\\n      b   # why"
    assert first.shown == ("its output", "")
    assert second.line == 9
    assert second.code == "for x in a b; do\n  two $x\ndone\nmore output"


def test_a_page_is_run_from_top_to_bottom(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        ```console
        $ word=made
        $ for name in a b; do
        >   echo $word by $name > $name.txt
        > done
        ```

        ```python
        text = open("a.txt").read()
        ```

        <!-- not run: for show only -->
        ```console
        $ false
        ```

        ```python
        print(text, end="")
        ```

        ```bash
        cat b.txt
        ```
        """,
    )
    assert found.text == "made by a\nmade by b\n"
    assert found.output[19] == "made by a\n"


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("```console\n$ true\n$ echo why >&2; false\n```", 3, "why"),
        ("```console\n$ false | cat\n```", 2, "exit status 1"),
        ("```console\n$ echo $unknown\n```", 2, "unknown: unbound"),
        ("```python\nx = 1\n1 / 0\n```", 2, 'page.md", line 3'),
        ("```bash\nexit 3\n```", 2, "exit status 3"),
        ("```console\n$ pip install .\n```", 2, "no-environment"),
        ("```console\n$ echo 12 genes\n12 exons\n```", 3, "no line '# exons'"),
        ("```console\n$ echo 12\n```\n\n<!-- output -->\n```text\nx\n```", 7, "no line 'x'"),
    ],
)
def test_a_failure_names_page_and_line(tmp_path: Path, code: str, line: int, message: str) -> None:
    with pytest.raises(PageFailure) as failure:
        run(tmp_path, code + "\n")
    told = str(failure.value)
    assert told.startswith(f"{tmp_path / 'page.md'}:{line}: ")
    assert message in told


def test_blocks_of_r_share_their_names(tmp_path: Path) -> None:
    found = run(tmp_path, "```r\nx <- 1:3\n```\n\n```r\nsum(x)\n```\n")
    if found.missing:
        pytest.skip(f"no {found.missing}")
    assert found.output[6] == "[1] 6\n"


def test_packages_of_r_that_are_missing_are_told(tmp_path: Path) -> None:
    assert run(tmp_path, "```r\nlibrary(nosuchpackage)\n```\n").missing & {
        "R package nosuchpackage",
        "Rscript",
    }


def test_home_is_the_folder(tmp_path: Path) -> None:
    run(tmp_path, "```console\n$ echo x > ~/here\n```\n")
    assert (tmp_path / "here").read_text() == "x\n"


@pytest.mark.parametrize(
    ("shown", "alike"),
    [
        (["gain 0.5 ± 0.1", "used"], True),
        (["gain   9 ± 1"], True),
        (["used", "gain 0.5 ± 0.1"], False),
        (["gain … 0.1"], True),
        (["gain 0.5"], False),
        (["", "used"], True),
    ],
)
def test_shown_lines_are_among_those_written(shown: list[str], alike: bool) -> None:
    assert (unlike(shown, "first\ngain 0.72 ± 0.02\n\nused\n") is None) == alike


def test_files_that_a_page_names_are_laid_out(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    code = "for s in a b; do count $s.bam genes.gtf; done; count mine.bam; count made/other.bam"
    lay_out(code, tmp_path, tmp_path_factory)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.bam",
        "b.bam",
        "genes.gtf",
        "mine.bam",
    ]
