"""``counterbias count-barcodes``: htseq-count-barcodes' command line, with weighted counts as well.

A run is one of ``counterbias count`` with one file, whose UMIs are counted by cell besides.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from counterbias.cli import bias_arguments
from counterbias.cli.arguments import READS, annotation_options
from counterbias.cli.barcode_arguments import (
    ABSENT,
    ASSIGNMENT,
    BARCODES,
    FEATURES,
    FILES,
    OUTPUT,
    barcode_options,
)
from counterbias.cli.bias_files import folder_of, track_prefixes, write_bias_files
from counterbias.cli.count import (
    check_count_inputs,
    check_count_outputs,
    chosen_model,
)
from counterbias.cli.idle_options import idle_in_count
from counterbias.cli.naming import bias_prefixes, sample_name
from counterbias.cli.parser import VERSION, Parser
from counterbias.cli.progress import progress_display
from counterbias.cli.run_arguments import run_options
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import write_line
from counterbias.options import NONE, BarcodeOptions, TaggedOutput

if TYPE_CHECKING:
    from counterbias.pipeline.count import CountRun
    from counterbias.writers.tables import TableOptions


def build_count_barcodes_parser(prog: str = "counterbias count-barcodes") -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog=prog,
        description="Count UMIs per cell and feature with htseq-count-barcodes' options and "
        "output. With --bias-model, each UMI is also counted with a weight, and the files of "
        "`counterbias count` are written for all cells together.",
    )
    parser.add_options((VERSION, *FILES))
    parser.add_options(BARCODES, "cells and UMIs")
    parser.add_options(READS, "reads")
    parser.add_options(FEATURES, "features")
    parser.add_options(ASSIGNMENT, "assignment")
    parser.add_options(OUTPUT, "output")
    parser.add_options(bias_arguments.BIAS, "bias")
    parser.set_defaults(**ABSENT)
    return parser


def main(argv: list[str]) -> int:
    """Run the command; return its exit status."""
    arguments = build_count_barcodes_parser().parse_args(argv)
    arguments.bias_model = chosen_model(arguments)
    barcodes = barcode_options(arguments)
    check_count_inputs(arguments)
    prefixes = (
        bias_prefixes(arguments.samfilenames, arguments.bias_output) if arguments.bias_model else []
    )
    layers = _layers(arguments)
    beside = [name for name in layers if name != arguments.bias_counts]
    with folder_of(arguments.bias_output if prefixes else None), folder_of(arguments.bias_bigwig):
        table_options = check_count_outputs(
            arguments, prefixes, lambda options: _layer_files(options, beside)
        )
        idle = [
            f"Warning: {line}"
            for line in (*idle_in_count(arguments), *_without_place(table_options, beside))
        ]
        for line in idle:
            write_line(line)
        run = _count(arguments, argv, barcodes)
        write_bias_files(run, arguments, prefixes, idle)
        _write_main_table(run, arguments, table_options, layers)
    return 0


def _layers(arguments: Namespace) -> list[str]:
    """List the layers to write besides the main table; none where only UMIs are counted.

    ``corrected`` is by lengths, which say nothing about reads from one end of a transcript: it is
    there where lengths were asked for.
    """
    if arguments.bias_model is None:
        return []
    by_length = arguments.bias_lengths is not None or arguments.bias_counts == "corrected"
    layers = ["raw"]
    layers += ["weighted"] if arguments.bias_model != NONE else []
    layers += ["corrected"] if by_length else []
    return layers


def _layer_files(options: TableOptions, layers: Iterable[str]) -> list[str]:
    from counterbias.writers.cell_tables import layer_files

    return list(layer_files(options, layers).values())


def _without_place(options: TableOptions, layers: list[str]) -> list[str]:
    """Say which layers are not written, though the run has them."""
    from counterbias.writers.cell_tables import holds_layers

    if not layers or holds_layers(options) or _layer_files(options, layers):
        return []
    return [
        f"{' and '.join(layers)} UMIs of each cell are not written, since there is no place for "
        "them beside a table on standard output or in a pipe: name a file with -c"
    ]


def _count(arguments: Namespace, argv: list[str], barcodes: BarcodeOptions) -> CountRun:
    """Count, fit and apply a bias model, with progress on stderr."""
    options = run_options(
        arguments,
        ["count-barcodes", *argv],
        samples=[sample_name(path) for path in arguments.samfilenames],
        model=arguments.bias_model,
    )
    tagged = [TaggedOutput(name, arguments.samout_format.upper()) for name in arguments.samouts]
    with (
        progress_display(quiet=arguments.quiet) as display,
        compiled_loops(display.write, quiet=arguments.quiet),
    ):
        from counterbias.pipeline.count import count_files

        return count_files(
            replace(options, barcodes=barcodes),
            display.messages,
            tagged=tagged,
            tracks=track_prefixes(arguments),
        )


def _write_main_table(
    run: CountRun, arguments: Namespace, options: TableOptions, layers: list[str]
) -> None:
    """Write the UMIs of cells, or what ``--bias-counts`` puts in their place, and the layers."""
    import numpy as np

    from counterbias.writers.cell_tables import CellTable, holds_layers, write_cell_table

    (cells,) = run.cells
    values = {"raw": cells.umis, **cells.layers}
    main = arguments.bias_counts
    if main == "rounded":
        values["rounded"] = np.rint(values["weighted"])
    table = CellTable(
        features=run.annotation.features,
        columns=annotation_options(arguments).columns,
        cells=cells,
        main=None if main == "raw" else values[main],
        layers={name: values[name] for name in layers if holds_layers(options) or name != main},
    )
    write_cell_table(table, options)
