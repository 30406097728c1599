"""Draw and write the figures."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterbias.errors import harmless
from counterbias.figures import panels
from counterbias.figures.data import SampleFigures
from counterbias.files import remove_leftovers_in, whole_stream

#: Figure's name in file names → function that draws it, or returns None with nothing to draw.
FIGURES: dict[str, Callable[[Any, SampleFigures], Any]] = {
    "composition": panels.composition,
    "fold_change": panels.fold_change,
    "before_after": panels.before_after,
    "gain_cost": panels.gain_cost,
    "reliability": panels.reliability,
    "truth": panels.truth,
    "truth_difference": panels.truth_difference,
}
#: Message if matplotlib is not installed.
MISSING = "no figures are drawn: they need matplotlib; pip install 'counterbias[compare]'"

#: Formats: extension, dots per inch, and metadata that would change from run to run.
_FORMATS: tuple[tuple[str, int, dict[str, None]], ...] = (
    ("svg", 100, {"Date": None, "Creator": None}),
    ("png", 200, {"Software": None}),
)
#: Text stays text in SVG; identifiers come from this salt and the content.
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "counterbias",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 100,
    "text.parse_math": False,
}


def is_available() -> bool:
    """Return whether matplotlib is installed, without importing it."""
    return importlib.util.find_spec("matplotlib") is not None


@contextmanager
def style() -> Iterator[Any]:
    """Yield matplotlib's ``Figure``, to be called within this context, so that all look alike.

    Settings of other users of matplotlib neither matter nor change.
    """
    # Without a home folder, matplotlib warns about its temporary folder, which is harmless.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield Figure


def write_figure(figure: Any, stem: str | os.PathLike[str]) -> list[str]:
    """Write a figure that was drawn in :func:`style`, still within it: ``STEM.svg``, ``STEM.png``.

    Returns the paths of the files.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    written = []
    for extension, dpi, metadata in _FORMATS:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=extension, dpi=dpi, metadata=metadata)
        path = f"{os.fspath(stem)}.{extension}"
        with whole_stream(path) as file:
            file.write(buffer.getvalue())
        written.append(path)
    return written


def draw_sample(sample: SampleFigures, folder: str | os.PathLike[str]) -> list[str]:
    """Draw all figures of a sample, ``SAMPLE.NAME.svg`` and ``.png``.

    Returns the paths of the files written.

    Raises:
        InputError: a file cannot be written.
    """
    target, shown = Path(folder), _harmless(sample)
    remove_leftovers_in(target)
    written = []
    with style() as new_figure:
        for name, draw in FIGURES.items():
            figure = draw(new_figure, shown)
            if figure is not None:
                written += write_figure(figure, target / f"{sample.name}.{name}")
    return written


def _harmless(sample: SampleFigures) -> SampleFigures:
    """Escape characters in names that cannot be drawn or are not allowed in SVG."""
    models = [replace(model, name=harmless(model.name)) for model in sample.models]
    return replace(
        sample, name=harmless(sample.name), models=models, truth_label=harmless(sample.truth_label)
    )
