"""Rows are found, looked at and judged in a browser, by mouse and by keyboard."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser_page import ViewerPage, browsing, page_of
from PIL import Image
from viewed_output import EMPTY, FOUND, GIVEN, limit_voxels, run, viewing

from pancseg.review.decisions import read_decisions

HOSTILE = "<img src=x onerror=\"document.title='let in'\">&'</script><b>"
NO_WEBGL = "HTMLCanvasElement.prototype.getContext = () => null;"
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from browsing(request.config)


@pytest.fixture
def viewer(browser: Any, folder: Path) -> Iterator[ViewerPage]:
    with viewing(folder / "out") as client, page_of(browser, client) as opened:
        opened.open()
        yield opened


def names(viewer: ViewerPage) -> list[str]:
    found: list[str] = viewer.page.locator("#patients li:visible .name").all_inner_texts()
    return found


def test_the_list_is_filtered_and_gone_through_by_keys(viewer: ViewerPage) -> None:
    viewer.page.locator("[data-filter=all]").click()
    assert names(viewer) == [FOUND, EMPTY, GIVEN, f"{GIVEN} tumour", f"{GIVEN} whole"]
    viewer.page.locator("[data-filter=fail]").click()
    assert EMPTY in names(viewer)
    statuses = viewer.page.locator("#patients li:visible .chip").all_inner_texts()
    assert set(statuses) <= {"fail", "error"}
    viewer.page.locator("[data-filter=all]").click()
    viewer.press("/")
    viewer.page.keyboard.type("given jk")
    assert names(viewer) == []  # typed, not pressed
    viewer.page.fill("#find", "no_pancreas")
    assert names(viewer) == [EMPTY]
    viewer.page.fill("#find", "")
    viewer.press("Escape")
    viewer.choose(FOUND)
    viewer.press("j")
    viewer.shows("#about h1", EMPTY)
    viewer.press("k")
    viewer.shows("#about h1", FOUND)
    assert viewer.page.locator(".patient[aria-current]").count() == 1
    assert viewer.page.locator("#previous").is_disabled()


def test_the_list_is_put_in_order_of_volume_and_keys_follow_it(viewer: ViewerPage) -> None:
    page = viewer.page
    page.locator("[data-filter=all]").click()
    in_table = names(viewer)
    page.select_option("#order", "large")
    sizes = [
        float(text.removesuffix(" mL"))
        for text in page.locator("#patients li:visible .size").all_inner_texts()
    ]
    assert len(sizes) == 4
    assert sizes == sorted(sizes, reverse=True)
    largest, *_, last = names(viewer)
    assert last == EMPTY  # it has no volume
    viewer.choose(largest)
    assert page.locator("#previous").is_disabled()
    viewer.press("j")
    viewer.shows("#about h1", names(viewer)[1])
    page.reload()
    viewer.ready()
    assert names(viewer)[0] == largest  # the order is remembered
    page.select_option("#order", "table")
    assert names(viewer) == in_table


def test_decisions_by_keyboard_are_in_the_review(viewer: ViewerPage, folder: Path) -> None:
    viewer.choose(FOUND)
    viewer.press("a")
    viewer.page.keyboard.type("fits the pancreas")
    viewer.press("Enter")  # without initials it is not saved
    viewer.shows("#said", "initials")
    viewer.page.keyboard.type("KM")
    viewer.press("Enter")
    viewer.shows("#decisions", "Accepted by KM")
    viewer.shows("#said", "next pancseg run")
    viewer.press("j")
    viewer.shows("#about h1", EMPTY)
    viewer.ready()
    viewer.press("r")
    viewer.shows("#cannot-decide", "There is no mask to reject")
    viewer.press("c")
    viewer.page.keyboard.type(HOSTILE)
    viewer.press("Enter")  # the initials are remembered
    viewer.shows("#decisions", HOSTILE)
    viewer.shows("#said", "Comment saved.")
    assert viewer.page.title() == "pancseg viewer"
    made = [
        (each.patient_id, each.decision, each.reason, each.by)
        for each in read_decisions(folder / "out")
    ]
    assert made == [
        (FOUND, "accept", "fits the pancreas", "KM"),
        (EMPTY, "comment", HOSTILE, "KM"),
    ]
    viewer.choose(GIVEN)
    viewer.press("a")
    reason = viewer.page.input_value("#reason")
    assert reason == "looked at, the mask is right", "not that of the patient before"
    viewer.press("Escape")
    row = pd.read_csv(folder / "out" / "features.csv").set_index("patient_id").loc[FOUND]
    assert read_decisions(folder / "out")[0].mask_sha256 == row["mask_sha256"]
    assert "accepted" in viewer.page.locator("#patients li", has_text=FOUND).inner_text()
    viewer.shows("#progress", "1 of 5 decided")


def test_a_decision_that_the_table_has_is_not_announced(viewer: ViewerPage, folder: Path) -> None:
    viewer.choose(FOUND)
    viewer.press("r")
    viewer.page.fill("#by", "KM")
    viewer.press("Enter")
    viewer.shows("#decisions", "Counts from the next pancseg run")
    path = folder / "out" / "features.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    verdict = ["fail", "rejected_by_reviewer"]
    table.loc[table["patient_id"] == FOUND, ["qc_status", "qc_reasons"]] = verdict
    table.to_csv(path, index=False)
    viewer.page.reload()
    viewer.choose(FOUND)
    viewer.shows("#decisions", "Rejected by KM")
    assert "Counts from" not in viewer.page.locator("#decisions").inner_text()


def test_a_changed_mask_is_measured_before_it_is_judged(viewer: ViewerPage) -> None:
    viewer.choose(FOUND)
    viewer.shows("#where", "in the mask")
    viewer.press("Delete")
    assert "in the mask" not in viewer.page.locator("#where").inner_text()
    viewer.press("a")
    viewer.shows("#cannot-decide", "Save the mask first")
    viewer.press("s")
    viewer.saved()
    viewer.press("a")
    viewer.shows("#cannot-decide", "has changed since it was measured")


def test_a_table_made_anew_is_read_again(viewer: ViewerPage, folder: Path) -> None:
    viewer.choose(FOUND)
    viewer.page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    path = folder / "out" / "features.csv"  # a page that is hidden does not ask what has changed
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[table["patient_id"] == FOUND, ["qc_status", "mask_sha256"]] = ["warn", "0" * 64]
    table.to_csv(path, index=False)
    viewer.expected.append("409")
    viewer.press("a")
    viewer.page.fill("#by", "KM")
    viewer.press("Enter")
    viewer.shows("#said", "anew")
    viewer.shows("#about .chip", "warn")
    assert read_decisions(folder / "out") == []


def test_rows_that_a_run_adds_come_by_themselves(browser: Any, folder: Path) -> None:
    out, manifest = folder / "out", folder / "cohort.csv"
    whole = manifest.read_text()
    manifest.write_text("".join(whole.splitlines(keepends=True)[:2]))
    run(manifest, out)
    with viewing(out) as client, page_of(browser, client) as viewer:
        viewer.open()
        assert names(viewer) == [FOUND]
        viewer.page.fill("#find", "given")
        manifest.write_text(whole)
        run(manifest, out)
        viewer.shows("#patients", f"{GIVEN} whole")
        viewer.shows("#said", "changed the list of patients")
        assert names(viewer) == [GIVEN, f"{GIVEN} tumour", f"{GIVEN} whole"], "as it is filtered"
        viewer.page.fill("#find", "")
        assert names(viewer) == [FOUND, EMPTY, GIVEN, f"{GIVEN} tumour", f"{GIVEN} whole"]
        viewer.choose(f"{GIVEN} tumour")
        assert viewer.drawing().any()


def test_ids_with_html_are_text_and_a_scan_that_is_gone_is_told(browser: Any, folder: Path) -> None:
    path = folder / "out" / "features.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[table["patient_id"] == FOUND, "patient_id"] = HOSTILE
    table.to_csv(path, index=False)
    with viewing(folder / "out") as client, page_of(browser, client) as viewer:
        viewer.page.goto(client.server.url)
        viewer.shows("#about h1", HOSTILE)
        viewer.shows("#cover", "not known where the scan is")
        assert names(viewer)[0] == HOSTILE
        assert viewer.page.title() == "pancseg viewer"
        viewer.press("j")
        viewer.ready()


def orange(viewer: ViewerPage) -> int:
    """Return how many pixels of the slices have the mask's colour."""
    shot = Image.open(io.BytesIO(viewer.page.locator("#frame").screenshot())).convert("RGB")
    red, green, blue = np.asarray(shot, int).transpose(2, 0, 1)
    return int(np.count_nonzero((red - blue > 60) & (red > green)))


