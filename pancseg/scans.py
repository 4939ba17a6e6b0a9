"""Owns reading, writing and orienting volumes, and the verdict whether two share one grid in mm.

A volume is a ``SimpleITK.Image`` with three axes and one number per voxel. Knows nothing about
pancreases, networks or features.
"""

from __future__ import annotations

import logging
import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg import metaimage, nifti, nrrd
from pancseg.dicom_sniff import PHASE_HINT, THICKNESS_MM
from pancseg.payload import Layout, check_whole, new_image, read_voxels, writable
from pancseg.quiet import quiet_itk, quiet_library
from pancseg.unusable import UnusableCase

CANONICAL = "LPS"
"""Columns grow to the patient's left, rows to posterior, slices to superior (DICOM's axes)."""

SAME_GRID_VOXELS = 0.1
"""Two grids are one when no corner is farther apart than this share of the smallest voxel side."""

_ENDS = {a: pair for pair in ("LR", "PA", "SI") for a in pair}

_LARGEST_LABEL = np.iinfo(np.int32).max

_RIGHT_ANGLES = 1e-3
"""What rounding may leave of the products of two axes' directions."""


class Preview(NamedTuple):
    """What a scan's header says, before anything is read.

    Attributes:
        size: voxels along x, y, z; of a DICOM folder at most so many slices.
        bytes_per_voxel: as they are stored.
        voxels: how many there are.
        read_bytes: the most memory that :func:`read` takes for it, the image included (of a DICOM
            folder without ``series_uid``: if all slices are scaled as the first one).
    """

    size: tuple[int, int, int]
    bytes_per_voxel: int
    voxels: int
    read_bytes: int


class Format(NamedTuple):
    """How files of one format are read.

    Attributes:
        layout: reads the header and checks it.
        image_io: ITK's reader, which is asked for the geometry alone.
    """

    layout: Callable[[Path], Layout]
    image_io: str


def preview(path: str | Path, *, series_uid: str | None = None) -> Preview:
    """Tell the size of a scan, and what memory reading it takes, from headers alone.

    Of a DICOM folder one slice's header is read and the files are counted.

    Raises:
        UnusableCase: the header makes no sense, or the file cannot hold what it announces.
    """
    path = Path(path)
    with _reached():
        if path.is_dir():
            from pancseg import dicom  # pydicom: 0.15 s, which other formats need not wait for

            found = dicom.size_of_series(path, series_uid)
            return Preview(found.size, found.stored_bytes, math.prod(found.size), found.read_bytes)
        layout = _format_of(path).layout(path)
    return Preview(layout.size, layout.stored.itemsize, layout.voxels, layout.read_bytes)


_WORTH_A_NOTE_MM = 1e-6

log = logging.getLogger(__name__)


def read(path: str | Path, *, series_uid: str | None = None) -> sitk.Image:
    """Read one 3-D scalar volume: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

    Takes no more memory than :func:`preview` says.

    Args:
        path: a file with one of the suffixes in ``READERS``, or a folder.
        series_uid: which series of a DICOM folder; a unique ending of the UID is enough.

    Returns:
        The volume with the file's own axes, spacing (mm), origin and direction.

    Raises:
        UnusableCase: not readable, truncated, not one 3-D scalar volume, a single slice, voxels
            that are not finite, a geometry that cannot be or contradicts itself, larger than the
            machine's memory, or (DICOM) several series or uneven slices.
    """
    path = Path(path)
    needed = preview(path, series_uid=series_uid).read_bytes
    if (there := _machine_bytes()) and needed > there:
        raise UnusableCase(
            "memory",
            f"reading the scan takes {needed / 1e9:.1f} GB, and this machine has "
            f"{there / 1e9:.1f} GB of memory; crop it, or use a larger machine",
        )
    numbers = np.errstate(over="ignore", invalid="ignore")  # what they make is checked
    with _reached(), quiet_itk(), numbers:
        if path.is_dir():
            from pancseg import dicom

            image = dicom.read_series(path, series_uid)
        else:
            form = _format_of(path)
            layout = form.layout(path)
            geometry = _geometry(path, form.image_io, layout)
            image = read_voxels(layout)
            image.SetSpacing(geometry.spacing_mm)
            image.SetOrigin(geometry.origin_mm)
            image.SetDirection(geometry.direction)
    return image


