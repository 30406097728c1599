"""What a person sees of the report in a browser: in light and dark, and with the keyboard only."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.helpers import multiqc_builders as builders
from tests.helpers.scripts import load as load_script

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")
pytest.importorskip("selenium", reason="selenium is not installed (extra dev)")

EVIL = "<img src=x onerror=document.title='broken'>"
#: Text of normal size must have this contrast (WCAG 2.2, level AA).
CONTRAST = 4.5
#: Differences of colours (CIE 1976) below 2 are not seen; a patch beside a patch needs some tens.
DIFFERENCE = 20.0
#: Linear RGB as people see it who lack the green cones: Machado et al. 2009, severity 1.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)

#: All texts of ours that are seen: text, its colour, and the colours behind it, nearest first.
TEXTS = """
// What MultiQC adds to each section.
const NOT_OURS = 'svg, .hc-plot, script, button, .mqc-status-progress-wrapper, ' +
  '.created-with-multiqc, [id$=_ai_summary_wrapper]';
const ours = [...document.querySelectorAll("[id^='mqc-section-wrapper-counterbias'], " +
  "#mqc-module-section-counterbias, #general_stats")];
const seen = element => element.checkVisibility({opacityProperty: true, visibilityProperty: true});
const found = [];
for (const root of ours) for (const element of root.querySelectorAll('*')) {
  if (element.closest(NOT_OURS)) continue;
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || !seen(element)) continue;
  const behind = [];
  for (let up = element; up; up = up.parentElement) {
    behind.push(getComputedStyle(up).backgroundColor);
    // MultiQC draws the bars of a table behind the values, which are its own affair.
    if (up.classList.contains('data-coloured')) { behind.length = 0; break; }
  }
  const colour = getComputedStyle(element).color;
  if (behind.length) found.push([element.textContent.trim(), colour, behind]);
}
return found;
"""
BADGES = """
return [...document.querySelectorAll('#mqc-module-section-counterbias .badge, ' +
    '#general_stats .badge')]
  .filter(badge => badge.checkVisibility())
  .map(badge => [badge.textContent.trim(), getComputedStyle(badge).backgroundColor]);
"""


def encoded(colour: str) -> tuple[np.ndarray, float]:
    """Return the sRGB (0 to 1) and the opacity of a colour as browsers write it."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour.split("(")[1])]
    scale = 1.0 if colour.startswith("color(") else 255.0
    return np.array(numbers[:3]) / scale, numbers[3] if len(numbers) > 3 else 1.0


def painted(*layers: str) -> np.ndarray:
    """Return the linear RGB that colours show, the first on top of the others on a white page."""
    shown = np.ones(3)
    for colour in reversed(layers):
        values, opacity = encoded(colour)
        shown = opacity * values + (1 - opacity) * shown
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)


def contrast(text: np.ndarray, behind: np.ndarray) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    darker, lighter = sorted((float(text @ weights), float(behind @ weights)))
    return (lighter + 0.05) / (darker + 0.05)


def lab(values: np.ndarray) -> np.ndarray:
    """Return L*a*b* of linear RGB, for the white of daylight (D65)."""
    matrix = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    ratios = matrix @ np.clip(values, 0, 1) / matrix.sum(axis=1)
    roots = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    return np.array([116 * roots[1] - 16, 500 * (roots[0] - roots[1]), 200 * (roots[1] - roots[2])])


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the difference of two colours in linear RGB (CIE 1976)."""
    return float(np.linalg.norm(lab(one) - lab(other)))


def test_colours_are_computed_as_published() -> None:
    black, white = painted("rgb(0, 0, 0)"), painted("rgb(255, 255, 255)")
    assert contrast(black, white) == pytest.approx(21.0)
    assert lab(white) == pytest.approx([100.0, 0.0, 0.0], abs=1e-3)
    assert lab(painted("rgb(255, 0, 0)")) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert DEUTERANOPIA @ white == pytest.approx(white, abs=1e-5)


@pytest.fixture(scope="module")
def browser() -> ModuleType:
    module = load_script("report_image")
    if module.find_chromium() is None:
        pytest.skip(
            "no browser: Chromium or chromedriver is not installed "
            "(Debian: chromium, chromium-driver)"
        )
    return module


def make_report(folder: Path) -> Path:
    # In another process, because MultiQC does not reset all options between runs in one process.
    done = builders.command_line(
        "-m", "counterbias", "--require-logs", "-o", "out", ".", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert builders.complaints((done.stdout + done.stderr).replace(EVIL, "")) == []
    return folder / "out" / "multiqc_report.html"


@pytest.fixture(scope="module")
def page(browser: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The demo's three samples: biased, unbiased and trimmed; and one with an evil name.

    The evil sample was counted with the wrong strand, and has a comparison of models.
    """
    from counterbias import demo

    folder = tmp_path_factory.mktemp("demo")
    simulated = demo.simulate(folder, 40_000, 80, 1)
    demo.simulate_small_samples(folder, simulated, 40_000, 1)
    for sample in ("biased", "unbiased", "trimmed"):
        assert demo.count(folder, "pwm", 2, sample=sample, prefix=sample) == 0
    strand = {"sense": 900, "antisense": 100, "verdict": "yes"}
    builders.write(folder, EVIL, name="evil", strandedness=strand)
    builders.write_comparison(folder / "comparison.json", [EVIL, "biased"])
    with browser.open_report(make_report(folder)) as driver:
        yield driver