def test_slices_are_shown_with_the_mask_in_orange(viewer: ViewerPage) -> None:
    viewer.choose(FOUND)
    shown = orange(viewer)
    assert shown > 200
    viewer.press("m")
    assert orange(viewer) == 0
    viewer.press("m")
    viewer.page.select_option("#mask-style", "contour")
    assert 0 < orange(viewer) < shown
    viewer.press("Home")
    first = viewer.voxel()[2]
    viewer.press("End")
    last = viewer.voxel()[2]
    drawn = np.flatnonzero(viewer.drawing().any(axis=(1, 2)))
    assert (first, last) == (drawn[0], drawn[-1])
    viewer.shows("#where", f"Slice {last + 1} of 12")
    viewer.press("PageDown", "ArrowUp")
    assert viewer.voxel()[2] == max(last - 10, 0) + 1
    viewer.page.mouse.move(*viewer.place(0.5, 0.5))
    viewer.page.mouse.wheel(0, 100)
    viewer.shows("#where", f"Slice {max(last - 10, 0) + 1} of 12")  # down is towards the feet


def test_the_window_is_chosen_or_dragged(viewer: ViewerPage) -> None:
    def window() -> list[float]:
        found: list[float] = viewer.state(
            "const v = s.slices.volume; return [v.cal_min, v.cal_max];"
        )
        return found

    assert window() == [-160, 240]
    viewer.press("w")
    assert window() == [-125, 275]
    viewer.stroke((0.5, 0.5), (0.6, 0.7), button="right")
    assert window() != [-125, 275]
    viewer.shows("#window option:checked", "own")
    own = window()
    viewer.press("j")
    viewer.ready()
    assert window() == own  # it stays for the next patient


