r"""Real reads: effective lengths of genes compared with salmon's average transcript lengths.

    COUNTERBIAS_DATA=DIR python benchmarks/validation/real_lengths.py --json real_lengths.json

The paired fly library. salmon is given the spliced transcripts of the same annotation, and the
reads of the pairs whose mates are both aligned; a pair with one aligned mate, which counting uses,
cannot be given to it. Its length of a gene is that of tximport: the mean effective length of the
gene's transcripts, weighted by their TPM. Lengths without bias are compared with those of salmon,
lengths with it with those of salmon --seqBias, over genes with enough fragments; only ratios
matter, so a factor common to all genes never counts.

There is no truth here: a difference says that the tools disagree, not which of them is right.
peers.py has the truth. The half consistency of benchmarks/weights_real.py is not measured again: it
compares alternating blocks of the same exon bins, whose lengths are none of a gene's, so that
`--bias-lengths` cannot change it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import pysam
import reporting as rep
from numpy.typing import NDArray
from quantifiers import CORRECTS, run, salmon_index, salmon_quant, version
from scipy.stats import pearsonr, spearmanr

from counterbias import simulation
from counterbias.options import LENGTHS, NONE
from counterbias.pipeline.simulate.inputs import read_gene_models, read_genome

SCRIPT = "real_lengths.py"
FOLDER = "fly_pasilla_chr4"
UNION, TRANSCRIPTS = LENGTHS
SALMON = "salmon"
CORRECTED = f"{SALMON} {CORRECTS[SALMON]}"
#: salmon's advice for reads below 75 bases is a shorter k-mer than its default of 31.
KMER = 19

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Genes:
    """What a tool says of each gene, float64 (genes,), in the order of the annotation.

    Args:
        length: effective length, bases; NaN without fragments.
        tpm: molecules per million.
        counts: fragments.
    """

    length: Floats
    tpm: Floats
    counts: Floats


# -- input of salmon -------------------------------------------------------------------------------


def write_pairs(alignments: Path, mates: Sequence[Path]) -> Counter[str]:
    """Write the pairs whose mates are both aligned as two FASTQ files, sorted by name.

    A read with several alignments is written once. Returns the numbers of ``pairs`` and of
    fragments left out, ``one mate``.
    """
    found: dict[str, list[str | None]] = {}
    with pysam.AlignmentFile(str(alignments)) as source:
        for record in source:
            if record.is_secondary or record.is_supplementary or record.is_unmapped:
                continue
            name = str(record.query_name)
            reads = found.setdefault(name, [None, None])
            if reads[record.is_read2] is None:
                bases = record.get_forward_sequence()
                qualities = pysam.qualities_to_qualitystring(record.get_forward_qualities())
                reads[record.is_read2] = f"@{name}/{record.is_read2 + 1}\n{bases}\n+\n{qualities}\n"
    number: Counter[str] = Counter()
    with mates[0].open("w") as first, mates[1].open("w") as second:
        for _, (one, other) in sorted(found.items()):
            if one is None or other is None:
                number["one mate"] += 1
                continue
            first.write(one)
            second.write(other)
            number["pairs"] += 1
    return number


# -- lengths of genes ------------------------------------------------------------------------------


def average_lengths(
    table: dict[str, list[str]], gene_of: dict[str, str], genes: Sequence[str]
) -> Genes:
    """Sum salmon's transcripts to genes, as tximport does.

    A gene's length is Σ TPM × EffectiveLength / Σ TPM over its transcripts.
    """
    row = {gene: number for number, gene in enumerate(genes)}
    of = np.array([row[gene_of[name]] for name in table["Name"]])
    tpm, length, counts = (
        np.array(table[name], np.float64) for name in ("TPM", "EffectiveLength", "NumReads")
    )
    total, weighted, fragments = (
        np.bincount(of, values, minlength=len(genes)) for values in (tpm, tpm * length, counts)
    )
    mean = np.divide(weighted, total, out=np.full(len(genes), np.nan), where=total > 0)
    return Genes(mean, total, fragments)


def run_salmon(
    sample: est.Sample, genes: Sequence[str], folder: Path, threads: int
) -> tuple[dict[str, Genes], NDArray[np.int64], Counter[str]]:
    """Run salmon without and with --seqBias on the reads of a sample.

    Returns tool → genes; the number of transcripts of each gene; and the numbers of fragments.
    """
    genome = read_genome(str(sample.genome))
    models, _ = read_gene_models(str(sample.annotation), genome)
    simulation.write_transcripts(folder / "transcripts.fa", genome, models)
    gene_of = {
        name: models.gene_ids[gene]
        for name, gene in zip(models.transcript_ids, models.transcript_gene.tolist(), strict=True)
    }
    mates = [folder / "reads_1.fastq", folder / "reads_2.fastq"]
    fragments = write_pairs(sample.alignments, mates)
    index = folder / "index"
    run([*salmon_index(folder / "transcripts.fa", index, threads), "-k", str(KMER)])
    found = {}
    for tool in (SALMON, CORRECTED):
        output = folder / tool.replace(" ", "")
        corrects = tool == CORRECTED
        run(salmon_quant(index, mates, output, corrects=corrects, threads=threads))
        found[tool] = average_lengths(est.read_table(output / "quant.sf"), gene_of, genes)
    transcripts = Counter(gene_of.values())
    return found, np.array([transcripts[gene] for gene in genes]), fragments


def count(sample: est.Sample, model: str, lengths: str, threads: int) -> est.Counted:
    """Count with a model and one kind of effective lengths."""
    return est.count_with(sample, model, est.Training(threads=threads, lengths=lengths))


def genes_of(counted: est.Counted, genes: Sequence[str]) -> Genes:
    """Return what counting says of each gene."""
    columns = (
        est.in_order(counted.ids, genes, np.asarray(counted.columns[name], np.float64))
        for name in ("effective_length", "tpm_corrected", "raw")
    )
    return Genes(*columns)


# -- comparison ------------------------------------------------------------------------------------


def compare(own: Floats, other: Floats, chosen: NDArray[np.bool_]) -> dict[str, float]:
    """Compare values of genes above zero in both.

    Returns ``number``, that of the genes; ``spearman``; ``pearson`` of logs; and ``spread``, the
    standard deviation of the log2 ratio.
    """
    rows = chosen & np.isfinite(own) & np.isfinite(other) & (own > 0) & (other > 0)
    x, y = np.log2(own[rows]), np.log2(other[rows])
    return {
        "number": int(rows.sum()),
        "spearman": float(spearmanr(x, y).statistic),
        "pearson": float(pearsonr(x, y).statistic),
        "spread": float((x - y).std()),
    }


def compare_all(
    found: dict[str, Genes], salmon: dict[str, Genes], transcripts: NDArray[np.int64], fewest: float
) -> list[dict[str, Any]]:
    """Compare every kind of lengths with those of salmon that know as much about bias."""
    rows = []
    for label, own in found.items():
        rival = SALMON if label.startswith(NONE) else CORRECTED
        other = salmon[rival]
        enough = (own.counts >= fewest) & (other.counts >= fewest)
        for genes, chosen in (("all", enough), ("several transcripts", enough & (transcripts > 1))):
            for what in ("length", "tpm", "counts"):
                measures = compare(getattr(own, what), getattr(other, what), chosen)
                about = {"lengths": label, "salmon": rival, "genes": genes, "of": what}
                rows.append({**about, **measures})
    return rows


# -- tables ----------------------------------------------------------------------------------------


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Format the agreement of one quantity."""
    laid = [
        ["lengths", "compared with", "genes", "", "Spearman", "Pearson, log", "SD of log2 ratio"]
    ]
    for row in rows:
        figures = [f"{row[name]:.4f}" for name in ("spearman", "pearson", "spread")]
        about = [row[name] for name in ("lengths", "salmon", "genes")]
        laid.append([*about, str(row["number"]), *map(rep.minus, figures)])
    return rep.markdown(laid)


