"""Whole commands on inputs and machines of all sorts."""
