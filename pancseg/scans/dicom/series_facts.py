"""What is known about a DICOM series from its headers, before a pixel of it is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pancseg.scans.dicom.frames import DicomSlice
from pancseg.scans.dicom.parts import PART

Plane = Literal["axial", "coronal", "sagittal", "oblique", ""]
_ALONG = 0.9
"""Cosine of the angle between a plane's normal and an axis of the body from which on it counts as
axial, coronal or sagittal: 26°, as a gantry tilts by up to 30°, mostly less than 20°."""
FEWEST_SLICES = 3
_SHOWN_DIGITS = 4


@dataclass(frozen=True)
class FileFacts:
    """What one DICOM file says about its series.

    Attributes:
        file: path of the file.
        patient, study_uid, study_time, series_uid, instance_uid: whose image it is; not to be
            shown.
        modality: ``CT`` for an image of a CT; else what the file is: ``SEG``, ``MR``, ….
        localizer: whether it is an overview image.
        derived: whether its pixels are not those of one slice: projections, maps, screenshots.
        number, acquisition, temporal: numbers of the series, of the acquisition and in time.
        size: columns and rows.
        slices: its frames, if it is an image of a CT.
        thickness_mm: slice thickness; 0 if it is not given.
        phase: the contrast phase that its text names, or empty.
        kernel: reconstruction kernel of a known form, ``other`` or empty.
        contrast: whether a contrast agent was given: yes, no, or empty.
    """

    file: Path
    patient: str
    study_uid: str
    study_time: str
    series_uid: str
    instance_uid: str
    modality: str
    localizer: bool
    derived: bool
    number: int | None
    acquisition: int | None
    temporal: int | None
    size: tuple[int, int]
    slices: tuple[DicomSlice, ...]
    thickness_mm: float
    phase: str
    kernel: str
    contrast: str

    def with_frames(self, slices: tuple[DicomSlice, ...]) -> FileFacts:
        """Return the facts about some frames of the file, and about when these were taken."""
        first = slices[0]
        return replace(self, slices=slices, acquisition=first.acquisition, temporal=first.temporal)


@dataclass(frozen=True)
class SeriesFacts:
    """A series below a folder, or one of several volumes under its UID.

    Attributes:
        files: its files, in order of their paths; copies in other folders are among them.
        part: number of the volume under the series' UID, from 1; 0 if there is one only.
    """

    files: Sequence[FileFacts]
    part: int = 0

    @property
    def first(self) -> FileFacts:
        """Its first file."""
        return self.files[0]

    @property
    def uid(self) -> str:
        """Its UID, with the number of the part; not to be shown."""
        return f"{self.first.series_uid}{PART}{self.part}" if self.part else self.first.series_uid

    @property
    def study_time(self) -> str:
        """Date and time of the study, to order by."""
        return self.first.study_time

    @property
    def number(self) -> int | None:
        """SeriesNumber; None where it is missing or may be a date."""
        number = self.first.number
        return number if number is not None and 0 <= number < 10**_SHOWN_DIGITS * 10 else None

    @cached_property
    def folder(self) -> Path | None:
        """The folder that holds all of its images; None if none does."""
        inside: dict[Path, set[str]] = {}
        for facts in self.files:
            name = facts.instance_uid or os.fspath(facts.file)
            inside.setdefault(facts.file.parent, set()).add(name)
        everything = set().union(*inside.values())
        return next((place for place in sorted(inside) if inside[place] == everything), None)

    @property
    def is_volume(self) -> bool:
        """Whether it is a CT of several parallel slices, and no overview."""
        if self.first.modality != "CT" or self.first.localizer:
            return False
        if len(self.places_mm) < FEWEST_SLICES:
            return False
        normals = [self._normal(part) for part in self.frames]
        given = [normal for normal in normals if normal is not None]
        return len(given) == len(normals) and bool(np.ptp(np.array(given), axis=0).max() < 1e-2)

    @cached_property
    def plane(self) -> Plane:
        """Plane of its slices in the body; empty if the files do not say."""
        normal = self._normal(self.frames[0]) if self.frames else None
        if normal is None:
            return ""
        along = int(np.abs(normal).argmax())
        names: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
        return names[along] if abs(normal[along]) >= _ALONG else "oblique"

    @cached_property
    def places_mm(self) -> list[float]:
        """Different places of its slices along their normal, in order."""
        normal = self._normal(self.frames[0]) if self.frames else None
        given = [part.position_mm for part in self.frames if part.position_mm is not None]
        if normal is None or not given:
            return []
        along = np.array(given, np.float64) @ normal
        return [float(place) for place in np.unique(np.round(along, 2))]

    @property
    def slices(self) -> int:
        """Number of its slices, copies counted once."""
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.first.size

    @property
    def distance_mm(self) -> float:
        """Typical distance of neighbouring slices; 0 for a single place."""
        return float(np.median(np.diff(self.places_mm))) if len(self.places_mm) > 1 else 0.0

    @property
    def slice_mm(self) -> float:
        """Distance of the slices, or their thickness if that is greater."""
        return max(self.distance_mm, self.first.thickness_mm)

    @property
    def phase(self) -> str:
        """The one contrast phase that its files name; empty if none, or several."""
        named = {facts.phase for facts in self.files if facts.phase}
        return named.pop() if len(named) == 1 else ""

    @cached_property
    def frames(self) -> tuple[DicomSlice, ...]:
        """Its slices, copies left out."""
        unique = {facts.instance_uid or os.fspath(facts.file): facts for facts in self.files}
        return tuple(part for facts in unique.values() for part in facts.slices)

    @staticmethod
    def _normal(part: DicomSlice) -> NDArray[np.float64] | None:
        if part.axes is None:
            return None
        normal = np.cross(part.axes[:3], part.axes[3:])
        length = float(np.linalg.norm(normal))
        return normal / length if length > 0 else None
