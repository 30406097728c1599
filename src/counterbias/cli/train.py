"""``counterbias train``: one bias model of many samples, and what it gains in each of them."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from counterbias.cli import bias_arguments
from counterbias.cli.arguments import (
    ASSIGNMENT,
    FEATURE_QUERY,
    FEATURE_TYPE,
    FILES,
    ID_ATTRIBUTE,
    READS,
)
from counterbias.cli.idle_options import idle_in_train
from counterbias.cli.naming import TRAINING_REPORT, sample_name, training_report_name
from counterbias.cli.parser import QUIET, VERSION, Option, Parser
from counterbias.cli.progress import progress_display
from counterbias.cli.run_arguments import (
    check_standard_input,
    input_files,
    named_inputs,
    run_options,
)
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import write_line
from counterbias.errors import InputError
from counterbias.files import descriptor_of, is_stream
from counterbias.inputs import check_inputs
from counterbias.options import AUTO, NONE, POOLS, TrainOptions
from counterbias.writers.endings import MODEL
from counterbias.writers.standard_output import is_closed, write_standard_output

if TYPE_CHECKING:
    from counterbias.pipeline.train import Cohort

_DEFAULTS = TrainOptions()

OUTPUT = (
    Option(
        "-o",
        "--bias-output",
        metavar="FILE",
        required=True,
        help="the model to write; a report is written next to it, with "
        f"{TRAINING_REPORT} in place of {MODEL}",
    ),
    QUIET,
)
#: The options on the bias model: those on weights, which are made when counting, are not here.
BIAS = (
    Option(
        "--bias-model",
        metavar="NAME",
        default=AUTO,
        help="the backend to fit (`counterbias models` lists them); `auto` chooses one by the read "
        f"starts of all samples (default: {AUTO})",
    ),
    Option("--bias-genome", metavar="FASTA", required=True, help="the genome"),
    Option(
        "--bias-pool",
        choices=POOLS,
        help=f"how samples are weighted: all alike, or by their reads (default: {_DEFAULTS.pool})",
    ),
    Option(
        "--bias-no-own",
        action="store_true",
        help="do not fit each sample's own model for comparison, which saves most of the time",
    ),
    bias_arguments.ASSIGNED_TAG,
    bias_arguments.WINDOW,
    bias_arguments.MODEL_OPTION,
    bias_arguments.THREADS,
    bias_arguments.DEVICE,
    bias_arguments.SEED,
    bias_arguments.SAMPLING,
    bias_arguments.CONTEXT,
    bias_arguments.CONTIG_ALIAS,
)


def build_train_parser(prog: str = "counterbias train") -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog=prog,
        description="Fit one bias model to many samples, for `counterbias count --bias-model "
        "FILE`, and report what it gains in each of them on parts of the genome that no model saw. "
        "Reads are counted as `counterbias count` does.",
    )
    parser.add_options((VERSION, *FILES))
    parser.add_options(READS, "reads")
    # The options on columns of the table are not here: no table of counts is written.
    parser.add_options((FEATURE_TYPE, ID_ATTRIBUTE, FEATURE_QUERY), "features")
    parser.add_options(ASSIGNMENT, "assignment")
    parser.add_options(OUTPUT, "output")
    parser.add_options(BIAS, "bias")
    parser.set_defaults(additional_attributes=[], add_chromosome_info=False)
    return parser


def main(argv: list[str]) -> int:
    """Run the command; return its exit status."""
    arguments = build_train_parser().parse_args(argv)
    _check(arguments)
    for line in idle_in_train(arguments):
        write_line(f"Warning: {line}")
    cohort = _train(arguments, argv)
    _write(cohort, arguments.bias_output, quiet=arguments.quiet)
    return 0


def _check(arguments: Namespace) -> None:
    """Refuse before any file is opened what cannot be read, done or written."""
    from counterbias.files.checks import check_outputs

    check_standard_input(arguments.samfilenames)
    check_inputs(named_inputs(arguments))
    if arguments.bias_model == NONE:
        raise InputError(
            f"--bias-model {NONE} leaves nothing to train",
            remedy="name a backend of `counterbias models`",
        )
    model = arguments.bias_output
    if not model.endswith(MODEL) and is_stream(model):
        raise InputError(
            "-o is not a file, and the report is written next to the model",
            file=model,
            remedy=f"name a file, or a link or pipe that ends in {MODEL}",
        )
    outputs = [("-o", model), ("the report next to -o", training_report_name(model))]
    check_outputs(outputs, inputs=input_files(arguments))


def _train(arguments: Namespace, argv: list[str]) -> Cohort:
    """Fit the model, with progress on stderr."""
    options = run_options(
        arguments,
        ["train", *argv],
        samples=[sample_name(path) for path in arguments.samfilenames],
        model=arguments.bias_model,
    )
    pool = arguments.bias_pool or _DEFAULTS.pool
    train = TrainOptions(pool=pool, own=not arguments.bias_no_own)
    with (
        progress_display(quiet=arguments.quiet) as display,
        compiled_loops(display.write, quiet=arguments.quiet),
    ):
        from counterbias.pipeline.train import train_files

        return train_files(options, train, display.messages)


def _write(cohort: Cohort, model: str, *, quiet: bool) -> None:
    """Write model and report, report where they are, and print the table of gains.

    The table is not printed where model or report have gone to standard output.
    """
    from counterbias.model_file import save_models
    from counterbias.writers.training import gains_table, write_training

    report = training_report_name(model)
    save_models(model, cohort.model)
    write_training(report, cohort.report)
    summary = cohort.report["summary"]
    if summary["compared"] and not quiet:
        write_line(
            f"Of {summary['compared']} comparisons, the pooled model is better in "
            f"{summary['pooled']} and the sample's own in {summary['own']}, by two standard "
            f"errors; pooled - own is {summary['difference']:+.4f} bits per start on average."
        )
    if not quiet:
        samples = len(cohort.model.training.samples)
        of = "1 sample" if samples == 1 else f"{samples} samples"
        write_line(f"The model of {of} is in {model}, its report in {report}.")
    if not is_closed() and 1 not in (descriptor_of(model), descriptor_of(report)):
        write_standard_output(gains_table(cohort.report["gains"], sorted(cohort.skipped)))
