"""One alignment file's counts: records → mates paired → fragments → features.

:mod:`.run` moves batches of records through threads, and :mod:`.counter` says what is done with
each. Mates are joined in :mod:`.pairing` (files sorted by name; :mod:`.missing_mates`) or
:mod:`.pairing_by_position` (:mod:`.waiting_mates`), and fragments are assigned to features in
:mod:`.assignment`. What is kept of them are start sites (:mod:`.starts`) and records to be written
with ``-o`` (:mod:`.tagged`).
"""

from counterbias.pipeline.counting.listeners import Listeners
from counterbias.pipeline.counting.run import ReadingOptions, count_alignments

__all__ = ["Listeners", "ReadingOptions", "count_alignments"]
