"""``counterbias compare``: bias models side by side on one's own data."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterbias.cli.arguments import (
    ShowVersion,
    add_assignment,
    add_bias,
    add_features,
    add_files,
    add_reads,
    check_standard_input,
    counting_options,
    named_inputs,
    run_options,
    take_options,
)
from counterbias.cli.count import sample_name
from counterbias.cli.idle_options import idle_in_compare
from counterbias.cli.parser import QUIET, Parser
from counterbias.cli.progress import TrainingBar, training_bar
from counterbias.cli.startup import compiled_loops
from counterbias.cli.streams import say_line
from counterbias.errors import InputError, harmless
from counterbias.inputs import check_inputs, is_input
from counterbias.writers.standard_output import is_closed, write_standard_output

if TYPE_CHECKING:
    from counterbias.options import CompareOptions, TruthOptions
    from counterbias.pipeline.compare import Comparison

#: The exit status where all outputs were written but a model failed.
SOME_FAILED = 3
#: Names in the output folder.
TABLE, DOCUMENT, GENES, BETWEEN, FIGURES, CACHE = (
    "comparison.tsv", "comparison.json", "per_gene.tsv", "between_models.tsv", "figures", "cache",
)  # fmt: skip
#: Options of ``count`` that make no sense here: models and windows are given with --models and --windows.
_NOT_HERE = frozenset(
    {
        "--bias-model",
        "--bias-output",
        "--bias-window",
        "--bias-option",
        "--bias-counts",
        "--bias-prior",
    }
)
_WINDOW = re.compile(r"\d+,\d+")


def build_compare_parser(prog: str = "counterbias compare") -> Parser:
    """Build the parser; usage errors end the program with status 2, as argparse does."""
    parser = Parser(
        prog=prog,
        description="Fit bias models to your own data and compare them on genomic blocks that they did not learn from, with each other, "
        "between replicates and against a truth.",
    )
    parser.add_argument(
        "--version",
        action=ShowVersion,
        nargs=0,
        default=argparse.SUPPRESS,
        help="print the version and stop",
    )
    add_files(parser)
    _add_comparison(parser.add_argument_group("comparison"))
    _add_truth(parser.add_argument_group("truth"))
    add_reads(parser.add_argument_group("reads"))
    add_features(parser.add_argument_group("features"))
    add_assignment(parser.add_argument_group("assignment"))
    take_options(parser.add_argument_group("bias"), add_bias, leave=_NOT_HERE)
    return parser


def _add_comparison(group: argparse._ArgumentGroup) -> None:
    """Add the options on what is compared."""
    group.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="folder for tables, figures and the cache; made where needed",
    )
    group.add_argument(
        "--models",
        metavar="NAMES",
        default="",
        help="comma-separated backends or model files; a backend may have options of its own, as in gru:objective=ratio+hidden=20 "
        "(default: every installed backend)",
    )
    group.add_argument(
        "--windows",
        metavar="UP,DOWN",
        action="append",
        default=[],
        help="windows to compare, as in --windows 10,10 20,20 (default: 10,10)",
    )
    group.add_argument(
        "--folds",
        metavar="N",
        default="5",
        help="how many of the five folds to hold out in turn, or which, as in 1,2,3,4 (default: 5)",
    )
    group.add_argument(
        "--seeds",
        metavar="N",
        default="2",
        help="how many seeds, counted from --bias-seed on, or which, as in 1,7 (default: 2)",
    )
    group.add_argument(
        "--groups",
        metavar="NAMES|FILE",
        default=None,
        help="the group of each alignment file, as in a,a,b,b, or a table with the columns sample and group; samples of a group are "
        "replicates",
    )
    group.add_argument("--no-figures", action="store_true", help="draw no figures")
    group.add_argument(
        "--no-cache",
        action="store_true",
        help="compute everything anew; the cache is still written",
    )
    group.add_argument("-q", "--quiet", action="store_true", help=QUIET)


def _add_truth(group: argparse._ArgumentGroup) -> None:
    """Add the options on the truth table."""
    group.add_argument(
        "--truth",
        metavar="FILE",
        default=None,
        help="table of true abundances, .tsv or .csv, with a line of column names",
    )
    group.add_argument(
        "--truth-column",
        metavar="NAMES",
        default=None,
        help="the column with the true values: one for all samples, or one per file",
    )
    group.add_argument(
        "--truth-id",
        metavar="NAME",
        default=None,
        help="the column with the identifiers (default: the first one)",
    )
    group.add_argument(
        "--truth-attribute",
        metavar="NAME",
        default=None,
        help="the attribute of the annotation that these identifiers are, as in gene_name (default: the feature's identifier)",
    )
    group.add_argument(
        "--truth-scale",
        choices=("abundance", "counts"),
        default=None,
        help="what the values are: abundances, compared with FPKM, or counts (default: abundance)",
    )


def main(argv: list[str]) -> int:
    """Run the command; give its exit status: 3 where a model failed, with all outputs written."""
    arguments = build_compare_parser().parse_args(_joined(argv))
    names = _sample_names(arguments.samfilenames)
    if arguments.bias_genome is None:
        raise InputError("a comparison needs the genome", remedy="give it with --bias-genome FASTA")
    labels = [("a model of --models", label.strip()) for label in arguments.models.split(",")]
    check_inputs(
        [
            *named_inputs(arguments),
            *labels,
            ("--truth", arguments.truth),
            ("--groups", arguments.groups),
        ]
    )
    with training_bar(quiet=arguments.quiet) as bar, compiled_loops(bar.say, quiet=arguments.quiet):
        options = _options(arguments, names)
        there = Path(arguments.output).exists()
        folder = _make_folder(arguments)
        for line in idle_in_compare(arguments):
            bar.say(f"Warning: {line}")
        try:
            result = _compare(arguments, options, names, bar)
            document = _write(
                result, arguments, folder, shlex.join(["counterbias", "compare", *argv])
            )
        except (InputError, KeyboardInterrupt):
            if not there:
                _remove_if_empty(folder)
            raise
    if not is_closed():
        write_standard_output(summary(document, folder))
    failed = {f"{model['model']} ({sample['sample']})" for sample in document["samples"] for model in sample["models"]
              if model["status"] == "failed"}  # fmt: skip
    if failed:
        say_line(f"counterbias: these models failed, {TABLE} says why: {', '.join(sorted(failed))}")
    return SOME_FAILED if failed else 0


# -- options -----------------------------------------------------------------------------------------------------------


def _joined(argv: Sequence[str]) -> list[str]:
    """Let several windows follow one ``--windows``: each gets one of its own, so that no file name is taken for a window."""
    found: list[str] = []
    open_ = False
    for word in argv:
        name = word.partition("=")[0]
        if open_ and _WINDOW.fullmatch(word) and found[-1] != "--windows":
            found += ["--windows", word]
            continue
        open_ = name == "--windows" or (open_ and found[-1] == "--windows")
        found.append(word)
    return found


def _sample_names(paths: Sequence[str]) -> list[str]:
    """Name the samples. Raises InputError where two have the same name, or standard input is given twice."""
    check_standard_input(paths)
    names = [sample_name(path) for path in paths]
    for position, name in enumerate(names):
        if name in names[:position]:
            remedy = "copy or link one of them to another name"
            raise InputError(
                f"two alignment files are both named '{name}'", file=paths[position], remedy=remedy
            )
    return names


def _make_folder(arguments: argparse.Namespace) -> Path:
    """Make the output folder and find out whether everything can be written there."""
    from counterbias.files import writing_errors
    from counterbias.files.checks import check_outputs

    folder = Path(arguments.output)
    if folder.exists() and not folder.is_dir():
        raise InputError("-o names a file, not a folder", file=str(folder), remedy="name a folder")
    with writing_errors(folder):
        (folder / FIGURES if not arguments.no_figures else folder).mkdir(
            parents=True, exist_ok=True
        )
    inputs = [*arguments.samfilenames, arguments.featuresfilename, arguments.bias_genome]
    inputs += [name for name in (arguments.truth, arguments.bias_contig_alias) if name]
    check_outputs(
        [("-o", str(folder / name)) for name in (TABLE, DOCUMENT, GENES, BETWEEN)], inputs=inputs
    )
    return folder


def _remove_if_empty(folder: Path) -> None:
    """Take away the folder that was made for a run that came to nothing; a cache of finished fits stays."""
    for empty in (folder / FIGURES, folder / CACHE, folder):
        with contextlib.suppress(OSError):
            empty.rmdir()


def _options(arguments: argparse.Namespace, names: Sequence[str]) -> CompareOptions:
    """Gather what is compared."""
    from counterbias.options import FOLDS, CompareOptions
    from counterbias.records import Window

    folds = _numbers("--folds", arguments.folds, first=0)
    if not folds or max(folds) >= FOLDS:
        raise InputError(f"--folds {arguments.folds}: there are {FOLDS} folds, 0 to {FOLDS - 1}")
    windows = [Window.parse(text) for text in arguments.windows] or [Window()]
    return CompareOptions(
        models=tuple(label.strip() for label in arguments.models.split(",") if label.strip()),
        windows=tuple(dict.fromkeys(windows)),
        folds=folds,
        seeds=_numbers("--seeds", arguments.seeds, first=counting_options(arguments).seed),
        groups=_groups(arguments.groups, names),
        truth=_truth(arguments, names),
        cache=os.path.join(arguments.output, CACHE),
        fresh=arguments.no_cache,
    )


def _numbers(option: str, text: str, *, first: int) -> tuple[int, ...]:
    """Read a number of things, counted from ``first`` on, or a list of them."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise InputError(f"{option} {text}: give a number, or a list as in 1,2")
    found = tuple(dict.fromkeys(int(part) for part in parts))
    if "," in text:
        return found
    if found[0] < 1:
        raise InputError(f"{option} {text}: give at least 1")
    return tuple(range(first, first + found[0]))


