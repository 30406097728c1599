"""Tests of ``counterbias compare``."""
