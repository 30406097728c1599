"""Tests, laid out as the sources are; ``helpers`` holds what several folders use."""

from pathlib import Path

#: The project's root folder.
ROOT = Path(__file__).resolve().parents[1]
