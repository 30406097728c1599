"""Endings of the files that a run with corrected counts writes for each sample, after its prefix.

:mod:`counterbias.cli.naming` makes names of them; ``collect`` finds one of these files by another.
"""

#: Corrected counts, model, quality report, and what the run says of them.
TABLE, MODEL, REPORT, LOG = ".counts.tsv", ".model", ".counterbias.json", ".log"
#: Genes and, where lengths are by transcripts, isoforms, as RSEM names and lays out such files.
GENES, ISOFORMS = ".genes.results", ".isoforms.results"
