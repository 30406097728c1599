"""Tests of ``counterbias train``."""
