"""One alignment file's counts: records → mates paired → fragments → features.

:mod:`.counter` moves batches of records through these steps. Mates are joined in :mod:`.pairing`
(files sorted by name) and :mod:`.pairing_by_position`, fragments are assigned to features in
:mod:`.assignment`; what is kept of them are start sites (:mod:`.starts`) and records to be written
with ``-o`` (:mod:`.tagged`).
"""

from counterbias.pipeline.counting.counter import Listeners, ReadingOptions, count_alignments

__all__ = ["Listeners", "ReadingOptions", "count_alignments"]
