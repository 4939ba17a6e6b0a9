"""A content hash changes with every voxel, length and setting, and with nothing else."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pancseg import load_feature_settings, read_scan, write_scan
from pancseg.processing import fingerprint


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [sitk.sitkInt16, sitk.sitkInt32, sitk.sitkFloat32])
def test_the_file_format_does_not_count(
    suffix: str, kind: int, block: sitk.Image, tmp_path: Path
) -> None:
    write_scan(sitk.Cast(block, kind), tmp_path / f"a{suffix}")
    assert fingerprint.of_image(read_scan(tmp_path / f"a{suffix}")) == fingerprint.of_image(block)


@given(
    st.lists(st.floats(0.3, 8), min_size=3, max_size=3),
    st.lists(st.floats(-500, 500), min_size=3, max_size=3),
)
def test_no_format_changes_lengths(spacing: list[float], origin: list[float]) -> None:
    """NIfTI keeps float32; a hash of float32 is the same before and after."""
    image = sitk.Image(2, 2, 2, sitk.sitkInt16)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    before = fingerprint.of_image(image)
    image.SetSpacing([float(np.float32(s)) for s in spacing])
    image.SetOrigin([float(np.float32(o)) for o in origin])
    assert fingerprint.of_image(image) == before


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_voxels_are_the_same_however_they_are_turned(kind: type) -> None:
    voxels = np.random.default_rng(0).normal(0, 90, (4, 5, 5)).astype(kind)
    hashes = set()
    for order in permutations(range(3)):
        for flips in product((1, -1), repeat=3):
            turned = voxels.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
            image = sitk.GetImageFromArray(np.ascontiguousarray(turned))
            image.SetSpacing((1.0, 2.0, float(len(hashes) + 1)))
            hashes.add(fingerprint.of_voxels(image))
    assert len(hashes) == 1
    voxels[1, 2, 3] += 1
    assert fingerprint.of_voxels(sitk.GetImageFromArray(voxels)) not in hashes


def one_voxel(image: sitk.Image) -> None:
    image[3, 2, 1] = image[3, 2, 1] + 1


@pytest.mark.parametrize(
    "change",
    [
        one_voxel,
        lambda image: image.SetSpacing((0.8, 0.9, 2.501)),
        lambda image: image.SetOrigin((-100.5, 20.25, -300.001)),
        lambda image: image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1)),
    ],
)
def test_voxels_and_geometry_count(change, block: sitk.Image) -> None:
    before = fingerprint.of_image(block)
    change(block)
    after = fingerprint.of_image(block)
    assert after != before
    assert len(after) == 64


def test_shapes_of_the_same_voxels_differ() -> None:
    voxels = np.arange(24, dtype=np.int16)
    shapes = [(2, 3, 4), (4, 3, 2), (2, 4, 3)]
    images = [sitk.GetImageFromArray(voxels.reshape(shape)) for shape in shapes]
    assert len({fingerprint.of_image(image) for image in images}) == 3


@pytest.mark.parametrize("value", [0.5, 1e20, 2.0**40, -(2.0**40)])
def test_all_kinds_of_numbers_are_told_apart(value: float) -> None:
    voxels = np.zeros((2, 2, 2))
    hashes = []
    for number in (value, value * (1 + 2**-50)):
        voxels[0, 0, 0] = number
        hashes.append(fingerprint.of_image(sitk.GetImageFromArray(voxels)))
    assert hashes[0] != hashes[1]


def test_settings_count_and_their_name_does_not() -> None:
    preset = load_feature_settings("pancreas_ct")
    by_path = load_feature_settings(ROOT / "radiomics_cfg" / "pancreas_ct.yaml")
    assert by_path.name != preset.name
    assert fingerprint.of_settings(by_path) == fingerprint.of_settings(preset)
    setting = {**preset.parameters["setting"], "binWidth": 11}
    other = preset.model_copy(update={"parameters": {**preset.parameters, "setting": setting}})
    assert fingerprint.of_settings(other) != fingerprint.of_settings(preset)
    assert fingerprint.of_settings(
        preset.model_copy(update={"mode": "other"})
    ) != fingerprint.of_settings(preset)
