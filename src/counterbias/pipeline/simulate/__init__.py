"""``counterbias simulate``: reads with a known bias and known abundances.

:mod:`.run` shows the order of the stages.
"""

from counterbias.pipeline.simulate.run import SimulationRun, simulate
from counterbias.simulation_options import SimulationOptions

__all__ = ["SimulationOptions", "SimulationRun", "simulate"]
