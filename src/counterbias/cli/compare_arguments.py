"""The options of ``counterbias compare``: what is compared, and the truth it is compared with."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Sequence

from counterbias.cli.arguments import counting_options
from counterbias.cli.parser import QUIET, Option
from counterbias.errors import InputError
from counterbias.inputs import is_input
from counterbias.options import FOLDS, MOST_GENES, TRUTH_SCALES, CompareOptions, TruthOptions
from counterbias.window import Window

#: Name of the cache in the output folder.
CACHE = "cache"

_COMPARE = CompareOptions()
_TRUTH = TruthOptions("", ())
_WINDOW = re.compile(r"\d+,\d+")
_OPTION_OF_WINDOWS = "--windows"
_OPTION_OF_GENES = "--genes"

COMPARISON = (
    Option(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="folder for tables, figures and the cache; made if needed",
    ),
    Option(
        "--models",
        metavar="NAMES",
        default=",".join(_COMPARE.models),
        help="comma-separated backends or model files; a backend may have options of its own, as "
        "in gru:objective=ratio+hidden=20 (default: every installed backend)",
    ),
    Option(
        _OPTION_OF_WINDOWS,
        metavar="UP,DOWN",
        action="append",
        default=[],
        help="windows to compare, as in --windows 10,10 20,20 "
        f"(default: {' '.join(map(str, _COMPARE.windows))})",
    ),
    Option(
        "--folds",
        metavar="N",
        default=str(len(_COMPARE.folds)),
        help=f"how many of the {FOLDS} folds to hold out in turn, or which, as in 1,2,3,4 "
        f"(default: {len(_COMPARE.folds)})",
    ),
    Option(
        "--seeds",
        metavar="N",
        default=str(len(_COMPARE.seeds)),
        help="how many seeds, counted from --bias-seed on, or which, as in 1,7 "
        f"(default: {len(_COMPARE.seeds)})",
    ),
    Option(
        "--groups",
        metavar="NAMES|FILE",
        default=None,
        help="the group of each alignment file, as in a,a,b,b, or a table with the columns sample "
        "and group; samples of a group are replicates",
    ),
    Option(
        _OPTION_OF_GENES,
        metavar="NAMES",
        default=None,
        help="comma-separated features, or transcripts, along which observed read starts are drawn "
        f"against those that held-out models expect; at most {MOST_GENES}",
    ),
    Option("--no-figures", action="store_true", help="draw no figures"),
    Option(
        "--no-cache",
        action="store_true",
        help="compute everything anew; the cache is still written",
    ),
    QUIET,
)

TRUTH = (
    Option(
        "--truth",
        metavar="FILE",
        default=None,
        help="table of true abundances, .tsv or .csv, with a line of column names",
    ),
    Option(
        "--truth-column",
        metavar="NAMES",
        default=None,
        help="the column with the true values: one for all samples, or one per file",
    ),
    Option(
        "--truth-id",
        metavar="NAME",
        default=None,
        help="the column with the identifiers (default: the first one)",
    ),
    Option(
        "--truth-attribute",
        metavar="NAME",
        default=None,
        help="the attribute of the annotation that these identifiers are, as in gene_name "
        "(default: the feature's identifier)",
    ),
    Option(
        "--truth-scale",
        choices=TRUTH_SCALES,
        default=None,
        help="what the values are: abundances, compared with FPKM, or counts "
        f"(default: {_TRUTH.scale})",
    ),
)


def one_per_window(argv: Sequence[str]) -> list[str]:
    """Give each of several windows after one ``--windows`` a ``--windows`` of its own.

    argparse (``nargs="+"``) would take the alignments and the annotation that follow for windows
    as well.
    """
    found: list[str] = []
    among_windows = False
    for word in argv:
        name = word.partition("=")[0]
        if among_windows and _WINDOW.fullmatch(word) and found[-1] != _OPTION_OF_WINDOWS:
            found += [_OPTION_OF_WINDOWS, word]
            continue
        among_windows = name == _OPTION_OF_WINDOWS or (
            among_windows and found[-1] == _OPTION_OF_WINDOWS
        )
        found.append(word)
    return found


def model_labels(arguments: Namespace) -> list[str]:
    """List the models of ``--models``; none where every installed backend is compared."""
    return [label.strip() for label in arguments.models.split(",") if label.strip()]


def compare_options(arguments: Namespace, samples: Sequence[str]) -> CompareOptions:
    """Return what is compared, and how. Raises InputError.

    Args:
        arguments: the parsed command line.
        samples: the samples' names, one per alignment file.
    """
    folds = _numbers("--folds", arguments.folds, first=0)
    if max(folds) >= FOLDS:
        raise InputError(f"--folds {arguments.folds}: there are {FOLDS} folds, 0 to {FOLDS - 1}")
    windows = [Window.parse(text) for text in arguments.windows] or _COMPARE.windows
    return CompareOptions(
        models=tuple(model_labels(arguments)),
        windows=tuple(dict.fromkeys(windows)),
        folds=folds,
        seeds=_numbers("--seeds", arguments.seeds, first=counting_options(arguments).seed),
        groups=read_groups(arguments.groups, samples),
        truth=_truth_options(arguments, samples),
        cache=os.path.join(arguments.output, CACHE),
        fresh=arguments.no_cache,
        genes=_genes(arguments.genes),
    )


def _genes(text: str | None) -> tuple[str, ...]:
    """Read the identifiers of ``--genes``. Raises InputError."""
    if text is None:
        return ()
    names = [part.strip() for part in text.split(",")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not all(names):
        problem = "one of the identifiers is empty"
    elif twice is not None:
        problem = f"'{twice}' is named twice"
    elif len(names) > MOST_GENES:
        problem = f"{len(names)} genes, of which at most {MOST_GENES} are drawn"
    else:
        return tuple(names)
    raise InputError(
        f"{_OPTION_OF_GENES}: {problem}", remedy="give identifiers, each once, as in GENE1,GENE2"
    )


def _numbers(option: str, text: str, *, first: int) -> tuple[int, ...]:
    """Read how many things, counted from ``first`` on, or a list of them."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise InputError(f"{option} {text}: give a number, or a list as in 1,2")
    found = tuple(dict.fromkeys(int(part) for part in parts))
    if "," in text:
        return found
    if found[0] < 1:
        raise InputError(f"{option} {text}: give at least 1")
    return tuple(range(first, first + found[0]))


