"""The MultiQC module: find files, read them, and put the sections in order."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, TypeVar

from multiqc import config
from multiqc.base_module import BaseMultiqcModule, ModuleNoSamplesFound

from counterbias_multiqc.checks import Thresholds, check_sample
from counterbias_multiqc.colours import assign_colours
from counterbias_multiqc.hooks import COMPARISON_PATTERN, CONFIG_KEY, QC_PATTERN
from counterbias_multiqc.parser import (
    MAX_FILE_LENGTH,
    UnusableFile,
    parse_comparison,
    parse_report,
)
from counterbias_multiqc.plots import silence_text_columns
from counterbias_multiqc.records import Comparison
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.sections import (
    assignment,
    check_overview,
    composition,
    divergence,
    fold_changes,
    general_statistics,
    models,
    reliability,
    training,
    truth,
    weights,
)
from counterbias_multiqc.sources import MAIN_MEASURE
from counterbias_multiqc.text import escape_html, printable
from counterbias_multiqc.view import View

#: The order of the report.
SECTIONS = (
    general_statistics,
    check_overview,
    assignment,
    composition,
    divergence,
    reliability,
    weights,
    models,
    fold_changes,
    training,
    truth,
)

#: Names of files and samples may hold brackets, which MultiQC's log would take for markup.
log = logging.LoggerAdapter(logging.getLogger(__name__), {"markup": False})
Parsed = TypeVar("Parsed")


class MultiqcModule(BaseMultiqcModule):
    """Counterbias counts RNA-seq reads like htseq-count and corrects sequence-specific bias.

    The module reads `*.counterbias.json`, which `counterbias count` writes with `--bias-model …` or
    `--bias-lengths …`, and `comparison.json` of `counterbias compare`. It needs no configuration.

    The name of a sample comes from inside the file. If several files are from one sample but
    different models, the one with the highest gain is shown and all are compared. If two files have
    the same sample name but different alignments, the second is named after its file.

    Thresholds of the checks can be set under `counterbias:` in `multiqc_config.yaml`;
    `counterbias_multiqc.checks.Thresholds` lists them with their defaults.
    """

    def __init__(self) -> None:
        super().__init__(
            name="Counterbias",
            anchor="counterbias",
            info="Counts RNA-seq reads like htseq-count and corrects the counts for "
            "sequence-specific bias at read starts.",
        )
        collection = Collection()
        self._read_reports(collection)
        self._read_comparisons(collection)
        names = collection.names()
        if not collection.shown and not collection.comparisons:
            raise ModuleNoSamplesFound
        log.info(f"Found {len(names)} samples")
        view = self._view(collection, names)
        silence_text_columns()
        for section in SECTIONS:
            section.add(view)
        self.write_data_file(
            {name: _data_row(view, name) for name in names}, f"multiqc_{self.anchor}"
        )

    def _view(self, collection: Collection, names: list[str]) -> View:
        thresholds = Thresholds.from_config(getattr(config, CONFIG_KEY, None))
        reports = {name: collection.shown[name] for name in names if name in collection.shown}
        return View(
            module=self,
            reports=reports,
            collection=collection,
            sources=collection.sources(),
            findings={name: check_sample(report, thresholds) for name, report in reports.items()},
            thresholds=thresholds,
            colours=assign_colours(names),
        )

    def _read_reports(self, collection: Collection) -> None:
        alignments: dict[str, str | None] = {}
        for file, report in self._read(QC_PATTERN, parse_report):
            name = self.clean_s_name(report.sample, file)
            if alignments.get(name, report.alignments) != report.alignments:
                # Another library of the same name, as with a/reads.bam and b/reads.bam. The names
                # of their quality reports are likely to differ.
                name = _numbered(file["s_name"], alignments)
                log.info(
                    f"Two samples are called {report.sample}: "
                    f"the one in {printable(file['fn'])} is shown as {printable(name)}"
                )
            if self.is_ignore_sample(name):
                continue
            alignments[name] = report.alignments
            self.add_data_source(file, s_name=escape_html(name))
            self._add_version(report.version, name)
            if collection.add(escape_html(name), report) is not None:
                log.debug(
                    f"{printable(file['fn'])} replaces an earlier file with sample "
                    f"{printable(name)} and model {report.backend}"
                )

    def _read_comparisons(self, collection: Collection) -> None:
        for file, comparison in self._read(COMPARISON_PATTERN, parse_comparison):
            if comparison.skipped:
                log.warning(
                    f"{printable(file['fn'])}: skipping {comparison.skipped} samples or models "
                    "that cannot be used"
                )
            names = self._names_in(comparison, file)
            if not names:
                continue
            for name in names.values():
                self.add_data_source(file, s_name=name, section="comparison")
            self._add_version(comparison.version)
            collection.add_comparison(comparison, names)

    def _names_in(self, comparison: Comparison, file: Any) -> dict[str, str]:
        """Map the samples of a comparison that are not ignored to their names in the report."""
        samples = [sample.sample for sample in comparison.samples]
        names = _keep_distinct({name: self.clean_s_name(name, file) for name in samples})
        return {
            sample: escape_html(name)
            for sample, name in names.items()
            if not self.is_ignore_sample(name)
        }

    def _add_version(self, version: str | None, sample: str | None = None) -> None:
        # The table of software versions takes texts as HTML.
        self.add_software_version(None if version is None else escape_html(version), sample)

    def _read(self, pattern: str, parse: Callable[[str], Parsed]) -> Iterator[tuple[Any, Parsed]]:
        """Iterate over the usable files of a pattern; the others are skipped with a warning."""
        for file in self.find_log_files(pattern, filecontents=False, filehandles=False):
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


def _numbered(name: str, taken: Container[str]) -> str:
    """Add a number to a name if it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _data_row(view: View, name: str) -> dict[str, Any]:
    """Return a sample's row of the data file."""
    row: dict[str, Any] = {}
    report = view.reports.get(name)
    if report is not None:
        row.update(general_statistics.row(report))
        row.update({f"check_{check}": found.level for check, found in view.findings[name].items()})
        row.update(report.counts)
    for source in view.sources:
        for model in source.models.get(name, ()):
            gain = model.value(MAIN_MEASURE)
            if gain is not None:
                row[f"{MAIN_MEASURE}_{source.key}_{escape_html(model.label)}"] = gain
    return row
