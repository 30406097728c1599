"""Compiling all loops into one shared library, when a wheel or an editable installation is made.

numba compiles each loop for each set of types (:mod:`.compiling`), one object file each, which is
kept until the loop changes; a C compiler links them with a caller (``caller.c``) and a table
(:mod:`.linking`). What this takes from numba's inside is in :mod:`.compiling` alone.
"""