def errors(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def row(driver: Any, table: str, sample: str) -> str:
    """Return what is seen of a sample's row in a table."""
    script = """
    return [...document.querySelectorAll(`${arguments[0]} tr`)].map(row => row.innerText)
      .filter(text => text.trim().startsWith(arguments[1]));
    """
    (found,) = driver.execute_script(script, table, sample)
    return " ".join(found.split())


def test_general_statistics_say_of_each_sample_whether_it_passed(page: Any) -> None:
    for sample, says in (
        ("biased", "✓ passed"),
        ("unbiased", "✓ passed"),
        ("trimmed", "✗ failed: 5′ ends"),
        (EVIL, "! look: Strandedness"),
    ):
        assert says in row(page, "#general_stats", sample), sample


def test_the_first_table_says_which_sample_has_which_problem_and_what_to_run(page: Any) -> None:
    table = page.execute_script(
        "return [...document.querySelectorAll('table')].find(table => "
        "table.innerText.includes('What to run') && table.checkVisibility()).innerText"
    )
    heading, first, *others = [line for line in table.splitlines() if line.strip()]
    assert heading.split("\t") == ["Sample", "Problem", "Reason", "What to run"]
    assert first.startswith("trimmed\t✗ failed")
    assert re.search(r"--bias-window \d+,\d+", first)
    assert any(line.startswith(f"{EVIL}\t! look") and "-s yes" in line for line in others)
    assert not any(re.match(r"(un)?biased\t", line) for line in others)


def test_levels_differ_in_words_and_in_colours_without_green_cones(page: Any) -> None:
    levels = {text.split(":")[0]: colour for text, colour in page.execute_script(BADGES)}
    assert {"✓ passed", "! look", "✗ failed"} <= set(levels)
    colours = [painted(levels[word]) for word in ("✓ passed", "! look", "✗ failed")]
    for one, other in itertools.combinations(colours, 2):
        assert difference(one, other) > DIFFERENCE
        assert difference(DEUTERANOPIA @ one, DEUTERANOPIA @ other) > DIFFERENCE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(page: Any, theme: str) -> None:
    button = f"document.querySelector('[data-bs-theme-value={theme}]').click()"
    page.execute_script(button)
    try:
        load_script("report_image").wait_for(
            page, f"return document.documentElement.dataset.bsTheme === '{theme}'", seconds=20
        )
        texts = page.execute_script(TEXTS)
    finally:
        page.execute_script("document.querySelector('[data-bs-theme-value=light]').click()")
    assert len(texts) > 100
    faint = {}
    for text, colour, behind in texts:
        ratio = contrast(painted(colour, *behind), painted(*behind))
        if ratio < CONTRAST:
            faint[text[:60]] = (round(ratio, 2), colour, behind[:3])
    assert faint == {}


def test_every_section_has_a_drawn_plot_or_a_table(page: Any) -> None:
    script = """
    return [...document.querySelectorAll("h3[id^='counterbias-']")].map(heading => {
      const section = heading.closest('.mqc-section') || heading.parentElement;
      const marks = section.querySelectorAll(
        '.js-plotly-plot .main-svg path, .js-plotly-plot .main-svg image, table td');
      return [heading.id,
        [...marks].filter(mark => mark.getBoundingClientRect().width > 0).length];
    });
    """
    marks = dict(page.execute_script(script))
    assert {"counterbias-checks", "counterbias-assignment", "counterbias-composition"} <= set(marks)
    assert {"counterbias-weights", "counterbias-changes"} <= set(marks)
    assert any(name.startswith("counterbias-models") for name in marks)
    assert [name for name, number in marks.items() if not number] == []


def test_a_tab_switches_the_plot(browser: ModuleType, page: Any) -> None:
    # A plot may be removed and redrawn at any moment, as when its place on the page changes.
    script = """
    const group = document.getElementById('counterbias-divergence').closest('.mqc-section');
    const buttons = [...group.querySelectorAll('button[data-dataset-index]')];
    const chosen = arguments[0] === null ? null : buttons[arguments[0]];
    if (chosen) chosen.click();
    return [buttons.length, group.querySelector('.xaxislayer-above')?.textContent ?? ''];
    """
    number, before = page.execute_script(script, None)
    assert number == 2
    page.execute_script(script, 1)
    wait = f"""const axis = document.querySelector(
      '#counterbias_divergence_plot .xaxislayer-above')?.textContent;
      return axis !== undefined && axis !== {json.dumps(before)};"""
    browser.wait_for(page, wait, seconds=20)


def test_the_keyboard_reaches_our_tables_and_tabs_and_leaves_them(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    script = """
    const section = document.getElementById('counterbias-divergence').closest('.mqc-section');
    const before = document.getElementById('counterbias-checks').closest('.mqc-section');
    window.reached = [];
    document.addEventListener('focusin', event => window.reached.push(event.target));
    const links = [...before.querySelectorAll('button, a[href]')].filter(e => e.checkVisibility());
    links[0].focus();
    return [...document.querySelectorAll('.mqc-section button, .mqc-section a[href]')].filter(e =>
      e.checkVisibility()).length;
    """
    stops = page.execute_script(script)
    ActionChains(page).send_keys(Keys.TAB * min(2 * stops, 400)).perform()
    missed = page.execute_script(
        """
        const sections = ['checks', 'divergence'].map(name =>
          document.getElementById(`counterbias-${name}`).closest('.mqc-section'));
        return sections.flatMap(section => [...section.querySelectorAll('button, a[href]')])
          .filter(e => e.checkVisibility() && e.tabIndex >= 0 && !e.disabled)
          .filter(e => !window.reached.includes(e)).map(e => e.outerHTML.slice(0, 200));
        """
    )
    assert missed == []
    assert page.execute_script(
        "return window.reached.some(e => !e.closest(\"[id*='counterbias']\"))"
    )


def test_names_stay_text(page: Any) -> None:
    """Also in the lists that open below a status bar, and in the table of shown columns."""
    for bar in page.find_elements("css selector", ".mqc-status-progress-wrapper"):
        page.execute_script(
            "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", bar
        )
    assert page.title != "broken"
    assert page.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    assert page.execute_script("return document.body.textContent.includes(arguments[0])", EVIL)


def test_the_console_shows_no_errors(page: Any) -> None:
    assert errors(page) == []


@pytest.mark.parametrize("samples", [60, 500])
def test_many_samples_are_counted_and_the_worst_named_first(
    browser: ModuleType, samples: int, tmp_path: Path
) -> None:
    for number in range(samples):
        changes: dict[str, Any] = {}
        if number == samples - 1:
            changes = {"counting": {"assigned": 10.0, "no_feature": 990}}
        elif number % 10 == 0:
            changes = {"counting": {"assigned": 400.0, "no_feature": 600}}
        builders.write(tmp_path, f"sample{number:03d}", **changes)
    with browser.open_report(make_report(tmp_path)) as driver:
        assert errors(driver) == []
        seen = driver.execute_script(
            "return document.getElementById('mqc-module-section-counterbias').innerText"
        )
        worst, passing = f"sample{samples - 1:03d}", "sample001"
        named = re.findall(r"sample\d{3}", seen)
        assert named[0] == worst
        assert passing not in named[: samples // 20]
