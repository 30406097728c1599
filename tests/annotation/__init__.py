"""Tests of reading annotations."""
