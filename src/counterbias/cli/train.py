"""``counterbias train``: many samples, one bias model, and what it gains in each of them."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from counterbias.cli.arguments import (
    ShowVersion,
    add_assignment,
    add_bias,
    add_features,
    add_files,
    add_reads,
    check_standard_input,
    named_inputs,
    run_options,
    take_options,
)
from counterbias.cli.count import sample_name
from counterbias.cli.idle_options import idle_in_train
from counterbias.cli.parser import QUIET, Parser
from counterbias.cli.progress import training_bar
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import say_line
from counterbias.errors import InputError
from counterbias.files import descriptor_of, is_stream
from counterbias.inputs import check_inputs
from counterbias.options import POOLS, TrainOptions
from counterbias.writers.standard_output import is_closed, write_standard_output

if TYPE_CHECKING:
    from counterbias.pipeline.train import Cohort

#: How samples are pooled by default.
POOL = TrainOptions().pool
#: The options of `counterbias count` on bias that mean the same here. The others are about weights, which are made at counting.
SHARED = (
    "--bias-window",
    "--bias-option",
    "--bias-threads",
    "--bias-device",
    "--bias-seed",
    "--bias-sampling",
    "--bias-context",
    "--bias-contig-alias",
)
#: Options on features that only name columns of a table of counts.
COLUMNS_ONLY = ("--additional-attr", "--add-chromosome-info")
#: Ending of a model file, and of the report beside it.
MODEL, REPORT = ".model", ".counterbias-train.json"


def build_train_parser(prog: str = "counterbias train") -> Parser:
    """Build the parser; usage errors end the program with status 2, as argparse does."""
    parser = Parser(
        prog=prog,
        description="Fit one bias model to many samples, for `counterbias count --bias-model FILE`, and tell what it gains in each of "
        "them on parts of the genome that no model saw. Reads are counted as `counterbias count` does.",
    )
    parser.add_argument(
        "--version",
        action=ShowVersion,
        nargs=0,
        default=argparse.SUPPRESS,
        help="print the version and stop",
    )
    add_files(parser)
    add_reads(parser.add_argument_group("reads"))
    take_options(parser.add_argument_group("features"), add_features, leave=COLUMNS_ONLY)
    add_assignment(parser.add_argument_group("assignment"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o",
        "--bias-output",
        metavar="FILE",
        required=True,
        help=f"the model to write; a report goes beside it, with {REPORT} in the place of {MODEL}",
    )
    output.add_argument("-q", "--quiet", action="store_true", help=QUIET)
    _add_training(parser.add_argument_group("bias"))
    parser.set_defaults(additional_attributes=[], add_chromosome_info=False)
    return parser


def _add_training(group: argparse._ArgumentGroup) -> None:
    """Add the options on the bias model."""
    group.add_argument(
        "--bias-model",
        metavar="NAME",
        default="auto",
        help="the kind of model (`counterbias models` lists them); `auto` chooses by the read starts of all samples (default: auto)",
    )
    group.add_argument("--bias-genome", metavar="FASTA", required=True, help="the genome")
    group.add_argument(
        "--bias-pool",
        choices=POOLS,
        default=POOL,
        help="how much a sample weighs: all the same, or as their reads (default: reads)",
    )
    group.add_argument(
        "--bias-no-own",
        action="store_true",
        help="do not fit a model of its own to each sample for comparison, which saves most of the time",
    )
    take_options(group, add_bias, only=SHARED)


def report_name(model: str) -> str:
    """Name the report after the model file."""
    return (
        model[: -len(MODEL)]
        if model.endswith(MODEL) and os.path.basename(model) != MODEL
        else model
    ) + REPORT


def main(argv: list[str]) -> int:
    """Run the command; give its exit status."""
    arguments = build_train_parser().parse_args(argv)
    _check(arguments)
    for line in idle_in_train(arguments, POOL):
        say_line(f"Warning: {line}")
    cohort = _train(arguments, argv)
    _write(cohort, arguments.bias_output, quiet=arguments.quiet)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse before any file is opened what cannot be done or written."""
    from counterbias.files.checks import check_outputs

    check_standard_input(arguments.samfilenames)
    check_inputs(named_inputs(arguments))
    if arguments.bias_model == "none":
        raise InputError(
            "--bias-model none leaves nothing to train",
            remedy="name a backend of `counterbias models`",
        )
    inputs = [*arguments.samfilenames, arguments.featuresfilename, arguments.bias_genome]
    inputs += [arguments.bias_contig_alias] if arguments.bias_contig_alias else []
    model = arguments.bias_output
    if not model.endswith(MODEL) and is_stream(model):
        raise InputError(
            "-o is no file, and the report is written beside the model",
            file=model,
            remedy=f"name a file, or a link or pipe that ends in {MODEL}",
        )
    check_outputs([("-o", model), ("the report beside -o", report_name(model))], inputs=inputs)


def _train(arguments: argparse.Namespace, argv: list[str]) -> Cohort:
    """Hand everything to the pipeline."""
    with training_bar(quiet=arguments.quiet) as bar, compiled_loops(bar.say, quiet=arguments.quiet):
        from counterbias.pipeline.train import train_files

        options = run_options(
            arguments,
            ["train", *argv],
            samples=[sample_name(path) for path in arguments.samfilenames],
            model=arguments.bias_model,
        )
        train = TrainOptions(pool=arguments.bias_pool, own=not arguments.bias_no_own)
        return train_files(options, train, bar.messages)


def _write(cohort: Cohort, model: str, *, quiet: bool) -> None:
    """Write model and report, say where they are, and print the table of gains, unless one of them has gone where it would."""
    from counterbias.model_file import save_models
    from counterbias.writers.training import gains_table, write_training

    report = report_name(model)
    save_models(model, cohort.model)
    write_training(report, cohort.report)
    summary = cohort.report["summary"]
    if summary["compared"] and not quiet:
        say_line(
            f"Of {summary['compared']} comparisons the pooled model is better in {summary['pooled']} and the sample's own in "
            f"{summary['own']}, by two standard errors; pooled - own is {summary['difference']:+.4f} bits per start on average."
        )
    if not quiet:
        say_line(
            f"The model of {len(cohort.model.training.samples)} samples is in {model}, its report in {report}."
        )
    if not is_closed() and 1 not in (descriptor_of(model), descriptor_of(report)):
        write_standard_output(gains_table(cohort.report["gains"], sorted(cohort.skipped)))
