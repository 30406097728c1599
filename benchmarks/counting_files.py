"""The simulated files that are counted: annotation, genome and alignments, made where missing."""

from __future__ import annotations

import json
import time
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from counting_records import write_realistic_bam
from shared import contig_lengths, log

from counterbias import simulation

#: Threads that simulate; nothing depends on their number.
THREADS = 2


@dataclass(frozen=True)
class Design:
    """What the simulated files depend on, besides the number of pairs.

    Args:
        genes: genes on up to 22 contigs; 20,000 have about 183,000 exon lines.
        read_length: bases per read.
        stranded: as for ``counterbias count``.
        instrument: whose read names and base qualities the files have.
        seed: determines every byte.
    """

    genes: int = 20_000
    read_length: int = 50
    stranded: str = "yes"
    instrument: str = "hiseq"
    seed: int = 1


class Files:
    """The simulated files of one folder, stored with what they were made from."""

    def __init__(self, folder: Path, design: Design) -> None:
        self.folder, self.design = folder, design
        self.gtf, self.fasta = folder / "genes.gtf", folder / "genome.fa"
        self._models: tuple[simulation.Genome, simulation.GeneModels] | None = None
        self._fragments: simulation.FragmentModel | None = None
        self._reads: tuple[int, simulation.Reads] | None = None

    def make(self) -> int:
        """Write annotation and genome, and return the number of exon lines."""
        if not self._fresh(self.gtf):
            genome, genes = self._genome_and_genes()
            simulation.write_fasta(self.fasta, genome)
            simulation.write_gtf(self.gtf, genes)
            self._stamp(self.gtf)
        with self.gtf.open() as stream:
            return sum("\texon\t" in line for line in stream)

    def bam(self, order: str, pairs: int) -> Path:
        """Return the path of a BAM file of so many pairs, sorted by ``name`` or ``pos``."""
        path = self.folder / f"{order}_{pairs}.bam"
        if not self._fresh(path):
            started = time.perf_counter()
            records = write_realistic_bam(path, self._drawn(pairs), order, self.design.instrument)
            self._stamp(path)
            size, seconds = path.stat().st_size, time.perf_counter() - started
            each = f" of {size / records:.1f} bytes" if records else ""
            log(
                f"simulated {path.name}: {size / 1e6:.1f} MB, {records:,} records{each}, "
                f"in {seconds:.1f} s"
            )
        return path

    def forget(self) -> None:
        """Free the memory of what files are made from."""
        self._models = self._fragments = self._reads = None

    def _drawn(self, pairs: int) -> simulation.Reads:
        """Return the reads of a sample; both sort orders have the same."""
        if self._reads is None or self._reads[0] != pairs:
            self._reads = None
            # The weights of a model do not depend on how many fragments are drawn.
            model = copy(self._fragment_model())
            model.library = replace(model.library, fragments=pairs)
            rng = np.random.default_rng([self.design.seed, pairs])
            abundance = simulation.simulate_abundance(rng, model.genes)
            self._reads = pairs, simulation.draw_reads(rng, model, abundance)
        return self._reads[1]

    def _fragment_model(self) -> simulation.FragmentModel:
        if self._fragments is None:
            library = simulation.Library(
                1,
                self.design.read_length,
                stranded=self.design.stranded,
                multi_mapped=0.05,
                unmapped_mate=0.02,
                unmapped=0.03,
                error_rate=0.002,
            )
            bias = simulation.simulate_priming_bias(np.random.default_rng(self.design.seed))
            models = *self._genome_and_genes(), library, bias
            self._fragments = simulation.FragmentModel(*models, threads=THREADS)
        return self._fragments

    def _genome_and_genes(self) -> tuple[simulation.Genome, simulation.GeneModels]:
        if self._models is None:
            rng = np.random.default_rng([self.design.seed, 0])
            lengths = contig_lengths(self.design.genes)
            genome = simulation.simulate_genome(rng, lengths)
            form = simulation.AnnotationDesign(mean_exons=6.5, second_isoform=0.5)
            genes = simulation.simulate_annotation(rng, lengths, self.design.genes, design=form)
            self._models = genome, genes
        return self._models

    def _fresh(self, path: Path) -> bool:
        stamp = path.with_name(path.name + ".json")
        if not (path.exists() and stamp.exists()):
            return False
        return bool(json.loads(stamp.read_text()) == asdict(self.design))

    def _stamp(self, path: Path) -> None:
        path.with_name(path.name + ".json").write_text(json.dumps(asdict(self.design)))
