"""Write the files that are made from the command line's parsers (``make generated``).

These are the completion scripts and the manual pages. They are kept in the repository, so that
building and installing need neither shtab nor the parsers; tests fail where one is out of date.
"""

from __future__ import annotations

from pathlib import Path

from tools.completion import completion_scripts
from tools.man_pages import man_pages

_ROOT = Path(__file__).parents[1]
COMPLETIONS = _ROOT / "src" / "counterbias" / "cli" / "completions"
MAN = _ROOT / "man"


def generated_files() -> dict[Path, str]:
    """Return each file with what it should hold."""
    files = {COMPLETIONS / shell: script for shell, script in completion_scripts().items()}
    files |= {MAN / name: page for name, page in man_pages().items()}
    return files


def main() -> None:
    """Write those files that have changed, and remove those that are made no longer."""
    files = generated_files()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(_ROOT)}")
    for folder in (COMPLETIONS, MAN):
        for path in set(folder.iterdir()) - set(files):
            path.unlink()
            print(f"removed {path.relative_to(_ROOT)}")


if __name__ == "__main__":
    main()
