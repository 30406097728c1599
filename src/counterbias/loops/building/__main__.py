"""``python -m counterbias.loops.building``: compile the loops of a checkout that have changed."""

from __future__ import annotations

import sys
from pathlib import Path

from counterbias.loops.building.errors import BuildingError
from counterbias.loops.building.library import build_in_place


def main() -> int:
    """Build for this machine, beside the sources; 0 if it worked."""
    try:
        build_in_place(Path.cwd() / "build" / "loops")
    except (BuildingError, OSError) as problem:
        print(f"The loops could not be compiled: {problem}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as problem:
        if problem.name not in ("numba", "llvmlite"):
            raise
        print(
            "The loops could not be compiled: numba is not installed. "
            "Run: pip install 'counterbias[jit]'",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
