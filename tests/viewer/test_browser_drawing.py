"""A mask corrected by mouse in a browser comes back voxel for voxel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from browser_page import ViewerPage, browsing, page_of, upright
from viewed_output import EMPTY, FOUND, GIVEN, viewing

from pancseg import read_scan, write_scan
from pancseg.scans.arrays import image_like

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from browsing(request.config)


@pytest.fixture
def viewer(browser: Any, folder: Path) -> Iterator[ViewerPage]:
    with viewing(folder / "out") as client, page_of(browser, client) as opened:
        opened.open()
        yield opened


def mask_of(folder: Path, patient: str) -> Path:
    return folder / "out" / "masks" / f"{patient}.nii.gz"


def test_a_stroke_of_the_brush_is_saved_voxel_for_voxel(viewer: ViewerPage, folder: Path) -> None:
    viewer.choose(FOUND)
    path = mask_of(folder, FOUND)
    before = viewer.drawing()
    assert before.any()
    assert np.array_equal(before, upright(path))
    volume = viewer.page.locator("#edited").inner_text()

    viewer.press("b")
    viewer.stroke((0.2, 0.5), (0.3, 0.55))
    x, y, z = viewer.voxel()
    drawn = viewer.drawing()
    added = np.argwhere(drawn != before)
    assert len(added) > 20
    assert set(added[:, 0]) == {z}
    assert drawn[z, y, x] == 1
    viewer.shows("#edited", "not saved")
    assert volume not in viewer.page.locator("#edited").inner_text()
    where = viewer.state("return [...s.slices.nv.frac2mm(s.slices.nv.scene.crosshairPos)];")

    viewer.press("s")
    viewer.shows("#said", "Mask saved")
    saved = upright(path)
    assert np.array_equal(saved, drawn)
    mask = read_scan(path)
    at = mask.TransformPhysicalPointToIndex((-where[0], -where[1], where[2]))
    assert mask[at] == 1
    (copy,) = (folder / "out" / "masks" / ".original").iterdir()
    assert np.array_equal(upright(copy), before)
    millilitres = np.count_nonzero(saved) * np.prod(mask.GetSpacing()) / 1000
    viewer.shows("#said", f"{millilitres:.1f} mL")
    viewer.shows("#changed", "pancseg run")

    viewer.press("z")  # undo is still there
    assert np.array_equal(viewer.drawing(), before)
    viewer.shows("#edited", "not saved")


def test_erase_fill_copy_smooth_clear_and_take_it_back(viewer: ViewerPage) -> None:
    viewer.choose(FOUND)
    steps = [viewer.drawing()]

    def did(*keys: str) -> tuple[Any, Any]:
        """Return the drawing before and after."""
        viewer.press(*keys)
        steps.append(viewer.drawing())
        return steps[-2], steps[-1]

    viewer.press("f")
    viewer.stroke((0.2, 0.4), (0.4, 0.4), (0.4, 0.6), (0.2, 0.6), (0.2, 0.41))
    before, after = did()
    z = viewer.voxel()[2]
    lines = np.argwhere(after[z] != before[z])
    (top, left), (bottom, right) = lines.min(axis=0), lines.max(axis=0)
    assert after[z, top : bottom + 1, left : right + 1].mean() > 0.95  # the inside, too

    viewer.press("e", "]")
    viewer.stroke((0.3, 0.5), (0.31, 0.5))
    before, after = did()
    assert np.count_nonzero(after) < np.count_nonzero(before)
    assert not np.any(after > before)

    before, after = did("n")
    assert viewer.voxel()[2] == z + 1
    assert np.array_equal(after[z + 1], before[z])
    before, after = did("Shift+N")
    assert viewer.voxel()[2] == z
    assert np.array_equal(after[z], before[z + 1])
    viewer.press("b", "[")
    viewer.stroke((0.7, 0.3), (0.7, 0.31))
    did()
    before, after = did("g")
    assert not np.array_equal(after[z], before[z])
    assert np.array_equal(np.delete(after, z, axis=0), np.delete(before, z, axis=0))
    before, after = did("Delete")
    assert not after[z].any()
    assert np.array_equal(np.delete(after, z, axis=0), np.delete(before, z, axis=0))

    for wanted in [
        each for at, each in enumerate(steps[:-1]) if not np.array_equal(each, steps[at + 1])
    ][::-1]:
        viewer.press("z")
        assert np.array_equal(viewer.drawing(), wanted)
    assert viewer.page.locator("#undo").is_disabled()
    assert viewer.page.locator("#save").is_disabled()
    viewer.press("Shift+Z")
    assert np.array_equal(viewer.drawing(), steps[1])


def test_a_mask_is_drawn_from_nothing(viewer: ViewerPage, folder: Path) -> None:
    viewer.choose(EMPTY)
    assert not mask_of(folder, EMPTY).exists()
    viewer.shows("#said", "There is no mask yet")
    viewer.press("b")
    viewer.stroke((0.5, 0.5), (0.6, 0.5))
    drawn = viewer.drawing()
    viewer.page.locator("#save").click()
    viewer.shows("#said", "Mask saved")
    assert np.array_equal(upright(mask_of(folder, EMPTY)), drawn)


def test_a_mask_of_the_user_is_asked_for_and_its_other_labels_stay(
    viewer: ViewerPage, folder: Path
) -> None:
    path = folder / "given_mask.nrrd"
    before = upright(path)
    viewer.choose(GIVEN)
    z, y, x = (int(n) for n in np.argwhere(before == 2)[0])
    viewer.state(f"s.slices.goTo([{x}, {y}, {z}]);")
    viewer.press("Delete")  # this region alone
    drawn = viewer.drawing()
    assert np.array_equal(drawn == 2, before == 2)
    assert not np.any(drawn[z] == 1)

    viewer.press("s")
    viewer.shows("#ask-title", "Replace your own mask file?")
    viewer.shows("#ask-text", str(path))
    viewer.dismiss()
    assert np.array_equal(upright(path), before)
    viewer.press("s")
    viewer.page.get_by_role("button", name="Replace it").click()
    viewer.saved()
    assert np.array_equal(upright(path), drawn)
    viewer.press("z", "s")  # it is asked once
    viewer.saved()
    assert np.array_equal(upright(path), before)

    viewer.choose(f"{GIVEN} whole")
    viewer.shows("#not-editable", "made of several labels")
    assert viewer.page.locator("[data-tool=brush]").is_disabled()


def changed_elsewhere(path: Path) -> Any:
    """Leave out the half of a mask, as another program would."""
    mask = read_scan(path)
    voxels = np.array(sitk.GetArrayViewFromImage(mask))
    voxels[:, :, : voxels.shape[2] // 2] = 0
    write_scan(image_like(voxels, mask), path)
    return upright(path)


@pytest.mark.parametrize("answer", ["keep-mine", "take-theirs"])
def test_a_mask_that_was_changed_elsewhere_is_not_overwritten(
    viewer: ViewerPage, folder: Path, answer: str
) -> None:
    path = mask_of(folder, FOUND)
    viewer.choose(FOUND)
    viewer.press("b")
    viewer.stroke((0.2, 0.5), (0.3, 0.5))
    mine = viewer.drawing()
    theirs = changed_elsewhere(path)
    assert not np.array_equal(mine, theirs)

    viewer.expected.append("409")  # the browser logs every refusal
    viewer.press("s")
    viewer.shows("#conflict-text", "changed elsewhere")
    assert np.array_equal(upright(path), theirs)
    assert viewer.state("return s.slices.nv.volumes.length;") == 2  # both are on show
    viewer.page.locator(f"#{answer}").click()
    viewer.page.locator("#conflict").wait_for(state="hidden")
    if answer == "keep-mine":
        viewer.shows("#said", "Mask saved")
        assert np.array_equal(upright(path), mine)
    else:
        assert np.array_equal(upright(path), theirs)
        assert np.array_equal(viewer.drawing(), theirs)
        viewer.press("z")
        assert np.array_equal(viewer.drawing(), mine)
    assert viewer.state("return s.slices.nv.volumes.length;") == 1


def test_changes_are_not_lost_without_a_question(viewer: ViewerPage, folder: Path) -> None:
    viewer.choose(FOUND)
    before = upright(mask_of(folder, FOUND))
    viewer.press("b")
    viewer.stroke((0.2, 0.5), (0.3, 0.5))
    drawn = viewer.drawing()
    viewer.press("j")
    viewer.shows("#ask-title", "Save the changes")
    viewer.dismiss()
    assert np.array_equal(viewer.drawing(), drawn)
    viewer.shows("#about h1", FOUND)

    viewer.press("j")
    viewer.page.get_by_role("button", name="Discard").click()
    viewer.shows("#about h1", EMPTY)
    assert np.array_equal(upright(mask_of(folder, FOUND)), before)

    viewer.choose(FOUND)
    viewer.press("b")
    viewer.stroke((0.2, 0.5), (0.3, 0.5))
    viewer.press("j")
    viewer.page.locator("#ask").get_by_role("button", name="Save").click()
    viewer.shows("#about h1", EMPTY)
    assert np.array_equal(upright(mask_of(folder, FOUND)), drawn)
