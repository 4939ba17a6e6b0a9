"""Pictures show the exact voxels, in the places and directions that radiologists expect."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import pancseg
from pancseg.features.extract import compute_features
from pancseg.features.settings import FeatureSettings
from pancseg.pictures.contour import edges, filled_path_of, path_of
from pancseg.pictures.layout import (
    HEIGHT,
    PLANE_FRAME,
    TILE_FRAME,
    WIDTH,
    panels_of,
    strip_slices,
)
from pancseg.pictures.row_pictures import row_pictures
from pancseg.pictures.volume import Volume
from pancseg.scans.bounding_box import BoundingBox
from pancseg.scans.geometry import orient

SHAPE = (20, 40, 50)
SPACING = (2.0, 2.0, 4.0)


def scan_and_block() -> tuple[sitk.Image, sitk.Image]:
    """Soft tissue with a bright block (all of the region) at the patient's right, front and top."""
    voxels = np.full(SHAPE, -50, np.int16)
    voxels[0, 0, 0] = -1000
    inside = np.zeros(SHAPE, np.uint8)
    inside[12:17, 6:16, 5:19] = 1
    voxels[inside == 1] = 400
    scan, mask = sitk.GetImageFromArray(voxels), sitk.GetImageFromArray(inside)
    for image in (scan, mask):
        image.SetSpacing(SPACING)
        image.SetOrigin((-40, 12, -70))
    return scan, mask


def grey_of(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def covered(svg: bytes) -> NDArray[np.bool_]:
    """Return the pixels of the picture whose centres an SVG's contours enclose."""
    found = np.zeros((HEIGHT, WIDTH), bool)
    text = svg.decode()
    number = r"(-?[\d.]+)"
    place = rf"translate\({number} {number}\) scale\({number} {number}\)"
    pattern = place + r'"><g class="c"><path id="p\d+" d="(.*?)"'
    for *places, path in re.findall(pattern, text):
        x, y, along, down = map(float, places)
        crossings = np.zeros((HEIGHT, WIDTH), int)
        for a, b, n in re.findall(r"M(\d+) (\d+)v(\d+)", path):
            left, top, bottom = (
                x + int(a) * along,
                y + int(b) * down,
                y + (int(b) + int(n)) * down,
            )
            rows = slice(round(top), round(bottom))
            crossings[rows, round(left) :] += 1
        found |= crossings % 2 == 1
    return found


bool_planes = arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6)))


@given(bool_planes)
def test_a_contour_encloses_exactly_its_pixels(inside: NDArray[np.bool_]) -> None:
    _, down = edges(inside)
    crossings = np.zeros(inside.shape, int)
    for column, begin, length in down.tolist():
        crossings[begin : begin + length, column:] += 1
    assert ((crossings % 2 == 1) == inside).all()
    turned = edges(inside.T)[1].tolist()
    assert sorted(edges(inside)[0].tolist()) == sorted(turned)


@given(bool_planes)
def test_filled_pixels_are_those_of_the_region(inside: NDArray[np.bool_]) -> None:
    painted = np.zeros_like(inside)
    for x, y, n in re.findall(r"M(\d+) (\d+)h(\d+)v1", filled_path_of(inside)):
        painted[int(y), int(x) : int(x) + int(n)] = True
    assert (painted == inside).all()
    assert (path_of(inside) == "") == (not inside.any())


def test_the_contour_lies_on_what_it_encloses() -> None:
    scan, mask = scan_and_block()
    pictures = row_pictures(scan, mask)
    grey, contour = grey_of(pictures[".jpg"]), covered(pictures[".svg"])
    assert grey.shape == (HEIGHT, WIDTH)
    wide, high = PLANE_FRAME
    for left in (0, wide, 2 * wide):  # without the frames' letters
        bright = grey[30:-30, :][: high - 60, left + 30 : left + wide - 30] > 150
        inside = contour[30:-30, :][: high - 60, left + 30 : left + wide - 30]
        letters = 60
        assert inside.sum() > 1000
        assert (inside & ~bright).sum() + (bright & ~inside).sum() < 0.03 * inside.sum() + letters


