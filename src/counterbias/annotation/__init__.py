"""GTF or GFF3 file → :class:`~counterbias.records.Annotation`: the features and the genome cut at their edges.

What htseq-count makes of a file decides every rule here, down to its attribute syntax and the way it counts lines. A compiled
scanner (:mod:`.scanner`) takes the ordinary lines straight from the file's bytes; each line that is in any way unusual goes
through :mod:`.lines`, which is slow, exact and the only place that reports broken lines. :mod:`.steps` then cuts the genome.
"""

from __future__ import annotations

from counterbias.annotation.loading import load_annotation
from counterbias.annotation.steps import make_steps

__all__ = ["load_annotation", "make_steps"]
