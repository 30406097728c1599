"""An input of any target, and how it is kept as a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Case:
    """Bytes in parts (records, lines, files: whatever may be left out to make an input smaller) and options, which JSON can hold."""

    parts: list[bytes]
    options: dict[str, Any] = field(default_factory=dict)

    def dump(self) -> str:
        """Give the case as JSON: bytes as text of the characters 0 to 255, so that what is text in them stays readable."""
        return (
            json.dumps(
                {"options": self.options, "parts": [part.decode("latin-1") for part in self.parts]},
                indent=1,
            )
            + "\n"
        )

    @staticmethod
    def load(path: Path) -> Case:
        """Read a case that :meth:`dump` gave."""
        content = json.loads(path.read_text())
        return Case([part.encode("latin-1") for part in content["parts"]], content["options"])
