"""Make the README's pictures of the page and of the viewer, from the output of ``pancseg demo``.

``pancseg demo --out pancseg-demo && python studies/screenshots.py pancseg-demo docs/pictures``
(extra ``browser``, and Chromium).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WINDOW = {"width": 1280, "height": 900}
PATIENT = "phantom_02"
SETTLED_MS = 3000
WAIT_MS = 180_000  # a busy machine is slow
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def show_patient(page: Page, out: Path) -> None:
    """Open one patient on the page of a run."""
    page.goto((out / "report" / "index.html").resolve().as_uri())
    page.locator("#rows .open", has_text=PATIENT).click()
    page.evaluate(
        "Promise.all([...document.querySelectorAll('.layers img')]"
        ".filter(each => !each.hidden).map(each => each.decode()))"
    )


@contextmanager
def viewer(out: Path) -> Iterator[str]:
    """Run ``pancseg view``, and give the address of its page."""
    words = [sys.executable, "-m", "pancseg", "view", str(out), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        found = (re.search(r"http://\S+/", line) for line in served.stdout)
        try:
            yield next(address for address in found if address)[0]
        finally:
            served.terminate()


def view_patient(page: Page, address: str) -> None:
    """Open one patient in the viewer."""
    page.goto(address)
    page.locator("#patients button", has_text=PATIENT).click()
    page.locator("#where", has_text="HU").wait_for()
    page.wait_for_timeout(SETTLED_MS)


def main(out: Path, pictures: Path) -> None:
    """Write ``page.jpg`` and ``viewer.jpg``."""
    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver, viewer(out) as address:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", *WEBGL]
        )
        page = browser.new_page(viewport=WINDOW, color_scheme="light")
        page.set_default_timeout(WAIT_MS)
        show_patient(page, out)
        page.screenshot(path=pictures / "page.jpg", type="jpeg", quality=80)
        page = browser.new_page(viewport=WINDOW, color_scheme="dark")
        page.set_default_timeout(WAIT_MS)
        view_patient(page, address)
        page.screenshot(path=pictures / "viewer.jpg", type="jpeg", quality=80)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