def write(image: sitk.Image, path: str | Path) -> None:
    """Write a volume to one file, compressed; it appears whole and on the disk, or not at all.

    Voxels and geometry only: whatever else its header held (a NIfTI's ``descrip`` and
    ``aux_file``, all DICOM tags) stays behind.

    Raises:
        ValueError: the suffix is not one of a single-file format.
        OSError: the file cannot be written (disk full, no permission).
    """
    path = Path(path)
    if suffix_of(path) in ("", ".nhdr", ".mhd"):
        raise ValueError(f"cannot write {path.suffix or 'a file without suffix'}; use .nii.gz")
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with quiet_itk(), quiet_library():
            sitk.WriteImage(_without_metadata(image), str(partial), useCompression=True)
        _settle(partial)
        os.replace(partial, path)
    except RuntimeError as error:
        raise OSError(
            f"cannot write a {suffix_of(path)} file (disk full, no permission?)"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _settle(written: Path) -> None:
    """Bring a file onto the disk and read it back: ITK's writers do not notice a full disk.

    Raises:
        OSError: it is not whole.
    """
    with written.open("rb") as file:
        os.fsync(file.fileno())
    try:
        check_whole(_format_of(written).layout(written))
    except UnusableCase as error:
        if error.code == "unreadable":
            raise OSError(f"a {suffix_of(written)} file came out damaged (disk full?)") from error
    except zlib.error as error:
        raise OSError(f"a {suffix_of(written)} file came out damaged (disk full?)") from error


def _without_metadata(image: sitk.Image) -> sitk.Image:
    """Return the image itself if it bears nothing but voxels and geometry, else a clean copy."""
    if not (keys := image.GetMetaDataKeys()):
        return image
    clean = sitk.Image(image)
    clean.SetMetaData(keys[0], "")  # parts the two dictionaries; erasing first would erase in both
    for key in keys:
        clean.EraseMetaData(key)
    return clean


def suffix_of(path: Path) -> str:
    """Return the volume suffix of a file name (``.nii.gz``, ``.nrrd``, …), or ``""``."""
    name = path.name.lower()
    return max((s for s in READERS if name.endswith(s)), key=len, default="")


def orient(image: sitk.Image, axes: str = CANONICAL) -> sitk.Image:
    """Permute and flip axes so that they point as ``axes`` says; voxels stay where they are in mm.

    Oblique scans keep their obliqueness: the nearest axes are chosen and nothing is resampled.
    """
    now = axes_of(image)
    if now == axes:
        return image
    order = [next(j for j, there in enumerate(now) if there in _ENDS[end]) for end in axes]
    return _reordered(image, order, [now[j] != end for j, end in zip(order, axes, strict=True)])


def axes_of(image: sitk.Image) -> str:
    """Return the three-letter code of the directions that the axes grow to, for example LPS."""
    code: str = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    return code


def phase_hint(image: sitk.Image) -> str:
    """Return the contrast phase that the DICOM series named; empty when none, or no DICOM."""
    known = image.HasMetaDataKey(PHASE_HINT)
    return str(image.GetMetaData(PHASE_HINT)) if known else ""


def slice_thickness_mm(image: sitk.Image) -> float | None:
    """Return how thick a slice is, by what the DICOM series says; None when it does not say."""
    known = image.HasMetaDataKey(THICKNESS_MM)
    return round(float(image.GetMetaData(THICKNESS_MM)), 3) if known else None


def slice_spacing_mm(image: sitk.Image) -> float:
    """Return the distance of voxels along the patient's long axis, whatever the axes' order.

    To a micrometre: between slices of 5 mm lies 5.000000000000001 mm where the first one begins at
    another place, and a limit must not depend on that.
    """
    return round(float(image.GetSpacing()[2 - axial_axis(image)]), 3)


def axial_axis(image: sitk.Image) -> int:
    """Return which axis of the array (z, y, x) runs most along the patient."""
    direction = np.abs(np.reshape(image.GetDirection(), (3, 3)))
    return 2 - int(direction[2].argmax())


def grid_difference_mm(first: sitk.Image, second: sitk.Image) -> float:
    """Return the largest distance in mm between corresponding corner voxels of two grids.

    The order of the axes does not count: both are brought into one orientation first. Infinite
    when the numbers of voxels differ.
    """
    match = _matching_axes(first, second)
    if match is None:
        return float("inf")
    order, flips = match
    last = np.array(first.GetSize()) - 1
    distances = []
    for corner in product((0, 1), repeat=3):
        there = [0, 0, 0]
        for axis, (j, flip) in enumerate(zip(order, flips, strict=True)):
            there[j] = int(last[axis]) * (1 - corner[axis] if flip else corner[axis])
        here = [int(n) for n in last * corner]
        a, b = (
            first.TransformIndexToPhysicalPoint(here),
            second.TransformIndexToPhysicalPoint(there),
        )
        distances.append(float(np.linalg.norm(np.subtract(a, b))))
    return max(distances)


def on_grid_of(
    image: sitk.Image, mask: sitk.Image, names: tuple[str, str] = ("scan", "mask")
) -> sitk.Image:
    """Return the mask in the image's voxel order, with exactly the image's geometry.

    A mask of the same space with other axes is re-ordered; header rounding (under a tenth of a
    voxel at every corner) is mended.

    Args:
        image: the grid.
        mask: what is to lie on it.
        names: what the message calls the two.

    Raises:
        UnusableCase: ``geometry``, when the grids differ.
    """
    if _same_header(image, mask):
        return mask
    difference = grid_difference_mm(image, mask)
    if difference > SAME_GRID_VOXELS * min(image.GetSpacing()):
        far = "" if np.isinf(difference) else f", corners {difference:.2f} mm apart"
        raise UnusableCase(
            "geometry",
            f"{names[0]} and {names[1]} are on different grids ({_describe(image)} against "
            f"{_describe(mask)}{far}); resample the {names[1]} onto the {names[0]}",
        )
    if difference > _WORTH_A_NOTE_MM:
        log.debug("grids of %s and %s, %.2g mm apart, were made one", *names, difference)
    match = _matching_axes(image, mask)
    assert match is not None  # the difference would be infinite
    order, flips = match
    same = order == [0, 1, 2] and not any(flips)
    ordered = sitk.Image(mask) if same else _reordered(mask, order, flips)
    ordered.CopyInformation(image)
    return ordered


def _same_header(a: sitk.Image, b: sitk.Image) -> bool:
    """Whether two volumes have one geometry to the last bit."""
    get = (sitk.Image.GetSize, sitk.Image.GetSpacing, sitk.Image.GetOrigin, sitk.Image.GetDirection)
    return all(ask(a) == ask(b) for ask in get)


def array(image: sitk.Image) -> NDArray[Any]:
    """Return a read-only view of the voxels, ``(z, y, x)``; it keeps the image alive."""
    return np.asarray(_Voxels(image))


def labels(mask: sitk.Image) -> NDArray[Any]:
    """Return a mask's label values, ``(z, y, x)``; floats are fine if they are whole numbers.

    Floats become int32, slice by slice.

    Raises:
        UnusableCase: ``not_labels``, for fractions such as probabilities, and for larger numbers.
    """
    voxels = array(mask)
    if not np.issubdtype(voxels.dtype, np.floating):
        return voxels
    rounded = np.empty(voxels.shape, np.int32)
    for one, found in zip(voxels, rounded, strict=True):
        whole = np.rint(one)
        if np.abs(one - whole).max() > 1e-3:
            low, high = voxels.min(), voxels.max()
            fact = f"the mask holds fractions ({low:.3g} to {high:.3g}); threshold it first"
            raise UnusableCase("not_labels", fact)
        if np.abs(whole).max() > _LARGEST_LABEL:
            fact = f"the mask holds numbers up to {np.abs(whole).max():.3g}, which are no labels"
            raise UnusableCase("not_labels", fact)
        found[:] = whole
    return rounded


class _Voxels:
    """Ties the lifetime of an image to the arrays that look into it (SimpleITK does not)."""

    def __init__(self, image: sitk.Image) -> None:
        self._image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def like(voxels: NDArray[Any], image: sitk.Image) -> sitk.Image:
    """Make a volume of ``(z, y, x)`` voxels with the geometry of another one."""
    made = sitk.GetImageFromArray(voxels)
    made.CopyInformation(image)
    return made


def _reordered(image: sitk.Image, order: Sequence[int], flips: Sequence[bool]) -> sitk.Image:
    """Return an image whose axis i is axis ``order[i]`` of another one, flipped or not.

    ITK does the same by two filters, with one more copy of the scan than it takes.
    """
    size = image.GetSize()
    voxels = array(image).transpose([2 - order[2 - axis] for axis in range(3)])
    voxels = voxels[tuple(slice(None, None, -1 if flips[2 - axis] else 1) for axis in range(3))]
    made = new_image([size[j] for j in order], voxels.dtype)
    writable(made)[:] = voxels
    first, turn = [0, 0, 0], np.reshape(image.GetDirection(), (3, 3))[:, list(order)]
    for j, flip in zip(order, flips, strict=True):
        first[j] = size[j] - 1 if flip else 0
    made.SetOrigin(image.TransformIndexToPhysicalPoint(first))
    made.SetSpacing([image.GetSpacing()[j] for j in order])
    made.SetDirection((turn * np.where(flips, -1.0, 1.0) + 0.0).ravel().tolist())
    return made


def _describe(image: sitk.Image) -> str:
    size = "×".join(str(n) for n in image.GetSize())
    spacing = "×".join(f"{s:.2f}" for s in image.GetSpacing())
    return f"{size} voxels of {spacing} mm"


def _matching_axes(a: sitk.Image, b: sitk.Image) -> tuple[list[int], list[bool]] | None:
    """For each axis of ``a``: which axis of ``b`` runs along it, and whether the other way.

    None when axes do not pair up one to one or their numbers of voxels differ.
    """
    cosines = np.reshape(a.GetDirection(), (3, 3)).T @ np.reshape(b.GetDirection(), (3, 3))
    order = [int(j) for j in np.abs(cosines).argmax(axis=1)]
    if sorted(order) != [0, 1, 2] or [b.GetSize()[j] for j in order] != list(a.GetSize()):
        return None
    return order, [bool(cosines[i, j] < 0) for i, j in enumerate(order)]


class _Geometry(NamedTuple):
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    def at(self, index: NDArray[Any]) -> NDArray[np.float64]:
        """Return where voxels ``(n, 3)`` lie, in LPS and mm."""
        turn = np.reshape(self.direction, (3, 3)) * np.array(self.spacing_mm)
        moved: NDArray[np.float64] = index @ turn.T + np.array(self.origin_mm)
        return moved


def _geometry(path: Path, image_io: str, layout: Layout) -> _Geometry:
    """Return the geometry that ITK makes of a header, if it is one and the header's own.

    Raises:
        UnusableCase: ``geometry``; ``unreadable`` where ITK sees another image than we do.
    """
    if not layout.itk:
        return _declared_geometry(layout)
    kind = image_io.removesuffix("ImageIO")
    header = sitk.ImageFileReader()
    header.SetImageIO(image_io)
    header.SetFileName(str(path))
    try:
        with quiet_library():
            header.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise UnusableCase(
                "geometry", "the file's axes are not at right angles (sheared); resample it"
            ) from error
        raise UnusableCase(
            "unreadable", f"the file cannot be read as {kind} (damaged or truncated?)"
        ) from error
    count = header.GetDimension()
    if header.GetSize()[:3] != layout.size or header.GetNumberOfComponents() != 1:
        raise UnusableCase("unreadable", f"the {kind} header can be understood in two ways")
    turn = np.reshape(header.GetDirection(), (count, count))[:3, :3]
    found = _Geometry(header.GetSpacing()[:3], header.GetOrigin()[:3], tuple(turn.ravel().tolist()))
    _check_geometry(found, layout)
    return found


def _declared_geometry(layout: Layout) -> _Geometry:
    """Return the geometry that the header declares itself, the last one, as ITK prefers it."""
    if not layout.grids:
        raise UnusableCase("geometry", "the header does not say where the scan lies")
    grid = layout.grids[-1]
    sides = np.linalg.norm(grid[:, :3], axis=0)
    turn = (grid[:, :3] / sides).ravel().tolist()
    found = _Geometry(tuple(sides.tolist()), tuple(grid[:, 3].tolist()), tuple(turn))
    _check_geometry(found, layout)
    return found


def _check_geometry(found: _Geometry, layout: Layout) -> None:
    """Refuse a geometry that is none, or another than one that the header declares."""
    turn = np.reshape(found.direction, (3, 3))
    numbers = [*found.spacing_mm, *found.origin_mm, *found.direction]
    if not np.isfinite(numbers).all() or min(found.spacing_mm) <= 0:
        sides = "×".join(f"{side:.6g}" for side in found.spacing_mm)
        raise UnusableCase(
            "geometry", f"the header's geometry cannot be (voxels of {sides} mm); export it again"
        )
    if not np.allclose(turn @ turn.T, np.eye(3), atol=_RIGHT_ANGLES):
        raise UnusableCase(
            "geometry", "the file's axes are not at right angles (sheared); resample it"
        )
    corners = np.array(list(product((0, 1), repeat=3))) * (np.array(layout.size) - 1)
    for grid in layout.grids:
        there = corners @ grid[:, :3].T + grid[:, 3]
        apart_mm = float(np.linalg.norm(there - found.at(corners), axis=1).max())
        if not apart_mm <= SAME_GRID_VOXELS * min(found.spacing_mm):
            raise UnusableCase(
                "geometry",
                "the header holds two geometries (sform, qform, voxel size), whose corners are "
                f"{apart_mm:.4g} mm apart; correct it or export the scan again",
            )


def _format_of(path: Path) -> Format:
    if not path.is_file():
        raise UnusableCase("unreadable", "the file does not exist or cannot be reached")
    if not (suffix := suffix_of(path)):
        raise UnusableCase(
            "unreadable", f"not a volume file; known are {', '.join(READERS)} and DICOM folders"
        )
    return READERS[suffix]


def _machine_bytes() -> int | None:
    """Return the machine's memory, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


@contextmanager
def _reached() -> Iterator[None]:
    """Say what keeps a file from being reached, without its name."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UnusableCase("unreadable", f"the image cannot be reached: {reason}") from error
    except MemoryError as error:
        raise UnusableCase("memory", "there is no memory left to read the scan") from error


READERS: dict[str, Format] = {
    ".nii.gz": Format(nifti.read_layout, "NiftiImageIO"),
    ".nii": Format(nifti.read_layout, "NiftiImageIO"),
    ".nrrd": Format(nrrd.read_layout, "NrrdImageIO"),
    ".nhdr": Format(nrrd.read_layout, "NrrdImageIO"),
    ".mha": Format(metaimage.read_layout, "MetaImageIO"),
    ".mhd": Format(metaimage.read_layout, "MetaImageIO"),
}
"""What reads a file, by its suffix. To add a format: one line here; folders are DICOM."""