def read_groups(text: str | None, samples: Sequence[str]) -> tuple[str, ...]:
    """Return each sample's group, from a list or a table; nothing without groups."""
    if text is None:
        return ()
    if is_input(text):
        return read_group_table(text, samples)
    groups = tuple(part.strip() for part in text.split(","))
    if len(groups) != len(samples) or not all(groups):
        raise InputError(
            f"--groups {text}: {len(groups)} groups for {len(samples)} alignment files",
            remedy="name one per file, or a table",
        )
    return groups


def read_group_table(path: str, samples: Sequence[str]) -> tuple[str, ...]:
    """Return each sample's group, from a table with the columns ``sample`` and ``group``."""
    from counterbias.plaintext import read_table

    (header_line, header), *rows = read_table(path, "table of groups")
    if any(header.count(name) != 1 for name in ("sample", "group")):
        raise InputError(
            "the table of groups needs one column 'sample' and one 'group'",
            file=path,
            place=f"line {header_line}",
            remedy="separate columns by tabs (.tsv) or commas (.csv)",
        )
    groups: dict[str, str] = {}
    for number, row in rows:
        cells = dict(zip(header, row, strict=True))
        if cells["sample"] in groups:
            raise InputError(
                f"sample '{cells['sample']}' occurs twice", file=path, place=f"line {number}"
            )
        groups[cells["sample"]] = cells["group"]
    missing = [name for name in samples if not groups.get(name)]
    if missing:
        raise InputError(
            f"sample '{missing[0]}' has no group",
            file=path,
            remedy="samples are named after their files, without ending",
        )
    return tuple(groups[name] for name in samples)


def _truth_options(arguments: Namespace, samples: Sequence[str]) -> TruthOptions | None:
    """Return the truth table and how it is joined, or None. Raises InputError."""
    if arguments.truth is None:
        for name in ("column", "id", "attribute", "scale"):
            if getattr(arguments, f"truth_{name}") is not None:
                raise InputError(f"--truth-{name} needs --truth FILE")
        return None
    if arguments.truth_column is None:
        raise InputError(
            "--truth needs --truth-column", remedy="name the column with the true values"
        )
    columns = tuple(part.strip() for part in arguments.truth_column.split(","))
    if len(columns) not in (1, len(samples)):
        raise InputError(
            f"--truth-column names {len(columns)} columns for {len(samples)} alignment files",
            remedy="name one for all, or one per file",
        )
    return TruthOptions(
        path=arguments.truth,
        columns=columns,
        identifier=arguments.truth_id,
        attribute=arguments.truth_attribute,
        scale=arguments.truth_scale or _TRUTH.scale,
    )
