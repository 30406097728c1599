"""Measure what a bias model explains, on genomic blocks that it did not learn from.

Everything here takes and returns numpy arrays and :mod:`counterbias.records`; it imports no stage and no backend.
"""
