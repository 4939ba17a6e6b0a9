"""Whole CTs in a slice set: their slices, their unknown voxels, their empty slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydantic import ValidationError

from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.data.slice_set import SliceSet, load_slice_set
from pancseg.training.data.slices import native_slices, patients_of, read_slices

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


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"unknown": None}, r"labels\.nii\.gz: label 2 is neither 0 nor 1; set `unknown`"),
        ({"unknown": 3}, r"labels\.nii\.gz: label 2 is neither 0 nor 1 nor `unknown` \(3\)"),
        ({"mask": "gone.nii.gz"}, r"no gone\.nii\.gz, which the slice set lists"),
        ({"empty": "gone.csv"}, r"no gone\.csv, which the slice set lists"),
        ({"empty": "beyond.csv"}, r"beyond\.csv: there is no slice 6 \(expected 0–5\)"),
        ({"empty": "other.csv"}, r"other\.csv has no column no_pancreas"),
        ({"mask": "small.nii.gz"}, r"small\.nii\.gz: scan and mask are on different grids"),
    ],
)
def test_volumes_that_cannot_be_right_are_refused(
    folder: Path, changes: dict[str, Any], problem: str
) -> None:
    (folder / "beyond.csv").write_text("slice,no_pancreas\n6,1\n")
    (folder / "other.csv").write_text("slice\n1\n")
    sitk.WriteImage(sitk.Image([4, 4, 6], sitk.sitkUInt8), folder / "small.nii.gz")
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        list(native_slices(description(**changes).sources[0], folder))


def test_a_volume_needs_a_label_map_or_a_list_of_empty_slices() -> None:
    with pytest.raises(ValidationError, match="needs a mask, or a table of its empty slices"):
        description(mask=None)


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
