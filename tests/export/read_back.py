"""Reads DICOM objects back by pydicom alone, position by position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from test_contours import inside_any


def segments(path: Path, scan: sitk.Image) -> dict[str, np.ndarray]:
    """Return label → (z, y, x) voxels of a segmentation; slices are found by their positions."""
    seg = pydicom.dcmread(path)
    frames = np.atleast_3d(seg.pixel_array.T).T
    names = {each.SegmentNumber: each.SegmentLabel for each in seg.SegmentSequence}
    found = {name: np.zeros(scan.GetSize()[::-1], bool) for name in names.values()}
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        x, y, z = scan.TransformPhysicalPointToContinuousIndex([float(mm) for mm in place])
        assert abs(x) + abs(y) + abs(z - round(z)) < 1e-4
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[names[number]][round(z)] = frame > 0
    return found


def contoured(path: Path, scan: sitk.Image) -> dict[str, np.ndarray]:
    """Return name → (z, y, x) voxels of a structure set: pixels whose centres are inside."""
    structures = pydicom.dcmread(path)
    names = {roi.ROINumber: roi.ROIName for roi in structures.StructureSetROISequence}
    found = {}
    for roi in structures.ROIContourSequence:
        voxels = np.zeros(scan.GetSize()[::-1], bool)
        for contour in roi.ContourSequence:
            corners = np.reshape(np.array(contour.ContourData, float), (-1, 3)).tolist()
            index = np.array([scan.TransformPhysicalPointToContinuousIndex(c) for c in corners])
            assert np.ptp(index[:, 2]) < 1e-4
            assert contour.NumberOfContourPoints == len(corners)
            z = round(float(index[0, 2]))
            voxels[z] |= inside_any([np.round(index[:, :2], 4)], voxels[z].shape)
        found[names[roi.ReferencedROINumber]] = voxels
    return found


def values(path: Path) -> dict[str, dict[tuple[str, str], tuple[float, str]]]:
    """Return region → (code, method) → value and unit of a report, by its content tree alone."""
    report = pydicom.dcmread(path)
    (measured,) = [c for c in report.ContentSequence if _named(c, "126010")]
    found = {}
    for group in measured.ContentSequence:
        (name,) = [c.TextValue for c in group.ContentSequence if _named(c, "112039")]
        numbers = [c for c in group.ContentSequence if c.ValueType == "NUM"]
        found[name] = {(_code(_concept(c)), _method(c)): _number(c) for c in numbers}
    return found


def _named(item: Dataset, code: str) -> bool:
    return _code(_concept(item)).endswith(code)


def _concept(item: Dataset) -> Dataset:
    return item.ConceptNameCodeSequence[0]


def _code(coded: Dataset) -> str:
    value = coded.get("CodeValue") or coded.LongCodeValue
    return f"{coded.CodingSchemeDesignator} {value}"


def _method(item: Dataset) -> str:
    inner = [c for c in item.get("ContentSequence", ()) if c.ValueType == "CODE"]
    return _code(inner[0].ConceptCodeSequence[0]) if inner else ""


def _number(item: Dataset) -> tuple[float, str]:
    (measured,) = item.MeasuredValueSequence
    return measured.FloatingPointValue, measured.MeasurementUnitsCodeSequence[0].CodeValue
