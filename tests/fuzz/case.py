"""An input of any target, and its file format."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Case:
    """Bytes in parts, and options that JSON can hold.

    Parts are what may be left out to make an input smaller: records, lines or files.
    """

    parts: list[bytes]
    options: dict[str, Any] = field(default_factory=dict)

    def dump(self) -> str:
        """Return the case as JSON, with bytes as the characters 0 to 255 to keep text readable."""
        return (
            json.dumps(
                {"options": self.options, "parts": [part.decode("latin-1") for part in self.parts]},
                indent=1,
            )
            + "\n"
        )

    @staticmethod
    def load(path: Path) -> Case:
        """Read a file with the text of :meth:`dump`."""
        content = json.loads(path.read_text())
        return Case([part.encode("latin-1") for part in content["parts"]], content["options"])
