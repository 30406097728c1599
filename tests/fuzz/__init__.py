"""Fuzzing that knows the formats: targets change sound inputs, and an oracle judges the result.

A *target* is a module of :mod:`fuzz.targets` with two functions:

- ``mutate(rng)`` draws an input, a :class:`~fuzz.case.Case`. The same state of ``rng`` gives the
  same input.
- ``check(case)`` returns the outcome in a few words (``counted``, ``refused: …``), and raises any
  exception if something is wrong.

:mod:`fuzz.runner` runs a target on many inputs in other processes. It notices crashes and hangs,
too, shrinks failing inputs and keeps them. ``python -m tests.fuzz --help`` describes its command
line. Inputs that once failed are kept as files in ``cases/``.
"""
