"""Write a scan's regions as contours: a DICOM RT Structure Set (PS3.3, A.19)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pancseg.export.codes import Code, codes_of_region, colour_of, short
from pancseg.export.contours import polygons_of
from pancseg.export.equipment import NAME, SERIES_NUMBERS, equipment
from pancseg.export.scan import ExportedRegion, ExportedScan
from pancseg.scans.dicom.source import save, values_as_they_are

if TYPE_CHECKING:
    from pydicom import Dataset

    from pancseg.scans.dicom.source import SourceSeries

TARGET = "rtstruct"
DESCRIPTION = "pancseg contours"
_STUDY = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management, which the standard names as the class of a referenced study."""
_DIGITS = 6
"""Decimals of a coordinate in mm; a decimal string has at most 16 characters."""


def write_rtstruct(scan: ExportedScan, folder: Path) -> None:
    """Write ``rtstruct/<id>.dcm``.

    Args:
        scan: scan and regions.
        folder: folder of exports.

    Raises:
        UnusableCase: the scan is not a DICOM series.
        OSError: the file cannot be written.
    """
    from pydicom.uid import ImplicitVRLittleEndian

    with values_as_they_are():
        made = _structure_set(scan)
        # explicit value representations have 16 bits for a contour's length, which is too few
        made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        save(made, folder / TARGET / f"{scan.case.scan_name}.dcm")


def _structure_set(scan: ExportedScan) -> Dataset:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import RTStructureSetStorage, generate_uid

    source, now = scan.source, datetime.now()
    made = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    made.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    source.put_identity_on(made)
    made.Modality, made.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    made.SeriesNumber, made.InstanceNumber = SERIES_NUMBERS[TARGET], 1
    made.SeriesDescription, made.OperatorsName = DESCRIPTION, None
    about = equipment()
    made.Manufacturer, made.ManufacturerModelName = about["manufacturer"], NAME
    made.SoftwareVersions, made.DeviceSerialNumber = (
        about["software_versions"], about["device_serial_number"],
    )  # fmt: skip
    made.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    made.PositionReferenceIndicator = source.first.get("PositionReferenceIndicator")
    made.StructureSetLabel = NAME
    made.StructureSetDate, made.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
    named = list(enumerate(scan.regions, 1))
    made.StructureSetROISequence = [_roi(source, region, number) for number, region in named]
    made.ROIContourSequence = [_contours(scan, region, number) for number, region in named]
    made.RTROIObservationsSequence = [_observation(region, number) for number, region in named]
    made.ApprovalStatus = "UNAPPROVED"
    return made


def _frame_of_reference(source: SourceSeries) -> Dataset:
    from pydicom import Dataset

    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = source.first.SeriesInstanceUID
    series.ContourImageSequence = [_reference(image) for image in source.images]
    study.ReferencedSOPClassUID = _STUDY
    study.ReferencedSOPInstanceUID = source.first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _reference(image: Dataset, frame: int | None = None) -> Dataset:
    from pydicom import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    if frame is not None:
        reference.ReferencedFrameNumber = frame + 1
    return reference


def _roi(source: SourceSeries, region: ExportedRegion, number: int) -> Dataset:
    from pydicom import Dataset

    roi = Dataset()
    roi.ROINumber, roi.ROIName = number, short(region.name)
    roi.ReferencedFrameOfReferenceUID = source.first.FrameOfReferenceUID
    roi.ROIGenerationAlgorithm = "MANUAL" if region.by_person else "AUTOMATIC"
    return roi


def _observation(region: ExportedRegion, number: int) -> Dataset:
    from pydicom import Dataset

    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    kind = codes_of_region(region.name).kind
    observation.RTROIIdentificationCodeSequence = [_coded(kind)]
    observation.RTROIInterpretedType = "ORGAN" if kind.meaning == "Pancreas" else None
    observation.ROIInterpreter = None
    return observation


def _coded(code: Code) -> Dataset:
    from pydicom import Dataset

    coded = Dataset()
    coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning = code
    return coded


def _contours(scan: ExportedScan, region: ExportedRegion, number: int) -> Dataset:
    from pydicom import Dataset

    roi = Dataset()
    roi.ReferencedROINumber = number
    roi.ROIDisplayColor = list(colour_of(number - 1))
    roi.ContourSequence = list(_polygons(scan, region))
    return roi


def _polygons(scan: ExportedScan, region: ExportedRegion) -> Iterator[Dataset]:
    from pydicom import Dataset

    source, number = scan.source, 0
    for z in np.flatnonzero(region.voxels.any(axis=(1, 2))).tolist():
        frame = source.frames[z] if source.frames else None
        for polygon in polygons_of(region.voxels[z]):
            number += 1
            contour = Dataset()
            contour.ContourImageSequence = [_reference(source.image_of(z), frame)]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(polygon)
            contour.ContourNumber = number
            contour.ContourData = _coordinates(scan, polygon, z)
            yield contour


def _coordinates(scan: ExportedScan, polygon: NDArray[np.float64], z: int) -> list[str]:
    """Return x, y, z in mm of each corner, one after the other."""
    index = np.column_stack([polygon, np.full(len(polygon), z)])
    axes = np.reshape(scan.image.GetDirection(), (3, 3))
    places = np.array(scan.image.GetOrigin()) + (index * scan.spacing_mm) @ axes.T
    return [f"{place:.{_DIGITS}f}".rstrip("0").rstrip(".") for place in places.ravel().tolist()]
