"""The peers of `differential.py`: salmon's estimates of transcripts, which tximport sums to genes.

Its manual calls this way of testing the recommended one: counts summed to genes, with the average
lengths of their transcripts as offsets (Soneson et al. 2015).
"""

from __future__ import annotations

import time
from pathlib import Path

import estimates as est
import reporting as rep
from differential_studies import Study, Tables
from quantifiers import CORRECTS, run, salmon_index, salmon_quant, version

from counterbias.options import AssumedLengths

PEERS = ("salmon",)
#: The method of the tests.
SALMON = f"salmon {CORRECTS['salmon']}, tximport"
#: The R package that reads salmon's results → its Debian package.
TXIMPORT = {"tximport": "r-bioc-tximport"}


def available(peers: list[str], versions: dict[str, str | None]) -> list[str]:
    """Return the peers that can run; say of the others what is missing."""
    missing = {"salmon": "salmon"} if versions["salmon"] is None else {}
    if versions["tximport"] is None:
        missing |= TXIMPORT
    if not peers or not missing:
        return peers
    names, packages = " and ".join(missing), " ".join(missing.values())
    rep.log(f"salmon is left out: there is no {names} (Debian's {packages})")
    return []


def peer_versions(r_versions: dict[str, str | None]) -> dict[str, str | None]:
    """Return the versions of salmon and tximport; None for what is not installed."""
    return {"salmon": version("salmon"), **{name: r_versions.get(name) for name in TXIMPORT}}


def add_salmon(tables: Tables, study: Study, threads: int) -> None:
    """Quantify all samples with salmon, bias corrected.

    Fragment lengths of single-end reads are those that counterbias assumes.
    """
    began, folder = time.perf_counter(), study.folder / "salmon"
    index = study.folder / "salmon_index"
    run(salmon_index(study.folder / "transcripts.fa", index, threads))
    for name in study.names:
        run(
            salmon_quant(
                index,
                _reads(study, name),
                folder / name,
                corrects=True,
                lengths=AssumedLengths(),
                threads=threads,
            )
        )
    truth = est.read_table(study.folder / f"{study.names[0]}.transcripts.tsv")
    pairs = zip(truth["transcript_id"], truth["gene_id"], strict=True)
    lines = ["transcript_id\tgene_id", *("\t".join(pair) for pair in pairs)]
    (folder / "tx2gene.tsv").write_text("\n".join(lines) + "\n")
    tables.quantified[SALMON] = folder
    tables.seconds[SALMON] = time.perf_counter() - began


def _reads(study: Study, name: str) -> list[Path]:
    """Return the FASTQ files of a sample: two of pairs, else one."""
    endings = ("_1", "_2") if study.library.paired else ("",)
    return [study.folder / f"{name}{ending}.fastq.gz" for ending in endings]
