"""Look through a folder at any depth, and describe every DICOM series that lies in it.

Headers alone are read. A description holds no text of a header except in forms that identify
nobody; UIDs and the patient's id are in it to tell series apart, and are not to be shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.contrast_phase import PHASE_TEXTS, phase_in
from pancseg.scans.dicom.detect import CT_IMAGE
from pancseg.scans.dicom.elements import (
    MOST_BEFORE_PIXELS,
    DamagedDicom,
    DataSet,
    ElementWalk,
)
from pancseg.scans.dicom.folder import files_in
from pancseg.scans.dicom.frames import FRAME_CONTENT, MACROS, slices_of, thickness_mm
from pancseg.scans.dicom.header import MODALITIES
from pancseg.scans.dicom.parts import parts_of
from pancseg.scans.dicom.safe_words import contrast_word, kernel_word
from pancseg.scans.dicom.series_facts import FileFacts, SeriesFacts
from pancseg.scans.dicom.values import (
    UnusableHeader,
    most_bytes,
    number_of,
    tag,
    text_of,
    uid_of,
    whole,
)
from pancseg.system.regular_files import open_regular

_WANTED = {
    tag(keyword): most_bytes(keyword)
    for keyword in (
        "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate",
        "StudyTime", "Modality", "PatientID", "ConvolutionKernel", "SliceThickness",
        "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber",
        "TemporalPositionIdentifier", "ImagePositionPatient", "ImageOrientationPatient",
        "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "CTReconstructionSequence",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", *MACROS,
        *FRAME_CONTENT,
        *PHASE_TEXTS,
    )
}  # fmt: skip
_LAST, _LAST_OF_FRAMES = tag("PixelSpacing"), tag("PerFrameFunctionalGroupsSequence")
_KINDS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.481.5": "RTPLAN",
    "1.2.840.10008.5.1.4.1.1.88.67": "dose report",
    "1.2.840.10008.5.1.4.1.1.104.1": "PDF",
}
"""SOP classes of what lies beside the slices of a CT."""
_DERIVED = frozenset(
    ("MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "SUBTRACTION", "IODINE", "VNC", "SSD",
     "VRT", "3D", "BLOOD", "PERFUSION", "PARAMETRIC", "DOSE_INFO", "SCREEN SAVE")
)  # fmt: skip
"""Values of ImageType of images whose pixels are not those of one slice in HU."""


def series_below(
    folder: Path, files: Iterable[Path] | None = None, most: int | None = None
) -> list[SeriesFacts]:
    """Return the DICOM series below a folder, by study, number and UID.

    A series of which two volumes lie at the same place, taken one after another, is two: see
    :func:`pancseg.scans.dicom.parts.parts_of`.

    Args:
        folder: the folder.
        files: the files to look at; by default all at any depth.
        most: number of files after which looking ends with an error.

    Raises:
        UnusableCase: ``unreadable``, for more files than ``most``.
        OSError: the folder cannot be reached.
    """
    found: dict[tuple[str, str, Path | None], list[FileFacts]] = {}
    for number, file in enumerate(_below(folder) if files is None else files):
        if number == most:
            raise UnusableCase(
                "unreadable",
                f"the folder holds more than {most:,} files; give the folder of one study",
            )
        if facts := facts_of(file):
            place = None if facts.series_uid else file.parent
            found.setdefault((facts.study_uid, facts.series_uid, place), []).append(facts)
    series = [SeriesFacts(part, number) for files in found.values() for number, part in _in(files)]
    return sorted(series, key=lambda s: (s.study_time, s.first.study_uid, s.number or 0, s.uid))


def facts_of(file: Path) -> FileFacts | None:
    """Return what a file says about its series; None if it is no DICOM file of a series."""
    try:
        with open_regular(file) as opened:
            walk = ElementWalk(opened, MOST_BEFORE_PIXELS)
            found, _ = walk.data_set(_WANTED, last=_LAST)
        if tag("NumberOfFrames") in found and CT_IMAGE.match(uid_of(found, "SOPClassUID").encode()):
            with open_regular(file) as opened:
                walk = ElementWalk(opened)
                found, _ = walk.data_set(_WANTED, last=_LAST_OF_FRAMES)
        if tag("SOPClassUID") not in found or uid_of(found, "SOPClassUID").endswith(".1.3.10"):
            return None
        return _facts(file, found, walk.big_endian)
    except (OSError, DamagedDicom, UnusableCase):
        return None


def holds_one_study(folder: Path, *, named: bool = True) -> bool:
    """Return whether all DICOM objects below a folder are of one patient's study.

    One file of every folder is looked at, until a second study is found.

    Args:
        folder: the folder.
        named: whether the study must have a UID.
    """
    seen: set[tuple[str, str]] = set()
    places: set[Path] = set()
    for file in _below(folder):
        if file.parent not in places and (facts := facts_of(file)):
            places.add(file.parent)
            seen.add((facts.study_uid, facts.patient))
            if len(seen) > 1 or (named and not facts.study_uid):
                return False
    return len(seen) == 1


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that may be DICOM."""
    for file in files_in([folder]):
        if file and not file.name.startswith("."):
            yield file


