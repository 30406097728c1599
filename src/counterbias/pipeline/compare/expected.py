"""What the model of a trial expects along genes: only where it has not learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.compare.along import Track
from counterbias.pipeline.compare.jobs import Job, Kept
from counterbias.pipeline.compare.trial_models import restore_calibration, restore_model
from counterbias.scoring import score


def expect_along(tracks: Sequence[Track], job: Job, kept: Kept) -> None:
    """Add the bias of all places of the trial's fold, as a count would use it.

    The model and its calibration come from the other folds. It is restored from what the cache
    keeps even if it was fitted just now, so that both give the same.

    Raises:
        InputError: the backend refuses the arrays that it returned.
    """
    wanted = [
        (track, rows)
        for track in tracks
        if track.end == job.end.label
        for rows in [np.flatnonzero(track.fold == job.trial.fold)]
        if len(rows)
    ]
    if not wanted:
        return
    result, arrays = kept
    model = restore_model(job.outcome.candidate, job.choice, arrays)
    calibration = restore_calibration(result["calibration"])
    for track, rows in wanted:
        contexts, valid = job.folds.cut(track.places.take(rows), job.choice.window)
        log_bias: NDArray[np.float64] = np.full(len(rows), np.nan)
        log_bias[valid] = score(model, contexts[valid])
        track.add(str(job.outcome.candidate), rows, np.exp(calibration(log_bias)))
