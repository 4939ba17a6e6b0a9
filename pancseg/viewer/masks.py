"""Read the mask of a row for the page: its label map, its label, and whether it may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.cohort.case import Case
from pancseg.cohort.roi import Labels, Ring, Roi
from pancseg.errors import UnusableCase
from pancseg.features.regions import Region, region_of
from pancseg.processing import fingerprint
from pancseg.running import keys
from pancseg.scans.arrays import label_array
from pancseg.scans.bounding_box import BoundingBox, box_of
from pancseg.scans.masks import holds_segments, read_mask
from pancseg.scans.placement import moved_to_grid, placed
from pancseg.scans.segments import segments_of
from pancseg.viewer.mask_files import MaskFile, rows_instead
from pancseg.viewer.part import Part
from pancseg.viewer.recent import Recent
from pancseg.viewer.volumes import KEPT, Volume, trace_of

NONE = "none"
"""Stands for the hash of a mask file that does not exist."""
_LARGEST_SHOWN = 255
_NAMES_SEGMENTS = (
    "the mask file itself names its segments, which would be lost; correct it in the program that "
    "made it, such as 3D Slicer"
)
_TRIES = 3


@dataclass(frozen=True)
class Mask:
    """The mask of a row, on its scan's grid.

    Attributes:
        file: where it is.
        sha256: hash of the file; ``NONE`` if there is none.
        label: value of the row's region in ``voxels``.
        why_not: why it may not be changed; empty if it may.
        voxels: (z, y, x) on the scan's own grid; None if there is no mask, or none to be shown.
        box: of the region in the upright volume, axes (z, y, x); None without a region.
        region_sha256: hash of the region as the table has it; empty if there is none.
    """

    file: MaskFile
    sha256: str = NONE
    label: int = 1
    why_not: str = ""
    voxels: NDArray[Any] | None = None
    box: BoundingBox | None = None
    region_sha256: str = ""

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self.sha256 != NONE

    def shown(self, volume: Volume, part: Part) -> NDArray[np.uint8]:
        """Return the part of the label map that the page gets; other labels than 1–255 are one."""
        if self.voxels is None:
            return np.zeros(part.size[::-1], np.uint8)
        cut = part.cut(volume.upright(self.voxels))
        if cut.dtype != np.uint8:
            other = _LARGEST_SHOWN - (self.label == _LARGEST_SHOWN)  # which is not the row's own
            cut = np.where((cut >= 0) & (cut <= _LARGEST_SHOWN), cut, other)
        return np.ascontiguousarray(cut, np.uint8)


class Masks:
    """Reads masks, and keeps the last ``KEPT``."""

    def __init__(self, default_label: int | None = None) -> None:
        """Start without any mask.

        Args:
            default_label: the label that the settings of the run name for given masks.
        """
        self._default_label = default_label
        self._recent = Recent[Mask](KEPT)

    def of(
        self, case: Case, file: MaskFile, volume: Volume, cases: Mapping[str, Case]
    ) -> Mask:  # fmt: skip
        """Return the mask of a case; what cannot be read is told in ``why_not``.

        Args:
            case: of the row.
            file: where its mask is.
            volume: its scan.
            cases: all of the output folder, of which some can be corrected instead.
        """
        for _ in range(_TRIES):
            trace = file.path and trace_of(file.path)
            key = case.key, volume.seen, trace, file
            mask = self._recent.get(key, partial(self._read, case, file, volume, cases))
            if trace == (file.path and trace_of(file.path)):
                break
        return mask

    def close(self) -> None:
        """Wait for a mask that is being read, and read no other."""
        self._recent.close()

    def _read(
        self, case: Case, file: MaskFile, volume: Volume, cases: Mapping[str, Case]
    ) -> Mask:  # fmt: skip
        digest = digest_of(file.path)
        wanted = case.mask_label
        if wanted is None and file.given and self._default_label:
            wanted = Labels((self._default_label,))
        if digest == NONE:
            label = _only(wanted) or 1
            why_not = "" if wanted is None or _only(wanted) else _formula(case, wanted, cases)
            return Mask(file, NONE, label, file.why_not or why_not)
        assert file.path is not None
        try:
            return self._of_file(case, Mask(file, digest), volume, wanted, cases)
        except UnusableCase as unusable:
            return Mask(file, digest, why_not=f"the mask: {unusable.fact}")

    def _of_file(
        self,
        case: Case,
        known: Mask,
        volume: Volume,
        wanted: Roi | None,
        cases: Mapping[str, Case],
    ) -> Mask:
        path = known.file.path
        assert path is not None
        mask = read_mask(path, volume.image)
        image, moved = _on_grid(mask, volume.image)
        region, problem = _region(mask if moved else image, wanted, volume.image)
        voxels = _small(label_array(image))
        if segments_of(mask):
            one = region is not None and len(region.labels) == 1 and not isinstance(wanted, Ring)
            label = region.labels[0] if region and one else 0
        else:
            label = _only(wanted) or _only_present(wanted, _present(voxels))
        if label and label <= _LARGEST_SHOWN:
            box = _box_of_label(volume.upright(voxels), label)
            known = replace(known, label=label, voxels=voxels)
            names = _NAMES_SEGMENTS if holds_segments(path) else ""
            why_not = known.file.why_not or names or moved
        else:
            inside = _inside(region.image if region else None, volume.image)
            box = box_of(volume.upright(inside))
            known = replace(known, label=1, voxels=inside)
            why_not = problem or _formula(case, wanted, cases)
            if label:
                why_not = f"label {label} is above {_LARGEST_SHOWN}; renumber it"
        return replace(
            known,
            why_not=why_not,
            box=box,
            region_sha256=fingerprint.of_image(region.image) if region else "",
        )


def digest_of(path: Path | None) -> str:
    """Return the hash of a mask file; ``NONE`` if there is none, or an empty file."""
    if path is not None and path.is_dir():  # that holds a DICOM mask
        return keys.of_given_mask(path) or NONE
    if path is None or not path.is_file() or path.stat().st_size == 0:
        return NONE
    return keys.of_file(path) or NONE


def _box_of_label(labels: NDArray[Any], label: int) -> BoundingBox | None:
    """Return the box of one label; a copy is made of what is around all labels alone."""
    outer = box_of(labels)
    inner = box_of(labels[outer.slices] == label) if outer else None
    if outer is None or inner is None:
        return None
    start = tuple(a + b for a, b in zip(outer.start, inner.start, strict=True))
    return BoundingBox(start, inner.size)


def _region(mask: sitk.Image, wanted: Roi | None, scan: sitk.Image) -> tuple[Region | None, str]:
    """Return a region as the table's rows are made, or None and why there is none."""
    try:
        return region_of(mask, wanted, scan), ""
    except UnusableCase as unusable:
        return None, unusable.fact


