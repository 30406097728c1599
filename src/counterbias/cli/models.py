"""``counterbias models``: the bias models installed, where they come from, what failed to load.

A table, JSON (tag ``counterbias_models``) or the bare names go to standard output.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from counterbias import __version__
from counterbias.cli.parser import VERSION, Option, Parser
from counterbias.errors import harmless
from counterbias.plugins import LOADED, Manager, Registration, load_plugins, missing_modules
from counterbias.writers.standard_output import require_standard_output, write_standard_output

#: Version of the JSON document, major and minor.
SCHEMA = (1, 0)

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
        text = table(describe(manager))
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


def table(listing: dict[str, Any]) -> str:
    """Lay out a listing as a table."""
    rows = [("MODEL", "FROM", "TRAINING", "OPTIONS", "SUMMARY")]
    for entry in listing["backends"]:
        options = (
            " ".join(f"{name}={_shown(value)}" for name, value in (entry["options"] or {}).items())
            or "-"
        )
        rows.append((entry["name"], _origin(entry), _readiness(entry), options, entry["summary"]))
    lines = _align(rows) if len(rows) > 1 else ["No bias model is installed."]
    for duplicate in listing["duplicates"]:
        sides = " and ".join(
            f"'{side['name']}' ({side['origin']})" for side in duplicate["plugins"]
        )
        lines += ["", f"Not offered: '{duplicate['name']}', which two plug-ins bring, {sides}."]
    absent = [plugin for plugin in listing["plugins"] if plugin["status"] != LOADED]
    if absent:
        head = ("PLUG-IN NOT LOADED", "FROM", "STATUS", "WHY")
        lines.append("")
        lines += _align(
            [head, *((one["name"], _origin(one), one["status"], one["problem"]) for one in absent)]
        )
    return "".join(f"{harmless(line)}\n" for line in lines)


def _origin(entry: dict[str, Any]) -> str:
    """Return the distribution that a backend or plug-in comes from, with its version."""
    return (
        " ".join(part for part in (entry["distribution"], entry["version"]) if part)
        or "registered by hand"
    )


def _readiness(entry: dict[str, Any]) -> str:
    """Return whether a backend can be trained here, or how to make it trainable."""
    if entry["problem"]:
        return f"cannot be loaded: {entry['problem']}"
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


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad all columns but the last to a common width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
