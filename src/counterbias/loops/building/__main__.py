"""``python -m counterbias.loops.building``: compile the loops of a checkout that have changed."""

from __future__ import annotations

import sys
from pathlib import Path

from counterbias.loops.building.library import build_in_place
from counterbias.loops.building.linking import LinkingError


def main() -> int:
    """Build for this machine, beside the sources; 0 if it worked."""
    try:
        build_in_place(Path.cwd() / "build" / "loops")
    except LinkingError as problem:
        print(f"The loops could not be compiled: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
