"""A sample's own model and one of other samples → the blend that predicts held-out starts best.

Both shares are found on windows that the sample's own model did not see, as are slope and gate. So
that a blend is not judged on the starts that its shares were fitted to, starts in odd blocks of the
genome are judged with the shares of the even blocks, and vice versa. A prior that was fitted to
reads of the same genome may have learnt from these very places; the docs say so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.model import BiasModel
from counterbias.model_file import EndModel, ModelFile, load_models
from counterbias.pipeline.bias.held_out import calibrate_scores, gain_blocks
from counterbias.plugins import Manager
from counterbias.records import Window
from counterbias.sampling import Windows
from counterbias.scoring import score
from counterbias.weights import Calibration, best_shares


def load_prior(path: str, manager: Manager, *, window: Window | None) -> ModelFile:
    """Read the model to blend with. Raises InputError where it cannot be, or would add nothing."""
    file = load_models(path, manager, window=window)
    if file.prior is not None:
        raise InputError(
            "this model is a blend already",
            file=path,
            remedy="give the model that it was blended with",
        )
    if file.no_model:
        raise InputError(
            f"there is no model in this file: {file.no_model}", file=path, remedy="leave it out"
        )
    if all(end.slope == 0 for end in file.ends):
        raise InputError(
            "this model gained nothing in its own sample and gives every read the weight 1",
            file=path,
            remedy="leave it out",
        )
    return file


def prior_end(prior: ModelFile, number: int) -> EndModel:
    """Return the prior's model for a read, or the other read's where it gained nothing."""
    return max((prior.end(number), *prior.ends), key=lambda end: end.slope > 0)


def blend(
    own: BiasModel,
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    prior: EndModel,
    windows: Windows,
    *,
    threads: int = 1,
) -> tuple[Blend, Calibration, dict[str, float]]:
    """Blend two models, and judge the blend.

    Args:
        own: the sample's own model.
        scores: of starts and background, nats, by models like ``own`` that did not see them.
        prior: the model of other samples; its slope is ignored, since its share has the same
            effect in this sample.
        windows: starts and background.
        threads: threads for scoring.

    Returns:
        the blend; its calibration, whose constant is still to be found
        (:func:`~counterbias.weights.recentred`); and for the report both shares and the gain of
        each model alone, bits per start.
    """
    prior_scores = [
        score(prior.model, part, threads=threads)
        for part in (windows.foreground, windows.background)
    ]
    # Where no model of the sample's own can judge, it counts as unbiased.
    own_scores = [np.nan_to_num(part, nan=0.0) for part in scores]
    foreground, background = (
        np.stack(pair, axis=1) for pair in zip(own_scores, prior_scores, strict=True)
    )
    odd = gain_blocks(windows.starts) % 2 == 1
    crossed = foreground[:, 0].copy(), background[:, 0].copy()
    for judged in (odd, ~odd):
        rows, places = np.flatnonzero(~judged), np.flatnonzero(~judged[windows.origin])
        row_of = np.cumsum(~judged) - 1
        shares = best_shares(
            foreground[rows],
            background[places],
            windows.foreground_weight[rows],
            row_of[windows.origin[places]],
        )
        for target, source, chosen in zip(
            crossed, (foreground, background), (judged, judged[windows.origin]), strict=True
        ):
            target[chosen] = source[chosen] @ shares
    calibration = calibrate_scores(*crossed, windows, own=True)
    shares = best_shares(foreground, background, windows.foreground_weight, windows.origin)
    own_share, prior_share = shares.tolist()
    details = {"own_share": own_share, "prior_share": prior_share}
    for name, alone in (("own", scores), ("prior", prior_scores)):
        details[f"{name}_gain"] = calibrate_scores(alone[0], alone[1], windows).gain
    model = Blend(own, prior.model, own_share, prior_share)
    return model, calibration, details
