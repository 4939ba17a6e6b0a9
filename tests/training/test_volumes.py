"""Whole CTs in a slice set: their slices, unknown voxels and empty slices, and their scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from pydantic import ValidationError
from two_looks import two_looks

from pancseg import load_segmenter
from pancseg.phantom import Phantom
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.writing import write_scan
from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.segmentation.overlap import dice
from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.data.slice_set import SliceSet, load_slice_set
from pancseg.training.data.slices import native_slices, patients_of, read_slices
from pancseg.training.data.volumes import WholeVolume, whole_volume
from pancseg.training.scoring import Scored, markdown, score_volume, validate

PROVENANCE = {"data": "a", "licence": "b", "attribution": "c", "intended_use": "d"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CT of six slices, stored head first: slice z (from the head) is z · 10 HU.

    Slices 1 and 2 hold the organ; a part of slice 2 is unknown.
    """
    hu = np.broadcast_to(np.arange(6)[:, None, None] * 10.0, (6, 16, 16)).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[1:3, 4:8, 4:8] = 1
    labels[2, 8:12, 4:8] = 2
    for name, voxels in (("ct", hu), ("labels", labels)):
        image = sitk.GetImageFromArray(voxels)
        image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
        image.SetSpacing((1, 1, 5))
        sitk.WriteImage(image, tmp_path / f"{name}.nii.gz")
    (tmp_path / "slices.csv").write_text("slice,no_pancreas\n0,1\n1,-1\n5,1\n")
    return tmp_path


def description(**changes: Any) -> SliceSet:
    source = {
        "kind": "volume",
        "image": "ct.nii.gz",
        "mask": "labels.nii.gz",
        "unknown": 2,
        "patient": "HCC_006",
        "cohort": "hcc",
        "split": "train",
        **changes,
    }
    return SliceSet.model_validate(
        {"window_hu": [0, 255], "provenance": PROVENANCE, "sources": [source]}
    )


def test_a_volume_gives_all_its_slices_from_foot_to_head(folder: Path) -> None:
    which = description()
    slices = list(native_slices(which.sources[0], folder))
    assert [s.hu[0, 0] for s in slices] == [50, 40, 30, 20, 10, 0]
    assert [int(s.mask.sum()) for s in slices] == [0, 0, 0, 16, 16, 0]
    assert [int((~s.known).sum()) for s in slices] == [0, 0, 0, 16, 0, 0]
    assert {(s.patient, s.split) for s in slices} == {("hcc-6", "train")}
    assert patients_of(which, folder) == {"hcc-6"}


def test_unknown_voxels_do_not_count_and_stay_visible(folder: Path) -> None:
    on_grid = Preprocessing(window_hu=(0, 255), size=16)
    ((partly_known, *_),) = [
        [s for s in read_slices(description(), folder, on_grid) if (s.mask == UNKNOWN).any()]
    ]
    unknown = partly_known.mask == UNKNOWN
    assert unknown.sum() == 16
    assert (partly_known.image[unknown] == 20).all()


def test_without_a_label_map_only_the_slices_seen_to_be_empty_are_used(folder: Path) -> None:
    which = description(mask=None, unknown=None, empty="slices.csv")
    slices = list(native_slices(which.sources[0], folder))
    assert [(s.hu[0, 0], s.mask.any(), s.known.all()) for s in slices] == [
        (50, False, True),
        (0, False, True),
    ]


def test_empty_slices_can_be_given_by_the_first_and_the_last(folder: Path) -> None:
    which = description(mask=None, unknown=None, empty=[1, 2])
    slices = list(native_slices(which.sources[0], folder))
    assert [(s.hu[0, 0], s.mask.any(), s.known.all()) for s in slices] == [
        (20, False, True),
        (10, False, True),
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"empty": [0, 6]}, r"ct\.nii\.gz: `empty` names the slices 0 to 6 \(expected .* 0–5\)"),
        ({"empty": [3, 2]}, r"ct\.nii\.gz: `empty` names the slices 3 to 2 \(expected .* 0–5\)"),
        ({"unknown": None}, r"labels\.nii\.gz: label 2 is neither 0 nor 1; set `unknown`"),
        ({"unknown": 3}, r"labels\.nii\.gz: label 2 is neither 0 nor 1 nor `unknown` \(3\)"),
        ({"mask": "gone.nii.gz"}, r"no gone\.nii\.gz, which the slice set lists"),
        ({"empty": "gone.csv"}, r"no gone\.csv, which the slice set lists"),
        ({"empty": "beyond.csv"}, r"beyond\.csv: there is no slice 6 \(expected 0–5\)"),
        ({"empty": "other.csv"}, r"other\.csv has no column no_pancreas"),
        ({"empty": "blank.csv"}, r"blank\.csv: there is no slice '' \(expected 0–5\)"),
        ({"empty": "half.csv"}, r"half\.csv: there is no slice 4\.5 \(expected 0–5\)"),
        ({"empty": "word.csv"}, r"word\.csv: there is no slice x \(expected 0–5\)"),
        ({"empty": "nothing.csv"}, r"nothing\.csv is not a CSV: No columns to parse"),
        ({"image": "lying.nii.gz"}, r"lying\.nii\.gz: .*orientation"),
        ({"mask": "small.nii.gz"}, r"small\.nii\.gz: scan and mask are on different grids"),
    ],
)
def test_volumes_that_cannot_be_right_are_refused(
    folder: Path, changes: dict[str, Any], problem: str
) -> None:
    (folder / "beyond.csv").write_text("slice,no_pancreas\n6,1\n")
    (folder / "other.csv").write_text("slice\n1\n")
    for name, slices in (("blank", ""), ("half", "4.5"), ("word", "x")):
        (folder / f"{name}.csv").write_text(f"slice,no_pancreas\n{slices},1\n")
    (folder / "nothing.csv").write_text("")
    ct = nib.load(folder / "ct.nii.gz")
    ct.header.set_sform(None, 0)
    ct.header.set_qform(None, 0)
    nib.Nifti1Image(np.asarray(ct.dataobj), None, ct.header).to_filename(folder / "lying.nii.gz")
    sitk.WriteImage(sitk.Image([4, 4, 6], sitk.sitkUInt8), folder / "small.nii.gz")
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        list(native_slices(description(**changes).sources[0], folder))


