"""Writers of results: count tables, tagged alignments, reports.

A file has a temporary name until it is complete.
"""
