"""How sampling gets its bases: the pipeline passes in a function that cuts windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from counterbias.records import Positions, Window

#: Windows, uint8 (n, width), and which of them are whole and without N, bool (n,).
CutWindows = tuple[NDArray[np.uint8], NDArray[np.bool_]]

#: Cuts windows of a given size at positions.
Cut = Callable[[Positions, Window], CutWindows]
