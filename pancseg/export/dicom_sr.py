"""Write measurements as a DICOM structured report (PS3.16, TID 1500), linked to the segments.

Values that are as IBSI defines them have IBSI's code; all others have one of pancseg's own. As
several values may share IBSI's code (of the image and of filtered ones), each also says by which
column it was measured: its measurement method.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from pancseg.export import dicom_seg
from pancseg.export.codes import PANCREAS, Code, codes_of_region, short, unit_code
from pancseg.export.dicom_seg import as_concept
from pancseg.export.equipment import NAME, SERIES_NUMBERS, equipment, version_of
from pancseg.export.rows import MeasuredFeature
from pancseg.export.scan import ExportedRegion, ExportedScan
from pancseg.scans.arrays import voxel_array
from pancseg.scans.dicom.source import save, values_as_they_are

if TYPE_CHECKING:
    from highdicom.sr import (
        Measurement,
        ObservationContext,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

TARGET = "dicom-sr"
OWN_SCHEME = "99PANCSEG"
DESCRIPTION = "pancseg measurements"
_VOLUME = Code("118565006", "SCT", "Volume")
_ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
_MEAN = Code("373098007", "SCT", "Mean")


def write_sr(scan: ExportedScan, folder: Path) -> None:
    """Write ``dicom-sr/<id>.dcm``.

    Args:
        scan: scan and regions; its segmentation has been written.
        folder: folder of exports.

    Raises:
        UnusableCase: the scan is not a DICOM series.
        OSError: a file cannot be read or written.
    """
    from highdicom.sr import Comprehensive3DSR, MeasurementReport
    from pydicom.sr.codedict import codes
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    source = scan.source
    with values_as_they_are():
        seg = pydicom.dcmread(dicom_seg.path_in(folder, scan), stop_before_pixels=True)
        report = MeasurementReport(
            observation_context=_observer(scan),
            procedure_reported=codes.cid100.CTUnspecifiedBodyRegion,
            imaging_measurements=[
                _measurements_of(scan, region, seg, number)
                for number, region in enumerate(scan.regions, 1)
            ],
            title=codes.cid7021.ImagingMeasurementReport,
        )
        made = Comprehensive3DSR(
            evidence=[*source.images, seg],
            content=report[0],
            series_instance_uid=generate_uid(),
            series_number=SERIES_NUMBERS[TARGET],
            sop_instance_uid=generate_uid(),
            instance_number=1,
            is_complete=True,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            series_description=DESCRIPTION,
            **equipment(),
        )
        source.put_identity_on(made)
        save(made, folder / TARGET / f"{scan.case.scan_name}.dcm")


def _observer(scan: ExportedScan) -> ObservationContext:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    version = version_of(scan.provenance)
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[NAME, version]),
        name=NAME,
        manufacturer_name=NAME,
        model_name=f"{NAME} {version}",
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _measurements_of(
    scan: ExportedScan, region: ExportedRegion, seg: pydicom.Dataset, number: int
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    from highdicom.sr import (
        FindingSite,
        ReferencedSegment,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    segment = seg.SegmentSequence[number - 1]
    category, kind = codes_of_region(region.name)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=segment.TrackingUID, identifier=segment.TrackingID
        ),
        referenced_segment=ReferencedSegment.from_segmentation(seg, number),
        finding_category=as_concept(category),
        finding_type=as_concept(kind),
        finding_sites=[FindingSite(as_concept(PANCREAS))],
        measurements=[*_basic(scan, region), *map(_of_feature, region.features)],
    )


def _basic(scan: ExportedScan, region: ExportedRegion) -> Iterator[Measurement]:
    """Yield volume and mean of a region, which every reader of such reports knows."""
    from highdicom.sr import Measurement

    x_mm, y_mm, z_mm = scan.spacing_mm
    volume_ml = int(region.voxels.sum()) * x_mm * y_mm * z_mm / 1000
    yield Measurement(as_concept(_VOLUME), volume_ml, as_concept(unit_code("mL")))
    yield Measurement(
        as_concept(_ATTENUATION),
        float(voxel_array(scan.image)[region.voxels].mean()),
        as_concept(unit_code("HU")),
        derivation=as_concept(_MEAN),
    )


def _of_feature(feature: MeasuredFeature) -> Measurement:
    from highdicom.sr import Measurement

    own = Code(feature.name, OWN_SCHEME, feature.name)
    ibsi = Code(feature.ibsi_code, "IBSI", feature.ibsi_name)
    return Measurement(
        as_concept(ibsi if feature.ibsi_code else own),
        feature.value,
        as_concept(unit_code(feature.unit)),
        method=as_concept(own._replace(meaning=short(f"pancseg {feature.name}"))),
    )
