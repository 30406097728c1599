"""Compare counterbias, salmon and kallisto on the same simulated reads, at gene level.

    python benchmarks/validation/peers.py --json peers.json --figures docs/images/validation

salmon runs with and without --seqBias, kallisto with and without --bias; a program that is not
installed is skipped with a message. There are two truths, since the tools do not estimate the same
quantity: the fragments that each gene would have yielded without bias (what counts estimate), and
its molecules (what a transcript quantifier estimates). docs/explanation/validation.md has the
results.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import reporting as rep
from numpy.typing import NDArray
from quantifiers import (
    CORRECTS,
    PROGRAMS,
    kallisto_index,
    kallisto_quant,
    run,
    salmon_index,
    salmon_quant,
    version,
)
from simulated import World, make_world, write_world

from counterbias import InputError, simulation
from counterbias.evaluation.agreement import compare_with_truth

SCRIPT = "peers.py"
FRAGMENTS, MOLECULES = "fragments", "molecules"
#: The limit: the fragments drawn, divided by each gene's true mean bias and, for molecules, by its
#: true number of fragments per molecule.
CHANCE = "chance"


@dataclass(frozen=True)
class Reads:
    """One simulated sample and all input files of the tools.

    Args:
        folder: the folder of all files.
        sample: BAM, GTF and FASTA files for counting.
        truth: the truth for each gene.
        transcript_gene: transcript → gene.
    """

    folder: Path
    sample: est.Sample
    truth: simulation.Truth
    transcript_gene: dict[str, str]

    @property
    def mates(self) -> list[Path]:
        """The two FASTQ files."""
        return [self.folder / f"reads_{number}.fastq.gz" for number in (1, 2)]


@dataclass(frozen=True)
class Estimate:
    """The estimates of a tool for each gene, in the order of the truth.

    Args:
        fragments, molecules: on any scale.
        seconds: wall time.
    """

    fragments: NDArray[np.float64]
    molecules: NDArray[np.float64]
    seconds: float


# -- input files -----------------------------------------------------------------------------------


def draw_reads(world: World, arguments: argparse.Namespace, biased: bool, folder: Path) -> Reads:
    """Draw a sample and write it in the formats that the tools read."""
    write_world(world, folder)
    rng = np.random.default_rng([world.seed, 5, biased])
    library = simulation.Library(arguments.pairs, read_length=75, error_rate=0.002)
    reads = simulation.simulate_reads(
        rng, world.genome, world.genes, world.abundance, library, world.bias if biased else None
    )
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    simulation.write_transcripts(folder / "transcripts.fa", world.genome, world.genes)
    genes = world.genes
    owner = {
        name: genes.gene_ids[int(genes.transcript_gene[number])]
        for number, name in enumerate(genes.transcript_ids)
    }
    sample = est.Sample(folder / "reads.bam", folder / "genes.gtf", folder / "genome.fa")
    found = Reads(folder, sample, reads.truth, owner)
    for number, path in enumerate(found.mates, start=1):
        simulation.write_fastq(path, reads, read=number, level=1)
    return found


# -- tools -----------------------------------------------------------------------------------------


def salmon(reads: Reads, arguments: argparse.Namespace) -> dict[str, Estimate]:
    """Run salmon without and with --seqBias."""
    index, folder = reads.folder / "salmon_index", reads.folder
    run(salmon_index(folder / "transcripts.fa", index, arguments.threads))
    seconds, tables = {}, {}
    for corrects in (False, True):
        extra = CORRECTS["salmon"] if corrects else ""
        output, threads = folder / f"salmon{extra}", arguments.threads
        quant = salmon_quant(index, reads.mates, output, corrects=corrects, threads=threads)
        seconds[extra] = run(quant)
        tables[extra] = est.read_table(output / "quant.sf")
    return with_and_without("salmon", reads, tables, ("Name", "TPM", "EffectiveLength"), seconds)


def kallisto(reads: Reads, arguments: argparse.Namespace) -> dict[str, Estimate]:
    """Run kallisto without and with --bias."""
    index, folder = reads.folder / "kallisto_index", reads.folder
    run(kallisto_index(folder / "transcripts.fa", index))
    seconds, tables = {}, {}
    for corrects in (False, True):
        extra = CORRECTS["kallisto"] if corrects else ""
        output, threads = folder / f"kallisto{extra}", arguments.threads
        quant = kallisto_quant(index, reads.mates, output, corrects=corrects, threads=threads)
        seconds[extra] = run(quant)
        tables[extra] = est.read_table(output / "abundance.tsv")
    return with_and_without("kallisto", reads, tables, ("target_id", "tpm", "eff_length"), seconds)


def with_and_without(
    program: str,
    reads: Reads,
    tables: dict[str, dict[str, list[str]]],
    columns: tuple[str, str, str],
    seconds: dict[str, float],
) -> dict[str, Estimate]:
    """Sum the tables of a tool to genes.

    Args:
        program: the name of the tool.
        reads: the sample.
        tables: option ("" for none) → the table of that run.
        columns: the columns of names, TPM and effective lengths.
        seconds: option → wall time.
    """
    name, tpm, length = columns
    effective = dict(zip(tables[""][name], tables[""][length], strict=True))
    return {
        f"{program} {extra}".strip(): gene_level(
            reads, table[name], table[tpm], effective, seconds[extra]
        )
        for extra, table in tables.items()
    }


def gene_level(
    reads: Reads, names: list[str], tpm: list[str], effective: dict[str, str], seconds: float
) -> Estimate:
    """Sum transcripts to genes.

    Molecules: the sum of TPM. Fragments: the sum of TPM × the transcript's effective length in the
    run *without* bias correction, which is what the transcript would have yielded without bias
    (tximport's lengthScaledTPM, transcript by transcript).
    """
    row = {name: number for number, name in enumerate(reads.truth.gene_ids)}
    molecules, fragments = np.zeros(len(row)), np.zeros(len(row))
    for name, text in zip(names, tpm, strict=True):
        gene = row[reads.transcript_gene[name]]
        molecules[gene] += float(text)
        fragments[gene] += float(text) * float(effective[name])
    return Estimate(fragments, molecules, seconds)


def counterbias(reads: Reads, arguments: argparse.Namespace, seed: int) -> dict[str, Estimate]:
    """Count, raw and with every model.

    Fragments are the counts, molecules the counts per length (or effective length).
    """
    found: dict[str, Estimate] = {}
    for model in arguments.models:
        try:
            counted = est.count_with(
                reads.sample, model, est.Training(seed=seed, threads=arguments.threads)
            )
        except InputError as problem:
            rep.log(f"{model}: not measured: {problem}")
            continue
        for estimate in est.DENSITIES:
            label = estimate if estimate == "raw" else f"{estimate}, {model}"
            values = est.in_order(counted.ids, reads.truth.gene_ids, counted.density(estimate))
            found.setdefault(label, Estimate(values * reads.truth.length, values, counted.seconds))
    known = {name: one for name, one in found.items() if name != "raw"}
    return {"raw": found["raw"], **known} if found else {}


# -- judging ---------------------------------------------------------------------------------------


def by_chance(truth: simulation.Truth) -> Estimate:
    """Return the estimates of a tool whose only error is the sampling of fragments."""
    fragments = truth.fragments / truth.mean_bias
    per_molecule = np.divide(
        truth.unbiased_fragments,
        truth.abundance,
        out=np.ones(len(fragments)),
        where=truth.abundance > 0,
    )
    return Estimate(
        fragments,
        np.divide(fragments, per_molecule, out=np.zeros(len(fragments)), where=per_molecule > 0),
        np.nan,
    )


def judge(
    found: dict[str, Estimate], reads: Reads, fewest: float, seed: int
) -> list[dict[str, Any]]:
    """Compare every tool with both truths, over all genes and those with one transcript."""
    truth = reads.truth
    names = list(reads.transcript_gene.values())
    single = np.array([names.count(gene) == 1 for gene in truth.gene_ids])
    judged = []
    for what, values in ((FRAGMENTS, truth.unbiased_fragments), (MOLECULES, truth.abundance)):
        for genes, chosen in (("all", np.ones(len(single), bool)), ("one transcript", single)):
            wanted = np.where(chosen & (truth.unbiased_fragments >= fewest), values, np.nan)
            table = {name: getattr(one, what) for name, one in found.items()}
            agreement = compare_with_truth(
                wanted, table, np.random.default_rng([seed, 6]), resamples=500
            )
            for name, measures in agreement.of.items():
                less = agreement.minus_raw.get(name)
                row = {
                    "truth": what,
                    "genes": genes,
                    "tool": name,
                    "number": agreement.features,
                    "seconds": found[name].seconds,
                }
                row |= {measure: one.value for measure, one in measures.items()}
                judged.append(
                    {**row, "rmse_minus_raw": None if less is None else less["rmse"].value}
                )
    return judged


def measure(arguments: argparse.Namespace, seed: int, biased: bool) -> list[dict[str, Any]]:
    """Run all tools on one sample."""
    world = make_world(seed, arguments.genes, arguments.strength, arguments.bias)
    with tempfile.TemporaryDirectory() as name:
        reads = draw_reads(world, arguments, biased, Path(name))
        found = counterbias(reads, arguments, seed)
        for program, tool in (("salmon", salmon), ("kallisto", kallisto)):
            if shutil.which(program):
                found |= tool(reads, arguments)
        judged = judge({**found, CHANCE: by_chance(reads.truth)}, reads, arguments.fewest, seed)
    shown = {
        row["tool"]: round(row["rmse"], 3)
        for row in judged
        if (row["truth"], row["genes"]) == (FRAGMENTS, "all")
    }
    rep.log(f"seed {seed}, {'biased' if biased else 'unbiased'}: {shown}")
    return [{"seed": seed, "biased": biased, **row} for row in judged]


# -- tables and figure -----------------------------------------------------------------------------


def pick(rows: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def table(rows: list[dict[str, Any]], biased: bool, genes: str) -> str:
    """Format the error of every tool, mean ± SE over seeds, and its paired difference from raw."""
    laid = [
        [
            "tool",
            "RMSE log2, fragments",
            "− raw",
            "Spearman",
            "RMSE log2, molecules",
            "− raw",
            "Spearman",
            "s",
        ]
    ]
    chosen = pick(rows, biased=biased, genes=genes)
    for tool in dict.fromkeys(row["tool"] for row in chosen):
        cells = [tool]
        for truth in (FRAGMENTS, MOLECULES):
            own = pick(chosen, tool=tool, truth=truth)
            cells.append(rep.mean(row["rmse"] for row in own).text())
            cells.append(rep.mean(row["rmse_minus_raw"] for row in own).text(sign=True))
            cells.append(rep.mean(row["spearman"] for row in own).text(4))
        laid.append(
            [
                *cells,
                rep.mean(row["seconds"] for row in pick(chosen, tool=tool)).text(1).split(" ")[0],
            ]
        )
    number = rep.mean(row["number"] for row in chosen).value
    return (
        rep.markdown(laid)
        + f"\n\n{number:.0f} genes per sample, {len({row['seed'] for row in chosen})} seeds."
    )


def duel(rows: list[dict[str, Any]], rival: str = "salmon --seqBias") -> str:
    """Format the difference between corrected counts and a rival on the same biased samples.

    Over all genes; empty if the rival was not run.
    """
    chosen = pick(rows, biased=True, genes="all")
    tools = [
        tool
        for tool in dict.fromkeys(row["tool"] for row in chosen)
        if tool.startswith("corrected")
    ]
    laid = [[f"RMSE log2 − {rival}", FRAGMENTS, MOLECULES]]
    for tool in tools:
        cells = []
        for truth in (FRAGMENTS, MOLECULES):
            error = {row["seed"]: row["rmse"] for row in pick(chosen, tool=rival, truth=truth)}
            own = pick(chosen, tool=tool, truth=truth)
            cells.append(
                rep.mean(
                    row["rmse"] - error[row["seed"]] for row in own if row["seed"] in error
                ).text(sign=True)
            )
        laid.append([tool, *cells])
    return rep.markdown(laid) if pick(chosen, tool=rival) else ""


def report(rows: list[dict[str, Any]]) -> str:
    parts = []
    for biased in dict.fromkeys(row["biased"] for row in rows):
        for genes in ("all", "one transcript"):
            which = "all genes" if genes == "all" else "genes with one transcript"
            heading = f"### {'With' if biased else 'Without'} bias, {which}"
            parts += [heading, table(rows, biased, genes)]
    if differences := duel(rows):
        parts += ["### Against salmon --seqBias, paired by sample", differences]
    return "\n\n".join(parts)


def colour_of(tool: str) -> str:
    """Return the colour of a tool: one each for counterbias, salmon and kallisto."""
    known = {"raw": "black", CHANCE: rep.GREY, "salmon": rep.COLOURS[1], "kallisto": rep.COLOURS[2]}
    return known.get(tool.split(" ")[0], rep.COLOURS[0])


def draw(rows: list[dict[str, Any]], folder: Path, name: str) -> Path:
    """Plot the error of every tool against both truths, in biased samples."""
    figure, panels = rep.canvas(9, 4.6, 2)
    chosen = pick(rows, biased=True, genes="all")
    tools = list(dict.fromkeys(row["tool"] for row in chosen))[::-1]
    for panel, truth in zip(panels, (FRAGMENTS, MOLECULES), strict=True):
        means = [
            rep.mean(row["rmse"] for row in pick(chosen, tool=tool, truth=truth)) for tool in tools
        ]
        colours = [colour_of(tool) for tool in tools]
        for place, (one, colour) in enumerate(zip(means, colours, strict=True)):
            panel.errorbar(one.value, place, xerr=np.nan_to_num(one.error), fmt="o", color=colour)
        raw = means[tools.index("raw")].value
        panel.axvline(raw, color=rep.GREY, linestyle=":", linewidth=0.8)
        panel.set_yticks(range(len(tools)), tools if truth == FRAGMENTS else [""] * len(tools))
        panel.set(title=f"truth: {truth}", xlabel="RMSE of log2", xlim=(0, None))
    return rep.save_figure(figure, folder, name)


# -- command line ----------------------------------------------------------------------------------


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for("Run counterbias, salmon and kallisto on the same simulated reads.")
    parser.add_argument(
        "--models",
        type=rep.names,
        default="pwm,vlmm,cnn",
        help="bias models of counterbias [%(default)s]",
    )
    parser.add_argument(
        "--seeds", type=rep.whole_numbers, default="1,2,3", help="seeds [%(default)s]"
    )
    parser.add_argument(
        "--pairs", type=int, default=200_000, help="read pairs per sample [%(default)s]"
    )
    parser.add_argument("--genes", type=int, default=400, help="genes [%(default)s]")
    parser.add_argument(
        "--strength",
        type=float,
        default=0.9,
        help="standard deviation of the log bias, nats [%(default)s]",
    )
    parser.add_argument(
        "--bias",
        type=Path,
        metavar="FILE",
        help="simulate the bias of this model file instead of a random one",
    )
    parser.add_argument(
        "--fewest",
        type=float,
        default=50,
        help="minimum expected fragments of a gene [%(default)s]",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    versions = {program: version(program) for program in PROGRAMS}
    for program, found in versions.items():
        rep.log(found or f"{program} is not installed and is left out (Debian package {program})")
    # Samples without bias are the same whichever bias is simulated in the others.
    conditions = (True, False) if arguments.bias is None else (True,)
    rows = [
        row
        for seed in arguments.seeds
        for biased in conditions
        for row in measure(arguments, seed, biased)
    ]
    rep.write_json(
        arguments.json,
        SCRIPT,
        argv,
        {"versions": versions, "rows": json.loads(json.dumps(rep.plain(rows)))},
    )
    print(report(rows))
    if arguments.figures is not None:
        name = "peers" if arguments.bias is None else f"peers_{arguments.bias.stem}"
        print(f"\nfigure: {draw(rows, arguments.figures, name).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
