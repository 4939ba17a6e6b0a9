"""SEGs that highdicom writes are read as highdicom itself reads them, to the voxel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_seg import write_ct
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.uid import RLELossless

from pancseg import read_scan
from pancseg.scans.arrays import voxel_array
from pancseg.scans.masks import read_mask
from pancseg.scans.segments import segments_of

hd = pytest.importorskip("highdicom")

NAMES = ("pancreas", "tumour")


@pytest.fixture(scope="module")
def ct() -> sitk.Image:
    image = sitk.GetImageFromArray(np.zeros((10, 12, 11), np.int16))
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetOrigin((-10.5, 20.25, -300.0))
    c, s = float(np.cos(0.2)), float(np.sin(0.2))
    image.SetDirection((1, 0, 0, 0, c, -s, 0, s, c))
    return image


@pytest.fixture(scope="module")
def slices(ct: sitk.Image, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    folder = tmp_path_factory.mktemp("ct")
    return folder, write_ct(folder, ct)


@pytest.fixture(scope="module")
def drawn() -> NDArray[np.uint8]:
    """Two segments ``(z, y, x, segment)`` that overlap, and leave slices free."""
    voxels = np.zeros((10, 12, 11, 2), np.uint8)
    voxels[2:8, 1:9, 2:9, 0] = 1
    voxels[3:6, 5:11, 4:7, 1] = 1
    voxels[4, :, :, 0] = 0
    return voxels


def _written(path: Path, slices: list[Any], pixels: NDArray[Any], kind: str, **how: Any) -> Path:
    descriptions = [
        hd.seg.SegmentDescription(
            number,
            name,
            codes.SCT.Organ,
            codes.SCT.Pancreas,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(NAMES, 1)
    ]
    numbers = (hd.UID(), 1, hd.UID(), 1)
    equipment = ("maker", "model", "1", "2")
    made = hd.seg.Segmentation(slices, pixels, kind, descriptions, *numbers, *equipment, **how)
    made.save_as(path)
    return path


def _ours(mask: sitk.Image, name: str) -> NDArray[np.bool_]:
    (found,) = (each for each in segments_of(mask) if each.name == name)
    inside: NDArray[np.bool_] = np.isin(voxel_array(mask), found.inside)
    return inside


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
@pytest.mark.parametrize("omit", [True, False])
def test_overlapping_segments(
    kind: str, omit: bool, slices: tuple[Path, list[Any]], drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    pixels = drawn.astype(float) if kind == "FRACTIONAL" else drawn
    path = _written(tmp_path / "m.dcm", slices[1], pixels, kind, omit_empty_frames=omit)
    mask = read_mask(path, read_scan(slices[0]))
    for number, name in enumerate(NAMES):
        assert np.array_equal(_ours(mask, name), drawn[..., number] == 1)


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_label_maps(
    syntax: str | None, slices: tuple[Path, list[Any]], drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    labels = drawn[..., 0] + (drawn[..., 1] & ~drawn[..., 0] & 1) * 2
    how = {"transfer_syntax_uid": syntax} if syntax else {}
    path = _written(tmp_path / "m.dcm", slices[1], labels, "LABELMAP", **how)
    mask = read_mask(path, read_scan(slices[0]))
    for number, name in enumerate(NAMES, 1):
        assert np.array_equal(_ours(mask, name), labels == number)


def test_the_box_is_the_one_that_highdicom_finds(
    slices: tuple[Path, list[Any]], drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = _written(tmp_path / "m.dcm", slices[1], drawn, "BINARY")
    theirs = hd.seg.segread(path).get_volume()
    mask = read_mask(path)
    for number, name in enumerate(NAMES):
        upside = theirs.array[..., number]
        inside = _ours(mask, name)
        assert inside.sum() == upside.sum()
        places = np.argwhere(inside)[:, ::-1].astype(float)
        mm = [mask.TransformContinuousIndexToPhysicalPoint(place) for place in places.tolist()]
        indices = np.rint(theirs.map_reference_to_indices(np.array(mm))).astype(int)
        assert upside[tuple(indices.T)].all()
