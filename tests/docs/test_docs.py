"""The documentation is right: commands, code, names, links and terms on its pages."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import counterbias
from counterbias import (
    Backend,
    BiasModel,
    CrossFit,
    FitReport,
    FoldedSample,
    Resources,
    Tiles,
    TrainingSet,
    Window,
    hookspecs,
    testing,
)
from counterbias.cli import COMMANDS
from counterbias.cli.collect import build_collect_parser
from counterbias.cli.compare import build_compare_parser
from counterbias.cli.count import build_count_parser
from counterbias.cli.count_barcodes import build_count_barcodes_parser
from counterbias.cli.models import build_models_parser
from counterbias.cli.program import SHELLS
from counterbias.cli.simulate import build_simulate_parser
from counterbias.cli.train import build_train_parser
from counterbias.writers import qc_schema
from counterbias_multiqc.thresholds import Thresholds
from tests.docs.pages import blocks, commands, section

#: The folders of pages: one kind each.
KINDS = ("tutorial", "how-to", "explanation", "reference", "development")
#: Files of Markdown outside docs/, whose links mkdocs does not check.
OUTSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")

#: Command → its parser.
PARSERS = {
    "count": build_count_parser,
    "count-barcodes": build_count_barcodes_parser,
    "htseq-count": build_count_parser,
    "htseq-count-barcodes": build_count_barcodes_parser,
    "collect": build_collect_parser,
    "compare": build_compare_parser,
    "models": build_models_parser,
    "simulate": build_simulate_parser,
    "train": build_train_parser,
}
#: Words in the place of a command.
WITHOUT_COMMAND = [
    ["--version"],
    ["--citation"],
    *(["--print-completion", shell] for shell in SHELLS),
]


def pages(root: Path) -> dict[str, str]:
    """Return path → text of the pages under docs/ and of the files outside it."""
    found = [path for path in (root / "docs").rglob("*.md") if "examples" not in path.parts]
    found += [root / name for name in OUTSIDE]
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in sorted(found)}


def rows(text: str) -> list[str]:
    """Return the code in the first column of the tables of a text."""
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


# -- pages -----------------------------------------------------------------------------------------


def test_every_page_is_in_the_navigation_and_in_the_folder_of_its_kind(root: Path) -> None:
    def leaves(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for part in entry.values() if isinstance(entry, dict) else entry:
                yield from leaves(part)

    navigation = yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = list(leaves(navigation))
    assert len(listed) == len(set(listed))
    inside = {name[len("docs/") :] for name in pages(root) if name.startswith("docs/")}
    assert set(listed) == inside
    assert {name.split("/")[0] for name in inside} == {*KINDS, "index.md"}


def test_links_outside_the_documentation_lead_somewhere(root: Path) -> None:
    for name in OUTSIDE:
        targets = re.findall(r"\]\(([^)#:]+)[)#]", (root / name).read_text(encoding="utf-8"))
        assert targets
        assert [target for target in targets if not (root / target).exists()] == []


def test_the_map_names_every_room_and_module_of_the_core(root: Path) -> None:
    core = section(pages(root)["docs/development/index.md"], "The core")
    places = (root / "src" / "counterbias").iterdir()
    missing = [
        place.name
        for place in places
        if not place.name.startswith("__")
        and (place.suffix == ".py" or (place / "__init__.py").exists())
        and not re.search(rf"(?<!\w){re.escape(place.stem)}(\.py|/)", core)
    ]
    assert missing == []


def test_terms_of_the_glossary_are_unique_and_in_order(root: Path) -> None:
    page = pages(root)["docs/reference/glossary.md"]
    terms = re.findall(r"^- \*\*(.+?)\*\*: ", page, flags=re.MULTILINE)
    assert len(terms) == len(re.findall(r"^- ", page, flags=re.MULTILINE)) > 50
    assert terms == sorted(set(terms), key=str.lower)


# -- commands --------------------------------------------------------------------------------------


def test_every_command_on_the_pages_is_understood(root: Path) -> None:
    found = {name: list(commands(text)) for name, text in pages(root).items()}
    assert {words[0] for calls in found.values() for words in calls} >= set(COMMANDS)
    assert sum(map(len, found.values())) > 50
    for name, calls in found.items():
        for command, *words in calls:
            if command in PARSERS:
                # compare takes several windows after one --windows
                windows = words.index("--windows") + 2 if "--windows" in words else len(words)
                rest = itertools.dropwhile(re.compile(r"\d+,\d+$").match, words[windows:])
                try:
                    PARSERS[command]().parse_args([*words[:windows], *rest])
                except SystemExit:
                    pytest.fail(f"{name}: counterbias {command} {' '.join(words)}")
            else:
                assert [command, *words] in WITHOUT_COMMAND, name


def test_benchmarks_on_the_pages_have_their_options(root: Path) -> None:
    """No test runs them as the pages do, for minutes or hours, on reads that others hold."""
    found = {**pages(root), "benchmarks": (root / "benchmarks" / "README.md").read_text()}
    checked = 0
    for page, text in found.items():
        for script, words in re.findall(
            r"python (benchmarks/\S+\.py)(.*)", text.replace("\\\n", " ")
        ):
            path = root / script
            assert path.exists(), f"{page}: {script}"
            source = path.read_text(encoding="utf-8")
            for module in re.findall(r"^(?:from|import) (\w+)", source, flags=re.MULTILINE):
                if (beside := path.parent / f"{module}.py").exists():
                    source += beside.read_text(encoding="utf-8")
            for option in re.findall(r"(?<= )--([a-z-]+)", words):
                # Some loops make options of names.
                assert f'"--{option}"' in source or f'"{option}"' in source, f"{page}: {option}"
            checked += 1
    assert checked > 60


# -- plug-ins --------------------------------------------------------------------------------------


def test_the_tutorial_builds_the_example(root: Path) -> None:
    page = pages(root)["docs/tutorial/your-own-model.md"]
    folder = root / "docs" / "examples" / "counterbias-dinucleotide"
    assert blocks(page, "toml") == [(folder / "pyproject.toml").read_text()]
    within = "class Dinucleotide(BiasModel):\n    ...\n\n"  # where a method of the class goes
    pieces = [code.removeprefix(within) for code in blocks(page, "python")]
    (test,) = (code for code in pieces if "conformance" in code)
    pieces.remove(test)
    assert test == (folder / "tests" / "test_dinucleotide.py").read_text()
    module = (folder / "counterbias_dinucleotide.py").read_text()
    assert [code for code in pieces if code not in module] == []
    said = "".join(pieces)
    assert [line for line in module.splitlines() if line not in said] == []


def public(kind: type) -> dict[str, str]:
    """Return the public members of a class: name → name, with the parameters of a function."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    found = {field.name: field.name for field in fields}
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", value)
        if name.startswith("_"):
            continue
        if inspect.isfunction(function):
            parameters = list(inspect.signature(function).parameters)[1:]
            found[name] = f"{name}({', '.join(parameters)})"
        else:
            found[name] = name
    return found


