"""``counterbias count``: htseq-count's command line, with bias-weighted counts beside it."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterbias.cli.arguments import annotation_arguments, bias_options, bias_window, build_count_parser, counting_options
from counterbias.cli.progress import training_bar
from counterbias.errors import InputError, shown

if TYPE_CHECKING:
    from counterbias.pipeline.run import CountRun
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
    A prefix that ends in ``/`` is a folder. Raises InputError where two samples would share their files.
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
    prefixes = bias_prefixes(arguments.samfilenames, arguments.bias_output) if arguments.bias_model else []
    table_options = _check_outputs(arguments, prefixes)
    run = _count(arguments, argv)
    _write_bias_files(run, arguments, prefixes)
    _write_main_table(run, arguments, table_options)
    return 0


def say_line(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(shown(text) + "\n")
    sys.stderr.flush()


def _check_bias_options(arguments: Namespace) -> None:
    """Refuse options that contradict each other before any file is opened."""
    names = arguments.samfilenames
    asked = {"--bias-output": arguments.bias_output, "--bias-prior": arguments.bias_prior}
    asked["--bias-counts"] = None if arguments.bias_counts == "raw" else arguments.bias_counts
    implied = next((f"{option} {value}" for option, value in asked.items() if value is not None), None)
    given = f"--bias-model {arguments.bias_model}"
    if arguments.bias_model is None and implied is not None:
        arguments.bias_model, given = "auto", implied
    if arguments.bias_model in (None, "none"):
        arguments.bias_model = None
        if arguments.bias_counts != "raw":
            raise InputError(f"--bias-counts {arguments.bias_counts} needs a bias model", remedy="leave --bias-model none out")
        if arguments.bias_prior is not None:
            raise InputError("--bias-prior needs a bias model", file=arguments.bias_prior, remedy="leave --bias-model none out")
    elif arguments.bias_genome is None:
        raise InputError(f"{given} needs the genome", remedy="give it with --bias-genome FASTA")
    if names.count("-") > 1:
        raise InputError("standard input can be read only once", remedy="give '-' once")
    if arguments.samouts and len(arguments.samouts) != len(names):
        raise InputError(
            f"{len(arguments.samouts)} files to write with -o, but {len(names)} alignment files", remedy="give -o once per file"
        )


def _check_outputs(arguments: Namespace, prefixes: list[str]) -> TableOptions:
    """Find out before counting whether every output can be written."""
    from counterbias.writers.files import check_outputs
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
    outputs += [(label, prefix + ending) for prefix in prefixes for ending in (TABLE, MODEL, REPORT)]
    inputs = [*arguments.samfilenames, arguments.featuresfilename]
    inputs += [name for name in (arguments.bias_prior, arguments.bias_genome, arguments.bias_contig_alias) if name]
    if arguments.bias_model and os.path.exists(arguments.bias_model):
        inputs.append(arguments.bias_model)
    check_outputs(outputs, inputs=inputs)
    return options


def import_numba() -> None:
    """Import numba without scipy's linear algebra, which it looks for at once, costs 0.2 s, and no counting loop needs.

    numba looks again where a compiled function does need it, so a plug-in that uses ``np.dot`` is not touched.
    """
    absent = "scipy.linalg.cython_blas"
    if "numba" in sys.modules or absent in sys.modules:
        return
    sys.modules[absent] = None  # type: ignore[assignment]
    try:
        from numba.np import arraymath
    finally:
        del sys.modules[absent]
    arraymath._HAVE_BLAS = True


def announce_compilation() -> None:
    """Say once, on the first run after an installation, why it takes longer."""
    from counterbias.alignments.decoding import decode

    folder = Path(decode._cache.cache_path)
    if not any(folder.glob(f"decoding.decode-*.py{sys.version_info.major}{sys.version_info.minor}*.nbi")):
        say_line(f"First run: compiling the counting loops, which takes some seconds once; they are kept in {folder}.")


def _count(arguments: Namespace, argv: list[str]) -> CountRun:
    """Hand everything to the pipeline."""
    import_numba()
    announce_compilation()
    from counterbias.pipeline.run import count_files

    bias = None
    if arguments.bias_model:
        window = bias_window(arguments) if was_given(argv, "--bias-window") else None
        bias = bias_options(arguments, arguments.bias_model, window=window)
    with training_bar(quiet=arguments.quiet) as bar:
        return count_files(
            arguments.samfilenames,
            annotation_arguments(arguments),
            counting_options(arguments),
            bias=bias,
            samples=[sample_name(path) for path in arguments.samfilenames],
            reference=arguments.bias_genome,
            alias_file=arguments.bias_contig_alias,
            threads=arguments.bias_threads,
            processes=min(max(arguments.nprocesses, 1), len(arguments.samfilenames)),
            quiet=arguments.quiet,
            say=bar.say,
            tagged=[(name, arguments.samout_format.upper()) for name in arguments.samouts],
            command_line=shlex.join(["counterbias", "count", *argv]),
            progress=bar.progress,
        )


def was_given(argv: list[str], option: str) -> bool:
    """Tell whether a long option, or a prefix that argparse takes for it, stands on the command line."""
    return any(len(word) > len("--bias-w") - 1 and option.startswith(word.partition("=")[0]) for word in argv if word.startswith("--"))


def _write_bias_files(run: CountRun, arguments: Namespace, prefixes: list[str]) -> None:
    """Write table, model and report of every sample, and say where they are."""
    if not prefixes:
        return
    from counterbias.model_file import save_models
    from counterbias.writers.bias_tables import write_bias_table
    from counterbias.writers.qc import write_qc

    features = run.annotation.features
    for sample, prefix in zip(run.bias, prefixes, strict=True):
        write_bias_table(prefix + TABLE, features.ids, sample.columns, attributes=features.attributes)
        save_models(prefix + MODEL, sample.model)
        write_qc(prefix + REPORT, sample.report)
        say_line(f"Weighted counts are in {prefix}{TABLE}, the model in {prefix}{MODEL}, its quality report in {prefix}{REPORT}.")


def _write_main_table(run: CountRun, arguments: Namespace, options: TableOptions) -> None:
    """Write what htseq-count writes, or the weighted counts where they are asked for."""
    import numpy as np

    from counterbias.writers.tables import CountTable, write_table

    main: Any = None
    layers: dict[str, Any] = {}
    if run.bias:
        columns = {name: np.stack([sample.columns[name] for sample in run.bias], axis=1) for name in ("weighted", "corrected")}
        columns["rounded"] = np.rint(columns["weighted"])
        layers = {name: columns[name] for name in ("weighted", "corrected")} if options.kind == "h5ad" else {}
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
