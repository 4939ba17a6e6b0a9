"""Read whole CTs with label maps, some of whose voxels may be unknown, as slices to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import CANONICAL, on_grid_of, orient, require_orientation
from pancseg.scans.reading import read_scan
from pancseg.system.regular_files import open_regular
from pancseg.training.data.slice_set import VolumeSource


class VolumeSlice(NamedTuple):
    """One axial slice of a volume, upright (LPS).

    Attributes:
        hu: the slice in HU, ``(y, x)``.
        mask: its pancreas.
        known: where the mask is known.
    """

    hu: NDArray[np.float32]
    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]


class WholeVolume(NamedTuple):
    """A whole CT with its label, upright (LPS), from foot to head.

    Attributes:
        image: the CT in HU.
        mask: its pancreas, ``(z, y, x)``.
        known: where the mask is known.
    """

    image: sitk.Image
    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]


def whole_volume(source: VolumeSource, data: Path) -> WholeVolume:
    """Return a volume in one piece; without a label map only the empty slices are known.

    Args:
        source: the volume's description.
        data: the folder that its paths are relative to.

    Raises:
        ValueError, FileNotFoundError: as for :func:`volume_slices`.
    """
    stored = _ct(source, data)
    image = orient(stored, CANONICAL)
    labels = _labels(source, data, image)
    empty = _empty_slices(source, data, stored) if source.empty is not None else []
    mask, known = labels == 1, np.full(labels.shape, source.mask is not None)
    if source.unknown is not None:
        known &= labels != source.unknown
    mask[empty], known[empty] = False, True
    return WholeVolume(image, mask, known)


def volume_slices(source: VolumeSource, data: Path) -> Iterator[VolumeSlice]:
    """Yield the slices of a volume from foot to head, in its own resolution.

    Args:
        source: the volume's description.
        data: the folder that its paths are relative to.

    Raises:
        ValueError: a file cannot be read or lacks a column, the CT's header gives no orientation,
            CT and label map are on different grids, the label map has labels other than 0, 1 and
            ``unknown``, or the table names slices that do not exist.
        FileNotFoundError: a file does not exist.
    """
    stored = _ct(source, data)
    image = orient(stored, CANONICAL)
    voxels, labels = voxel_array(image), _labels(source, data, image)
    empty = _empty_slices(source, data, stored) if source.empty is not None else []
    for number in sorted(empty) if source.mask is None else range(len(voxels)):
        label = np.zeros_like(labels[number]) if number in empty else labels[number]
        known = label != (-1 if source.unknown is None else source.unknown)
        yield VolumeSlice(voxels[number].astype(np.float32), label == 1, known)


def _ct(source: VolumeSource, data: Path) -> sitk.Image:
    """Return the CT as it is stored; its header must say how the patient lies."""
    image = _read(source.image, data)
    try:
        require_orientation(image)
    except UnusableCase as unusable:
        raise ValueError(f"{source.image}: {unusable.fact}") from unusable
    return image


def _read(path: str, data: Path) -> sitk.Image:
    if not (data / path).exists():
        raise FileNotFoundError(f"the `data` folder has no {path}, which the slice set lists")
    try:
        return read_scan(data / path)
    except UnusableCase as unusable:
        raise ValueError(f"{path}: {unusable.fact}") from unusable


def _labels(source: VolumeSource, data: Path, image: sitk.Image) -> NDArray[np.integer]:
    """Return the label map ``(z, y, x)`` on the oriented image's grid; zeros without a mask."""
    if source.mask is None:
        return np.zeros(voxel_array(image).shape, np.uint8)
    try:
        mask = on_grid_of(image, _read(source.mask, data))
    except UnusableCase as unusable:
        raise ValueError(f"{source.mask}: {unusable.fact}") from unusable
    labels = voxel_array(mask)
    allowed = {0, 1} if source.unknown is None else {0, 1, source.unknown}
    if odd := sorted(set(np.unique(labels).tolist()) - allowed):
        rest = "; set `unknown`" if source.unknown is None else f" nor `unknown` ({source.unknown})"
        raise ValueError(f"{source.mask}: label {odd[0]:g} is neither 0 nor 1{rest}")
    return labels


def _empty_slices(source: VolumeSource, data: Path, stored: sitk.Image) -> list[int]:
    """Return the numbers of the slices that are seen to hold no pancreas, from foot to head."""
    assert source.empty is not None
    count = stored.GetDepth()
    if isinstance(source.empty, str):
        numbers = _listed(source.empty, data, count)
    else:
        first, last = source.empty
        if not 0 <= first <= last < count:
            raise ValueError(
                f"{source.image}: `empty` names the slices {first} to {last} (expected a first and "
                f"a last slice, 0–{count - 1})"
            )
        numbers = list(range(first, last + 1))
    rises = (
        stored.TransformIndexToPhysicalPoint((0, 0, count - 1))[2]
        >= stored.TransformIndexToPhysicalPoint((0, 0, 0))[2]
    )
    return [n if rises else count - 1 - n for n in numbers]


def _listed(path: str, data: Path, count: int) -> list[int]:
    """Return the numbers that a table of empty slices lists, of ``count`` slices as stored."""
    if not (data / path).is_file():
        raise FileNotFoundError(f"the `data` folder has no {path}, which the slice set lists")
    try:
        with open_regular(data / path) as file:
            table = pd.read_csv(file, dtype={"slice": str})
    except ValueError as error:  # pandas: no columns, or no CSV
        raise ValueError(f"{path} is not a CSV: {str(error).splitlines()[0]}") from error
    if missing := sorted({"slice", "no_pancreas"} - set(table.columns)):
        raise ValueError(f"{path} has no column {', '.join(missing)}")
    written = table.loc[table["no_pancreas"] == 1, "slice"].fillna("''")
    numbers = pd.to_numeric(written, errors="coerce")
    if len(wrong := written[~numbers.isin(range(count))]):
        raise ValueError(f"{path}: there is no slice {wrong.iloc[0]:.20} (expected 0–{count - 1})")
    return [int(number) for number in numbers]
