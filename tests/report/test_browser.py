"""The page in a browser: no error, no request, and it can be used by mouse, keyboard and reader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_output import HOSTILE, make_output

import pancseg
from pancseg import QualityLimits
from pancseg.pictures.row_pictures import row_pictures
from pancseg.system.text.number_text import three_digit_percent

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROWS = 60
WAIT_MS = 180_000  # a busy machine is slow


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with every reason code, a hostile id, and one real picture in all rows."""
    phantom = pancseg.phantom.make_phantom(3, size=(64, 64, 20), spacing_mm=(5.4, 5.4, 8.0))
    pictures = row_pictures(phantom.image, phantom.mask)
    folder = tmp_path_factory.mktemp("page") / "out with # and ?"
    make_output(folder, ROWS, picture=pictures[".jpg"], first_id=HOSTILE)
    for number in range(1, ROWS):
        for suffix in (".svg", ".measured.svg"):
            path = folder / "report" / "pictures" / f"P{number:04}{suffix}"
            path.write_bytes(pictures[".svg"])
    pancseg.write_report(folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, output: Path) -> Iterator[Any]:
    """The open page; the test fails if it logs an error or asks for anything but its pictures."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("requestfailed", lambda request: wrong.append(request.url))

    def asked(request: Any) -> None:
        if not request.url.startswith((output.as_uri(), "data:")):
            wrong.append(request.url)

    opened.on("request", asked)
    opened.goto((output / "report" / "index.html").as_uri())
    yield opened
    context.close()
    assert wrong == []


def shown(page: Any) -> list[str]:
    """Return the patients in the table, as they are shown."""
    found: list[str] = page.locator("#rows .row:visible .open").all_inner_texts()
    return found


def wait_for_picture(page: Any) -> None:
    """Return when the first open picture is read."""
    picture = page.locator(".layers img").first
    playwright.expect(picture).to_have_js_property("naturalWidth", 1440, timeout=WAIT_MS)


def test_an_id_with_html_is_text(page: Any) -> None:
    assert page.title() == "pancseg report"
    assert shown(page)[0] == HOSTILE
    page.locator("#rows .open").first.click()
    assert page.locator(".patient").get_attribute("aria-label").startswith(HOSTILE)
    assert page.title() == "pancseg report"


def test_columns_sort_both_ways_with_empty_cells_last(page: Any) -> None:
    page.get_by_role("button", name="mL", exact=True).click()
    volumes = [float(t) for t in page.locator("#rows td[data-label=mL]").all_inner_texts()]
    assert volumes == sorted(volumes)
    assert page.locator("#rows th[aria-sort=ascending]").inner_text().startswith("mL")
    page.get_by_role("button", name="mL", exact=True).click()
    volumes = [float(t) for t in page.locator("#rows td[data-label=mL]").all_inner_texts()]
    assert volumes == sorted(volumes, reverse=True)
    page.get_by_role("button", name="verdict", exact=True).click()
    verdicts = page.locator("#rows td[data-label=verdict]").all_inner_texts()
    order = ["error", "fail", "warn", "pass"]
    assert [order.index(each) for each in verdicts] == sorted(order.index(v) for v in verdicts)


def test_rows_are_filtered_by_words_verdict_and_reason(page: Any) -> None:
    page.fill("#find", "P0007")
    assert shown(page) == ["P0007"]
    assert page.locator("#shown").inner_text() == f"1 of {ROWS} rows"
    page.get_by_role("button", name="Clear").click()
    # the page's policy forbids what `page.wait_for_function` does: it evaluates text in the page
    playwright.expect(page.locator("#rows .row:not([hidden])")).to_have_count(ROWS, timeout=WAIT_MS)
    page.select_option("#status", "warn")
    assert set(page.locator("#rows .row:visible .chip").all_inner_texts()) == {"warn"}
    page.locator("[data-reason=fragmented]").click()
    assert page.locator("#status").input_value() == ""
    reasons = page.locator("#rows .row:visible td[data-label=reasons]").all_inner_texts()
    assert set(reasons) == {"fragmented"}
    page.fill("#find", "nobody")
    assert shown(page) == []


def test_a_patient_opens_with_its_picture_its_checks_and_its_remedy(page: Any) -> None:
    page.locator("[data-reason=volume]").click()
    page.locator("#rows .row:visible .open").first.click()
    patient = page.locator(".patient")
    assert "the volume is unusual for a pancreas" in patient.inner_text()
    assert "What to do: look at scan and mask" in patient.inner_text()
    assert "25–150 mL" in patient.inner_text()
    wait_for_picture(page)
    assert patient.locator("[data-layer=contour]").is_visible()
    assert not patient.locator("[data-layer=measured]").is_visible()
    patient.get_by_label("measured grid (2×2×2 mm)").check()
    assert patient.locator("[data-layer=measured]").is_visible()
    assert not patient.locator("[data-layer=contour]").is_visible()


def test_an_edge_is_answered_and_shares_are_told_as_the_terminal_does(page: Any) -> None:
    for code, answer in (("truncated", "yes"), ("volume", "no")):
        page.locator(f"[data-reason={code}]").click()
        page.locator("#rows .row:visible .open").first.click()
        lines = page.locator(".patient table.values tr").all_inner_texts()
        told = [line.split("\t")[:3] for line in lines]
        assert ["region: touches the scan's edge", answer, "no"] in told
        expected = QualityLimits().fat_share.in_words("%")
        assert ["region: fat", three_digit_percent(0.31249), expected] in told
        page.keyboard.press("Escape")


def test_a_small_cohort_has_no_percentiles_and_no_limit_is_outside_of_itself(
    browser: Any, tmp_path: Path
) -> None:
    out = make_output(tmp_path / "out", 3)
    table = pd.read_csv(out / "features.csv", keep_default_na=False)
    table.assign(qc_fat_share=0.30004).to_csv(out / "features.csv", index=False)
    path = pancseg.write_report(out)
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(path.resolve().as_uri())
    page.locator("#rows .open").first.click()
    told = page.locator(".patient").inner_text()
    page.close()
    assert "region: fat\t30.004 %\tat most 30 %" in told
    assert "Percentiles are among usable rows, and given once a region has five." in told


def test_it_is_used_without_a_mouse(page: Any) -> None:
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert page.locator(".patient").get_attribute("aria-label") == "P0001 pancreas"
    page.keyboard.press("j")
    assert page.locator(".patient").get_attribute("aria-label") == "P0002 pancreas"
    assert page.locator(".patient").count() == 1
    page.keyboard.press("m")
    assert page.locator("[data-layer=measured]").is_visible()
    page.keyboard.press("k")
    assert page.locator("[data-layer=measured]").is_visible(), "the choice holds for all patients"
    page.keyboard.press("Escape")
    assert page.locator(".patient").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("jkm")
    assert page.locator("#find").input_value() == "jkm"
    assert page.evaluate("document.activeElement.id") == "find"


def test_dark_and_light_are_kept(page: Any) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    before = background()
    page.locator("#theme").click()
    assert background() != before
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    page.reload()
    assert background() != before


def test_pictures_are_loaded_as_one_scrolls(page: Any) -> None:
    assert page.locator("#rows img:not([loading=lazy])").count() == 0
    assert page.locator(".layers").count() == 0
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#open-all").click()
    wait_for_picture(page)
    assert page.locator(".layers").count() == ROWS - 1
    assert 0 < len([url for url in asked if ".thumb" not in url]) < ROWS, "not all pictures at once"


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.locator("#rows .open").nth(5).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 400])
def test_filtered_rows_are_gone_in_every_width(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.fill("#find", "P0007")
    assert shown(page) == ["P0007"]


def test_it_prints_what_is_open(page: Any, tmp_path: Path) -> None:
    page.fill("#find", "P0003")
    page.locator("#open-all").click()
    page.emulate_media(media="print")
    assert page.locator(".filters").is_hidden()
    assert page.locator(".patient").is_visible()
    page.pdf(path=str(tmp_path / "page.pdf"))
    assert os.path.getsize(tmp_path / "page.pdf") > 10_000


def test_buttons_and_fields_have_names(page: Any) -> None:
    page.locator("#rows .open").nth(3).click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, img, svg, th')]
        .filter(each =>
            !each.textContent.trim() && !each.labels?.length && !each.getAttribute('aria-label')
            && !each.hasAttribute('alt') && !each.hasAttribute('aria-hidden')
        ).map(each => each.outerHTML)"""
    )
    assert nameless == []
