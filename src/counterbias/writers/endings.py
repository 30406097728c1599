"""Endings of the files that a run with corrected counts writes for each sample, after its prefix.

:mod:`counterbias.cli.naming` makes names of them; ``collect`` finds one of these files by another.
"""

#: Corrected counts, model and quality report.
TABLE, MODEL, REPORT = ".counts.tsv", ".model", ".counterbias.json"
#: Genes and, where lengths are by transcripts, isoforms, as RSEM names and lays out such files.
GENES, ISOFORMS = ".genes.results", ".isoforms.results"
