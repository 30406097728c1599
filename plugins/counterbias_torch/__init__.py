"""Any torch network as a bias model: subclass :class:`NetworkModel` and return the network.

Importing this package imports torch; a plug-in imports it in ``Backend.load``, not when it is
listed. Docs: docs/tutorial/your-own-network.md, docs/reference/networks.md.
"""

from counterbias_torch.model import NetworkModel
from counterbias_torch.options import OBJECTIVES, PRECISIONS, TrainingOptions

__all__ = ["OBJECTIVES", "PRECISIONS", "NetworkModel", "TrainingOptions"]
