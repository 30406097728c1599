r"""Compare counterbias, salmon and kallisto on the same simulated reads: genes and transcripts.

    python benchmarks/validation/peers.py --json peers.json --figures docs/images/validation
    python benchmarks/validation/peers.py --single --json peers_single.json

salmon runs with and without --seqBias, kallisto with and without --bias; a program that is not
installed is skipped with a message. There are two truths for genes, since the tools do not estimate
the same quantity:

- *fragments* that each gene would have yielded without bias, which is what counts estimate. Counts
  per effective length, times the effective length without bias, estimate them: with
  `--bias-lengths union` the latter is the length, and the estimate is the column `corrected`; with
  `transcripts` it is `effective_length` of a second run without a model (row `none, transcripts`,
  whose fragments are the raw counts). A quantifier's are TPM × the effective lengths of its run
  without correction;
- *molecules*, which is what a transcript quantifier estimates. Counts per effective length estimate
  them (`tpm_corrected` and `fpkm_corrected`). The rows with `transcripts` are made for this truth;
  those with `union` leave out which transcripts are there and that a fragment needs room.

Transcripts (`PREFIX.isoforms.results`, quant.sf, abundance.tsv) are compared with the molecules of
each transcript, and the standard errors that counterbias reports with its errors. The molecules of
single-end reads (`--single`) depend on the fragment lengths that all tools are told
(`--fragment-length`), which by default are not those of the simulated library, as in practice.

docs/explanation/validation.md has the results.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import reporting as rep
from peers_judging import ALL, CHANCE, MOLECULES, by_chance, judge, judge_isoforms
from peers_tables import draw, report
from peers_tools import READ_LENGTH, counterbias, draw_reads, kallisto, salmon
from quantifiers import PROGRAMS, version
from simulated import make_world

from counterbias import InputError, simulation
from counterbias.options import LENGTHS, AssumedLengths

SCRIPT = "peers.py"


Rows = list[dict[str, Any]]


def measure(arguments: argparse.Namespace, seed: int, biased: bool) -> tuple[Rows, Rows]:
    """Run all tools on one sample; return their errors for genes and for transcripts."""
    world = make_world(seed, arguments.genes, arguments.strength, arguments.bias)
    with tempfile.TemporaryDirectory() as name:
        reads = draw_reads(world, arguments, biased, Path(name))
        found = counterbias(reads, arguments, seed)
        for program, tool in (("salmon", salmon), ("kallisto", kallisto)):
            if shutil.which(program):
                found |= tool(reads, arguments)
        judged = judge({**found, CHANCE: by_chance(reads.truth)}, reads, arguments.fewest, seed)
        isoforms = judge_isoforms(found, reads, arguments.fewest)
    shown = {
        row["tool"]: round(row["rmse"], 3)
        for row in judged
        if (row["truth"], row["genes"]) == (MOLECULES, ALL)
    }
    rep.log(f"seed {seed}, {'biased' if biased else 'unbiased'}: {MOLECULES}: {shown}")
    case = {"seed": seed, "biased": biased}
    return [{**case, **row} for row in judged], [{**case, **row} for row in isoforms]


# -- command line ----------------------------------------------------------------------------------


def assumed_lengths(text: str) -> AssumedLengths:
    """Parse a mean and a standard deviation (for argparse)."""
    try:
        mean, sd = rep.numbers(text)
        return AssumedLengths(mean, sd)
    except (ValueError, InputError) as problem:
        raise argparse.ArgumentTypeError(f"'{text}': {problem}") from None


def kinds_of_lengths(text: str) -> list[str]:
    """Parse kinds of effective lengths (for argparse)."""
    found = rep.names(text)
    if not found or not set(found) <= set(LENGTHS):
        raise argparse.ArgumentTypeError(f"'{text}': must be some of {','.join(LENGTHS)}")
    return found


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
    parser.add_argument(
        "--lengths",
        type=kinds_of_lengths,
        default=",".join(LENGTHS),
        help="effective lengths of counterbias [%(default)s]",
    )
    parser.add_argument(
        "--single", action="store_true", help="simulate single-end reads instead of pairs"
    )
    assumed = AssumedLengths()
    parser.add_argument(
        "--fragment-length",
        type=assumed_lengths,
        default=assumed,
        metavar="MEAN,SD",
        help="fragment lengths that all tools assume of single-end reads "
        f"[{assumed.mean:g},{assumed.sd:g}]",
    )
    return parser.parse_args(argv)


def about_reads(arguments: argparse.Namespace) -> str:
    """Describe the reads in a line, and what the tools are told about them."""
    if not arguments.single:
        return f"{arguments.pairs:,} read pairs, 2 × {READ_LENGTH} bases, per sample.\n"
    drawn, assumed = simulation.Library(0), arguments.fragment_length
    return (
        f"{arguments.pairs:,} single-end reads of {READ_LENGTH} bases per sample, from fragments "
        f"of {drawn.fragment_mean:g} ± {drawn.fragment_sd:g} bases; all tools assume "
        f"{assumed.mean:g} ± {assumed.sd:g}.\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    versions = {program: version(program) for program in PROGRAMS}
    for program, found in versions.items():
        rep.log(found or f"{program} is not installed and is left out (Debian package {program})")
    # Samples without bias are the same whichever bias is simulated in the others.
    conditions = (True, False) if arguments.bias is None else (True,)
    rows: Rows = []
    isoforms: Rows = []
    for seed in arguments.seeds:
        for biased in conditions:
            of_genes, of_transcripts = measure(arguments, seed, biased)
            rows += of_genes
            isoforms += of_transcripts
    about = {"versions": versions, "single": arguments.single}
    content = json.loads(json.dumps(rep.plain({**about, "rows": rows, "isoforms": isoforms})))
    rep.write_json(arguments.json, SCRIPT, argv, content)
    print(about_reads(arguments))
    print(report(rows, isoforms))
    if arguments.figures is not None:
        words = ["peers", *(["single"] if arguments.single else [])]
        name = "_".join([*words, *([] if arguments.bias is None else [arguments.bias.stem])])
        print(f"\nfigure: {draw(rows, arguments.figures, name).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