def test_a_large_scan_is_shown_in_parts(browser: Any, folder: Path) -> None:
    with viewing(folder / "out") as client, page_of(browser, client) as viewer:
        limit_voxels(client, 4 * 96 * 96)
        viewer.open()
        viewer.choose(FOUND)
        viewer.shows("#part-note", "around the mask")
        size = viewer.state("return s.grid.size;")
        assert math.prod(size) <= 4 * 96 * 96
        first = viewer.state("return s.info.scan.part.start[2];")
        viewer.press("b")
        viewer.stroke((0.2, 0.5), (0.3, 0.5))
        z = viewer.voxel()[2]
        viewer.shows("#where", f"Slice {first + z + 1} of 12")
        drawn = viewer.drawing()
        viewer.press("s")
        viewer.saved()
        viewer.page.locator("#part-whole").click()
        viewer.shows("#part-note", "reduced")
        viewer.ready()
        viewer.shows("#not-editable", "full resolution")
        viewer.page.locator("#part-mask").click()
        viewer.shows("#part-note", "of 12, counted from the feet")
        viewer.ready()
        assert np.array_equal(viewer.drawing(), drawn)
        viewer.page.locator("#part-below").click()
        below = max(first - math.floor(0.8 * size[2] + 0.5), 0) + 1
        viewer.shows("#part-note", f"slices {below}–{below + 3} of 12, counted from the feet")


def test_a_second_viewer_only_shows(viewer: ViewerPage, browser: Any, folder: Path) -> None:
    with viewing(folder / "out") as client, page_of(browser, client) as other:
        other.open()
        other.shows("#read-only", "another viewer has this output folder open")
        assert other.page.locator("[data-tool=brush]").is_disabled()
        other.press("a")
        other.shows("#cannot-decide", "another viewer")
    viewer.press("b")
    assert viewer.page.locator("[data-tool=brush]").get_attribute("aria-pressed") == "true"


def test_a_viewer_that_has_stopped_is_told(viewer: ViewerPage) -> None:
    viewer.choose(FOUND)
    viewer.press("b")
    viewer.stroke((0.2, 0.5), (0.3, 0.5))
    viewer.expected.append("ERR_CONNECTION_REFUSED")
    viewer.page.route("**/api/**", lambda route: route.abort("connectionrefused"))
    viewer.press("s")
    viewer.shows("#banner", "has stopped")
    viewer.shows("#banner", "still here")
    viewer.shows("#edited", "not saved")
    viewer.page.unroute("**/api/**")
    viewer.press("s")
    viewer.saved()
    assert viewer.page.locator("#banner").is_hidden()


def test_without_webgl_pictures_and_review_are_left(browser: Any, folder: Path) -> None:
    with viewing(folder / "out") as client, page_of(browser, client, script=NO_WEBGL) as viewer:
        viewer.page.goto(client.server.url)
        viewer.shows("#cover", "no WebGL 2")
        picture = viewer.page.locator("#cover img").first
        picture.wait_for()
        viewer.page.wait_for_function("document.querySelector('#cover img').complete")
        assert viewer.page.evaluate("document.querySelector('#cover img').naturalWidth") == 1440
        viewer.press("a")
        viewer.page.fill("#by", "KM")
        viewer.press("Enter")
        viewer.shows("#decisions", "Accepted by KM")
    assert [each.by for each in read_decisions(folder / "out")] == ["KM"]


@pytest.mark.parametrize("width", [1280, 400])
def test_dark_and_light_and_narrow(browser: Any, viewed: Path, width: int) -> None:
    def background() -> str:
        return str(viewer.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    with viewing(viewed / "out") as client, page_of(browser, client, width=width) as viewer:
        viewer.open()
        dark = background()
        assert sum(json.loads(dark.replace("rgb(", "[").replace(")", "]"))) < 100
        assert viewer.page.evaluate("document.documentElement.scrollWidth") <= width
        assert viewer.page.locator("#progress").is_visible()
        viewer.shows("#progress", "0 of 5 decided")
        viewer.press("t")
        assert background() != dark
        viewer.page.reload()
        viewer.ready()
        assert background() != dark
        viewer.press("?")
        assert viewer.page.locator("#keys").is_visible()
        assert viewer.page.evaluate("document.documentElement.scrollWidth") <= width
        nameless = viewer.page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, img, canvas')]
            .filter(each => !each.textContent.trim() && !each.labels?.length
                && !each.getAttribute('aria-label') && !each.hasAttribute('alt')
            ).map(each => each.outerHTML)"""
        )
        assert nameless == []