def test_a_volume_needs_a_label_map_or_a_list_of_empty_slices() -> None:
    with pytest.raises(ValidationError, match="needs a mask, or `empty`"):
        description(mask=None)


def test_what_is_wrong_with_a_volume_is_told_alone(tmp_path: Path) -> None:
    source = {"kind": "volume", "image": "ct.nii.gz", "mask": "labels.nii.gz", "unknown": 1}
    source |= {"patient": "6", "split": "train"}
    path = tmp_path / "own.yaml"
    about = {"window_hu": [0, 255], "provenance": PROVENANCE, "sources": [source]}
    path.write_text(yaml.safe_dump(about))
    with pytest.raises(ValueError, match=r"unknown: Input should be greater") as caught:
        load_slice_set(str(path))
    assert "index" not in str(caught.value)
    assert ";" not in str(caught.value)


def test_the_shipped_sets_use_no_patient_for_both_training_and_validation(data: Path) -> None:
    which = load_slice_set("open_whole")
    pictures = [s for s in which.sources if hasattr(s, "index")]
    held_out = {s.patient for s in which.sources if not hasattr(s, "index") and s.split == "val"}
    assert held_out == {"HCC_015", "C3L-00189"}
    (negatives,) = [s for s in pictures if s.index.startswith("negatives")]
    assert set(negatives.without["name"]) == held_out
    index = (data / negatives.index).read_text().splitlines()
    named = sum(any(name in line for name in held_out) for line in index)
    assert named > 0
    assert len(list(native_slices(negatives, data))) == len(index) - 1 - named


def labelled() -> WholeVolume:
    """A whole CT of 6 slices of 8×8 voxels; a part of slices 3 and 4 is unknown."""
    image = sitk.Image([8, 8, 6], sitk.sitkInt16)
    image.SetSpacing((10.0, 10.0, 5.0))  # half a mL a voxel
    mask, known = np.zeros((6, 8, 8), bool), np.ones((6, 8, 8), bool)
    mask[2:4, :4, :4] = True
    known[3:5, 4:, 4:] = False
    return WholeVolume(image, mask, known)


def test_a_volumes_mask_is_scored_without_unknown_voxels() -> None:
    volume = labelled()
    found = np.zeros((6, 8, 8), bool)
    found[2, :4, :2] = True  # half of one of two slices
    found[3:5, 4:, 4:] = True  # unknown
    found[0, 0, :3] = found[5, 0, :1] = True
    found[4, 0, 0] = True
    score = score_volume(found, volume)
    assert score.dice == pytest.approx(2 * 8 / (8 + 3 + 1 + 1 + 32))
    assert (score.slices, score.recall_z) == (2, 0.5)
    assert (score.below_ml, score.above_ml) == (1.5, 1.0)
    assert (score.empty, score.false_alarms, score.false_pixels) == (3, 2, 4)  # slice 4: unknown
    assert math.isnan(score.agreement)


def test_a_whole_volume_has_its_slices_from_foot_to_head(folder: Path) -> None:
    (source,) = description().sources
    volume, slices = whole_volume(source, folder), list(native_slices(source, folder))
    np.testing.assert_array_equal(volume.mask, np.stack([s.mask for s in slices]))
    np.testing.assert_array_equal(volume.known, np.stack([s.known for s in slices]))
    (source,) = description(mask=None, unknown=None, empty="slices.csv").sources
    volume = whole_volume(source, folder)
    assert not volume.mask.any()
    assert volume.known.all(axis=(1, 2)).sum() == 2


def test_whole_cts_are_scored_before_and_after_cleaning_with_one_look_and_two(
    tmp_path: Path, phantom: Phantom
) -> None:
    labels = voxel_array(phantom.mask).astype(np.uint8)
    write_scan(phantom.image, tmp_path / "ct.nii.gz")
    write_scan(image_like(labels, phantom.mask), tmp_path / "labels.nii.gz")
    which = description(
        image="ct.nii.gz", mask="labels.nii.gz", unknown=None, split="val", patient="7"
    )
    weights = tmp_path / "two.safetensors"
    two_looks().save(weights)
    scores = validate(str(weights), which, tmp_path, threads=1)
    assert list(scores) == [
        Scored("volume", "hcc-7", looks, cleaned) for looks in (1, 2) for cleaned in (False, True)
    ]
    final = scores[Scored("volume", "hcc-7", 2, True)]
    mask = voxel_array(load_segmenter(weights, threads=1).segment(phantom.image)) > 0
    assert final.dice == pytest.approx(dice(mask, labels > 0), abs=0.01)
    assert final.dice > 0.75
    assert 0.5 < final.agreement < 1
    text = markdown(scores, which)
    assert "volume, hcc, 2 looks, cleaned: mean Dice 0." in text
    assert "nan" not in text
    alone = validate("monet_phantom", which, tmp_path, threads=1)
    assert [key.looks for key in alone] == [1, 1]
    first = Scored("volume", "hcc-7", 1, True)
    assert alone[first].dice == scores[first].dice