@pytest.mark.parametrize(
    "kind",
    [Backend, BiasModel, CrossFit, FitReport, FoldedSample, Resources, Tiles, TrainingSet, Window],
)
def test_every_member_of_the_plugin_interface_is_documented(root: Path, kind: type) -> None:
    page = pages(root)["docs/reference/plugin-api.md"]
    expected = set(public(kind).values())
    if kind is BiasModel:
        expected |= {"window", "options"}  # set by its __init__
    documented = rows(section(page, f"`{kind.__name__}`"))
    assert len(documented) == len(set(documented))
    assert set(documented) == expected


def test_every_function_of_the_plugin_interface_is_documented(root: Path) -> None:
    page = pages(root)["docs/reference/plugin-api.md"]
    for row in rows(section(page, "Functions and markers")):
        name, _, written = row.partition("(")
        value = getattr(counterbias, name)
        if written:
            parameters = list(inspect.signature(value).parameters)
            assert written.rstrip(")").replace("*, ", "").split(", ") == parameters
    suite = section(page, "Conformance suite")
    checks = [check.__name__[len("check_") :] for check in testing.CHECKS + testing.WINDOW_CHECKS]
    settings = [name for name in inspect.signature(testing.Subject).parameters if name != "backend"]
    assert rows(suite) == settings + checks


def test_hooks_name_arguments_and_keys_that_exist(root: Path) -> None:
    page = pages(root)["docs/reference/hooks.md"]
    hooks = [name for name in vars(hookspecs) if name.startswith("counterbias_")]
    keys = {key.path for key in qc_schema.KEYS}
    named = re.findall(r"`((?:\w+\[\]|\w+)\.\w+)`", page)
    assert "ends[].metrics" in named
    for hook in hooks:
        parameters = list(inspect.signature(getattr(hookspecs, hook)).parameters)
        assert rows(section(page, f"`{hook}({', '.join(parameters)})`")) == parameters
        text = inspect.getdoc(getattr(hookspecs, hook)) or ""
        assert set(re.findall(r"``(ends\[\]\.\w+)``", text)) <= keys
    assert {name for name in named if name.startswith("ends")} <= keys


def test_names_of_python_exist(root: Path) -> None:
    """Each ``counterbias.…`` in code on the pages is a module, or an attribute of one."""
    for name, text in pages(root).items():
        for dotted in set(re.findall(r"`(counterbias(?:\.[A-Za-z_]+)+)[`(]", text)):
            module, _, attribute = dotted.rpartition(".")
            try:
                importlib.import_module(dotted)
            except ModuleNotFoundError:
                assert hasattr(importlib.import_module(module), attribute), f"{name}: {dotted}"


def test_public_functions_are_called_as_they_are_defined(root: Path) -> None:
    """Examples that no test runs still pass arguments that the functions take."""
    called = set()
    for page, text in pages(root).items():
        for code in blocks(text, "python"):
            for node in ast.walk(ast.parse(code)):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="counterbias"), attr=name)):
                        try:
                            inspect.signature(getattr(counterbias, name)).bind(
                                *node.args, **{word.arg: word.value for word in node.keywords}
                            )
                        except (AttributeError, TypeError) as error:
                            pytest.fail(f"{page}: counterbias.{name}: {error}")
                        called.add(name)
    assert called >= {"count_reads", "fit_model", "train_cohort", "save_models", "Weigher"}


def test_thresholds_of_the_report_are_documented_with_their_defaults(root: Path) -> None:
    page = pages(root)["docs/reference/multiqc.md"]
    (block,) = blocks(page, "yaml")
    assert yaml.safe_load(block) == {"counterbias": dataclasses.asdict(Thresholds())}
