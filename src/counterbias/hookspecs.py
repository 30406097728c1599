"""The hooks that plug-ins may implement: the markers and the specifications, nothing else.

A plug-in is a module that an entry point of group ``counterbias`` names. It marks its functions with :data:`hookimpl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from counterbias.model import Backend, BiasModel
    from counterbias.records import TrainingSet

#: Marks the specifications below.
hookspec = pluggy.HookspecMarker("counterbias")
#: Marks a plug-in's implementation of a hook.
hookimpl = pluggy.HookimplMarker("counterbias")


@hookspec
def counterbias_backends() -> list[Backend]:  # type: ignore[empty-body]
    """Offer kinds of bias model.

    Called once per plug-in, right after it was imported, whenever a command needs a bias model or lists them. It must be quick
    and import nothing heavy: ``Backend.load`` does that when the model is wanted.

    Returns:
        the plug-in's backends; their names must be unique among all plug-ins installed.
    """


@hookspec
def counterbias_qc_metrics(model: BiasModel, held_out: TrainingSet) -> dict[str, float]:  # type: ignore[empty-body]
    """Measure a fitted model with a diagnostic of your own.

    Called once per end class after a model was fitted and calibrated, before the QC file is written. A plug-in is asked about
    every model, so it first looks at the class of ``model`` and returns ``{}`` where it has nothing to say.

    Args:
        model: the fitted model of one end class (read 1, read 2 or both pooled).
        held_out: windows of genomic blocks that the model did not learn from, with their weights.

    Returns:
        name → finite value, written to ``plugin_metrics`` of the QC file. Names must be unique among all plug-ins: begin them
        with the backend's name.
    """
