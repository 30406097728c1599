"""What a run with a bias model or lengths writes for each sample, and what it says at its end."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from counterbias.cli.naming import bias_prefixes
from counterbias.cli.streams import is_redirected_to, write_line
from counterbias.errors import InputError
from counterbias.files import is_stream
from counterbias.options import NONE, UNION
from counterbias.writers.endings import (
    GENES,
    ISOFORMS,
    LOG,
    MODEL,
    REPORT,
    TABLE,
    track_endings,
)

if TYPE_CHECKING:
    from counterbias.pipeline.bias.sample import SampleBias
    from counterbias.pipeline.count import CountRun


def track_prefixes(arguments: Namespace) -> list[str]:
    """Return the start of the names of each file's bigWig files; empty where none is wanted."""
    if arguments.bias_bigwig is None:
        return []
    return bias_prefixes(arguments.samfilenames, arguments.bias_bigwig)


def track_files(arguments: Namespace) -> list[str]:
    """List the bigWig files that a run may write: whether there are pairs, is not known yet."""
    labels = ("both",) if arguments.stranded == "no" else ("both", "read1", "read2")
    return [
        prefix + ending
        for prefix in track_prefixes(arguments)
        for label in labels
        for ending in track_endings(label)
    ]


def folder_of(prefix: str | None) -> AbstractContextManager[None]:
    """Make the folder that a prefix ending in ``/`` names; it goes again where the run fails."""
    if prefix is None or not prefix.endswith(os.sep):
        return nullcontext()
    from counterbias.files import new_folder

    return new_folder(prefix)


def bias_endings(arguments: Namespace) -> list[str]:
    """List the endings of the bias files of each sample, in the order in which they are told of."""
    endings = [TABLE, GENES]
    if arguments.bias_lengths != UNION:
        endings.append(ISOFORMS)
    if arguments.bias_model != NONE:
        endings.append(MODEL)
    return [*endings, REPORT, LOG]


def check_replaced(outputs: list[tuple[str, str]], logs: list[str], *, prints: bool) -> None:
    """Refuse to replace what the shell or another program writes (InputError).

    Args:
        outputs: (option, file name) of each file.
        logs: those of them that are logs; one that stderr goes to is not replaced.
        prints: whether the table goes to standard output.
    """
    from counterbias.writers.run_log import check_log

    for label, name in outputs:
        if name in logs and is_redirected_to(2, name):
            continue
        if prints and not is_stream(name) and is_redirected_to(1, name):
            raise InputError(
                f"{label} would replace the file that standard output goes to",
                file=name,
                remedy="send standard output to another one",
            )
        if name in logs:
            check_log(name)


def write_bias_files(
    run: CountRun, arguments: Namespace, prefixes: list[str], warnings: list[str]
) -> None:
    """Write all files of every sample, and say what came out.

    ``warnings`` are those given before the run.
    """
    for number, prefix in enumerate(prefixes):
        sample, endings = run.bias[number], bias_endings(arguments)
        if sample.isoforms is None and ISOFORMS in endings:
            endings.remove(ISOFORMS)
        _write_results(run, sample, prefix)
        _tell(sample, prefix, endings, [*warnings, *run.warnings[number]], quiet=arguments.quiet)


def _write_results(run: CountRun, sample: SampleBias, prefix: str) -> None:
    """Write model, table, isoforms and report of a sample."""
    from counterbias.model_file import save_models
    from counterbias.writers.bias_tables import write_bias_table
    from counterbias.writers.qc import write_qc
    from counterbias.writers.rsem import write_genes, write_isoforms

    features = run.annotation.features
    if sample.model is not None:
        save_models(prefix + MODEL, sample.model)  # first: its backend may fail
    write_bias_table(prefix + TABLE, features.ids, sample.columns, attributes=features.attributes)
    write_genes(prefix + GENES, features.ids, sample.columns, sample.isoforms)
    if sample.isoforms is not None:
        write_isoforms(prefix + ISOFORMS, features.ids, sample.isoforms)
    write_qc(prefix + REPORT, sample.report)


def _tell(
    sample: SampleBias, prefix: str, endings: list[str], warnings: list[str], *, quiet: bool
) -> None:
    """Say on stderr and in the log what came of a sample."""
    from counterbias import __version__
    from counterbias.cli.count_summary import count_summary
    from counterbias.writers.run_log import write_log

    lines = count_summary(sample.report, prefix, endings)
    if sample.tracks:
        lines.append(f"{sample.report['sample']}: bias in a browser: {', '.join(sample.tracks)}")
    # A log that the shell writes stderr to would lose what is there already.
    is_stderr = is_redirected_to(2, prefix + LOG)
    if is_stderr or not quiet:
        for line in lines:
            write_line(line)
    if not is_stderr:
        write_log(
            prefix + LOG,
            [*lines, *warnings],
            version=__version__,
            command_line=sample.report["command_line"],
        )
