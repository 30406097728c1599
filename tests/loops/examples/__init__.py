"""Loops of every kind, which the tests compile into a small library with the room's own builder."""
