"""The stages in their order: the only package that knows it."""

from __future__ import annotations

from counterbias.pipeline.library import count_reads, fit_model

__all__ = ["count_reads", "fit_model"]
