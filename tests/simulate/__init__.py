"""Tests of ``counterbias simulate``."""
