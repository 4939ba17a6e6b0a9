"""Read what objects made of a DICOM series say about patient, study and images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.series import find_series
from pancseg.scans.dicom.stack import SliceInFile, stack_of

UTF_8 = "ISO_IR 192"
_OF_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved",
    "DeidentificationMethod", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID",
    "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_NEVER_MISSING = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of type 2: an object has them, if need be without a value."""
_NEEDED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
)  # fmt: skip
_OF_IMAGES = (
    *_NEEDED, "Modality", "Rows", "Columns", "NumberOfFrames", "ImageType", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness",
    "PositionReferenceIndicator", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True)
class SourceSeries:
    """The series that a volume was read from.

    Attributes:
        identity: attributes of patient and study, in UTF-8; nothing of them is anywhere else.
        images: without pixels and identity; one per slice in the volume's order, or a single one
            with several frames.
        frames: for each slice of the volume, the number of its frame in that single image, from 0;
            empty where each slice is an image.
    """

    identity: Dataset
    images: tuple[Dataset, ...]
    frames: tuple[int, ...] = ()

    @property
    def first(self) -> Dataset:
        """An image, for what all of them share."""
        return self.images[0]

    def image_of(self, number: int) -> Dataset:
        """Return the image that a slice of the volume is in."""
        return self.images[0] if self.frames else self.images[number]

    def put_identity_on(self, made: Dataset) -> None:
        """Give a new object the patient and study of the series."""
        made.SpecificCharacterSet = UTF_8
        for element in self.identity:
            made[element.tag] = element


@contextmanager
def values_as_they_are() -> Iterator[None]:
    """Copy values that the standard forbids as they are; pydicom's warnings would show them."""
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_source(folder: Path, series_uid: str | None) -> SourceSeries:
    """Read the headers of the series that :func:`pancseg.read_scan` reads from the same arguments.

    Args:
        folder: a folder, or a file with all slices.
        series_uid: the end of the UID of the series.

    Raises:
        UnusableCase: as :func:`pancseg.scans.dicom.series.read_series`; ``unreadable`` where the
            series has no UIDs to refer to, or is in several files with several frames each.
        OSError: the folder cannot be reached.
    """
    slices = find_series(folder, series_uid).slices
    ordered = [slices[number] for number in stack_of(slices).order]
    files = list(dict.fromkeys(each.header.file for each in ordered))
    if len(files) > 1 and len(files) < len(ordered):
        raise UnusableCase(
            "unreadable",
            f"the {len(ordered)} slices are in {len(files)} files with several frames each; only "
            "one such file, or one file per slice, can be referred to",
        )
    with values_as_they_are():
        headers = [_header(file) for file in files]
        identity = _identity(headers[0])
    _check_uids(headers)
    images = tuple(_nameless(header) for header in headers)
    return SourceSeries(identity, images, _frames(ordered) if len(files) == 1 else ())


def save(made: Dataset, path: Path) -> None:
    """Write an object to a file, in a folder that is made if need be.

    Raises:
        OSError: disk full, no permission.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)


def _header(file: Path) -> Dataset:
    wanted = [*_OF_PATIENT_AND_STUDY, *_OF_IMAGES, "SpecificCharacterSet"]
    found = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=wanted)
    found.decode()
    return found


def _identity(header: Dataset) -> Dataset:
    identity = _only(header, _OF_PATIENT_AND_STUDY)
    _add_missing(identity)
    for keyword in ("PatientName", "ReferringPhysicianName"):
        setattr(identity, keyword, str(identity[keyword].value or ""))  # to be encoded as UTF-8
    return identity


def _nameless(header: Dataset) -> Dataset:
    """Return what a file says about its image; patient and study are without values."""
    image = _only(header, _OF_IMAGES)
    _add_missing(image)
    return image


def _add_missing(data_set: Dataset) -> None:
    for keyword in _NEVER_MISSING:
        if keyword not in data_set:
            setattr(data_set, keyword, None)


def _only(header: Dataset, keywords: Sequence[str]) -> Dataset:
    kept = Dataset()
    for keyword in keywords:
        if (tag := tag_for_keyword(keyword)) is not None and tag in header:
            kept[tag] = header[tag]
    return kept


def _check_uids(headers: Sequence[Dataset]) -> None:
    for keyword in _NEEDED:
        lacking = sum(not header.get(keyword) for header in headers)
        if lacking:
            raise UnusableCase(
                "unreadable",
                f"{lacking} of {len(headers)} files of the series have no {keyword}, by which "
                "other objects refer to them; export the series again, or add it",
            )


def _frames(ordered: Sequence[SliceInFile]) -> tuple[int, ...]:
    return tuple(each.slice.frame for each in ordered)
