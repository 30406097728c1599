"""Measure what a bias model explains, on genomic blocks that it did not learn from.

Functions take and return numpy arrays and :mod:`counterbias.records`; no stage or backend is
imported.
"""
