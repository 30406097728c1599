"""Every command and every piece of code on the pages runs, in the page's order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ROOT
from tests.docs.pages import Block, read_blocks
from tests.docs.running import NOT_RUN, OUTPUT, RUN, SHOWN, Place, is_run, run_page, unlike
from tests.docs.sample_files import lay_out

#: Pages that are run, from top to bottom, by tests that also look at what comes of it.
ELSEWHERE: dict[str, str] = {}


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
    [
        name
        for name, blocks in PAGES.items()
        if name not in ELSEWHERE and any(map(is_run, blocks))
    ],
)
def test_the_page_runs(page: str, root: Path, sample_files: Path, tmp_path: Path) -> None:
    code = "\n".join(block.code for block in PAGES[page] if is_run(block))
    lay_out(sample_files, code, tmp_path)
    run = run_page(root / page, Place(tmp_path))
    if run.missing:
        pytest.skip(f"all ran but what needs {', '.join(sorted(run.missing))}")
