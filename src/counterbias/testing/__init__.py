"""The conformance suite: tests of everything that a backend must do, for its author to run.

In a test module::

    from counterbias.testing import conformance
    TestMyBackend = conformance("my-backend")

or, without pytest, ``check_backend("my-backend")``. The data are small and simulated here: windows
drawn base by base from a known composition, so that the true log bias is known. Slow backends can
be tested in seconds with fewer ``starts`` and lighter ``options``.
"""

from counterbias.scoring import TOLERANCE
from counterbias.testing.checks import (
    CHECKS,
    WINDOW_CHECKS,
    check_along,
    check_arrays_refused,
    check_declaration,
    check_determinism,
    check_input_untouched,
    check_learns,
    check_not_fitted,
    check_report,
    check_round_trip,
    check_rows_are_independent,
    check_scores,
    check_small_samples,
    check_strand_symmetry,
    check_threads,
)
from counterbias.testing.samples import (
    planted_effects,
    planted_log_bias,
    planted_sample,
    reverse_complement,
)
from counterbias.testing.subject import WINDOWS, OneBackend, Subject
from counterbias.testing.suite import check_backend, conformance

__all__ = [
    "CHECKS",
    "TOLERANCE",
    "WINDOWS",
    "WINDOW_CHECKS",
    "OneBackend",
    "Subject",
    "check_along",
    "check_arrays_refused",
    "check_backend",
    "check_declaration",
    "check_determinism",
    "check_input_untouched",
    "check_learns",
    "check_not_fitted",
    "check_report",
    "check_round_trip",
    "check_rows_are_independent",
    "check_scores",
    "check_small_samples",
    "check_strand_symmetry",
    "check_threads",
    "conformance",
    "planted_effects",
    "planted_log_bias",
    "planted_sample",
    "reverse_complement",
]
