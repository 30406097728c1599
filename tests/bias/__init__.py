"""Tests of fitting, judging and using bias models."""
