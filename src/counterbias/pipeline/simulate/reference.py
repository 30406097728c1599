"""The genome and the genes that reads are simulated from: drawn, or supplied by the user."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from counterbias import simulation
from counterbias.pipeline.simulate.inputs import read_gene_models, read_genome
from counterbias.pipeline.simulate.streams import Stream, random_stream
from counterbias.simulation_options import SimulationOptions

#: Mean length of the isochores of a simulated genome.
_ISOCHORE = 20_000


@dataclass(frozen=True, slots=True)
class Reference:
    """A genome and its genes.

    Args:
        genome, genes: of all samples.
        skipped: reason → transcripts of the user's annotation that cannot be used.
        simulated: whether both were drawn.
    """

    genome: simulation.Genome
    genes: simulation.GeneModels
    skipped: Counter[str]
    simulated: bool


def make_reference(options: SimulationOptions) -> Reference:
    """Read the user's genome and genes, or draw them. Raises InputError."""
    if options.genome is not None and options.annotation is not None:
        genome = read_genome(options.genome)
        genes, skipped = read_gene_models(options.annotation, genome)
        return Reference(genome, genes, skipped, simulated=False)
    rng, lengths = random_stream(options.seed, Stream.GENOME), options.contig_lengths
    genome = simulation.simulate_genome(rng, lengths, isochore=_ISOCHORE)
    genes = simulation.simulate_annotation(rng, lengths, options.genes, design=options.design)
    return Reference(genome, genes, Counter(), simulated=True)
