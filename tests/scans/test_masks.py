"""Masks with named segments are one label map, whatever layers and axes their file has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from slicer_file import write_seg_nrrd

from pancseg.errors import UnusableCase
from pancseg.features.regions import region_of
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import orient
from pancseg.scans.masks import named_segments, preview_mask, read_mask
from pancseg.scans.placement import placed
from pancseg.scans.reading import read_scan
from pancseg.scans.segments import Segment, in_one_map, segments_of

PANCREAS = np.zeros((4, 6, 5), np.uint8)
PANCREAS[1:3, 1:5, 1:4] = 1
TUMOUR = np.zeros_like(PANCREAS)
TUMOUR[2, 3:6, 2:4] = 1


def test_overlapping_segments_keep_all_their_voxels(tmp_path: Path) -> None:
    path = write_seg_nrrd(
        tmp_path / "m.seg.nrrd", [PANCREAS, TUMOUR], [("pancreas", 1, 0), ("tumour", 1, 1)]
    )
    mask = read_mask(path)
    assert mask.GetSize() == (5, 6, 4)
    assert mask.GetSpacing() == (1, 1, 2)
    found = {each.name: np.isin(voxel_array(mask), each.inside) for each in segments_of(mask)}
    assert np.array_equal(found["pancreas"], PANCREAS == 1)
    assert np.array_equal(found["tumour"], TUMOUR == 1)


def test_layers_are_found_by_another_reader_too(tmp_path: Path) -> None:
    path = write_seg_nrrd(tmp_path / "m.seg.nrrd", [PANCREAS, TUMOUR], [("a", 1, 0)])
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    mask = read_mask(path)
    (named, unnamed) = segments_of(mask)
    assert np.array_equal(np.isin(voxel_array(mask), named.inside), theirs[..., 0] == 1)
    assert np.array_equal(np.isin(voxel_array(mask), unnamed.inside), theirs[..., 1] == 1)
    assert (unnamed.name, unnamed.values, unnamed.layer) == ("", (1,), 1)


def test_an_axis_of_one_layer_is_no_axis(tmp_path: Path) -> None:
    path = write_seg_nrrd(tmp_path / "m.nrrd", [PANCREAS], [], origin=(3, 4, 5), list_axis=True)
    scan = read_scan(path)
    assert scan.GetOrigin() == (3, 4, 5)
    assert np.array_equal(voxel_array(scan), PANCREAS)


def test_a_scan_has_no_layers(tmp_path: Path) -> None:
    path = write_seg_nrrd(tmp_path / "m.nrrd", [PANCREAS, TUMOUR], [])
    with pytest.raises(UnusableCase, match="2 values per voxel") as refused:
        read_scan(path)
    assert refused.value.code == "not_scalar"


def test_names_are_read_without_voxels(tmp_path: Path) -> None:
    path = write_seg_nrrd(tmp_path / "m.seg.nrrd", [PANCREAS], [("Käse", 7, 0)])
    assert named_segments(path) == (Segment("Käse", (7,), 0),)
    assert preview_mask(path).size == (5, 6, 4)


@pytest.mark.parametrize(("value", "layer"), [("0", "0"), ("x", "0"), ("1", "1"), ("1", "-1")])
def test_impossible_segments_are_refused(tmp_path: Path, value: str, layer: str) -> None:
    path = write_seg_nrrd(tmp_path / "m.seg.nrrd", [PANCREAS], [("a", 41, 41)])
    content = path.read_bytes()
    content = content.replace(b"LabelValue:=41", f"LabelValue:={value}".encode())
    path.write_bytes(content.replace(b"Layer:=41", f"Layer:={layer}".encode()))
    with pytest.raises(UnusableCase, match="segment 0"):
        read_mask(path)


def test_a_label_with_two_names_is_refused_per_layer(tmp_path: Path) -> None:
    path, both = tmp_path / "m.seg.nrrd", [PANCREAS, TUMOUR]
    write_seg_nrrd(path, both, [("pancreas", 1, 0), ("duodenum", 1, 1)])
    assert len(segments_of(read_mask(path))) == 2
    write_seg_nrrd(path, both, [("pancreas", 1, 1), ("duodenum", 1, 1)])
    with pytest.raises(UnusableCase, match="two names for label 1 in layer 1; correct"):
        read_mask(path)


def test_three_layers_have_a_value_for_each_combination() -> None:
    generator = np.random.default_rng(7)
    layers = [generator.integers(0, 3, (4, 9, 9)).astype(np.uint8) for _ in range(3)]
    segments = [Segment(f"{n}{v}", (v,), n) for n in range(3) for v in (1, 2)]
    joined, found = in_one_map(layers, segments)
    for each in found:
        expected = layers[each.layer] == each.values[0]
        assert np.array_equal(np.isin(joined, each.inside), expected)
    assert not joined[(np.stack(layers) == 0).all(axis=0)].any()
    assert joined[(np.stack(layers) != 0).any(axis=0)].all()


@pytest.mark.parametrize("moved", ["to the last bit", "rounded", "turned", "cut to a box"])
def test_names_stay_when_a_mask_is_put_onto_the_scans_grid(tmp_path: Path, moved: str) -> None:
    """With its names lost, labels 1 and 2 would be joined whatever they are."""
    both = np.where(TUMOUR == 1, 2, PANCREAS).astype(np.uint8)
    scan = sitk.GetImageFromArray(both.astype(np.int16))
    scan.SetSpacing((1, 1, 2))
    origin = (1e-5 * (moved == "rounded"), 0, 0)
    part = [both[1:3]] if moved == "cut to a box" else [both]
    origin = (0, 0, 2) if moved == "cut to a box" else origin
    names = [("duodenum", 1, 0), ("pancreas", 2, 0)]
    mask = read_mask(write_seg_nrrd(tmp_path / "m.seg.nrrd", part, names, origin=origin))
    on_grid = placed(scan, orient(mask, "RAS") if moved == "turned" else mask).image
    assert on_grid.GetOrigin() == scan.GetOrigin()
    region = region_of(on_grid, None)
    assert region.made_of == "pancreas"
    assert np.array_equal(voxel_array(region.image), TUMOUR)