def report(rows: list[dict[str, Any]], fragments: Counter[str], fewest: float) -> str:
    parts = [
        f"{fragments['pairs']:,} pairs were given to salmon, {fragments['one mate']:,} with one "
        f"aligned mate were not; genes with at least {fewest:g} fragments in both."
    ]
    headings = {"length": "Effective lengths", "tpm": "TPM", "counts": "Fragments"}
    for what, heading in headings.items():
        own = [row for row in rows if row["of"] == what]
        if what == "counts":  # which do not depend on lengths
            first = own[0]["lengths"]
            own = [row for row in own if row["lengths"] == first]
        parts += [f"### {heading} of genes, against salmon", table(own)]
    return "\n\n".join(parts)


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for("Compare effective lengths of real reads with those of salmon.")
    parser.add_argument("--models", type=rep.names, default="cnn", help="bias models [%(default)s]")
    parser.add_argument(
        "--fewest", type=float, default=50, help="minimum fragments of a gene [%(default)s]"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    root = rep.data_folder() / FOLDER
    if not root.is_dir():
        rep.log(f"error: no real data at {rep.data_folder()} (set COUNTERBIAS_DATA)")
        return 1
    if not shutil.which(SALMON):
        rep.log("error: salmon is not installed (Debian package salmon)")
        return 1
    sample = est.Sample(root / "reads.bam", root / "genes.gtf", root / "genome.fa")
    counted = {
        f"{model}, {lengths}": count(sample, model, lengths, arguments.threads)
        for model in (NONE, *arguments.models)
        for lengths in LENGTHS
    }
    genes = next(iter(counted.values())).ids
    with tempfile.TemporaryDirectory() as name:
        salmon, transcripts, fragments = run_salmon(sample, genes, Path(name), arguments.threads)
    found = {label: genes_of(one, genes) for label, one in counted.items()}
    rows = compare_all(found, salmon, transcripts, arguments.fewest)
    about = {"version": version(SALMON), "fragments": dict(fragments), "kmer": KMER}
    rep.write_json(arguments.json, SCRIPT, argv, {**about, "rows": rows})
    print(report(rows, fragments, arguments.fewest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
