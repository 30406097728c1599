"""``counterbias count``: htseq-count's command line, with bias-weighted counts beside it."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterbias.cli.arguments import (
    annotation_arguments,
    build_count_parser,
    check_standard_input,
    named_inputs,
    run_options,
)
from counterbias.cli.idle_options import idle_in_count
from counterbias.cli.progress import training_bar
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import say_line
from counterbias.errors import InputError
from counterbias.inputs import check_inputs, is_input

if TYPE_CHECKING:
    from counterbias.pipeline.count import CountRun
    from counterbias.writers.tables import TableOptions

#: Ends that are taken off an alignment file's name to make the sample's.
ENDINGS = (".bam", ".sam", ".cram", ".sam.gz")

#: What a bias run writes for each sample, after its prefix.
TABLE, MODEL, REPORT = ".counts.tsv", ".model", ".counterbias.json"


def sample_name(path: str) -> str:
    """Name a sample after its alignment file, without folder and ending."""
    if path == "-":
        return "stdin"
    name = Path(path).name
    ending = max((end for end in ENDINGS if name.lower().endswith(end)), key=len, default="")
    return name[: len(name) - len(ending)] or name


def bias_prefixes(paths: list[str], prefix: str | None) -> list[str]:
    """Give each alignment file the start of its bias files' names.

    One file has ``prefix`` itself, several have ``prefix.SAMPLE``; without a prefix it is the sample's name, in the current folder.
    A prefix that ends in ``/`` is a folder, which is made. Raises InputError where two samples would share their files.
    """
    names = [sample_name(path) for path in paths]
    if prefix is None:
        prefixes = names
    elif prefix.endswith(os.sep):
        prefixes = [prefix + name for name in names]
    else:
        prefixes = [prefix] if len(paths) == 1 else [f"{prefix}.{name}" for name in names]
    for position, name in enumerate(prefixes):
        if name in prefixes[:position]:
            raise InputError(
                f"two alignment files are both named '{names[position]}', so that their bias files would be the same",
                file=paths[position],
                remedy="count them in two runs, with a --bias-output each",
            )
    return prefixes


def main(argv: list[str]) -> int:
    """Run the command; give its exit status."""
    arguments = build_count_parser().parse_args(argv)
    _check_bias_options(arguments)
    prefixes = (
        bias_prefixes(arguments.samfilenames, arguments.bias_output) if arguments.bias_model else []
    )
    with _folder_of(arguments.bias_output if prefixes else None):
        table_options = _check_outputs(arguments, prefixes)
        for line in idle_in_count(arguments):
            say_line(f"Warning: {line}")
        run = _count(arguments, argv)
        _write_bias_files(run, arguments, prefixes)
        _write_main_table(run, arguments, table_options)
    return 0


def _folder_of(prefix: str | None) -> AbstractContextManager[None]:
    """Make the folder that a prefix names by its ending, for as long as the run does not fail."""
    if prefix is None or not prefix.endswith(os.sep):
        return nullcontext()
    from counterbias.files import new_folder

    return new_folder(prefix)


def _check_bias_options(arguments: Namespace) -> None:
    """Refuse options that contradict each other before any file is opened."""
    names = arguments.samfilenames
    asked = {"--bias-output": arguments.bias_output, "--bias-prior": arguments.bias_prior}
    asked["--bias-counts"] = None if arguments.bias_counts == "raw" else arguments.bias_counts
    implied = next(
        (f"{option} {value}" for option, value in asked.items() if value is not None), None
    )
    given = f"--bias-model {arguments.bias_model}"
    if arguments.bias_model is None and implied is not None:
        arguments.bias_model, given = "auto", implied
    if arguments.bias_model in (None, "none"):
        arguments.bias_model = None
        if arguments.bias_counts != "raw":
            raise InputError(
                f"--bias-counts {arguments.bias_counts} needs a bias model",
                remedy="leave --bias-model none out",
            )
        if arguments.bias_prior is not None:
            raise InputError(
                "--bias-prior needs a bias model",
                file=arguments.bias_prior,
                remedy="leave --bias-model none out",
            )
    elif arguments.bias_genome is None:
        raise InputError(f"{given} needs the genome", remedy="give it with --bias-genome FASTA")
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


def _check_outputs(arguments: Namespace, prefixes: list[str]) -> TableOptions:
    """Find out before counting whether every output can be written."""
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
    outputs = [("-c", name) for name in table_files(options)]
    outputs += [("-o", name) for name in arguments.samouts]
    label = "--bias-output" if arguments.bias_output else "the output of --bias-model"
    outputs += [
        (label, prefix + ending) for prefix in prefixes for ending in (TABLE, MODEL, REPORT)
    ]
    inputs = [*arguments.samfilenames, arguments.featuresfilename]
    inputs += [
        name
        for name in (arguments.bias_prior, arguments.bias_genome, arguments.bias_contig_alias)
        if name
    ]
    if arguments.bias_model and is_input(arguments.bias_model):
        inputs.append(arguments.bias_model)
    for _, name in outputs:
        require_standard_output(name or "-")
    check_outputs(outputs, inputs=inputs)
    return options


def _count(arguments: Namespace, argv: list[str]) -> CountRun:
    """Hand everything to the pipeline."""
    with training_bar(quiet=arguments.quiet) as bar, compiled_loops(bar.say, quiet=arguments.quiet):
        from counterbias.options import TaggedOutput
        from counterbias.pipeline.count import count_files

        paths = arguments.samfilenames
        options = run_options(
            arguments,
            ["count", *argv],
            samples=[sample_name(path) for path in paths],
            model=arguments.bias_model,
        )
        return count_files(
            options,
            bar.messages,
            tagged=[
                TaggedOutput(name, arguments.samout_format.upper()) for name in arguments.samouts
            ],
            processes=min(max(arguments.nprocesses, 1), len(paths)),
        )


def _write_bias_files(run: CountRun, arguments: Namespace, prefixes: list[str]) -> None:
    """Write table, model and report of every sample, and say where they are."""
    if not prefixes:
        return
    from counterbias.model_file import save_models
    from counterbias.writers.bias_tables import write_bias_table
    from counterbias.writers.qc import write_qc

    features = run.annotation.features
    for sample, prefix in zip(run.bias, prefixes, strict=True):
        write_bias_table(
            prefix + TABLE, features.ids, sample.columns, attributes=features.attributes
        )
        save_models(prefix + MODEL, sample.model)
        write_qc(prefix + REPORT, sample.report)
        if not arguments.quiet:
            model = (
                "a file that says that there is no model" if sample.model.no_model else "the model"
            )
            say_line(
                f"Weighted counts are in {prefix}{TABLE}; beside them are {model} ({MODEL}) and the quality report ({REPORT})."
            )


def _write_main_table(run: CountRun, arguments: Namespace, options: TableOptions) -> None:
    """Write what htseq-count writes, or the weighted counts where they are asked for."""
    import numpy as np

    from counterbias.writers.tables import CountTable, write_table

    main: Any = None
    layers: dict[str, Any] = {}
    if run.bias:
        columns = {
            name: np.stack([sample.columns[name] for sample in run.bias], axis=1)
            for name in ("weighted", "corrected")
        }
        columns["rounded"] = np.rint(columns["weighted"])
        layers = (
            {name: columns[name] for name in ("weighted", "corrected")}
            if options.kind == "h5ad"
            else {}
        )
        main = columns.get(arguments.bias_counts)
    table = CountTable(
        features=run.annotation.features,
        columns=annotation_arguments(arguments).columns,
        samples=tuple(arguments.samfilenames),
        results=run.results,
        main=main,
        layers=layers,
    )
    write_table(table, options)
