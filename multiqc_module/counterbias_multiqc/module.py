"""The MultiQC module: what it says of itself, and its sections in order."""

from __future__ import annotations

from typing import Any

from multiqc import config
from multiqc.base_module import BaseMultiqcModule, ModuleNoSamplesFound

from counterbias_multiqc import DOCUMENTATION
from counterbias_multiqc.checks import check_sample, worst_level
from counterbias_multiqc.colours import assign_colours
from counterbias_multiqc.hooks import CONFIG_KEY
from counterbias_multiqc.log import log
from counterbias_multiqc.plots import silence_text_columns
from counterbias_multiqc.reading import read_all
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.sections import (
    assignment,
    check_overview,
    composition,
    divergence,
    fold_changes,
    fragment_lengths,
    general_statistics,
    models,
    reliability,
    strandedness,
    training,
    truth,
    weights,
)
from counterbias_multiqc.sources import MAIN_MEASURE
from counterbias_multiqc.text import escape_html, printable
from counterbias_multiqc.thresholds import Thresholds, unusable
from counterbias_multiqc.view import View

#: The order of the report.
SECTIONS = (
    general_statistics,
    check_overview,
    assignment,
    strandedness,
    fragment_lengths,
    composition,
    divergence,
    reliability,
    weights,
    models,
    fold_changes,
    training,
    truth,
)

#: Paper on the method: Zhang et al. 2017, BMC Genomics 18(Suppl 1):1044.
PAPER = "10.1186/s12864-016-3262-5"


class MultiqcModule(BaseMultiqcModule):
    """Counterbias counts RNA-seq reads like htseq-count and corrects sequence-specific bias.

    The module reads `*.counterbias.json`, which `counterbias count` writes with `--bias-model …` or
    `--bias-lengths …`, and `comparison.json` of `counterbias compare`. It needs no configuration.

    The name of a sample comes from inside the file. If several files are from one sample but
    different models, the one with the highest gain is shown and all are compared. Samples of the
    same name but different alignments, such as STAR's, are all named after their folders.

    Thresholds of the checks can be set under `counterbias:` in `multiqc_config.yaml`;
    `counterbias_multiqc.thresholds.Thresholds` lists them with their defaults.
    """

    def __init__(self) -> None:
        super().__init__(
            name="Counterbias",
            anchor="counterbias",
            href=DOCUMENTATION,
            doi=PAPER,
            info="Counts RNA-seq reads like htseq-count and corrects the counts for "
            "sequence-specific bias at read starts.",
        )
        collection = read_all(self)
        names = collection.names()
        if not collection.shown and not collection.comparisons:
            raise ModuleNoSamplesFound
        log.info(f"Found {len(names)} sample{'' if len(names) == 1 else 's'}")
        view = self._view(collection, names)
        silence_text_columns()
        for section in SECTIONS:
            section.add(view)
        self.write_data_file(
            {name: _data_row(view, name) for name in names}, f"multiqc_{self.anchor}"
        )

    def _view(self, collection: Collection, names: list[str]) -> View:
        configured = getattr(config, CONFIG_KEY, None)
        for problem in unusable(configured):
            log.warning(f"Configuration, {CONFIG_KEY}: {printable(problem)}")
        thresholds = Thresholds.from_config(configured)
        reports = {name: collection.shown[name] for name in names if name in collection.shown}
        findings = {name: check_sample(report, thresholds) for name, report in reports.items()}
        return View(
            module=self,
            reports=reports,
            collection=collection,
            sources=collection.sources(),
            findings=findings,
            thresholds=thresholds,
            # Samples that need a look get the colours that differ most.
            colours=assign_colours(
                sorted(names, key=lambda name: worst_level(findings.get(name, {})) == "pass")
            ),
        )


def _data_row(view: View, name: str) -> dict[str, Any]:
    """Return a sample's row of the data file."""
    row: dict[str, Any] = {}
    report = view.reports.get(name)
    if report is not None:
        row.update(general_statistics.row(report, view.thresholds))
        row.update(check_overview.data_row(name, view.findings[name]))
        row.update(report.counts)
    for source in view.sources:
        for model in source.models.get(name, ()):
            gain = model.value(MAIN_MEASURE)
            if gain is not None:
                row[f"{MAIN_MEASURE}_{source.key}_{escape_html(model.label)}"] = gain
    return row
