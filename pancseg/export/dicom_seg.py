"""Write a scan's regions as a DICOM Segmentation (PS3.3, A.51), one segment per region."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pancseg.export.codes import PANCREAS, Code, codes_of_region, colour_of, short
from pancseg.export.equipment import NAME, SERIES_NUMBERS, equipment, version_of, weights_of
from pancseg.export.scan import ExportedRegion, ExportedScan
from pancseg.scans.dicom.source import save, values_as_they_are

if TYPE_CHECKING:
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

TARGET = "dicom-seg"
DESCRIPTION = "pancseg segmentation"


def path_in(folder: Path, scan: ExportedScan) -> Path:
    """Return where a scan's segmentation is in a folder of exports."""
    return folder / TARGET / f"{scan.case.scan_name}.dcm"


def write_seg(scan: ExportedScan, folder: Path) -> None:
    """Write ``dicom-seg/<id>.dcm``.

    Args:
        scan: scan and regions.
        folder: folder of exports.

    Raises:
        UnusableCase: the scan is not a DICOM series.
        OSError: the file cannot be written.
    """
    from highdicom import PixelMeasuresSequence
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    source = scan.source
    x_mm, y_mm, gap_mm = scan.spacing_mm
    with values_as_they_are():
        made = Segmentation(
            source_images=source.images,
            pixel_array=_pixels(scan),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _segment(scan, region, number) for number, region in enumerate(scan.regions)
            ],
            series_instance_uid=generate_uid(),
            series_number=SERIES_NUMBERS[TARGET],
            sop_instance_uid=generate_uid(),
            instance_number=1,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            pixel_measures=PixelMeasuresSequence(
                pixel_spacing=(y_mm, x_mm), slice_thickness=gap_mm, spacing_between_slices=gap_mm
            ),
            content_label="PANCREAS",
            content_description=DESCRIPTION,
            series_description=DESCRIPTION,
            **equipment(),
        )
        source.put_identity_on(made)
        save(made, path_in(folder, scan))


def _pixels(scan: ExportedScan) -> NDArray[np.uint8]:
    """Return (frame, row, column, segment), in the order of the source's frames."""
    stacked = np.stack([region.voxels for region in scan.regions], axis=-1).astype(np.uint8)
    frames = scan.source.frames
    if not frames:
        return stacked
    count = int(scan.source.first.NumberOfFrames)
    placed = np.zeros((count, *stacked.shape[1:]), np.uint8)
    placed[list(frames)] = stacked
    return placed


def _segment(scan: ExportedScan, region: ExportedRegion, number: int) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.uid import generate_uid

    by_person = region.by_person
    kinds = SegmentAlgorithmTypeValues
    category, kind = map(as_concept, codes_of_region(region.name))
    return SegmentDescription(
        segment_number=number + 1,
        segment_label=short(region.name),
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=kinds.MANUAL if by_person else kinds.AUTOMATIC,
        algorithm_identification=None if by_person else _algorithm(scan),
        tracking_uid=generate_uid(),
        tracking_id=short(region.name),
        anatomic_regions=None if kind.value == PANCREAS.value else [as_concept(PANCREAS)],
        display_color=CIELabColor.from_rgb(*colour_of(number)),
    )


def _algorithm(scan: ExportedScan) -> AlgorithmIdentificationSequence:
    from highdicom.content import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    weights = weights_of(scan.provenance)
    return AlgorithmIdentificationSequence(
        name=NAME,
        family=codes.cid7162.ArtificialIntelligence,
        version=version_of(scan.provenance),
        source=NAME,
        parameters={"weights": weights.name, "weights_sha256": weights.sha256},
    )


def as_concept(code: Code) -> CodedConcept:
    """Return a code as highdicom takes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, short(code.meaning))
