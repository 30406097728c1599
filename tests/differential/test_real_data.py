"""Every set of real reads with many combinations of options: byte for byte what htseq-count writes.

htseq-count is slow, so most combinations run on a fixed part of each file's fragments (whole
fragments, by a checksum of their name) and on the annotation of the contigs that these touch; a few
run on whole files.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import pysam
import pytest

from tests.differential.harness import compare, require_oracle

#: Alignment file (its annotation is in the same folder) → one fragment in this many is taken.
SETS = {
    "fly_pasilla_chr4/reads.bam": 120,
    "human_maqc_chr22/HBR_Rep1.bam": 1,
    "human_maqc_chr22/HBR_Rep2.bam": 1,
    "human_maqc_chr22/HBR_Rep3.bam": 1,
    "human_maqc_chr22/UHR_Rep1.bam": 2,
    "human_maqc_chr22/UHR_Rep2.bam": 2,
    "human_maqc_chr22/UHR_Rep3.bam": 2,
    "human_trimmed/SRR1039508.bam": 8,
    "yeast/isowt5.bam": 24,
    "yeast/isowt6.bam": 24,
    "yeast/rlp5.bam": 18,
    "yeast/unbiased.bam": 32,
}

#: The order of the file (``-r``) comes first.
COMBINATIONS = {
    "defaults, by name": "name",
    "unstranded, by position": "pos -s no",
    "reverse, strict": "pos -s reverse -m intersection-strict -a 0",
    "nonempty, all": "name -s no -m intersection-nonempty --nonunique all",
    "fraction": "pos -s no --nonunique fraction -m union --with-header",
    "fraction, nonempty, secondary": (
        "name -m intersection-nonempty --nonunique fraction --secondary-alignments score"
    ),
    "secondary, supplementary": (
        "pos -s no --secondary-alignments score --supplementary-alignments score "
        "--nonunique all -a 3"
    ),
    "sam": "name -s no -o {out}/x.sam --nonunique all --secondary-alignments score",
    "sam by position": "pos -s reverse -o {out}/x.sam -m intersection-nonempty",
    "bam": "pos -s no -o {out}/x.bam -p BAM --nonunique fraction -m intersection-strict",
    "exons": (
        "name -s no -i gene_id -i exon_number -t exon -t CDS --additional-attr gene_id "
        "--add-chromosome-info"
    ),
    "tsv": "pos -s no -c {out}/x.tsv --with-header --additional-attr transcript_id",
    "csv": "name -s reverse -c {out}/x.csv -d , -a 60 -q",
    "mtx": "pos -s no -c {out}/x.mtx --nonunique fraction --additional-attr gene_id",
    "sparse": "name -s yes -c {out}/x.mtx --counts-output-sparse -m intersection-strict",
}

#: Whole files.
WHOLE = [
    ("fly_pasilla_chr4/reads.bam", "-r pos -s no"),
    (
        "human_trimmed/SRR1039508.bam",
        "-r pos -s no -o {out}/x.bam -p bam --nonunique all --secondary-alignments score",
    ),
    ("human_maqc_chr22/UHR_Rep1.bam", "-r pos -s reverse -o {out}/x.sam"),
    ("yeast/isowt5.bam", "-s no -m intersection-nonempty -o {out}/x.sam"),
    ("yeast/unbiased.bam", "-s yes --nonunique fraction --secondary-alignments score -t CDS"),
]


@dataclass(frozen=True)
class Part:
    """The alignments taken from one file, in both orders, and the annotation for them."""

    alignments: dict[str, Path]
    annotation: Path


@pytest.fixture(autouse=True, scope="module")
def _oracle() -> None:
    require_oracle()


@pytest.fixture(scope="module")
def parts(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Part]:
    """A folder for the parts, each of which is made when it is first needed."""
    return {}


def make_part(name: str, data_dir: Path, folder: Path) -> Part:
    """Take every n-th fragment, sorted by position as it comes, and by name."""
    source = data_dir / name
    with pysam.AlignmentFile(str(source), check_sq=False) as stream:
        taken = [
            record
            for record in stream
            if zlib.crc32((record.query_name or "").encode()) % SETS[name] == 0
        ]
        files = {"pos": folder / "pos.bam", "name": folder / "name.bam"}
        for order, path in files.items():
            records = (
                taken
                if order == "pos"
                else sorted(taken, key=lambda record: record.query_name or "")
            )
            with pysam.AlignmentFile(str(path), "wb", template=stream) as target:
                for record in records:
                    target.write(record)
        contigs = {record.reference_name for record in taken}
    assert len(taken) > 500, "too few fragments to tell anything"
    genes = source.parent / "genes.gtf"
    kept = [
        line
        for line in genes.read_text().splitlines(keepends=True)
        if line.startswith("#") or line.split("\t", 1)[0] in contigs
    ]
    (folder / "genes.gtf").write_text("".join(kept))
    return Part(files, folder / "genes.gtf")


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("name", SETS)
def test_part(
    name: str,
    combination: str,
    data_dir: Path,
    parts: dict[str, Part],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if name not in parts:
        parts[name] = make_part(name, data_dir, tmp_path_factory.mktemp("part"))
    order, *options = COMBINATIONS[combination].split()
    part = parts[name]
    if "transcript_id" in options and "human_trimmed" in name:
        options = [option.replace("transcript_id", "gene_name") for option in options]
    if "exon_number" in options and "exon_number" not in part.annotation.read_text():
        options = [option.replace("exon_number", "transcript_id") for option in options]
    outcome = compare(
        ["-r", order, *options, str(part.alignments[order]), str(part.annotation)], tmp_path
    )
    assert outcome.status == 0
    written = outcome.stdout or "".join(
        content.decode("latin-1") for content in outcome.files.values()
    )
    assert any(character in written for character in "123456789")


@pytest.mark.parametrize(("name", "options"), WHOLE, ids=[name for name, _ in WHOLE])
def test_whole_file(name: str, options: str, data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / name
    outcome = compare([*options.split(), str(source), str(source.parent / "genes.gtf")], tmp_path)
    assert outcome.status == 0
    assert outcome.stdout.count("\n") > 20
