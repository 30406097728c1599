"""Tests of the scripts behind "Does it work?"."""
