"""Tests of plug-ins: loading them, and what the core asks of them."""
