"""Take a screenshot of a MultiQC report in headless Chromium, for docs/images.

    python -m counterbias.demo --directory demo
    python benchmarks/report_image.py demo/multiqc_report.html docs/images/multiqc-report.png

Needs selenium, Chromium and its driver (Debian: chromium, chromium-driver), and no network.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Without a sandbox, so that it runs as root in a container; without network access or a user
#: profile.
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
#: True once every visible plot is drawn; tables keep a hidden one.
DRAWN = """
const plots = [...document.querySelectorAll('.hc-plot')].filter(plot => plot.offsetParent !== null);
return plots.length > 0 && plots.every(plot => plot.querySelector('.main-svg') !== null);
"""


def find_chromium() -> tuple[str, str] | None:
    """Return the paths of Chromium and of its driver, or None if either is missing."""
    browser = next(
        (
            path
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (path := shutil.which(name))
        ),
        None,
    )
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def open_report(path: Path, *, width: int = 1400, height: int = 1000) -> Iterator[Any]:
    """Open a report in a new browser, wait until its plots are drawn, and yield selenium's driver.

    Raises:
        RuntimeError: Chromium or chromedriver is not installed, or the plots are never drawn.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    found = find_chromium()
    if found is None:
        raise RuntimeError("Chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for switch in (*SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(switch)
        driver = webdriver.Chrome(options=options, service=Service(found[1]))
        try:
            driver.get(path.resolve().as_uri())
            wait_for(driver, DRAWN)
            yield driver
        finally:
            driver.quit()


def wait_for(driver: Any, script: str, *, seconds: float = 60.0) -> None:
    """Wait until a script returns true.

    Raises:
        RuntimeError: it has not done so after ``seconds``.
    """
    limit = time.monotonic() + seconds
    while not driver.execute_script(script):
        if time.monotonic() > limit:
            raise RuntimeError(f"never true in the browser: {script.strip()}")
        time.sleep(0.1)


def main() -> int:
    """Take the screenshot and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("report", type=Path, help="MultiQC report, HTML")
    parser.add_argument("image", type=Path, help="PNG file to write")
    parser.add_argument("--width", type=int, default=1400, help="pixels (default: 1400)")
    parser.add_argument(
        "--height", type=int, default=0, help="pixels; 0 for the whole report (default: 0)"
    )
    arguments = parser.parse_args()
    if find_chromium() is None:
        print("Chromium or chromedriver is not installed", file=sys.stderr)
        return 1
    with open_report(arguments.report, width=arguments.width) as driver:
        driver.execute_script(
            "document.querySelectorAll('#mqc_welcome, .mqc-toolbox').forEach(part => part.remove())"
        )
        height = arguments.height or min(
            driver.execute_script("return document.documentElement.scrollHeight") + 150, 16_000
        )
        driver.set_window_size(arguments.width, height)
        wait_for(driver, DRAWN)
        time.sleep(1.0)
        arguments.image.parent.mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(arguments.image))
    print(f"{arguments.image}: {arguments.image.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
