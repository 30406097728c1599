"""Figures of a comparison: numbers in, SVG and PNG files out.

matplotlib draws them and is imported here only, at use. The same numbers give the same bytes: no dates, no random identifiers, no state
shared with other users of matplotlib.
"""

from counterbias.figures.data import ModelFigures, SampleFigures
from counterbias.figures.drawing import FIGURES, MISSING, draw_sample, is_available

__all__ = ["FIGURES", "MISSING", "ModelFigures", "SampleFigures", "draw_sample", "is_available"]