def test_the_patients_right_front_and_head_are_where_radiologists_expect_them() -> None:
    scan, mask = scan_and_block()
    contour = covered(row_pictures(scan, mask)[".svg"])
    wide, high = PLANE_FRAME
    for number, (row, column) in enumerate([(0.27, 0.24), (0.26, 0.24), (0.26, 0.27)]):
        rows, columns = np.nonzero(contour[:high, number * wide : (number + 1) * wide])
        shown = contour[:high, number * wide : (number + 1) * wide]
        assert shown.any()
        assert rows.mean() < high / 2, "front and head are on top"
        assert columns.mean() < wide / 2, "right, and in sagittal planes the front, is on the left"
        del row, column


@pytest.mark.parametrize("axes", ["RAS", "LAS", "RPI", "SAL", "PIR"])
def test_the_order_of_the_axes_does_not_matter(axes: str) -> None:
    scan, mask = scan_and_block()
    expected = row_pictures(scan, mask)
    assert row_pictures(orient(scan, axes), orient(mask, axes)) == expected


def settings_with(setting: dict[str, Any], mode: str) -> FeatureSettings:
    parameters = {"setting": setting, "imageType": {"Original": {}}, "featureClass": {"shape": []}}
    parameters["featureClass"]["firstorder"] = []
    return FeatureSettings(name="custom", mode=mode, parameters=parameters)


@pytest.mark.parametrize("mode", ["ibsi", "pyradiomics"])
@pytest.mark.parametrize("axes", ["LPS", "RAS", "SAL"])
def test_the_resampled_region_lies_on_the_drawn_one(mode: str, axes: str) -> None:
    scan, mask = (orient(image, axes) for image in scan_and_block())
    resampling = {"resampledPixelSpacing": [1.0, 1.0, 1.5], "interpolator": "sitkLinear"}
    if axes == "SAL":
        resampling["resampledPixelSpacing"] = [1.5, 1.0, 1.0]
    if mode == "ibsi":
        resampling["resampledPixelSpacing"] = [1.0, 1.0, 1.5]
    found = compute_features(scan, mask, settings_with({**resampling, "binWidth": 25}, mode))
    assert found.measured is not None
    pictures = row_pictures(scan, mask, found.measured)
    drawn, measured = covered(pictures[".svg"]), covered(pictures[".measured.svg"])
    height = PLANE_FRAME[1]
    for left in (0, PLANE_FRAME[0], 2 * PLANE_FRAME[0]):
        one = drawn[:height, left : left + PLANE_FRAME[0]]
        other = measured[:height, left : left + PLANE_FRAME[0]]
        assert (one & other).sum() > 0.85 * (one | other).sum()


@pytest.mark.parametrize("mode", ["ibsi", "pyradiomics"])
def test_voxels_that_re_segmentation_took_out_are_marked(mode: str) -> None:
    scan, mask = scan_and_block()
    voxels = sitk.GetArrayFromImage(scan)
    voxels[14, 8:12, 8:12] = -300
    holed = sitk.GetImageFromArray(voxels)
    holed.CopyInformation(scan)
    setting = {"resegmentRange": [-100, 500], "binWidth": 25}
    found = compute_features(holed, mask, settings_with(setting, mode))
    assert found.measured is not None
    values = sitk.GetArrayViewFromImage(found.measured)
    assert int((values == 2).sum()) == 16
    assert int((values == 1).sum()) == 5 * 10 * 14 - 16
    svg = row_pictures(holed, mask, found.measured)[".measured.svg"].decode()
    assert 'class="x"' in svg
    assert ".measured.svg" not in row_pictures(scan, mask, mask)


def test_a_grid_that_is_turned_has_no_slice_to_show() -> None:
    scan, mask = scan_and_block()
    turned = sitk.Image(mask)
    turned.SetSpacing((1, 1, 1))
    turned.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))
    assert ".measured.svg" not in row_pictures(scan, mask, turned)


def test_without_a_mask_the_scan_is_shown() -> None:
    scan, mask = scan_and_block()
    for region in (None, mask * 0):
        pictures = row_pictures(scan, region)
        assert sorted(pictures) == [".jpg", ".thumb.jpg"]
        tiles = grey_of(pictures[".jpg"])[PLANE_FRAME[1] :]
        lit = [tiles[:, x : x + TILE_FRAME[0]].mean() for x in range(0, WIDTH, TILE_FRAME[0])]
        assert min(lit) > 10