def _groups(text: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """Give each sample's group, from a list or a table."""
    if text is None:
        return ()
    if is_input(text):
        return _groups_of_table(text, names)
    groups = tuple(part.strip() for part in text.split(","))
    if len(groups) != len(names) or not all(groups):
        raise InputError(
            f"--groups {text}: {len(groups)} groups for {len(names)} alignment files",
            remedy="name one per file, or a table",
        )
    return groups


def _groups_of_table(path: str, names: Sequence[str]) -> tuple[str, ...]:
    """Read a table with the columns ``sample`` and ``group``."""
    from counterbias.plaintext import read_table

    (header_line, header), *rows = read_table(path, "table of groups")
    if any(header.count(name) != 1 for name in ("sample", "group")):
        problem = "the table of groups needs one column 'sample' and one 'group'"
        raise InputError(
            problem,
            file=path,
            place=f"line {header_line}",
            remedy="separate columns by tabs (.tsv) or commas (.csv)",
        )
    found: dict[str, str] = {}
    for number, row in rows:
        cells = dict(zip(header, row, strict=True))
        if cells["sample"] in found:
            raise InputError(
                f"sample '{cells['sample']}' stands twice", file=path, place=f"line {number}"
            )
        found[cells["sample"]] = cells["group"]
    missing = [name for name in names if not found.get(name)]
    if missing:
        raise InputError(
            f"sample '{missing[0]}' has no group",
            file=path,
            remedy="samples are named after their files, without ending",
        )
    return tuple(found[name] for name in names)


def _truth(arguments: argparse.Namespace, names: Sequence[str]) -> TruthOptions | None:
    """Gather the options on the truth table."""
    from counterbias.options import TruthOptions

    given = [
        name
        for name in ("truth_column", "truth_id", "truth_attribute", "truth_scale")
        if getattr(arguments, name) is not None
    ]
    if arguments.truth is None:
        if given:
            raise InputError(f"--{given[0].replace('_', '-')} needs --truth FILE")
        return None
    if arguments.truth_column is None:
        raise InputError(
            "--truth needs --truth-column", remedy="name the column with the true values"
        )
    columns = tuple(part.strip() for part in arguments.truth_column.split(","))
    if len(columns) not in (1, len(names)):
        raise InputError(
            f"--truth-column names {len(columns)} columns for {len(names)} alignment files",
            remedy="name one for all, or one per file",
        )
    return TruthOptions(
        arguments.truth,
        columns,
        arguments.truth_id,
        arguments.truth_attribute,
        arguments.truth_scale or "abundance",
    )


# -- the run and its files ---------------------------------------------------------------------------------------------


def _compare(
    arguments: argparse.Namespace, options: CompareOptions, names: Sequence[str], bar: TrainingBar
) -> Comparison:
    """Hand everything to the pipeline, with a bar on a terminal."""
    from counterbias.pipeline.compare import compare_models

    run = run_options(arguments, ["compare"], samples=names, model="")
    result = compare_models(run, options, bar.messages)
    if not arguments.quiet:
        bar.say(
            f"{result.fitted} fits were computed, {result.cached} taken from {options.cache} (safe to delete)."
        )
    return result


def _write(
    result: Comparison, arguments: argparse.Namespace, folder: Path, command_line: str
) -> dict[str, Any]:
    """Write all files; give the document."""
    from counterbias import __version__, figures
    from counterbias.pipeline.compare import report as comparison_report
    from counterbias.writers import comparison as writer

    document = comparison_report.report(
        result, counting_options(arguments), version=__version__, command_line=command_line
    )
    groups = {sample.name: sample.group for sample in result.samples if sample.group is not None}
    features = result.features
    writer.write_per_gene(
        folder / GENES,
        features.ids,
        features.lengths,
        features.attributes,
        comparison_report.per_gene(result),
    )
    writer.write_between(folder / BETWEEN, comparison_report.between_models(result))
    writer.write_comparison(folder / TABLE, document, groups)
    writer.write_document(folder / DOCUMENT, document)
    for line in comparison_report.remarks(result):
        say_line(f"Warning: {line}")
    if arguments.no_figures:
        return document
    if not figures.is_available():
        say_line(f"Warning: {figures.MISSING}")
        return document
    for sample in comparison_report.figures(result):
        figures.draw_sample(sample, folder / FIGURES)
    return document


# -- the summary -------------------------------------------------------------------------------------------------------


def summary(document: Mapping[str, Any], folder: Path) -> str:
    """Say in plain words what came out."""
    lines = []
    for sample in document["samples"]:
        lines += [
            f"{sample['sample']}: {sample['starts']:,} distinct read starts",
            *_sample_table(sample),
            "",
        ]
    chosen = document["recommendation"]
    several = (
        len({model["window"] for sample in document["samples"] for model in sample["models"]}) > 1
    )
    if chosen["model"] is None:
        lines.append("Recommended: no correction.")
    else:
        window = f" with --bias-window {chosen['window']}" if several else ""
        lines.append(f"Recommended: --bias-model {chosen['model']}{window}")
    lines.append(chosen["reason"])
    lines += _truth_lines(document)
    lines += ["", f"Tables and figures are in {folder}."]
    return "".join(f"{harmless(line)}\n" for line in lines)


def _sample_table(sample: Mapping[str, Any]) -> list[str]:
    """Lay out the rows of one sample, aligned."""
    with_truth = any(model["truth"] for model in sample["models"])
    head = [
        "model",
        "window",
        "gain (bits/read)",
        "slope",
        "R²",
        "AUC",
        "KL k=1",
        "halves",
        "train s",
        "parameters",
        "used",
    ]
    rows = [[*head, *(["RMSE log2 to truth − raw"] if with_truth else [])]]
    raw = sample["raw"]
    before = [
        "(raw)",
        "",
        "0",
        "",
        "0",
        "0.5",
        _number(raw["kl1_before"]["value"], 4),
        _number(raw["half_raw"]["value"], 3),
        "",
        "",
        "",
    ]
    rows.append([*before, *([""] if with_truth else [])])
    for model in sample["models"]:
        if model["status"] != "ok":
            rows.append([model["model"], model["window"], f"{model['status']}: {model['reason']}"])
            continue
        measures, cost = model["measures"], model["cost"]
        cells = [
            model["model"],
            model["window"],
            _with_error(measures["gain_cap5"]),
            _with_error(measures["reliability_slope"], 2),
        ]
        cells += [_number(measures[name]["value"], 3) for name in ("r2", "auc")]
        cells += [
            _number(measures["kl1_after"]["value"], 4),
            _number(measures["half_effective"]["value"], 3),
        ]
        cells += [
            _number(cost["train_seconds"], 2),
            f"{cost['parameters'] or 0:,}",
            "yes" if model["used"] else "no",
        ]
        rows.append([*cells, *([_truth_cell(model["truth"])] if with_truth else [])])
    # What a row without numbers says in its third column sets no width.
    widths = [
        max(len(row[place]) for row in rows if place < 2 or len(row) == len(rows[0]))
        for place in range(len(rows[0]))
    ]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def _truth_lines(document: Mapping[str, Any]) -> list[str]:
    """Say per sample what the recommended model's corrected counts are worth against the truth."""
    chosen, lines = document["recommendation"], []
    for sample in document["samples"]:
        for model in sample["models"]:
            told = model["truth"]
            if told is None or (model["model"], model["window"]) != (
                chosen["model"],
                chosen["window"],
            ):
                continue
            found = told["corrected_minus_raw"]["rmse"]
            if found["value"] is None:
                lines.append(
                    f"{sample['sample']}: only {told['features']} features have both reads and a truth: too few to tell."
                )
                continue
            state = (
                "nearer to the truth than raw ones"
                if found["high"] < 0
                else "farther from the truth than raw ones"
            )
            if found["low"] <= 0 <= found["high"]:
                state = "neither shown to be nearer to the truth than raw ones nor farther from it"
            lines.append(f"{sample['sample']}: over {told['features']} features with a truth, its corrected counts are {state}: "
                         f"RMSE log2 {_truth_cell(told)}.")  # fmt: skip
    return lines


def _truth_cell(truth: Mapping[str, Any] | None) -> str:
    """Show the paired difference of corrected to raw, with its interval."""
    if truth is None or truth["corrected_minus_raw"]["rmse"]["value"] is None:
        return "–"
    found = truth["corrected_minus_raw"]["rmse"]
    return f"{found['value']:+.3f} ({found['low']:+.3f} … {found['high']:+.3f})"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _with_error(found: Mapping[str, float | None], digits: int = 3) -> str:
    text = _number(found["value"], digits)
    return text if found["error"] is None else f"{text} ± {found['error']:.{digits}f}"
