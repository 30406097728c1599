"""Draw and write the figures."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterbias.errors import harmless
from counterbias.figures.along import AlongFigure, along
from counterbias.figures.changes import evenness, replicates, truth_difference
from counterbias.figures.clouds import ma, truth, truth_residuals
from counterbias.figures.composition import composition
from counterbias.figures.data import SampleFigures
from counterbias.figures.gains import gain_cost, gain_depth
from counterbias.figures.layout import Page
from counterbias.figures.reliability import reliability
from counterbias.files import remove_leftovers_in, whole_stream, writing_errors

#: Figure's name in file names → function that returns its pages; none with nothing to draw.
FIGURES: dict[str, Callable[[Sequence[SampleFigures]], list[Page]]] = {
    "composition": composition,
    "ma": ma,
    "gain_cost": gain_cost,
    "gain_depth": gain_depth,
    "reliability": reliability,
    "evenness": evenness,
    "replicates": replicates,
    "truth": truth,
    "truth_residuals": truth_residuals,
    "truth_difference": truth_difference,
}
#: The first word of the names of figures along genes, and the characters that follow.
ALONG, PLAIN_NAME = "along", "[A-Za-z0-9._-]+"
#: Figures of which earlier versions drew one per sample, ``SAMPLE.NAME``.
_PER_SAMPLE = (
    "composition",
    "fold_change",
    "before_after",
    "gain_cost",
    "reliability",
    "truth",
    "truth_difference",
)
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


def draw(
    samples: Sequence[SampleFigures],
    folder: str | os.PathLike[str],
    genes: Iterable[tuple[str, AlongFigure]] = (),
) -> list[str]:
    """Draw all figures, ``NAME.svg`` and ``NAME.png``; several pages are ``NAME.1``, ``NAME.2``, ….

    Figures and pages of an earlier run in this folder that there are no more are removed.

    Args:
        samples: what all figures but those along genes show.
        folder: where they are written.
        genes: a name for each gene, and what its figure, ``along.NAME``, shows.

    Returns the paths of the files written.

    Raises:
        InputError: a file cannot be written or removed.
    """
    target, shown = Path(folder), [_harmless(one) for one in samples]
    remove_leftovers_in(target)
    written: list[str] = []
    with style() as new_figure:
        for name, pages_of in FIGURES.items():
            pages = pages_of(shown)
            for number, page in enumerate(pages, start=1):
                stem = f"{name}.{number}" if len(pages) > 1 else name
                written += write_figure(page(new_figure), target / stem)
        for name, shown_along in genes:
            written += write_figure(along(new_figure, shown_along), target / f"{ALONG}.{name}")
    _remove_earlier(target, [one.name for one in samples], written)
    return written


def _remove_earlier(folder: Path, samples: Sequence[str], written: Sequence[str]) -> None:
    """Remove figures that an earlier run has drawn and this one has not."""
    one_sample = {
        f"{sample}.{name}.{extension}"
        for sample in samples
        for name in _PER_SAMPLE
        for extension, _, _ in _FORMATS
    }
    kept = {Path(path).name for path in written}
    for path in sorted(folder.iterdir()):
        if path.name not in kept and (is_figure(path.name) or path.name in one_sample):
            with writing_errors(path):
                path.unlink()


def is_figure(name: str) -> bool:
    """Return whether a file's name is that of a figure."""
    stem = rf"({'|'.join(FIGURES)})(\.[1-9][0-9]*)?|{ALONG}\.{PLAIN_NAME}"
    return re.fullmatch(rf"({stem})\.(svg|png)", name) is not None


def _harmless(sample: SampleFigures) -> SampleFigures:
    """Escape characters in names that cannot be drawn or are not allowed in SVG."""
    models = [replace(model, name=harmless(model.name)) for model in sample.models]
    return replace(
        sample, name=harmless(sample.name), models=models, truth_label=harmless(sample.truth_label)
    )