def _in(files: list[FileFacts]) -> Iterator[tuple[int, list[FileFacts]]]:
    """Yield the parts of a series, numbered from 1; a series that is not two has the number 0."""
    parts = parts_of(files) if files[0].modality == "CT" else [files]
    for number, part in enumerate(parts, start=1):
        yield number if len(parts) > 1 else 0, part


def _facts(file: Path, found: DataSet, big_endian: bool) -> FileFacts:
    sop_class = uid_of(found, "SOPClassUID")
    modality = text_of(found, "Modality").upper()
    known = modality if modality in MODALITIES else "other"
    types = {part.strip() for part in text_of(found, "ImageType").upper().split(",")}
    ct = bool(CT_IMAGE.match(sop_class.encode())) or (modality == "CT" and sop_class not in _KINDS)
    try:
        frames = max(whole(found, "NumberOfFrames", big_endian, 1), 1) if ct else 1
        slices = slices_of(found, min(frames, 100_000), big_endian) if ct else ()
        size = tuple(whole(found, name, big_endian, 0) for name in ("Columns", "Rows"))
    except UnusableHeader:
        slices, size = (), (0, 0)
    kernels = [text_of(each, "ConvolutionKernel") for each in (found, *_reconstructions(found))]
    agent = text_of(found, "ContrastBolusAgent")
    return FileFacts(
        file=file,
        patient=text_of(found, "PatientID"),
        study_uid=uid_of(found, "StudyInstanceUID"),
        study_time=text_of(found, "StudyDate") + text_of(found, "StudyTime"),
        series_uid=uid_of(found, "SeriesInstanceUID"),
        instance_uid=uid_of(found, "SOPInstanceUID"),
        modality="CT" if ct else _KINDS.get(sop_class, known),
        localizer="LOCALIZER" in types,
        derived=not types.isdisjoint(_DERIVED),
        number=number_of(found, "SeriesNumber", big_endian),
        acquisition=number_of(found, "AcquisitionNumber", big_endian),
        temporal=number_of(found, "TemporalPositionIdentifier", big_endian),
        size=(size[0], size[1]),
        slices=slices,
        thickness_mm=thickness_mm(found, big_endian),
        phase=phase_in(text_of(found, name) for name in PHASE_TEXTS),
        kernel=kernel_word(next(filter(None, kernels), "").replace(", ", "\\")),
        contrast=contrast_word(agent) if agent else "",
    )


def _reconstructions(found: DataSet) -> Iterator[DataSet]:
    """Yield the functional groups of an enhanced CT that name its kernel."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = found.get(tag(keyword))
        for group in groups.items[:1] if groups else ():
            if sequence := group.get(tag("CTReconstructionSequence")):
                yield from sequence.items
