"""The hooks that plug-ins may implement: the markers and the specifications, nothing else.

A plug-in is a module that an entry point of group ``counterbias`` names. It marks its functions
with :data:`hookimpl`.
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
    """Offer bias models.

    Called once per plug-in, right after it was imported, whenever a command needs a bias model or
    lists them. It must be quick and import nothing heavy: ``Backend.load`` does that when the model
    is needed.

    Returns:
        the plug-in's backends; their names must be unique among all installed plug-ins.
    """


@hookspec
def counterbias_qc_metrics(  # type: ignore[empty-body]
    model: BiasModel, held_out: TrainingSet
) -> dict[str, float]:
    """Measure a fitted model with a diagnostic of the plug-in's own.

    Called once per read end after a model was fitted and calibrated, before the quality report is
    written. Every plug-in is asked about every model, so it first checks the class of ``model`` and
    returns ``{}`` for the models of others.

    Args:
        model: a fitted model of one read end (read 1, read 2, or both pooled).
        held_out: windows of genomic blocks that the model did not learn from, with their weights.

    Returns:
        name → finite value, written to ``ends[].metrics`` of the quality report. Names must be
        unique among all plug-ins: begin them with the backend's name.
    """
