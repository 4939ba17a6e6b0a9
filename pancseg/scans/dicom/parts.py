"""Tell apart volumes of one place under one series UID: two acquisitions, or two phases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from pancseg.scans.dicom.frames import DicomSlice

_SAME_MM = 0.01
PART = "#"
"""Stands between a series' UID and the number of a part of it; no UID contains it."""


File = TypeVar("File", bound="InSeries")


class InSeries(Protocol):
    """A file of a series, as far as parts are told apart by it."""

    @property
    def instance_uid(self) -> str:
        """UID of the file's image."""
        ...

    @property
    def slices(self) -> tuple[DicomSlice, ...]:
        """The frames of the file."""
        ...

    @property
    def acquisition(self) -> int | None:
        """AcquisitionNumber."""
        ...

    @property
    def temporal(self) -> int | None:
        """TemporalPositionIdentifier."""
        ...

    @property
    def phase(self) -> str:
        """The contrast phase that the file names, or an empty text."""
        ...

    def with_frames(self: File, slices: tuple[DicomSlice, ...]) -> File:
        """Return the same of some frames of the file, and of when these were taken."""
        ...


_BY: tuple[Callable[[InSeries], object], ...] = (
    lambda file: file.acquisition,
    lambda file: file.temporal,
    lambda file: file.phase or None,
)


def parts_of(files: Sequence[File]) -> list[list[File]]:
    """Return the parts of a series: itself, or several volumes that share places in space.

    Files are told apart by acquisition, by temporal position or by phase, the first of these that
    every file names and that leaves no two slices of a part in one place; so are the frames of an
    enhanced CT, by their own acquisition or temporal position.

    Args:
        files: the files of one series; copies of one image count once.

    Returns:
        The parts. Of an enhanced CT that holds several, a part has a file with its frames alone.
    """
    files = [piece for file in files for piece in _pieces(file)]
    if not _share_places(files):
        return [list(files)]
    for key in _BY:
        keys = [key(file) for file in files]
        values = sorted({str(value).zfill(12) for value in keys if value is not None})
        if None in keys or len(values) < 2:
            continue
        parts = {value: [] for value in values}  # type: dict[str, list[File]]
        for file, value in zip(files, keys, strict=True):
            parts[str(value).zfill(12)].append(file)
        if not any(map(_share_places, parts.values())):
            return list(parts.values())
    return [list(files)]


def _pieces(file: File) -> list[File]:
    """Return an enhanced CT as one file for each of the volumes that it holds; others as they are.

    It holds several if frames share places, and a number of theirs tells these apart.
    """
    if len(file.slices) < 2 or len(_places(file.slices)) == len(file.slices):
        return [file]
    for name in ("temporal", "acquisition"):
        numbers = [getattr(frame, name) for frame in file.slices]
        if None in numbers:
            continue
        volumes = [
            tuple(frame for frame in file.slices if getattr(frame, name) == number)
            for number in sorted(set(numbers))
        ]
        if all(1 < len(_places(frames)) == len(frames) for frames in volumes):
            return [file.with_frames(frames) for frames in volumes]
    return [file]


def split_uid(series_uid: str) -> tuple[str, int]:
    """Return the UID (or its end) and the number of the part that a text names; 0 for no part.

    >>> split_uid("840.113#2"), split_uid("840.113")
    (('840.113', 2), ('840.113', 0))
    """
    uid, _, number = series_uid.partition(PART)
    return uid, int(number) if number.isascii() and number.isdecimal() else 0


def _share_places(files: Sequence[InSeries]) -> bool:
    """Return whether two different images of one file each have the same position."""
    unique = {_name(file, number): file for number, file in enumerate(files)}
    if len(unique) < 2:
        return False
    frames = [frame for file in unique.values() for frame in file.slices if frame.position_mm]
    return len(frames) >= 2 and len(_places(frames)) < len(frames)


def _name(file: InSeries, number: int) -> tuple[str, int]:
    """Return what copies of an image, or of the frames of one volume in it, have in common."""
    return file.instance_uid or str(number), file.slices[0].frame if file.slices else 0


def _places(frames: Sequence[DicomSlice]) -> set[tuple[int, ...]]:
    """Return the different positions of frames; those without one count as one."""
    given = [frame.position_mm for frame in frames if frame.position_mm is not None]
    rounded = np.round(np.array(given, np.float64).reshape(-1, 3) / _SAME_MM).astype(np.int64)
    return {*map(tuple, rounded.tolist())} | ({()} if len(given) < len(frames) else set())
