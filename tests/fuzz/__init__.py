"""Fuzzing that knows the formats: each target changes sound inputs in ways that their structure suggests, and an oracle judges the result.

A *target* is a module of :mod:`fuzz.targets` with two functions: ``mutate(rng)`` gives an input (a :class:`~fuzz.case.Case`), the
same one for the same state of ``rng``; ``check(case)`` gives the outcome in a few words (``counted``, ``refused: …``) and raises
whatever it likes where something is wrong. :mod:`fuzz.runner` runs a target over many inputs in processes of their own, sees crashes
and hangs too, makes failing inputs small and keeps them; ``python -m tests.fuzz --help`` is its command line. Inputs that once failed
are kept as files in ``cases/``.
"""
