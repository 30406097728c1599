"""A calibrated model of one read end, with all that is known of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.composition import Signature
from counterbias.evaluation.units import Units
from counterbias.model import BiasModel
from counterbias.model_file import EndModel
from counterbias.pipeline.bias.cross_fitting import CrossFitted
from counterbias.pipeline.bias.deferred import Deferred
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.bias.learnable import SplitEnd
from counterbias.weights import Calibration


@dataclass(frozen=True, slots=True)
class EndReport:
    """A read end's entry in the quality report, and what plug-ins did wrong, one line each."""

    entry: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class FittedEnd:
    """A calibrated model of one read end, with all that is known of it.

    Args:
        reads: the read end.
        split: its starts, and the windows that the model learnt from, split into folds.
        model: the fitted model.
        calibration: found by models that did not see the windows they were judged on.
        fitted: the sample's own model and those that judge it.
        scores: what these gave the windows of starts and background, float64 each, nats; NaN where
            there was none.
        background: scores of the background windows by the model itself, nats, and their weights.
        blended: where the model is a blend, both shares, and the gain of each part alone.
        learnable: whether its reads can be learnt from; if not, no model is used for them.
        signature: finds where composition differs from the background, in a wide window.
        units: finds the exon bins by which the model is measured.
        report: the entry in ``ends`` of the quality report, after :meth:`finish`.
    """

    reads: ReadEnd
    split: SplitEnd
    model: BiasModel
    calibration: Calibration
    fitted: CrossFitted
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    background: tuple[NDArray[np.float64], NDArray[np.float64]]
    blended: dict[str, float] = field(default_factory=dict)
    learnable: bool = True
    signature: Callable[[], Signature | None] = lambda: None
    units: Callable[[], Units] | None = None
    report: EndReport = field(default_factory=EndReport)
    _pending: Deferred[EndReport] | None = None

    @property
    def starts(self) -> int:
        """Number of distinct trainable starts."""
        return len(self.split.starts)

    def begin_report(
        self, executor: Executor | None, describe: Callable[[FittedEnd], EndReport]
    ) -> None:
        """Begin the report by ``describe``, once the calibration is settled."""
        self._pending = Deferred(executor, lambda: describe(self))

    def finish(self) -> None:
        """Wait for the report; raises what went wrong with it."""
        if self._pending is not None:
            self.report = self._pending()
            self._pending = None

    def end_model(self) -> EndModel:
        """Return the entry for the model file; slope and offset are 0 where it is not used."""
        calibration, used = self.calibration, self.calibration.applied
        shrunk = used and calibration.length_slope < 1 and self.fitted.report
        return EndModel(
            label=self.reads.label,
            model=self.model,
            offset=-calibration.constant if used else 0.0,
            slope=calibration.slope if used else 0.0,
            starts=self.starts,
            held_out_gain=float(calibration.gain) if np.isfinite(calibration.gain) else None,
            length_slope=calibration.length_slope if shrunk else None,
        )