def test_values_that_are_not_hu_are_shown_too() -> None:
    scan, mask = scan_and_block()
    scaled = sitk.Cast(scan, sitk.sitkFloat32) / 1000 + 1
    grey = grey_of(row_pictures(scaled, mask)[".jpg"])
    assert np.ptp(grey[30:370, 30:450]) > 200


def test_a_region_at_every_edge_is_whole_in_its_picture() -> None:
    scan, _ = scan_and_block()
    everything = sitk.GetImageFromArray(np.ones(SHAPE, np.uint8))
    everything.CopyInformation(scan)
    contour = covered(row_pictures(scan, everything)[".svg"])
    assert contour[: PLANE_FRAME[1], : PLANE_FRAME[0]].mean() > 0.5


@pytest.mark.parametrize(("first", "shown"), [(0, (0, 11)), (10, (5, 16)), (19, (8, 19))])
def test_a_flat_region_is_shown_with_its_neighbours(first: int, shown: tuple[int, int]) -> None:
    scan, _ = scan_and_block()
    inside = np.zeros(SHAPE, bool)
    inside[first, 10:20, 10:20] = True
    strip = [panel.index for panel in panels_of(Volume.of(scan), inside)[3:]]
    assert strip == list(range(shown[1], shown[0] - 1, -1))


def test_slices_are_evenly_spaced() -> None:
    assert strip_slices(BoundingBox((3, 0, 0), (1, 1, 1))) == [3]
    found = strip_slices(BoundingBox((0, 0, 0), (100, 1, 1)))
    assert (found[0], found[-1], len(found)) == (99, 0, 12)


def test_pictures_are_small() -> None:
    rng = np.random.default_rng(0)
    noise = sitk.GetImageFromArray(rng.normal(50, 60, (40, 256, 256)).astype(np.int16))
    noise.SetSpacing((1.5, 1.5, 3))
    inside = np.zeros((40, 256, 256), np.uint8)
    inside[5:35, 60:200, 50:220] = 1
    mask = sitk.GetImageFromArray(inside)
    mask.CopyInformation(noise)
    pictures = row_pictures(noise, mask)
    assert sum(map(len, pictures.values())) < 600_000
    assert len(pictures[".thumb.jpg"]) < 10_000


# Figures


def test_figures_have_a_colour_for_each_label_and_the_directions() -> None:
    scan, mask = scan_and_block()
    labels = sitk.GetArrayFromImage(mask)
    labels[14, 8:10, 8:10] = 2
    figure = pancseg.overlay(scan, labels, window=(-100, 300))
    assert [axes.get_title() for axes in figure.axes] == ["axial", "coronal", "sagittal"]
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts == [list("RLAP"), list("RLHF"), list("APHF")]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["label 1", "label 2"]
    figure.canvas.print_figure(io.BytesIO(), format="pdf")


def test_a_montage_has_the_slices_from_head_to_feet() -> None:
    scan, mask = scan_and_block()
    figure = pancseg.montage(scan, mask, count=3, columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["slice 17", "slice 15", "slice 13"]
    assert len(pancseg.montage(scan, mask, count=50).axes) == 5


@pytest.mark.parametrize(
    ("keywords", "error", "line"),
    [
        ({"window": (50, 50)}, ValueError, "lower and a higher"),
        ({"count": 0}, ValueError, "1 or more"),
        ({"columns": 0}, ValueError, "1 or more"),
    ],
)
def test_figures_refuse_what_cannot_be(
    keywords: dict[str, Any], error: type[Exception], line: str
) -> None:
    scan, mask = scan_and_block()
    with pytest.raises(error, match=line):
        pancseg.montage(scan, mask, **keywords)


def test_an_empty_mask_has_no_figure() -> None:
    scan, mask = scan_and_block()
    with pytest.raises(pancseg.UnusableCase) as caught:
        pancseg.overlay(scan, mask * 0)
    assert caught.value.code == "empty_mask"


def test_the_font_draws_letters() -> None:
    """Pillow without FreeType has a font that knows no sizes."""
    picture = Image.new("L", (20, 20))
    ImageDraw.Draw(picture).text((2, 2), "R", fill=255)
    assert np.asarray(picture).any()
