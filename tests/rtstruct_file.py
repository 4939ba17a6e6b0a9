"""Write RTSTRUCT files as contouring programs do, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

Points = NDArray[np.float64]


class DrawnOn(NamedTuple):
    """UIDs of the series on which contours are drawn."""

    series_uid: str = ""
    frame_uid: str = ""
    image_uids: Sequence[str] = ()


def write_rtstruct(
    path: Path,
    regions: Mapping[str, Sequence[Points]],
    drawn_on: DrawnOn | None = None,
    *,
    kind: str = "CLOSED_PLANAR",
    syntax: UID = ExplicitVRLittleEndian,
    change: Callable[[FileDataset], object] | None = None,
) -> Path:
    """Write regions, numbered from 1, and return the path.

    Args:
        path: of the file.
        regions: name → contours, points ``(n, 3)`` in mm.
        drawn_on: the series on which they are drawn.
        kind: ContourGeometricType of all contours.
        syntax: transfer syntax.
        change: may alter the data set.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    ds = FileDataset(
        "",
        {},
        b"\0" * 128,
        meta,
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.PatientName, ds.StructureSetLabel = "RTSTRUCT", "Doe^Jane", "PLAN"
    drawn = drawn_on or DrawnOn()
    if drawn.series_uid:
        ds.ReferencedFrameOfReferenceSequence = Items([_frame(drawn)])
    ds.StructureSetROISequence = Items()
    ds.ROIContourSequence = Items()
    ds.RTROIObservationsSequence = Items()
    with config.disable_value_validation():
        for number, (name, contours) in enumerate(regions.items(), start=1):
            ds.StructureSetROISequence.append(
                _item(
                    ROINumber=number,
                    ReferencedFrameOfReferenceUID=drawn.frame_uid,
                    ROIName=name,
                    ROIGenerationAlgorithm="MANUAL",
                )
            )
            drawn_contours = Items([_contour(points, kind) for points in contours])
            ds.ROIContourSequence.append(
                _item(
                    ROIDisplayColor=[255, 0, 0],
                    ContourSequence=drawn_contours,
                    ReferencedROINumber=number,
                )
            )
            ds.RTROIObservationsSequence.append(
                _item(
                    ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="GTV"
                )
            )
        if change:
            change(ds)
        ds.save_as(path, enforce_file_format=True)
    return path


def outlines(mask: NDArray[np.bool_], scan: sitk.Image) -> list[Points]:
    """Return contours in mm around the set voxels ``(z, y, x)``: a rectangle for each run in a row.

    Any mask can be drawn so, holes and all, and no contour touches a voxel's centre.
    """
    found = []
    for z, y in zip(*np.nonzero(mask.any(axis=2)), strict=True):
        ends = np.flatnonzero(np.diff(mask[z, y].astype(int), prepend=0, append=0))
        for first, after in ends.reshape(-1, 2):
            left, right, top, bottom = first - 0.5, after - 0.5, y - 0.5, y + 0.5
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            found.append(in_mm([(*corner, z) for corner in corners], scan))
    return found


def in_mm(corners: Sequence[Sequence[float]] | Points, scan: sitk.Image) -> Points:
    """Return points in voxels (x, y, z) of a scan as positions in mm."""
    return np.array(
        [
            scan.TransformContinuousIndexToPhysicalPoint([float(n) for n in corner])
            for corner in corners
        ]
    )


def _contour(points: Points, kind: str) -> Dataset:
    return _item(
        ContourGeometricType=kind,
        NumberOfContourPoints=len(points),
        ContourData=[f"{value:.10g}" for value in np.ravel(points)],
    )


def _frame(drawn: DrawnOn) -> Dataset:
    images = [_item(ReferencedSOPInstanceUID=uid) for uid in drawn.image_uids]
    series = _item(SeriesInstanceUID=drawn.series_uid, ContourImageSequence=Items(images))
    study = _item(RTReferencedSeriesSequence=Items([series]))
    return _item(
        FrameOfReferenceUID=drawn.frame_uid or generate_uid(),
        RTReferencedStudySequence=Items([study]),
    )


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
