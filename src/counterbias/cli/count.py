"""``counterbias count``: htseq-count's command line, with bias-weighted counts as well."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from counterbias.cli import bias_arguments
from counterbias.cli.arguments import (
    ASSIGNMENT,
    FEATURES,
    FILES,
    OUTPUT,
    READS,
    annotation_options,
)
from counterbias.cli.bias_files import (
    bias_endings,
    check_replaced,
    folder_of,
    track_files,
    track_prefixes,
    write_bias_files,
)
from counterbias.cli.idle_options import idle_in_count
from counterbias.cli.naming import bias_prefixes, sample_name
from counterbias.cli.parser import VERSION, Parser
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
from counterbias.inputs import check_inputs, is_input
from counterbias.options import AUTO, NONE, TaggedOutput
from counterbias.writers.endings import LOG

if TYPE_CHECKING:
    from counterbias.pipeline.count import CountRun
    from counterbias.writers.tables import TableOptions

#: The choices of ``--bias-counts`` that need weights, and thus a bias model.
_NEED_WEIGHTS = ("weighted", "rounded")


def build_count_parser(prog: str = "counterbias count") -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog=prog,
        description="Count reads per feature with htseq-count's options and output. With "
        "--bias-model, a table of counts corrected for sequence-specific bias and for the lengths "
        "of transcripts is written as well; with --bias-lengths alone, one corrected for lengths.",
    )
    parser.add_options((VERSION, *FILES))
    parser.add_options(READS, "reads")
    parser.add_options(FEATURES, "features")
    parser.add_options(ASSIGNMENT, "assignment")
    parser.add_options(OUTPUT, "output")
    parser.add_options(bias_arguments.BIAS, "bias")
    return parser


def main(argv: list[str]) -> int:
    """Run the command; return its exit status."""
    arguments = build_count_parser().parse_args(argv)
    arguments.bias_model = chosen_model(arguments)
    check_count_inputs(arguments)
    prefixes = (
        bias_prefixes(arguments.samfilenames, arguments.bias_output) if arguments.bias_model else []
    )
    with folder_of(arguments.bias_output if prefixes else None), folder_of(arguments.bias_bigwig):
        table_options = check_count_outputs(arguments, prefixes)
        idle = [f"Warning: {line}" for line in idle_in_count(arguments)]
        for line in idle:
            write_line(line)
        run = _count(arguments, argv)
        write_bias_files(run, arguments, prefixes, idle)
        _write_main_table(run, arguments, table_options)
    return 0


def chosen_model(arguments: Namespace) -> str | None:
    """Return the model to use, or None to count only.

    It is the one named, ``auto`` where other options imply one, or ``none`` where lengths alone are
    wanted. Raises InputError where options contradict each other.
    """
    counts = (
        arguments.bias_counts if arguments.bias_counts != bias_arguments.MAIN_TABLES[0] else None
    )
    lengths_alone = None if arguments.bias_lengths is None else NONE
    named: str | None = arguments.bias_model
    if named == NONE:
        _refuse_need_of_model(arguments, counts)
        return lengths_alone
    asking = {
        "--bias-model": named,
        "--bias-output": arguments.bias_output,
        "--bias-bigwig": arguments.bias_bigwig,
        "--bias-prior": arguments.bias_prior,
        "--bias-counts": counts,
    }
    reason = next(
        (f"{option} {value}" for option, value in asking.items() if value is not None), None
    )
    if reason is None:
        return lengths_alone
    if arguments.bias_genome is None:
        remedy = "give it with --bias-genome FASTA"
        needed = named or arguments.bias_prior or arguments.bias_bigwig
        if lengths_alone and not (needed or counts in _NEED_WEIGHTS):
            remedy += f", or measure lengths alone with --bias-model {NONE}"
        raise InputError(f"{reason} needs the genome", remedy=remedy)
    return AUTO if named is None else named


def _refuse_need_of_model(arguments: Namespace, counts: str | None) -> None:
    """Refuse what needs a bias model where there is to be none; ``counts`` is None for raw ones."""
    remedy = f"leave --bias-model {NONE} out"
    by_lengths = arguments.bias_lengths is not None
    if counts in _NEED_WEIGHTS or (counts is not None and not by_lengths):
        if by_lengths:
            remedy = f"take --bias-counts corrected, or {remedy}"
        raise InputError(f"--bias-counts {counts} needs a bias model", remedy=remedy)
    if arguments.bias_bigwig is not None:
        raise InputError(
            "--bias-bigwig needs a bias model", file=arguments.bias_bigwig, remedy=remedy
        )
    if arguments.bias_prior is not None:
        raise InputError(
            "--bias-prior needs a bias model", file=arguments.bias_prior, remedy=remedy
        )


def check_count_inputs(arguments: Namespace) -> None:
    """Refuse inputs that cannot be read together before any file is opened."""
    names = arguments.samfilenames
    check_standard_input(names)
    check_inputs(
        [
            *named_inputs(arguments),
            ("--bias-model", arguments.bias_model),
            ("--bias-prior", arguments.bias_prior),
        ]
    )
    if arguments.samouts and len(arguments.samouts) != len(names):
        raise InputError(
            f"{len(arguments.samouts)} files to write with -o, but {len(names)} alignment files",
            remedy="give -o once per file",
        )


def check_count_outputs(
    arguments: Namespace,
    prefixes: list[str],
    layers: Callable[[TableOptions], Iterable[str]] = lambda _: (),
) -> TableOptions:
    """Find out before counting whether every output can be written.

    Args:
        arguments: the parsed command line.
        prefixes: start of the names of each file's bias files.
        layers: returns the files that are written beside the main table.
    """
    from counterbias.files.checks import check_outputs
    from counterbias.writers.standard_output import require_standard_output
    from counterbias.writers.tables import TableOptions, check_table, table_files

    options = TableOptions(
        filename=arguments.output_filename,
        delimiter=arguments.output_delimiter,
        append=arguments.output_append,
        header=arguments.with_header,
        sparse=arguments.counts_output_sparse,
    )
    check_table(options)
    outputs = [("-c", name) for name in (*table_files(options), *layers(options))]
    outputs += [("-o", name) for name in arguments.samouts]
    label = (
        "--bias-output"
        if arguments.bias_output
        else f"the output of --bias-{'lengths' if arguments.bias_model == NONE else 'model'}"
    )
    if arguments.bias_bigwig is not None:
        from counterbias.writers.bigwig import require_bigwig

        require_bigwig("--bias-bigwig")
        outputs += [("--bias-bigwig", name) for name in track_files(arguments)]
    outputs += [
        (label, prefix + ending) for prefix in prefixes for ending in bias_endings(arguments)
    ]
    inputs = input_files(arguments)
    if arguments.bias_prior:
        inputs.append(arguments.bias_prior)
    if arguments.bias_model and is_input(arguments.bias_model):
        inputs.append(arguments.bias_model)
    for _, name in outputs:
        require_standard_output(name or "-")
    check_outputs(outputs, inputs=inputs)
    check_replaced(outputs, [prefix + LOG for prefix in prefixes], prints=not options.filename)
    return options


def _count(arguments: Namespace, argv: list[str]) -> CountRun:
    """Count, fit and apply bias models, and measure lengths, with progress on stderr."""
    paths = arguments.samfilenames
    options = run_options(
        arguments,
        ["count", *argv],
        samples=[sample_name(path) for path in paths],
        model=arguments.bias_model,
    )
    tagged = [TaggedOutput(name, arguments.samout_format.upper()) for name in arguments.samouts]
    processes = min(max(arguments.nprocesses, 1), len(paths))
    with (
        progress_display(quiet=arguments.quiet) as display,
        compiled_loops(display.write, quiet=arguments.quiet),
    ):
        from counterbias.pipeline.count import count_files

        return count_files(
            options,
            display.messages,
            tagged=tagged,
            tracks=track_prefixes(arguments),
            processes=processes,
        )


def _write_main_table(run: CountRun, arguments: Namespace, options: TableOptions) -> None:
    """Write the main table: htseq-count's, or one of weighted counts (``--bias-counts``)."""
    import numpy as np

    from counterbias.writers.tables import CountTable, write_table

    weighted: dict[str, Any] = {}
    if run.bias:
        weighted = {
            name: np.stack([sample.columns[name] for sample in run.bias], axis=1)
            for name in ("weighted", "corrected")
        }
    rounded = {"rounded": np.rint(weighted["weighted"])} if weighted else {}
    table = CountTable(
        features=run.annotation.features,
        columns=annotation_options(arguments).columns,
        samples=tuple(arguments.samfilenames),
        results=run.results,
        main=(weighted | rounded).get(arguments.bias_counts),
        layers=weighted if options.format == "h5ad" else {},
    )
    write_table(table, options)
