"""Write the pictures of a row while its scan is in memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from pancseg.cohort.case import Case
from pancseg.errors import OutputError
from pancseg.pictures.row_pictures import PICTURE, SUFFIXES, row_pictures
from pancseg.processing.picture_names import picture_stem
from pancseg.scans.geometry import SAME_GRID_VOXELS, grid_difference_mm
from pancseg.system.timing import timed
from pancseg.system.whole_files import write_whole

log = logging.getLogger(__name__)


@dataclass
class Seen:
    """What was looked at to make a row.

    Attributes:
        region: the voxels that were judged and measured; None if there was no region.
        measured: the region on the features' grid; None if no features were computed.
    """

    region: sitk.Image | None = None
    measured: sitk.Image | None = None


def write_pictures(
    folder: Path, case: Case, mark: bytes, scan: sitk.Image | None, seen: Seen
) -> None:
    """Write a row's pictures, and remove those that no longer belong to it.

    A row never fails because of its pictures; the page says which are missing.

    Args:
        folder: the folder of pictures, which exists.
        case: the row's case.
        mark: of the row (:func:`pancseg.processing.picture_names.mark_of`).
        scan: the volume; None if it cannot be read.
        seen: what was looked at.

    Raises:
        OutputError: the pictures cannot be written.
    """
    stem = picture_stem(case.scan_name, case.roi)
    if not stem:
        return
    pictures: dict[str, bytes] = {}
    if scan is not None:
        try:
            with timed("pictures"):
                pictures = _pictures(scan, seen, mark)
        except Exception:  # such as too little memory; the row itself is done
            log.debug("%s: no pictures", case.name, exc_info=True)
    new = {folder / f"{stem}{suffix}": pictures[suffix] for suffix in pictures}
    try:
        with timed("pictures"):
            for suffix in SUFFIXES:
                if suffix not in pictures:
                    (folder / f"{stem}{suffix}").unlink(missing_ok=True)
            write_whole(dict(sorted(new.items(), key=lambda item: _is_marked(item[0]))))
    except OSError as error:
        raise OutputError(*error.args) from error


def _pictures(scan: sitk.Image, seen: Seen, mark: bytes) -> dict[str, bytes]:
    region = seen.region
    if region is not None and not _same_grid(scan, region):
        region = sitk.Resample(region, scan, sitk.Transform(), sitk.sitkNearestNeighbor)
    return row_pictures(scan, region, seen.measured, comment=mark)


def _same_grid(scan: sitk.Image, region: sitk.Image) -> bool:
    difference = grid_difference_mm(scan, region)
    return difference <= SAME_GRID_VOXELS * float(min(scan.GetSpacing()))


def _is_marked(path: Path) -> bool:
    """Return whether a file carries the mark: it is written last, when the others are there."""
    return path.name.endswith(PICTURE) and ".thumb" not in path.name
