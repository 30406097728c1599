"""Find and read the files of a report, under the names that their samples have in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from multiqc.base_module import BaseMultiqcModule
from multiqc.types import FileDict

from counterbias_multiqc.hooks import COMPARISON_PATTERN, QC_PATTERN
from counterbias_multiqc.log import log
from counterbias_multiqc.naming import Library, distinct_names, library, nearest
from counterbias_multiqc.parser import (
    MAX_FILE_LENGTH,
    UnusableFile,
    parse_comparison,
    parse_report,
)
from counterbias_multiqc.records import Comparison, QualityReport
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.text import escape_html, printable

Parsed = TypeVar("Parsed")


def read_all(module: BaseMultiqcModule) -> Collection:
    """Read all files that MultiQC found for the module; those that are unusable are told of."""
    collection = Collection()
    names = _read_reports(module, collection)
    _read_comparisons(module, collection, names)
    return collection


def _read_reports(module: BaseMultiqcModule, collection: Collection) -> dict[Library, str]:
    """Read quality reports. Return the name of each library, ignored ones included."""
    found = [
        (file, report, _library(module, file, report))
        for file, report in _read(module, QC_PATTERN, parse_report)
    ]
    # The last one of the same sample and model counts, whatever the order on the disk.
    found.sort(key=lambda entry: (entry[0]["root"], entry[0]["fn"]))
    # No folder is put before the name of a folder.
    nowhere = FileDict(fn="", root="", sp_key=QC_PATTERN)
    names = distinct_names(
        (entry for _, _, entry in found), lambda folder: module.clean_s_name(folder, nowhere)
    )
    _tell_of_renamed(names)
    for file, report, entry in found:
        name = names[entry]
        if module.is_ignore_sample(name):
            continue
        module.add_data_source(file, s_name=escape_html(name))
        _add_version(module, report.version, name)
        if collection.add(escape_html(name), report) is not None:
            path = os.path.join(file["root"], file["fn"])
            log.warning(
                f"{printable(path)} replaces another file of sample {printable(name)} with model "
                f"{printable(str(report.backend))}, which is not shown"
            )
    return names


def _library(module: BaseMultiqcModule, file: Any, report: QualityReport) -> Library:
    name = module.clean_s_name(report.sample, file)
    return library(name, report.alignments, file["root"], sum(report.counts.values()))


def _tell_of_renamed(names: Mapping[Library, str]) -> None:
    renamed = {entry: name for entry, name in names.items() if name != entry.name}
    for shared in sorted({entry.name for entry in renamed}):
        shown = sorted({name for entry, name in names.items() if entry.name == shared})
        log.info(
            f"{len(shown)} samples are called {printable(shared)}: they are shown as "
            f"{', '.join(map(printable, shown))}"
        )


def _read_comparisons(
    module: BaseMultiqcModule, collection: Collection, libraries: Mapping[Library, str]
) -> None:
    for file, comparison in _read(module, COMPARISON_PATTERN, parse_comparison):
        if comparison.skipped:
            log.warning(
                f"{printable(file['fn'])}: skipping {comparison.skipped} samples or models "
                "that cannot be used"
            )
        names = _names_in(module, comparison, file, libraries)
        if not names:
            continue
        for name in names.values():
            module.add_data_source(file, s_name=name, section="comparison")
        _add_version(module, comparison.version)
        collection.add_comparison(comparison, names)


def _names_in(
    module: BaseMultiqcModule, comparison: Comparison, file: Any, libraries: Mapping[Library, str]
) -> dict[str, str]:
    """Map the samples of a comparison that are not ignored to their names in the report.

    A comparison does not say where its alignments lie: where several libraries share the name, it
    belongs to the one in whose folder it is.
    """
    samples = [sample.sample for sample in comparison.samples]
    names = _keep_distinct({name: module.clean_s_name(name, file) for name in samples})
    for sample, name in names.items():
        folders = {
            folder: shown
            for entry, shown in libraries.items()
            if entry.name == name != shown
            for folder in (os.path.dirname(entry.alignments), entry.folder)
        }
        names[sample] = nearest(file["root"], folders) or name
    return {
        sample: escape_html(name)
        for sample, name in names.items()
        if not module.is_ignore_sample(name)
    }


def _add_version(module: BaseMultiqcModule, version: str | None, sample: str | None = None) -> None:
    # The table of software versions takes texts as HTML.
    module.add_software_version(None if version is None else escape_html(version), sample)


def _read(
    module: BaseMultiqcModule, pattern: str, parse: Callable[[str], Parsed]
) -> Iterator[tuple[Any, Parsed]]:
    """Iterate over the usable files of a pattern; the others are skipped with a warning."""
    for file in module.find_log_files(pattern, filecontents=False, filehandles=False):
        path = os.path.join(file["root"], file["fn"])
        try:
            if os.path.getsize(path) > MAX_FILE_LENGTH:
                raise UnusableFile("it is too large")
            with open(path, encoding="utf-8-sig", errors="replace") as stream:
                parsed = parse(stream.read())
        except (UnusableFile, OSError, MemoryError) as error:
            log.warning(f"Skipping {printable(file['fn'])}: {printable(str(error))}")
            continue
        yield file, parsed


def _keep_distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Undo the cleaning of sample names that would make several of them the same."""
    uses = Counter(names.values())
    return {sample: name if uses[name] == 1 else sample for sample, name in names.items()}
