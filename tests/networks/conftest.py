"""Fixtures of the tests of networks."""

from __future__ import annotations

import pytest


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small samples be trained on for fewer steps than it takes to learn much."""
    lessons = pytest.importorskip("counterbias_torch.lessons")
    monkeypatch.setattr(lessons, "LEAST_STEPS", 15)
