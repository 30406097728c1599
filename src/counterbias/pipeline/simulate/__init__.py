"""``counterbias simulate``: reads with a known bias and a known abundance.

The order of the stages stands in :mod:`.run`.
"""

from counterbias.pipeline.simulate.run import SimulationOptions, SimulationRun, simulate

__all__ = ["SimulationOptions", "SimulationRun", "simulate"]
