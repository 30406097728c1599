"""GTF or GFF3 file → :class:`~counterbias.records.Annotation`, features and steps of the genome.

Every rule here is htseq-count's, down to its attribute syntax and the way it counts lines. A
compiled scanner (:mod:`.scanner`) reads the ordinary lines straight from the file's bytes; every
line that is in any way unusual goes through :mod:`.lines`, which is slow, exact and the only place
that reports malformed lines. :mod:`.steps` then cuts the genome at the features' edges, and
:mod:`.transcripts` lays the exons of their transcripts along them.
"""

from __future__ import annotations

from counterbias.annotation.loading import load_annotation

__all__ = ["load_annotation"]
