"""Tests, laid out as the sources: a folder per package, and ``helpers`` for what several of them use."""

from pathlib import Path

#: The project's root folder.
ROOT = Path(__file__).resolve().parents[1]
