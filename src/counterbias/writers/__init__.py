"""Writers of results: count tables, tagged alignments, reports, logs.

A file has a temporary name until it is complete.
"""
