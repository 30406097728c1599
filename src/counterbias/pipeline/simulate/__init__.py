"""``counterbias simulate``: reads with a known bias and known abundances.

:mod:`.run` shows the order of the stages.
"""

from counterbias.pipeline.simulate.options import SimulationOptions
from counterbias.pipeline.simulate.run import SimulationRun, simulate

__all__ = ["SimulationOptions", "SimulationRun", "simulate"]
