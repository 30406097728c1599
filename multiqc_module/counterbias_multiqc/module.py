"""The MultiQC module: find files, read them, and put the sections in order."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from multiqc import config
from multiqc.base_module import BaseMultiqcModule, ModuleNoSamplesFound

from counterbias_multiqc import checks
from counterbias_multiqc.draw import View, sample_colours, silence_text_columns
from counterbias_multiqc.parser import (
    MOST_CHARACTERS,
    Report,
    UnusableFile,
    parse_comparison,
    parse_report,
)
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.sections import (
    assignment,
    changes,
    composition,
    models,
    overview,
    size,
    training,
    truth,
    weights,
)
from counterbias_multiqc.text import escape, logged

#: Names of files and samples may hold brackets, which MultiQC would take for markup.
log = logging.LoggerAdapter(logging.getLogger(__name__), {"markup": False})
Parsed = TypeVar("Parsed")


class MultiqcModule(BaseMultiqcModule):
    """Counterbias counts RNA-seq reads as htseq-count does and corrects the counts for sequence-specific bias of read starts.

    The module reads `*.counterbias.json`, which `counterbias count --bias-model …` writes, and `comparison.json` of
    `counterbias compare`. It needs no configuration. Samples are named by what stands inside the files. Where two files
    are of one sample and different models, the one with the higher gain is shown and both are listed side by side;
    where two files have the same sample name but other alignments, the second is named after its file.

    Thresholds of its checks may be set in `multiqc_config.yaml`; these are the defaults:

    ```yaml
    counterbias:
      assigned_warn: 50 # % of fragments assigned; warn below
      assigned_fail: 25
      starts_warn: 2000 # distinct read starts; warn below
      starts_fail: 500
      bias_found: 0.05 # bits from which there is a bias to remove, where the file does not say
      removed_warn: 50 # % of held-out divergence removed; warn below
      removed_fail: 20
      size_warn: 0.1 # distance of the reliability slope's interval from 1; warn above
      size_fail: 0.5
      outside_warn: 25 # % of the bias outside of the window; warn above
      unmatched_warn: 1 # % of features on contigs that the alignments lack; warn above
      unmatched_fail: 50
      clipped_warn: 1 # % of weights clipped; warn above
      clipped_fail: 5
      effective_warn: 50 # effective sample size, % of reads; warn below
      effective_fail: 25
      heatmap_above: 50 # samples; above, lines become heat maps
    ```
    """

    def __init__(self) -> None:
        super().__init__(
            name="Counterbias",
            anchor="counterbias",
            info="Counts RNA-seq reads as htseq-count does, and corrects counts for sequence-specific bias of read starts.",
        )
        collection = Collection()
        self._read_reports(collection)
        self._read_comparisons(collection)
        if not collection.main and not collection.comparisons:
            raise ModuleNoSamplesFound
        names = sorted(
            {
                *collection.main,
                *(name for _, names in collection.comparisons for name in names.values()),
            }
        )
        log.info(f"Found {len(names)} samples")
        limits = checks.thresholds(getattr(config, "counterbias", None))
        reports = {name: collection.main[name] for name in names if name in collection.main}
        view = View(
            module=self,
            reports=reports,
            collection=collection,
            models=collection.models(),
            checked={name: checks.check(report, limits) for name, report in reports.items()},
            limits=limits,
            colours=sample_colours(names),
        )
        silence_text_columns()
        self._add_sections(view)
        self.write_data_file({name: _row(view, name) for name in names}, f"multiqc_{self.anchor}")

    def _add_sections(self, view: View) -> None:
        overview.add_general_statistics(view)
        overview.add_checks(view)
        for section in (assignment, composition, size, weights, models, changes, training, truth):
            section.add(view)

    def _read_reports(self, collection: Collection) -> None:
        sources: dict[str, str | None] = {}
        for file, report in self._read("counterbias/qc", parse_report):
            name = self.clean_s_name(report.sample, file)
            if sources.get(name, report.alignments) != report.alignments:
                # Another library of the same name, as with a/reads.bam and b/reads.bam: its output file has a name of its own.
                name = _unused(file["s_name"], sources)
                log.info(
                    f"Two samples are called {report.sample}; the one in {logged(file['fn'])} is shown as {logged(name)}"
                )
            if self.is_ignore_sample(name):
                continue
            sources[name] = report.alignments
            self.add_data_source(file, s_name=escape(name))
            self._add_version(report.version, name)
            if collection.add(escape(name), report) is not None:
                log.debug(
                    f"{logged(file['fn'])} replaces an earlier file of sample {logged(name)} and model {report.backend}"
                )

    def _read_comparisons(self, collection: Collection) -> None:
        for file, comparison in self._read("counterbias/comparison", parse_comparison):
            if comparison.left_out:
                log.warning(
                    f"{logged(file['fn'])}: {comparison.left_out} of its samples or models cannot be used and are left out"
                )
            cleaned = _told_apart(
                {
                    sample.sample: self.clean_s_name(sample.sample, file)
                    for sample in comparison.samples
                }
            )
            names = {
                given: escape(name)
                for given, name in cleaned.items()
                if not self.is_ignore_sample(name)
            }
            if not names:
                continue
            for name in names.values():
                self.add_data_source(file, s_name=name, section="comparison")
            self._add_version(comparison.version)
            collection.add_comparison(comparison, names)

    def _add_version(self, version: str | None, sample: str | None = None) -> None:
        """Add to the table of software versions, which takes texts as HTML."""
        self.add_software_version(None if version is None else escape(version), sample)

    def _read(self, pattern: str, parse: Callable[[str], Parsed]) -> Iterator[tuple[Any, Parsed]]:
        """Give every file that can be used; the others are named in a warning and left out."""
        for file in self.find_log_files(pattern, filecontents=False, filehandles=False):
            path = os.path.join(file["root"], file["fn"])
            try:
                if os.path.getsize(path) > MOST_CHARACTERS:
                    raise UnusableFile("it is too large")
                with open(path, encoding="utf-8-sig", errors="replace") as stream:
                    parsed = parse(stream.read())
            except (UnusableFile, OSError, MemoryError) as error:
                log.warning(f"{logged(file['fn'])} is left out: {logged(str(error))}")
                continue
            yield file, parsed


def _told_apart(cleaned: Mapping[str, str]) -> dict[str, str]:
    """Leave samples as they are where MultiQC would call several of one file the same."""
    names = Counter(cleaned.values())
    return {given: name if names[name] == 1 else given for given, name in cleaned.items()}


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    """Add a number to a name that is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found


def _row(view: View, name: str) -> dict[str, Any]:
    """Give one sample's line of the data file."""
    found: dict[str, Any] = {}
    report: Report | None = view.reports.get(name)
    if report is not None:
        found = {str(key): value for key, value in overview.row(view, name).items()}
        found.update(
            {f"check_{check}": finding.level for check, finding in view.checked[name].items()}
        )
        found.update(report.counts)
    for model in view.models.get(name, ()):
        found.update(
            {
                f"gain_cap5_{escape(model.label)}": value
                for value in [model.value("gain_cap5")]
                if value is not None
            }
        )
    return found
