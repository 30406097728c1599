"""Writing results: count tables and tagged alignments, each under a temporary name until it is whole."""
