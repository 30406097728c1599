"""``counterbias models``: the bias models installed, where they come from, what failed to load.

A table, JSON (tag ``counterbias_models``) or the bare names go to standard output.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from counterbias import __version__
from counterbias.cli.parser import VERSION, Option, Parser
from counterbias.errors import harmless
from counterbias.plugins import LOADED, Manager, Registration, load_plugins, missing_modules
from counterbias.writers.standard_output import require_standard_output, write_standard_output

#: Version of the JSON document, major and minor.
SCHEMA = (1, 0)
#: Characters of a line where there is no terminal to tell; and the fewest on one that does.
WIDTH, _NARROWEST = 80, 40

JSON = Option("--json", action="store_true", help="write JSON instead of a table")
NAMES = Option(
    "--names",
    action="store_true",
    help="write only the names, one in a line, without loading the models",
)


def build_models_parser(prog: str = "counterbias models") -> Parser:
    """Return the parser of the command."""
    parser = Parser(prog=prog, description="List the bias models that are installed.")
    parser.add_options((VERSION, JSON, NAMES))
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    parser = build_models_parser()
    arguments = parser.parse_args(argv)
    if arguments.json and arguments.names:
        parser.error("--json and --names exclude each other")
    require_standard_output()
    manager = load_plugins()
    if arguments.names:
        text = "".join(f"{name}\n" for name in manager.backends)
    elif arguments.json:
        text = f"{json.dumps(describe(manager), indent=2, sort_keys=True, allow_nan=False)}\n"
    else:
        text = table(describe(manager), _width())
    write_standard_output(text)
    return 0


def describe(manager: Manager) -> dict[str, Any]:
    """Describe a manager's plug-ins in JSON types; every key is always there."""
    return {
        "counterbias_models": True,
        "schema": list(SCHEMA),
        "version": __version__,
        "backends": [_backend(found) for found in manager.backends.values()],
        "duplicates": [
            {
                "name": name,
                "plugins": [{"name": plugin.name, "origin": plugin.origin} for plugin in plugins],
            }
            for name, plugins in manager.duplicates.items()
        ],
        "plugins": [dataclasses.asdict(plugin) for plugin in manager.plugins],
    }


def _backend(found: Registration) -> dict[str, Any]:
    """Describe one backend; where it fails to load, its entry says so."""
    backend, plugin = found.backend, found.plugin
    entry: dict[str, Any] = {
        "name": backend.name,
        "summary": " ".join(backend.summary.split()),
        "plugin": plugin.name,
        "distribution": plugin.distribution or None,
        "version": plugin.version or None,
        "extra": backend.extra or None,
        "missing": list(missing_modules(backend)),
        "options": None,
        "strand_symmetric": None,
        "needs_tiles": None,
        "problem": None,
    }
    try:
        model = backend.load()
        entry["options"] = {
            field.name: _plain(field.default) for field in dataclasses.fields(model.Options)
        }
        entry["strand_symmetric"] = bool(model.strand_symmetric)
        entry["needs_tiles"] = bool(model.needs_tiles)
    except Exception as problem:
        entry["problem"] = " ".join(f"{type(problem).__name__}: {problem}".split())
    return entry


def _plain(default: object) -> object:
    """Convert a default to JSON types."""
    if isinstance(default, tuple):
        return [_plain(part) for part in default]
    return default if isinstance(default, bool | int | float | str) else str(default)


def table(listing: dict[str, Any], width: int = WIDTH) -> str:
    """Lay out a listing: a line of columns per model, and under it what needs more room.

    Args:
        listing: what :func:`describe` returned.
        width: characters of a line; a longer word stands alone in its line.
    """
    lines = ["No bias model is installed."]
    if listing["backends"]:
        lines = _entries(
            ("MODEL", "FROM", "TRAINING"),
            [
                ((entry["name"], _origin(entry), _readiness(entry)), _details(entry))
                for entry in listing["backends"]
            ],
            width,
        )
    for duplicate in listing["duplicates"]:
        sides = " and ".join(
            f"'{side['name']}' ({side['origin']})" for side in duplicate["plugins"]
        )
        text = f"Not offered: '{duplicate['name']}', which two plug-ins bring, {sides}."
        lines += ["", *_wrapped(text, width)]
    absent = [plugin for plugin in listing["plugins"] if plugin["status"] != LOADED]
    if absent:
        head = ("PLUG-IN NOT LOADED", "FROM", "STATUS")
        cells = [((one["name"], _origin(one), one["status"]), [one["problem"]]) for one in absent]
        lines += ["", *_entries(head, cells, width)]
    return "".join(f"{line}\n" for line in lines)


def _details(entry: dict[str, Any]) -> list[str]:
    """Return what stands under a model's line: its summary, its options, what is wrong with it."""
    options = " ".join(
        f"{name}={_shown(value)}" for name, value in (entry["options"] or {}).items()
    )
    return [
        entry["summary"],
        f"options: {options}" if options else "",
        f"cannot be loaded: {entry['problem']}" if entry["problem"] else "",
    ]


def _origin(entry: dict[str, Any]) -> str:
    """Return the distribution that a backend or plug-in comes from, with its version."""
    return (
        " ".join(part for part in (entry["distribution"], entry["version"]) if part)
        or "registered by hand"
    )


def _readiness(entry: dict[str, Any]) -> str:
    """Return whether a backend can be trained here, or how to make it trainable."""
    if entry["problem"]:
        return "cannot be loaded"
    if entry["missing"]:
        needs = (
            f"{entry['distribution'] or 'counterbias'}[{entry['extra']}]"
            if entry["extra"]
            else " ".join(entry["missing"])
        )
        return f"pip install '{needs}'"
    return "ready"


def _shown(value: object) -> str:
    """Format a default as ``--bias-option`` takes it."""
    if isinstance(value, list):
        return ",".join(_shown(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _entries(
    head: Sequence[str], entries: Sequence[tuple[Sequence[str], Sequence[str]]], width: int
) -> list[str]:
    """Align the cells of all entries under ``head``; each is followed by its texts, indented."""
    rows = [[harmless(cell) for cell in row] for row in (head, *(cells for cells, _ in entries))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines = aligned[:1]
    for line, (_, texts) in zip(aligned[1:], entries, strict=True):
        lines.append(line)
        for text in texts:
            lines += _wrapped(text, width, "  ")
    return lines


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Break a text between its words; its further lines are indented more."""
    return textwrap.wrap(
        harmless(text),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width() -> int:
    """Return how wide standard output is: as its terminal, or the same for all files and pipes."""
    if sys.stdout is None or not sys.stdout.isatty():
        return WIDTH
    return max(shutil.get_terminal_size((WIDTH, 24)).columns, _NARROWEST)
