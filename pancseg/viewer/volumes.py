"""Read scans for the page, keep the last two, and turn voxels upright for it and back.

The page gets every volume with x towards the patient's right, y towards the front and z towards the
head. Files keep their own axes: an upright array is a view of them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.cohort.case import Case
from pancseg.processing import fingerprint
from pancseg.running import keys
from pancseg.scans.arrays import copy_notes, new_image, voxel_array, writable
from pancseg.scans.geometry import axes_of
from pancseg.scans.reading import read_scan
from pancseg.viewer.part import Part, Triple
from pancseg.viewer.recent import Recent

KEPT = 2
"""Scans, and masks, in memory."""
_UPRIGHT = "RAS"
_PAIRS = {"R": "RL", "A": "AP", "S": "SI"}


class Volume:
    """A scan in memory, as int16.

    Attributes:
        image: the scan on its own grid; HU are rounded and clipped to int16.
        seen: what told the file apart when it was read.
        key: key of the scan's content, as runs compute it; empty if it is not known.
        sha256: hash of the scan as the table has it; empty if it is not known.
    """

    def __init__(
        self, image: sitk.Image, seen: object = None, *, key: str = "", sha256: str = ""
    ) -> None:
        self.image, self.seen = _as_int16(image), seen
        self.key, self.sha256 = key, sha256
        code = axes_of(image)
        self._order = [next(j for j in range(3) if code[j] in _PAIRS[end]) for end in _UPRIGHT]
        self._flips = [code[j] != end for j, end in zip(self._order, _UPRIGHT, strict=True)]
        self.voxels = self.upright(voxel_array(self.image))

    @property
    def size(self) -> Triple:
        """Number of voxels of the upright volume along x, y, z."""
        x, y, z = (int(self.image.GetSize()[j]) for j in self._order)
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxels of the upright volume along x, y, z."""
        x, y, z = (float(self.image.GetSpacing()[j]) for j in self._order)
        return x, y, z

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return math.prod(self.spacing_mm) / 1000

    def upright(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return an upright view of an array (z, y, x) on the scan's own grid."""
        turned = voxels.transpose([2 - self._order[2 - axis] for axis in range(3)])
        return turned[
            tuple(slice(None, None, -1 if self._flips[2 - axis] else 1) for axis in range(3))
        ]

    def affine(self, part: Part) -> NDArray[np.float64]:
        """Return the 3×4 matrix from a part's voxel indices (x, y, z) to mm, in NIfTI's RAS."""
        grid = self.image
        turn = np.reshape(grid.GetDirection(), (3, 3))[:, self._order]
        turn = turn * np.where(self._flips, -1.0, 1.0) * self.spacing_mm
        first = [0, 0, 0]
        for axis, (j, flip) in enumerate(zip(self._order, self._flips, strict=True)):
            index = part.start[axis]
            first[j] = grid.GetSize()[j] - 1 - index if flip else index
        origin = np.array(grid.TransformIndexToPhysicalPoint(first))
        matrix = np.column_stack([turn * np.array(part.step), origin])
        matrix[:2] *= -1  # from LPS
        return matrix


class Volumes:
    """Reads scans, one at a time, and keeps the last ``KEPT``."""

    def __init__(self) -> None:
        self._recent = Recent[Volume](KEPT)

    def of(self, case: Case) -> Volume:
        """Return a case's scan, from memory unless its file has changed.

        Raises:
            UnusableCase: the scan cannot be read.
        """
        seen, series = trace_of(case.image), case.series_uid
        return self._recent.get((case.image, series, seen), lambda: _read(case, seen))

    def close(self) -> None:
        """Wait for a scan that is being read, and read no other."""
        self._recent.close()


def scan_key_of(case: Case) -> str:
    """Return the key of a scan's content as it is now, as runs compute it; empty without one."""
    content = keys.of_files(case.image, case.series_uid)
    return keys.of_scan(content, case.series_uid or "") if content else ""


def _read(case: Case, seen: object) -> Volume:
    key = scan_key_of(case)  # first: a scan that is replaced meanwhile is known by the old key
    image = read_scan(case.image, series_uid=case.series_uid)
    return Volume(image, seen, key=key, sha256=fingerprint.of_image(image))


def trace_of(path: Path) -> tuple[int, ...]:
    """Return numbers that differ once a file or a folder has changed; empty if it is not there."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _as_int16(image: sitk.Image) -> sitk.Image:
    if image.GetPixelID() == sitk.sitkInt16:
        return image
    voxels, limits = voxel_array(image), np.iinfo(np.int16)
    made = new_image(image.GetSize(), np.dtype(np.int16))
    for given, plane in zip(voxels, writable(made), strict=True):
        plane[:] = np.clip(np.rint(given), limits.min, limits.max)
    made.CopyInformation(image)
    copy_notes(image, made)
    return made
