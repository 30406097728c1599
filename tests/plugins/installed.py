"""The source of a plug-in that tests install, and the type of the fixture that does so."""

from __future__ import annotations

from collections.abc import Callable

#: Takes the distribution's name, the entry point's, the module's source and the version.
Install = Callable[..., None]

#: A plug-in's module: one backend, which borrows the class of pwm.
GOOD = """
from counterbias import Backend, hookimpl
def load():
    from counterbias_backends.pwm import PositionWeightMatrix
    return PositionWeightMatrix
@hookimpl
def counterbias_backends():
    return [Backend("{backend}", "from {backend}", load)]
"""
