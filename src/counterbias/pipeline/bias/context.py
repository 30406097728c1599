"""What all steps of one sample's bias need, gathered once."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.genome import Genome, Splices, extract, extract_stretches, extract_tiles
from counterbias.messages import ProgressCallback
from counterbias.model import BiasModel, Resources
from counterbias.model_file import ModelFile
from counterbias.options import BiasOptions
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.cross_fitting import blaming
from counterbias.plugins import Manager
from counterbias.records import (
    Features,
    FeatureTranscripts,
    Positions,
    SampleCounts,
    StartSites,
    Stretches,
)
from counterbias.sampling import last_positions
from counterbias.scoring import score_positions, score_stretches
from counterbias.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedSample:
    """What lengths are measured from, with a bias model or without.

    Args:
        sample: the sample's name.
        counts: its counts, with the start sites of the counted fragments.
        features: the annotation's.
        contig_of: per contig of ``features`` its index in ``sites.contigs``, or -1.
        options: how models are fitted, reads are weighted and lengths are measured.
        stranded: htseq-count's option.
        transcripts: those of the features, where lengths are by transcripts; else None.
    """

    sample: str
    counts: SampleCounts
    features: Features
    contig_of: NDArray[np.int64]
    options: BiasOptions
    stranded: str
    transcripts: FeatureTranscripts | None = None

    @property
    def sites(self) -> StartSites:
        """Start sites of the counted fragments."""
        assert self.counts.sites is not None
        return self.counts.sites


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleContext(CountedSample):
    """What all steps of one sample's bias need, where there is a model.

    Args:
        genome: the genome.
        choice: the backend to be fitted, or models that were fitted before.
        manager: plug-ins, for their metrics.
        splices: which exons follow each other; None where windows follow the genome.
        prior: models of other samples to blend with, or None.
        progress: called as models are fitted, or None.
    """

    genome: Genome
    choice: ModelChoice
    manager: Manager
    splices: Splices | None = None
    prior: ModelFile | None = None
    progress: ProgressCallback | None = None

    @property
    def resources(self) -> Resources:
        """What a model may use while it is fitted."""
        return Resources(self.options.threads, self.options.device, self.progress)

    def blaming(self, doing: str) -> AbstractContextManager[None]:
        """Name backend and sample in any error that the backend's code raises."""
        return blaming(self.choice.backend, self.sample, doing)

    def extract(
        self, positions: Positions, window: Window | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Cut windows at positions."""
        return extract(
            self.genome,
            self.sites.contigs,
            positions,
            window or self.choice.window,
            splices=self.splices,
        )

    def score_stretches(
        self, model: BiasModel, stretches: Stretches, *, threads: int
    ) -> NDArray[np.float64]:
        """Score all positions of stretches, float64 (positions,), nats.

        Rows follow each other, each in genome order; NaN where there is no whole window.
        """
        window = self.choice.window

        def cut(part: Stretches) -> tuple[NDArray[np.uint8], bool]:
            return extract_stretches(self.genome, self.sites.contigs, part, window)

        with self.blaming("scored"):
            if self.splices is not None:
                # Neighbouring windows may follow different transcripts.
                return score_positions(model, self.extract, stretches.positions(), threads=threads)
            return score_stretches(model, window.width, cut, stretches, threads=threads)

    def fetch(self, only: NDArray[np.bool_]) -> None:
        """Read the genome around some features ahead of its use, as far as memory allows.

        The last contig comes first, since other stages begin with the first one.
        """
        features = self.features
        chosen = np.repeat(only, np.diff(features.block_offsets))
        mapped = np.where(chosen, self.contig_of[features.block_contig], -1)
        for contig in np.unique(mapped[mapped >= 0])[::-1].tolist():
            rows = mapped == contig
            if not self.genome.fetch(
                self.sites.contigs[contig],
                features.block_start[rows],
                features.block_end[rows],
                around=self.choice.window.width,
            ):
                break

    def extract_tiles(
        self, positions: Positions, wide: Window
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Cut tiles of consecutive positions, with flanks."""
        return extract_tiles(
            self.genome, self.sites.contigs, positions, wide, self.choice.window, self.splices
        )


def contig_index(features: Features, contigs: tuple[str, ...]) -> NDArray[np.int64]:
    """Return, per contig of the features, its index among the alignments' contigs, or -1."""
    number = {name: i for i, name in enumerate(contigs)}
    return np.array([number.get(name, -1) for name in features.contigs], dtype=np.int64)


def check_genome(genome: Genome, sites: StartSites, sample: str) -> None:
    """Refuse a genome that lacks a contig with counted reads, or ends before one of them."""
    last = last_positions(sites)
    used = np.flatnonzero(last >= 0)
    try:
        genome.check([sites.contigs[i] for i in used], [int(last[i]) + 1 for i in used])
    except InputError as error:
        problem = f"{error.problem}; reads of {sample} are counted there"
        raise InputError(problem, file=error.file, place=error.place, remedy=error.remedy) from None
