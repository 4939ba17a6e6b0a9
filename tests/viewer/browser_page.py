"""The viewer's page in a real browser, for the tests: its keys, its canvas and what it keeps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from viewed_output import Client

from pancseg import read_scan

try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:  # `browsing` says so
    expect = sync_playwright = None  # type: ignore[assignment]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-quic", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]  # fmt: skip
WAIT_MS = 180_000


def browsing(config: pytest.Config) -> Iterator[Any]:
    """Yield a browser; skip without one, or fail if nothing may be skipped."""
    if CHROMIUM is None or sync_playwright is None:
        reason = "the viewer's page needs playwright and chromium"
        pytest.fail(reason) if config.getoption("--require-data") else pytest.skip(reason)
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class ViewerPage:
    """One open page."""

    def __init__(self, page: Any, client: Client) -> None:
        self.page, self.client = page, client
        self.wrong: list[str] = []
        self.expected: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda message: self._note(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self._note(f"error: {error}"))
        page.on("request", self._asked)

    def _note(self, text: str) -> None:
        if not any(each in text for each in self.expected):
            self.wrong.append(text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.client.server.url, "data:")):
            self._note(f"asked for {request.url}")

    def open(self) -> None:
        """Open the page, and wait for its first slices."""
        self.page.goto(self.client.server.url)
        self.ready()

    def ready(self) -> None:
        """Wait until slices are on show."""
        self.page.locator("#where").wait_for(state="visible", timeout=WAIT_MS)

    def shows(self, selector: str, text: str) -> None:
        """Wait until an element has a text among its own."""
        expect(self.page.locator(selector)).to_contain_text(text, timeout=WAIT_MS)

    def dismiss(self) -> None:
        """Close a question without an answer."""
        self.press("Escape")
        self.page.locator("#ask").wait_for(state="hidden")

    def saved(self) -> None:
        """Wait until the mask on show is saved."""
        expect(self.page.locator("#edited")).not_to_contain_text("not saved", timeout=WAIT_MS)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, patient: str) -> None:
        """Open a patient from the list unless it is open, and wait for its slices."""
        if self.page.locator("#about h1").inner_text() == patient:
            self.ready()
            return
        self.page.locator(".patient", has_text=patient).first.click()
        self.shows("#about h1", patient)
        self.ready()

    def state(self, script: str) -> Any:
        """Return what a script says about the page's state, called ``s``."""
        at = f"{self.client.server.url}static/state.js"
        return self.page.evaluate(
            f"async () => {{ const s = (await import('{at}')).state; {script} }}"
        )

    def drawing(self) -> NDArray[np.uint8]:
        """Return what is drawn, (z, y, x), with axes to the right, front and head."""
        found = self.state(
            "const found = []; s.slices.drawing.forEach((v, i) => { if (v) found.push([i, v]); });"
            "return [s.grid.size, found];"
        )
        (x, y, z), voxels = found
        drawn = np.zeros(x * y * z, np.uint8)
        for index, value in voxels:
            drawn[index] = value
        return drawn.reshape(z, y, x)

    def voxel(self) -> tuple[int, int, int]:
        """Return the voxel at the cross: x, y, z."""
        x, y, z = self.state("return s.slices.voxel;")
        return x, y, z

    def place(self, across: float, down: float) -> tuple[float, float]:
        """Return a point of the axial picture, as shares of its width and height."""
        tile = self.state(
            "return [...s.slices.nv.screenSlices.find((t) => t.axCorSag === 0).leftTopWidthHeight];"
        )
        box = self.page.locator("#slices").bounding_box()
        return box["x"] + tile[0] + across * tile[2], box["y"] + tile[1] + down * tile[3]

    def stroke(self, *points: tuple[float, float], button: str = "left") -> None:
        """Drag the mouse over points of the axial picture."""
        mouse = self.page.mouse
        first, *rest = [self.place(*point) for point in points]
        mouse.move(*first)
        mouse.down(button=button)
        for point in rest:
            mouse.move(*point, steps=4)
        mouse.up(button=button)


@contextmanager
def page_of(
    browser: Any, client: Client, *, width: int = 1280, script: str = ""
) -> Iterator[ViewerPage]:
    """Open the page for the block; afterwards it must have logged nothing and asked nobody else."""
    context = browser.new_context(viewport={"width": width, "height": 640})
    if script:
        context.add_init_script(script)
    opened = ViewerPage(context.new_page(), client)
    try:
        yield opened
    finally:
        context.close()
    assert not opened.wrong, opened.wrong


def upright(path: Path) -> NDArray[np.uint8]:
    """Return a mask file as the page draws it: (z, y, x), with axes to the right, front, head."""
    mask = read_scan(path)
    assert np.allclose(mask.GetDirection(), np.eye(3).ravel())  # to the left and back
    return np.asarray(sitk.GetArrayFromImage(mask)[:, ::-1, ::-1], np.uint8)
