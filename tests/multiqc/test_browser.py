"""The report of real data in a browser: sections are drawn, tabs switch, no errors are logged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers import multiqc_builders as builders
from tests.helpers.scripts import load as load_script

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
pytest.importorskip("selenium", reason="selenium is not installed (extra dev)")

EVIL = "<img src=x onerror=document.title='broken'>"
SECTIONS = (
    "checks",
    "assignment",
    "composition",
    "divergence",
    "weights",
    "weight-scalars",
    "models-count",
    "changes",
)


def load_browser() -> ModuleType:
    return load_script("report_image")


@pytest.fixture(scope="module")
def browser() -> ModuleType:
    module = load_browser()
    if module.find_chromium() is None:
        pytest.skip(
            "no browser: Chromium or chromedriver is not installed "
            "(Debian: chromium, chromium-driver)"
        )
    return module


@pytest.fixture(scope="module")
def folder(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real samples: biased yeast with two models, unbiased yeast, and human reads trimmed at 5'."""
    from counterbias.cli import main

    folder = tmp_path_factory.mktemp("real")
    yeast, human = data_dir / "yeast", data_dir / "human_trimmed"
    runs = [
        (yeast, "isowt5.bam", "pwm", "isowt5", []),
        (yeast, "isowt5.bam", "heptamer", "second", []),
        (yeast, "unbiased.bam", "pwm", "unbiased", []),
        (human, "SRR1039508.bam", "pwm", "trimmed", ["-r", "pos"]),
    ]
    for data, name, model, prefix, more in runs:
        options = [
            "-q",
            "-s",
            "no",
            *more,
            "--bias-model",
            model,
            "--bias-genome",
            str(data / "genome.fa"),
        ]
        options += ["--bias-output", str(folder / prefix), "-c", str(folder / f"{prefix}.tsv")]
        assert main(["count", *options, str(data / name), str(data / "genes.gtf")]) == 0
    return folder


@pytest.fixture(scope="module")
def page(browser: ModuleType, folder: Path) -> Iterator[Any]:
    evil = json.loads((folder / "isowt5.counterbias.json").read_text()) | {"sample": EVIL}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in evil.items()]
    (folder / "evil.counterbias.json").write_text("{" + ",\n ".join(lines) + "}\n")
    # In another process, because MultiQC does not reset all options between runs in one process.
    done = builders.command_line(
        "-m", "counterbias", "--require-logs", "-o", "out", ".", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert builders.complaints((done.stdout + done.stderr).replace(EVIL, "")) == []
    with browser.open_report(folder / "out" / "multiqc_report.html") as driver:
        yield driver


def errors(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def test_every_section_has_a_drawn_plot(page: Any) -> None:
    script = """
    const heading = document.getElementById(arguments[0]);
    const section = heading.closest('.mqc-section') || heading.parentElement;
    const plot = '.js-plotly-plot .main-svg';
    const marks = section.querySelectorAll(`${plot} path, ${plot} image, table.mqc_table td`);
    return [...marks].filter(mark => mark.getBoundingClientRect().width > 0).length;
    """
    for name in SECTIONS:
        assert page.execute_script(script, f"counterbias-{name}") > 0, name
    assert (
        page.execute_script(
            "return [...document.querySelectorAll('.js-plotly-plot .main-svg')].length"
        )
        >= len(SECTIONS) - 1
    )


def test_a_tab_switches_the_plot(page: Any) -> None:
    # A plot may be removed and redrawn at any moment, as when its place on the page changes.
    title = (
        "return (document.querySelector('#counterbias_composition_plot .gtitle')"
        "?.textContent ?? '')"
    )
    wait_for = load_browser().wait_for
    wait_for(page, f"{title} !== ''", seconds=20)
    button = """
    const plot = document.getElementById('counterbias_composition_plot');
    const buttons = [...plot.closest('.mqc_hcplot_plotgroup').querySelectorAll('button')];
    buttons.find(button => button.textContent.trim() === 'unbiased').click();
    """
    page.execute_script(button)
    wait_for(page, f"{title}.includes('unbiased')", seconds=20)


def test_the_console_shows_no_errors(page: Any) -> None:
    assert errors(page) == []


def test_names_stay_text(page: Any) -> None:
    """Also in the lists that open below a status bar, and in the table of shown columns."""
    for bar in page.find_elements("css selector", ".mqc-status-progress-wrapper"):
        page.execute_script(
            "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", bar
        )
    assert page.title != "broken"
    assert page.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    assert page.execute_script("return document.body.textContent.includes(arguments[0])", EVIL)
