"""A segmenter of two looks finds the phantom's pancreas, in any engine, near the first look's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from two_looks import PHANTOM_WINDOWS, fine, two_looks

from pancseg import Segmenter, UnusableCase, load_segmenter
from pancseg.phantom import Phantom, make_phantom
from pancseg.quality.verdict import volume_ml
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import orient
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.engines.hardware import cpu_has_bf16
from pancseg.segmentation.looks import FirstLook
from pancseg.segmentation.overlap import dice
from pancseg.segmentation.postprocess import FOUND, one_organ
from pancseg.segmentation.uncertainty import DropoutPasses
from pancseg.system.stage import Listener, Stage, heard_by


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return two_looks()


@pytest.fixture(scope="module")
def segmenter(checkpoint: Checkpoint) -> Segmenter:
    return Segmenter(checkpoint, threads=1)


@pytest.fixture(scope="module")
def mask(segmenter: Segmenter, phantom: Phantom) -> np.ndarray:
    return voxel_array(segmenter.segment(phantom.image)) > 0


def silent(checkpoint: Checkpoint) -> Checkpoint:
    """A second network that finds nothing anywhere."""
    assert checkpoint.second is not None
    weights = dict(checkpoint.second.weights)
    weights["head.1.bias"] = weights["head.1.bias"] - 1000
    return replace(checkpoint, second=replace(checkpoint.second, weights=weights))


def talkative(checkpoint: Checkpoint) -> Checkpoint:
    """A second network that finds pancreas everywhere."""
    assert checkpoint.second is not None
    weights = dict(checkpoint.second.weights)
    weights["head.1.bias"] = weights["head.1.bias"] + 1000
    return replace(checkpoint, second=replace(checkpoint.second, weights=weights))


def test_both_looks_find_the_phantoms_pancreas(mask: np.ndarray, phantom: Phantom) -> None:
    assert dice(mask, voxel_array(phantom.mask) > 0) > 0.75


def test_one_look_is_the_first_alone(
    checkpoint: Checkpoint, mask: np.ndarray, phantom: Phantom
) -> None:
    alone = load_segmenter("monet_phantom", threads=1).segment(phantom.image)
    first = Segmenter(checkpoint, threads=1, looks=1)
    assert (first.looks, Segmenter(checkpoint, threads=1).looks) == (1, 2)
    found = voxel_array(first.segment(phantom.image))
    np.testing.assert_array_equal(found, voxel_array(alone))
    assert (found != mask).any()


def test_what_is_found_lies_near_the_first_looks_findings(
    checkpoint: Checkpoint, phantom: Phantom
) -> None:
    """Where the second look finds everything, the result is within reach, and larger."""
    segmenter = Segmenter(talkative(checkpoint), threads=1)
    first = one_organ(segmenter.looking.first(phantom.image).levels, phantom.image.GetSpacing())
    found = segmenter.looking.levels(phantom.image) == FOUND
    shown = np.flatnonzero(first.any(axis=(1, 2)))
    reached = np.flatnonzero(found.any(axis=(1, 2)))
    assert (reached[0], reached[-1]) == (shown[0] - 2, shown[-1] + 2)  # 6 mm of 3 mm
    x_mm, y_mm, _ = phantom.image.GetSpacing()
    y, x = np.nonzero(first[shown[0]])
    for index, row, column in np.argwhere(found[shown[0] - 2 : shown[0] + 1])[::50]:
        assert index <= 2
        nearest = np.hypot((y - row) * y_mm, (x - column) * x_mm).min()
        assert nearest <= PHANTOM_WINDOWS.reach_mm
    assert found[shown[0]].sum() > first[shown[0]].sum()


def test_the_axes_of_the_file_do_not_matter(
    segmenter: Segmenter, phantom: Phantom, mask: np.ndarray
) -> None:
    turned = segmenter.segment(orient(phantom.image, "SLP"))
    np.testing.assert_array_equal(voxel_array(orient(turned, "LPS")) > 0, mask)


def test_engines_agree(checkpoint: Checkpoint, phantom: Phantom, mask: np.ndarray) -> None:
    torch_too = Segmenter(checkpoint, threads=1, engine="torch").segment(phantom.image)
    assert np.count_nonzero((voxel_array(torch_too) > 0) != mask) <= 2


@pytest.mark.skipif(not cpu_has_bf16(), reason="needs a CPU with bfloat16 arithmetic")
def test_bfloat16_changes_few_voxels(
    checkpoint: Checkpoint, phantom: Phantom, mask: np.ndarray
) -> None:
    other = Segmenter(checkpoint, threads=1, precision="bf16").segment(phantom.image)
    assert dice(voxel_array(other) > 0, mask) > 0.98


def test_threads_share_it_and_pickling_keeps_it(
    segmenter: Segmenter, phantom: Phantom, mask: np.ndarray
) -> None:
    again = pickle.loads(pickle.dumps(segmenter))
    assert again.looks == 2
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(again.segment, [phantom.image] * 2))
    for each in found:
        np.testing.assert_array_equal(voxel_array(each) > 0, mask)


def test_the_number_of_windows_at_a_time_does_not_matter(
    checkpoint: Checkpoint, phantom: Phantom, mask: np.ndarray
) -> None:
    few = Segmenter(checkpoint, threads=1)
    few.looking.networks.at_once = 3
    found = voxel_array(few.segment(phantom.image)) > 0
    assert np.count_nonzero(found != mask) <= 1


def test_probabilities_are_those_of_the_mask(
    checkpoint: Checkpoint, phantom: Phantom, mask: np.ndarray
) -> None:
    segmenter = Segmenter(checkpoint, threads=1, least_height_mm=0)
    image = segmenter.probabilities(phantom.image)
    values = voxel_array(image)
    assert image.GetSpacing() == phantom.image.GetSpacing()
    assert 0 <= values.min() < values.max() <= 1
    cleaned = one_organ(values > 0.5, image.GetSpacing())
    np.testing.assert_array_equal(cleaned, voxel_array(segmenter.segment(phantom.image)) > 0)


def test_nothing_found_at_first_is_nothing(checkpoint: Checkpoint) -> None:
    air = sitk.GetImageFromArray(np.full((4, 64, 64), -1000, np.int16))
    segmenter = Segmenter(checkpoint, threads=1)
    with pytest.raises(UnusableCase, match=r"no pancreas found in 4 slices; check that") as caught:
        segmenter.segment(air)
    assert "looks" not in caught.value.fact  # a first look alone finds nothing either
    assert voxel_array(segmenter.probabilities(air)).max() < 0.5


@pytest.mark.parametrize("other", [silent, talkative])
def test_what_one_look_excludes_is_not_pancreas(
    other: Callable[[Checkpoint], Checkpoint], checkpoint: Checkpoint, phantom: Phantom
) -> None:
    """However certain the other is: the mean of 1 and 0 is 0.5, which is not enough."""
    part = phantom.image[:, :, 32:38]
    segmenter = Segmenter(other(checkpoint), threads=1, least_height_mm=0)
    mean = voxel_array(segmenter.probabilities(part))
    assert (mean == 0.5).any()
    found = segmenter.looking.levels(part) == FOUND
    np.testing.assert_array_equal(found, mean > 0.5)
    assert found.any() == (other is talkative)


def test_a_second_look_that_finds_nothing_says_so(checkpoint: Checkpoint, phantom: Phantom) -> None:
    lost = (
        r"both looks together found nothing of the [\d.]+ mL of the first look; .*set `looks` to 1"
    )
    with pytest.raises(UnusableCase, match=lost) as caught:
        Segmenter(silent(checkpoint), threads=1).segment(phantom.image)
    assert caught.value.code == "no_pancreas"
    told = float(caught.value.fact.split(" mL")[0].rpartition(" ")[2])
    first = Segmenter(checkpoint, threads=1, looks=1).segment(phantom.image)
    assert told == pytest.approx(volume_ml(first), rel=0.01)


def test_the_looks_agreement_is_the_dice_of_their_masks(
    checkpoint: Checkpoint, segmenter: Segmenter, phantom: Phantom, mask: np.ndarray
) -> None:
    heard: list[Stage] = []
    with heard_by(Listener(heard.append)):
        both = segmenter.segment_and_compare(orient(phantom.image, "SLP"))
    np.testing.assert_array_equal(voxel_array(orient(both.mask, "LPS")) > 0, mask)
    alone = Segmenter(checkpoint, threads=1, looks=1).segment_and_compare(phantom.image)
    assert alone.looks_dice is None
    assert both.looks_dice == pytest.approx(dice(voxel_array(alone.mask) > 0, mask))
    assert both.looks_dice is not None
    assert 0.5 < both.looks_dice < 1
    shown = np.count_nonzero(voxel_array(alone.mask).any(axis=(1, 2)))
    (again,) = (stage for stage in heard if stage.name == "look again" and not stage.done)
    assert again.total == shown + 4  # 6 mm of 3 mm above and below


@pytest.mark.parametrize("slices", [0, 2])
def test_slices_that_the_first_look_skipped_are_looked_at_now(
    slices: int, segmenter: Segmenter, phantom: Phantom
) -> None:
    part = phantom.image[:, :, 14:20]
    all_kept = segmenter.looking.first(part)
    assert len(all_kept.kept) > 2
    few = all_kept._replace(kept=dict(list(all_kept.kept.items())[:slices]))
    found = segmenter.looking.again(part, few)
    np.testing.assert_array_equal(found, segmenter.looking.again(part, all_kept))
    assert (found == FOUND).any()


def test_a_scan_smaller_than_the_window(checkpoint: Checkpoint, phantom: Phantom) -> None:
    """The pancreas and 42 mm around it alone: the window is padded with air."""
    inside = np.argwhere(voxel_array(phantom.mask) > 0)
    (_, top, left), (_, bottom, right) = inside.min(axis=0), inside.max(axis=0)
    rows, columns = slice(int(top) - 15, int(bottom) + 16), slice(int(left) - 15, int(right) + 16)
    part = phantom.image[columns, rows, :]
    truth = voxel_array(phantom.mask)[:, rows, columns] > 0
    windows = PHANTOM_WINDOWS.model_copy(update={"size": (256, 256)})
    segmenter = Segmenter(replace(checkpoint, second=fine(windows)), threads=1)
    levels = segmenter.looking.again(part, FirstLook(truth.astype(np.uint8) * FOUND, {}))
    again = levels == FOUND
    assert max(truth.shape[1:]) * 2.8 < 256 * 1.6
    assert again.shape == truth.shape
    assert dice(again, truth) > 0.5


@pytest.mark.parametrize("pixel_mm", [0.6, 4.2])
def test_unusual_pixels(pixel_mm: float, checkpoint: Checkpoint) -> None:
    """Pixels that are resampled either way; the organ is found where it is."""
    side = round(358 / pixel_mm)
    patient = make_phantom(3, size=(side, side, 12), spacing_mm=(pixel_mm, pixel_mm, 12.0))
    truth = voxel_array(patient.mask) > 0
    segmenter = Segmenter(checkpoint, threads=1)
    assert dice(voxel_array(segmenter.segment(patient.image)) > 0, truth) > 0.5


def test_the_first_looks_dropout_tells_the_uncertainty(
    checkpoint: Checkpoint, phantom: Phantom
) -> None:
    inside = voxel_array(phantom.mask).astype(np.uint8)
    inside[: len(inside) // 2] = 0
    inside[len(inside) // 2 + 1 :] = 0
    one_slice = sitk.GetImageFromArray(inside)
    one_slice.CopyInformation(phantom.mask)
    alone = DropoutPasses(load_checkpoint("monet_phantom"), 2, threads=1)
    both = DropoutPasses(checkpoint, 2, threads=1)
    arguments = (phantom.image, one_slice)
    assert both.agreement(*arguments) == alone.agreement(*arguments)


@pytest.mark.parametrize(
    ("looks", "problem"),
    [
        (0, r"`looks` is 0 \(expected 1 or 2\)"),
        (3, r"`looks` is 3 \(expected 1 or 2\)"),
        (True, r"`looks` is True \(expected 1 or 2\)"),
        (2, "`looks` is 2, but the weights hold no network for a second look; give 1"),
    ],
)
def test_looks_that_cannot_be_are_refused(looks: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        load_segmenter("monet_phantom", threads=1, looks=looks)


def test_a_second_looks_network_alone_is_refused(tmp_path: Path) -> None:
    fine().save(tmp_path / "fine.safetensors")
    with pytest.raises(ValueError, match="windows of 96×128 pixels around a pancreas and cannot"):
        load_segmenter(tmp_path / "fine.safetensors", threads=1)


def test_a_second_look_alone_finds_nothing_and_is_refused() -> None:
    with pytest.raises(ValueError, match="the weights are those of a second look"):
        Segmenter(fine(), threads=1, engine="torch")


def test_looks_are_a_plain_number_in_keys_and_provenance(checkpoint: Checkpoint) -> None:
    assert type(Segmenter(checkpoint, threads=1, engine="torch", looks=np.int64(1)).looks) is int  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`looks` is 2\.0"):
        Segmenter(checkpoint, threads=1, engine="torch", looks=2.0)  # type: ignore[arg-type]
