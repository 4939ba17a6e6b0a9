"""A mask that names its segments is chosen from by name; bare numbers mean nothing in it."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pancseg.errors import UnusableCase
from pancseg.features.regions import region_by_settings, region_of
from pancseg.features.segment_privacy import hide_names
from pancseg.scans.arrays import voxel_array
from pancseg.scans.segments import Segment, mark_segments


def _mask(*names: str) -> sitk.Image:
    """Return a map with ten voxels of each label 1, 2, …, whose file gives these names."""
    voxels = np.zeros((4, 10, 10), np.uint8)
    for number in range(1, len(names) + 1):
        voxels[1, number] = number
    mask = sitk.GetImageFromArray(voxels)
    mark_segments(mask, [Segment(n, (v,), 0, (v,)) for v, n in enumerate(names, 1)])
    return mask


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("duodenum", "pancreas"), (2,)),
        (("Tumor", "Pancreas"), (1, 2)),
        (("liver", "pancreas", "PDAC"), (2, 3)),
        (("pancreas", "pancreatic_cyst"), (1,)),
        (("Pankreas", "kidney_left"), (1,)),
        (("Segment_1",), (1,)),
    ],
)
def test_without_a_choice_names_tell_the_pancreas(
    names: tuple[str, ...], taken: tuple[int, ...]
) -> None:
    assert region_of(_mask(*names), None).labels == taken


@pytest.mark.parametrize(
    "names",
    [
        ("duodenum", "stomach"),
        ("duodenum",),
        ("Segment_1", "Segment_2"),
        ("pancreas", "liver", "tumour"),
        ("pancreas head", "pancreas tail"),
    ],
)
def test_names_that_do_not_tell_are_refused_and_listed(names: tuple[str, ...]) -> None:
    with pytest.raises(UnusableCase) as refused:
        region_of(_mask(*names), None)
    assert refused.value.code == "several_labels"
    for name in names:
        assert name.lower() in refused.value.fact


@pytest.mark.parametrize(
    ("label", "taken", "made_of"),
    [
        ("DUODENUM", (1,), "duodenum"),
        (2, (2,), "pancreas"),
        ("tumour|PDAC|mass", (3,), "mass"),
        ("pancreas,mass,spleen", (2, 3), "pancreas+mass"),
        ("all without duodenum", (2, 3), "pancreas+mass"),
        ("1,pancreas", (1, 2), "duodenum+pancreas"),
    ],
)
def test_segments_are_chosen_by_name_and_number(
    label: str | int, taken: tuple[int, ...], made_of: str
) -> None:
    region = region_of(_mask("duodenum", "Pancreas", "mass"), label)
    assert (region.labels, region.made_of) == (taken, made_of)


def test_a_ring_lies_around_named_segments() -> None:
    region = region_of(_mask("Pancreas"), "ring(pancreas;1mm)")
    assert region.made_of == "ring(pancreas;1mm)"
    assert voxel_array(region.image).sum() == 4 * 10


def test_blanks_hyphens_and_underscores_are_alike() -> None:
    assert region_of(_mask("Pancreatic_Tumor-1", "x"), "pancreatic tumor 1").labels == (1,)


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(UnusableCase, match=r"no segment spleen; it has pancreas \(1\)") as refused:
        region_of(_mask("pancreas"), "Spleen")
    assert refused.value.code == "no_label"


def test_a_name_on_a_mask_without_names_says_what_to_do() -> None:
    mask = sitk.Image(4, 4, 4, sitk.sitkUInt8) + 1
    with pytest.raises(UnusableCase, match="names no segments, so none is tumour") as refused:
        region_of(mask, "Tumour")
    assert refused.value.code == "no_label"


@pytest.mark.parametrize(
    "expression", ["all without tumour", "1,tumour", "1 without tumour", "ring(all without x;2mm)"]
)
def test_no_part_of_an_expression_is_dropped_where_a_mask_has_no_names(expression: str) -> None:
    voxels = np.zeros((4, 10, 10), np.uint8)
    voxels[1, 1:4] = [[1], [2], [3]]
    with pytest.raises(UnusableCase, match=r"names no segments.* has 1, 2, 3: give num") as refused:
        region_of(sitk.GetImageFromArray(voxels), expression)
    assert refused.value.code == "no_label"


def test_a_name_to_leave_out_that_the_mask_does_not_describe_is_told() -> None:
    """It may be misspelt; or this patient has no tumour, and the rest of the cohort has."""
    mask = _mask("pancreas", "duodenum")
    found = region_of(mask, "all without duodenm")
    assert found.made_of == "pancreas+duodenum"
    assert found.note == (
        "the mask describes no segment duodenm to leave out (it has pancreas (1), duodenum (2)); "
        "correct the name, unless this patient has none"
    )
    assert "no segment duodenm to leave out" in region_of(mask, "ring(1 without duodenm;2mm)").note
    assert region_of(mask, "all without duodenum").note == ""
    mark_segments(mask, [Segment("pancreas", (1,), 0, (1,)), Segment("cyst", (9,), 0, (9,))])
    described = region_of(mask, "pancreas without cyst")
    assert (described.made_of, described.note) == ("pancreas", "")


def _regions_of_nnunet() -> sitk.Image:
    mask = _mask("", "")
    mark_segments(mask, [Segment("pancreas", (1, 2), 0, (1, 2)), Segment("tumour", (2,), 0, (2,))])
    return mask


@pytest.mark.parametrize(
    ("label", "taken", "made_of"),
    [
        (None, (1, 2), "pancreas+tumour"),
        (1, (1,), "1"),
        (2, (2,), "tumour"),
        ("1,2", (1, 2), "tumour+1"),
        ("all", (1, 2), "pancreas+tumour"),
        ("all without 1", (2,), "pancreas+tumour without 1"),
        ("pancreas", (1, 2), "pancreas"),
        ("pancreas without tumour", (1,), "pancreas without tumour"),
    ],
)
def test_a_number_that_only_joint_segments_have_means_itself(
    label: str | int | None, taken: tuple[int, ...], made_of: str
) -> None:
    mask = _regions_of_nnunet()
    region = region_of(mask, label)
    assert (region.labels, region.made_of) == (taken, made_of)
    again = region_of(mask, made_of)
    assert again.labels == taken


def test_a_ring_says_what_was_taken_from_the_segments_within_it() -> None:
    region = region_of(_regions_of_nnunet(), "ring(pancreas without tumour;1mm)")
    assert region.made_of == "ring(pancreas without tumour;1mm)"


def test_a_name_that_fits_two_segments_is_refused() -> None:
    with pytest.raises(UnusableCase, match="fits 2 segments") as refused:
        region_of(_mask("Tumour", "tumour"), "tumour")
    assert refused.value.code == "several_labels"


def test_overlapping_segments_are_joined_and_subtracted_by_voxel() -> None:
    voxels = np.zeros((4, 4, 4), np.uint8)
    voxels[1], voxels[2], voxels[3] = 1, 2, 3
    mask = sitk.GetImageFromArray(voxels)
    parts = Segment("pancreas", (1,), 0, (1, 3)), Segment("duct", (1,), 1, (2, 3))
    mark_segments(mask, parts)
    assert region_of(mask, "pancreas").labels == (1, 3)
    assert region_of(mask, "pancreas without duct").labels == (1,)
    assert region_of(mask, "pancreas without duct").made_of == "pancreas without duct"
    assert region_of(mask, "pancreas,duct").labels == (1, 2, 3)
    with pytest.raises(UnusableCase, match="number 1 fits 2 segments"):
        region_of(mask, 1)


def test_the_label_of_a_settings_file_is_no_choice_of_another_organ() -> None:
    mask = _mask("duodenum", "pancreas")
    scan = sitk.Image(10, 10, 4, sitk.sitkInt16)
    assert region_by_settings(mask, None, 2, scan).made_of == "pancreas"
    assert region_by_settings(mask, 1, 2, scan).made_of == "duodenum"
    with pytest.raises(UnusableCase, match="settings ask for label 1, which the mask names duod"):
        region_by_settings(mask, None, 1, scan)


def test_names_that_may_be_those_of_people_can_be_hidden_and_change_no_choice() -> None:
    mask = _mask("Pancreas", "Mueller Hans 1951", "Duodenum", "19510203")
    hide_names(mask, ["duodenum"])
    assert region_of(mask, None).made_of == "pancreas"
    assert region_of(mask, "all").made_of == "pancreas+2+duodenum+4"
    with pytest.raises(UnusableCase) as refused:
        region_of(mask, "spleen")
    assert refused.value.fact.endswith("it has pancreas (1), 2 (2), duodenum (3), 4 (4)")
    alone = _mask("Mueller Hans 1951")
    hide_names(alone, [])
    with pytest.raises(UnusableCase, match=r"no segment pancreas, but 1 \(1\); name one"):
        region_of(alone, None)
