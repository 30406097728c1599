"""The hooks that plug-ins may implement: the markers and the specifications, nothing else.

A plug-in is a module named by an entry point of the group ``counterbias``. It marks its
implementations with :data:`hookimpl`; a hook may take any subset of the arguments specified here.
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
    """Return the bias models that the plug-in offers.

    Called once per plug-in, right after its import, whenever a command needs or lists bias models.
    It must be quick and import nothing heavy: that is left to ``Backend.load``, which is called
    when the model is used.

    Returns:
        The plug-in's backends. Their names must be unique among all installed plug-ins: a name that
        two plug-ins offer can be used from neither.
    """


@hookspec
def counterbias_qc_metrics(model: BiasModel, held_out: TrainingSet) -> dict[str, float]:  # type: ignore[empty-body]
    """Return diagnostics of a fitted model for the quality report.

    Called once per read end after a model was fitted and calibrated, before the quality report is
    written. It is called for the models of all backends, so check the class of ``model`` first and
    return ``{}`` for models of other backends. A hook that raises loses its values but never stops
    the run: the error becomes a warning in the quality report.

    Args:
        model: a fitted model of one read end (read 1, read 2, or both pooled) that did not see
            ``held_out``; so not the model that weights the reads, unless that comes from a file.
        held_out: the windows of the first fold of genomic blocks, with their weights, and its tiles
            where the model needs them.

    Returns:
        Metric name → finite number, written to ``ends[].metrics`` of the quality report. Names
        must be unique among all plug-ins: begin them with the backend's name, as in
        ``gru.hidden``.
    """
