"""Figures of a comparison: numbers in, SVG and PNG files out.

They are drawn with matplotlib, which is imported only here, when a figure is drawn. The same
numbers give the same bytes: no dates, no random identifiers, no state shared with other users of
matplotlib.
"""

from __future__ import annotations

from counterbias.figures.data import ModelFigures, SampleFigures
from counterbias.figures.drawing import MISSING, draw, is_available, is_figure

__all__ = ["MISSING", "ModelFigures", "SampleFigures", "draw", "is_available", "is_figure"]