def _inside(region: sitk.Image | None, scan: sitk.Image) -> NDArray[np.uint8]:
    """Return a region's voxels on the scan's grid; none of them are set without a region."""
    if region is None:
        return np.zeros(scan.GetSize()[::-1], np.uint8)
    image, _ = _on_grid(region, scan)
    return np.asarray(label_array(image), np.uint8)


def _on_grid(mask: sitk.Image, scan: sitk.Image) -> tuple[sitk.Image, str]:
    """Return a mask on a scan's grid, and why it may not be changed there."""
    try:
        return placed(scan, mask).image, ""
    except UnusableCase:
        moved = moved_to_grid(scan, mask)
        return moved, "the mask is on another grid than the scan; resample it onto the scan first"


def _small(voxels: NDArray[Any]) -> NDArray[Any]:
    if voxels.dtype == np.uint8 or voxels.min() < 0 or voxels.max() > np.iinfo(np.uint8).max:
        return voxels
    return voxels.astype(np.uint8)


def _present(voxels: NDArray[Any]) -> tuple[int, ...]:
    box = box_of(voxels)
    return tuple(int(v) for v in np.unique(voxels[box.slices]) if v) if box else ()


def _only(wanted: Roi | None) -> int:
    """Return the only label that a region can be made of; 0 if there may be several."""
    if isinstance(wanted, Labels) and wanted.included and len(wanted.included) == 1:
        only = wanted.included[0]
        return only if isinstance(only, int) else 0
    return 0


def _only_present(wanted: Roi | None, present: tuple[int, ...]) -> int:
    """Return the only label of a map that a region is made of; 0 if there are several."""
    if wanted is not None and not isinstance(wanted, Labels):
        return 0
    labels = wanted.among(present) if wanted else present
    if not present and wanted is None:
        return 1
    return labels[0] if len(labels) == 1 else 0


def _formula(case: Case, wanted: Roi | None, cases: Mapping[str, Case]) -> str:
    how = "lies around labels" if isinstance(wanted, Ring) else "is made of several labels"
    made = f"the region {case.roi} {how}" + (f" ({wanted})" if wanted is not None else "")
    others = rows_instead(case, cases)
    return f"{made}; correct {others} instead" if others else f"{made}; give each a row by `roi`"
