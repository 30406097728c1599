"""Loops compiled before: the caller in C, the library, and how it is built."""
