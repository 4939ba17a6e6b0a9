"""Convert CTs and masks to the network's grid once, and memory-map the result in later runs.

The cache has one ``<name>.npy`` per scan, uint8 ``(slices, 2, y, x)``: the window scaled to 0..255,
and the mask (0, 1). Files appear whole or not at all, so an interrupted conversion resumes with the
next scan. A scan is converted again when its files or its region have changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.errors import CohortError, UnusableCase
from pancseg.features.regions import region_of
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import CANONICAL, orient, require_orientation
from pancseg.scans.masks import dicom_mask, named_segments, read_mask
from pancseg.scans.placement import placed
from pancseg.scans.reading import layout_of, read_scan, suffix_of
from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.system.json_file import read_json
from pancseg.system.whole_files import whole_files, write_whole
from pancseg.training.data.pairs import TrainingPair

SLICES_AT_ONCE = 16
_NAME_ONE = "name one by mask_label in a manifest"
"""A training has no other way to name a label."""
_OTHER_FILES = 512
"""Allowance for files besides the mapped ones."""
CACHE_VERSION = 1
"""Increase with every change of the code that changes a converted voxel."""


@dataclass(frozen=True)
class CachedScan:
    """One scan's slices, from foot to head (the direction of z in LPS order).

    Attributes:
        patient: the patient's id.
        voxels: uint8 ``(slices, 2, y, x)``, read from disk on access.
        labelled: bool ``(slices,)``: which slices show pancreas.
        sha256: hash of the voxels.
    """

    patient: str
    voxels: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    sha256: str


def build_cache(
    pairs: list[TrainingPair],
    folder: Path,
    preprocessing: Preprocessing,
    report: Callable[[str], None] = lambda patient: None,
) -> list[CachedScan]:
    """Convert the scans that are not cached yet and return all scans, in the order of ``pairs``.

    Args:
        pairs: CTs and masks.
        folder: parent folder of all caches; each preprocessing has its own subfolder.
        preprocessing: window and grid.
        report: called with each scan's name when it is ready.

    Raises:
        CohortError: CTs that cannot be read, or masks that do not match them or are empty; lists
            all of them.
        OSError: the cache cannot be written.
    """
    _allow_open_files(len(pairs))
    settings = preprocessing.model_dump_json()
    here = folder / f"slices-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"
    here.mkdir(parents=True, exist_ok=True)
    write_whole({here / "preprocessing.json": f"{settings}\n".encode()})
    found, problems = [], []
    for pair in pairs:
        try:
            found.append(_cached(pair, here, preprocessing))
        except UnusableCase as unusable:
            problems.append(f"{pair.name}: {unusable.fact}")
        else:
            report(pair.name)
    if problems:
        raise CohortError(problems)
    return found


def read_pair(pair: TrainingPair, axes: str = CANONICAL) -> tuple[sitk.Image, sitk.Image]:
    """Read a CT and its mask (0, 1), both with the given axes.

    Raises:
        UnusableCase: a file cannot be read, the scan's header gives no orientation, the two are on
            different grids, or the mask's region is empty or ambiguous.
    """
    image = read_scan(pair.image, series_uid=pair.series_uid)
    require_orientation(image)
    mask = placed(image, read_mask(pair.mask, image)).image
    region = region_of(mask, pair.region, image, remedy=_NAME_ONE).image
    return orient(image, axes), orient(region, axes)


def _cached(pair: TrainingPair, folder: Path, preprocessing: Preprocessing) -> CachedScan:
    voxels_path, about_path = (folder / f"{pair.name}{s}" for s in (".npy", ".json"))
    sources = {
        "version": CACHE_VERSION,
        "image": _stamp(pair.image, "image"),
        "mask": _stamp(pair.mask, "mask"),
        "region": str(pair.region),
        "names": [[each.name, *each.values] for each in named_segments(pair.mask)],
        "series_uid": pair.series_uid,
    }
    about = _about(about_path)
    mapped = _mapped(voxels_path, about, preprocessing.size)
    if about.get("sources") != sources or mapped is None:
        about_path.unlink(missing_ok=True)
        voxels = _converted(pair, preprocessing)
        with whole_files([voxels_path]) as partial, partial[voxels_path].open("wb") as file:
            np.save(file, voxels)
        about = {
            "sources": sources,
            "sha256": hashlib.sha256(voxels.tobytes()).hexdigest(),
            "labelled": voxels[:, 1].any(axis=(1, 2)).tolist(),
        }
        write_whole({about_path: f"{json.dumps(about)}\n".encode()})
        mapped = np.load(voxels_path, mmap_mode="r", allow_pickle=False)
    return CachedScan(pair.patient, mapped, np.array(about["labelled"]), about["sha256"])


def _mapped(path: Path, about: dict[str, Any], size: int) -> NDArray[np.uint8] | None:
    """Return the voxels of a cached scan; None if there are none, or they are not as described."""
    if not path.is_file() or not isinstance(about.get("sha256"), str):
        return None
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        count = len(about["labelled"])
    except (OSError, ValueError, TypeError, LookupError):
        return None
    fits = mapped.dtype == np.uint8 and mapped.shape == (count, 2, size, size)
    return mapped if fits else None


def _converted(pair: TrainingPair, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    image, mask = read_pair(pair, preprocessing.orientation)
    hu, inside = voxel_array(image), voxel_array(mask)
    x_mm, y_mm, _ = image.GetSpacing()
    grid = SliceGrid.for_slices((hu.shape[1], hu.shape[2]), (y_mm, x_mm), preprocessing)
    result = np.empty((len(hu), 2, preprocessing.size, preprocessing.size), np.uint8)
    for first in range(0, len(hu), SLICES_AT_ONCE):
        part = slice(first, first + SLICES_AT_ONCE)
        result[part, 0] = np.rint(grid.to_network(hu[part]) * 255)
        result[part, 1] = grid.share(inside[part]) >= 0.5
    return result


def _about(path: Path) -> dict[str, Any]:
    try:
        about = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _stamp(path: Path, what: str) -> list[int | str]:
    """Return path hash, size and time stamp of a file or DICOM folder, to notice any change.

    The file of the voxels counts too, if it is not the header's.

    Raises:
        UnusableCase: the file or folder cannot be reached, or the header makes no sense.
    """
    try:
        stats = [file.stat() for file in _files_of(path, what)]
    except OSError as error:
        fact = f"the {what} cannot be reached: {error.strerror}"
        raise UnusableCase("unreadable", fact) from error
    where = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    return [where, sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]


def _files_of(path: Path, what: str) -> set[Path]:
    """Return the files that a scan or a mask is made of; of a folder's files, the direct ones."""
    if what == "mask" and (found := dicom_mask(path)):
        return {found.file}
    if path.is_dir():
        return set(path.iterdir())
    return {path, layout_of(path).file} if suffix_of(path) else {path}


def _allow_open_files(count: int) -> None:
    """Raise this process's limit of open files: each mapped file keeps a descriptor."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
