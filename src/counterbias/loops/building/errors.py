"""What keeps loops from being compiled."""

from __future__ import annotations


class BuildingError(Exception):
    """Loops cannot be compiled; the message names the loop or the program concerned."""
