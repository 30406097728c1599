"""Endings of the files that a run with corrected counts writes for each sample, after its prefix.

:mod:`counterbias.cli.naming` makes names of them; ``collect`` finds one of these files by another.
"""

#: Corrected counts, model, quality report, and what the run says of them.
TABLE, MODEL, REPORT, LOG = ".counts.tsv", ".model", ".counterbias.json", ".log"
#: Genes and, where lengths are by transcripts, isoforms, as RSEM names and lays out such files.
GENES, ISOFORMS = ".genes.results", ".isoforms.results"
#: Expected bias for a genome browser, by the strand of the read: + and -.
TRACKS = (".forward.bw", ".reverse.bw")


def track_endings(label: str) -> tuple[str, str]:
    """Return the endings of the files of expected bias of a read end, by strand.

    ``label`` is ``both`` for reads that share a model, else ``read1`` or ``read2``.
    """
    end = "" if label == "both" else f".{label}"
    return end + TRACKS[0], end + TRACKS[1]
