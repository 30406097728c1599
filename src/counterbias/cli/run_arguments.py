"""From the arguments of a command that counts to its RunOptions and the inputs to check."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence

from counterbias.cli.arguments import annotation_options, counting_options
from counterbias.cli.bias_arguments import bias_options
from counterbias.errors import InputError
from counterbias.options import RunOptions


def check_standard_input(names: Sequence[str]) -> None:
    """Refuse alignments from a standard input that is closed, or given twice (InputError)."""
    if names.count("-") > 1:
        raise InputError("standard input can be read only once", remedy="give '-' once")
    if "-" in names and sys.stdin is None:
        raise InputError(
            "standard input is closed", file="-", remedy="send the alignments there, or name a file"
        )


def named_inputs(arguments: Namespace) -> list[tuple[str, str | None]]:
    """List the inputs of every command that counts, each with what the user calls it.

    ``check_inputs`` takes them.
    """
    return [
        *(("the alignments", name) for name in arguments.samfilenames),
        ("the annotation", arguments.featuresfilename),
        ("--bias-genome", arguments.bias_genome),
        ("--bias-contig-alias", arguments.bias_contig_alias),
    ]


def input_files(arguments: Namespace) -> list[str]:
    """List the files that every command that counts reads."""
    return [name for _, name in named_inputs(arguments) if name]


def run_options(
    arguments: Namespace, command: Sequence[str], *, samples: Sequence[str], model: str | None
) -> RunOptions:
    """Return what a command that counts is asked to do. Raises InputError.

    Args:
        arguments: the parsed command line.
        command: the command line as typed, without the program, for reports.
        samples: the samples' names, one per alignment file.
        model: the bias model; None to count only.
    """
    return RunOptions(
        alignments=tuple(arguments.samfilenames),
        samples=tuple(samples),
        annotation=annotation_options(arguments),
        counting=counting_options(arguments),
        bias=None if model is None else bias_options(arguments, model),
        reference=arguments.bias_genome,
        alias_file=arguments.bias_contig_alias,
        threads=arguments.bias_threads,
        command_line=shlex.join(["counterbias", *command]),
    )
