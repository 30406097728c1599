"""Every command and every piece of code on the pages runs, in the page's order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.docs.pages import Block, read_blocks
from tests.docs.running import NOT_RUN, OUTPUT, RUN, SHOWN, Place, is_run, run_page
from tests.docs.sample_files import lay_out

#: Pages that are run, from top to bottom, by tests that also look at what comes of it.
ELSEWHERE = {
    "docs/examples/counterbias-dinucleotide/README.md": "test_example_plugin.py",
    "docs/how-to/own-script.md": "test_own_script.py",
    "docs/how-to/simulate.md": "test_simulate_page.py",
    "docs/reference/python-api.md": "test_python_api.py",
    "docs/tutorial/your-own-model.md": "test_example_plugin.py",
    "docs/tutorial/your-own-network.md": "test_example_networks.py",
}


def every_page() -> dict[str, list[Block]]:
    """Return path → blocks of all pages that tell users what to type."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
    found += (ROOT / "docs").rglob("*.md")
    return {
        str(path.relative_to(ROOT)): list(read_blocks(path.read_text(encoding="utf-8")))
        for path in sorted(found)
    }


PAGES = every_page()


@pytest.mark.parametrize(
    "page",
    [name for name, blocks in PAGES.items() if name not in ELSEWHERE and any(map(is_run, blocks))],
)
def test_the_page_runs(
    page: str, root: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code = "\n".join(block.code for block in PAGES[page] if is_run(block))
    lay_out(code, tmp_path, tmp_path_factory)
    languages = [language for language in RUN if language != "r" or not has_tests_of_r(page)]
    run = run_page(root / page, Place(tmp_path), languages)
    if run.missing:
        pytest.skip(f"all ran but what needs {', '.join(sorted(run.missing))}")


def has_tests_of_r(page: str) -> bool:
    """Return whether tests run the page's blocks of R one by one, and look at their results."""
    name = Path(page).name
    tests = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    return any(f'"{name}"' in test and "r_blocks(" in test for test in tests)


# -- exceptions ------------------------------------------------------------------------------------


def test_blocks_say_their_language_and_exceptions_their_reason() -> None:
    found = [
        f"{page}:{block.line - 1}: {problem}"
        for page, blocks in PAGES.items()
        for block in blocks
        if (problem := problem_of(block))
    ]
    assert not found


def problem_of(block: Block) -> str | None:
    """Return what is wrong with a block or the comment before it."""
    note = block.note or ""
    if block.language not in (*RUN, *SHOWN):
        return f"is a block of {block.language!r} run or shown? Name it, or list it in running.py"
    if note.startswith("not run"):
        if block.language not in RUN:
            return "it would not be run anyhow"
        if len(note.removeprefix(NOT_RUN).split()) < 2 or not note.startswith(NOT_RUN):
            return "the comment gives no reason: <!-- not run: REASON -->"
    if note == OUTPUT and block.language != "text":
        return "output stands in a block of text"
    return None


@pytest.mark.parametrize("note", ["not run", OUTPUT])
def test_each_comment_stands_before_a_block(note: str, root: Path) -> None:
    for page, blocks in PAGES.items():
        text = (root / page).read_text(encoding="utf-8")
        prose = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
        comments = re.findall(rf"^ *<!--\s*{note}", prose, flags=re.MULTILINE)
        assert len(comments) == sum((block.note or "").startswith(note) for block in blocks), (
            f"{page}: a comment stands before no block"
        )


def test_pages_that_are_run_elsewhere_are_named_there(root: Path) -> None:
    for page, test in ELSEWHERE.items():
        assert page in PAGES
        assert "run_page(" in (root / "tests" / "docs" / test).read_text(encoding="utf-8")


def test_most_commands_are_run() -> None:
    runnable = [block for blocks in PAGES.values() for block in blocks if block.language in RUN]
    assert sum(map(is_run, runnable)) > 60
