"""Read a scan and the regions of its rows as they were measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.cohort.case import Case
from pancseg.errors import UnusableCase
from pancseg.export.rows import ExportRow, MeasuredFeature
from pancseg.features.regions import region_by_settings
from pancseg.processing import fingerprint
from pancseg.review.look import BY_PERSON, CORRECTED, GIVEN
from pancseg.running.mask_files import corrections_of, named_like
from pancseg.scans.arrays import voxel_array
from pancseg.scans.dicom.source import SourceSeries, read_source
from pancseg.scans.masks import read_mask
from pancseg.scans.placement import placed
from pancseg.scans.reading import is_series, read_scan


@dataclass(frozen=True)
class ExportedRegion:
    """One region of a scan.

    Attributes:
        name: name of the region.
        by: ``given``, ``corrected``, ``drawn``, or the weights that made the mask.
        voxels: (z, y, x) on the scan's grid; True inside.
        features: measured values.
        made_of: labels or segments of the mask that the region is made of.
    """

    name: str
    by: str
    voxels: NDArray[np.bool_]
    features: tuple[MeasuredFeature, ...] = ()
    made_of: str = ""

    @property
    def by_person(self) -> bool:
        """Whether the mask is a person's work, and not the network's alone."""
        return self.by in BY_PERSON


@dataclass(frozen=True)
class ExportedScan:
    """A scan with the regions that are exported.

    Attributes:
        case: ids and file of the scan.
        image: the scan.
        regions: in the table's order; never empty.
        provenance: what the table was made with.
    """

    case: Case
    image: sitk.Image
    regions: tuple[ExportedRegion, ...]
    provenance: Mapping[str, Any]

    @cached_property
    def source(self) -> SourceSeries:
        """The DICOM series that the scan was read from.

        Raises:
            UnusableCase: the scan is no DICOM series, or none that can be referred to.
        """
        if not is_series(self.case.image):
            raise UnusableCase(
                "unreadable",
                "the scan is not DICOM, so there is no series, patient and study to refer to; give "
                "the DICOM series as the scan, or export to bids or slicer",
            )
        return read_source(self.case.image, self.case.series_uid)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size along x, y, z."""
        return tuple(self.image.GetSpacing())


def read_for_export(
    folder: Path,
    rows: Sequence[tuple[Case, ExportRow]],
    provenance: Mapping[str, Any],
    scans: Collection[str],
) -> ExportedScan:
    """Read a scan and the regions of its rows, and make sure that they are what was measured.

    Args:
        folder: the output folder.
        rows: rows of one scan, each with its case.
        provenance: of the table.
        scans: keys of the names of all scans in the table.

    Raises:
        UnusableCase: scan or mask cannot be read, or is another than the one in the table.
    """
    case = rows[0][0]
    image = read_scan(case.image, series_uid=case.series_uid)
    if fingerprint.of_image(image) != rows[0][1].image_sha256:
        raise UnusableCase(
            "unreadable", "the scan is not the one that was measured; run again, or give it"
        )
    settings = provenance.get("features")
    label = settings.get("label") if isinstance(settings, Mapping) else None
    masks: dict[Path, sitk.Image] = {}
    regions = []
    for own, row in rows:
        path = _mask_file(folder, own, row.row.source, scans)
        if path not in masks:
            masks[path] = _on_grid(image, path)
        of_settings = label if path == own.mask else None
        region = region_by_settings(masks[path], own.mask_label, of_settings, image)
        if fingerprint.of_image(region.image) != row.mask_sha256:
            raise UnusableCase(
                "unreadable",
                f"the mask of region {row.row.roi} has changed since it was measured; run again",
            )
        inside = voxel_array(region.image) != 0
        regions.append(
            ExportedRegion(row.row.roi, row.row.source, inside, row.features, region.made_of)
        )
    return ExportedScan(case, image, tuple(regions), provenance)


def _on_grid(scan: sitk.Image, path: Path) -> sitk.Image:
    try:
        return placed(scan, read_mask(path, scan)).image
    except UnusableCase as unusable:
        if unusable.code != "geometry":
            raise
        raise UnusableCase(
            "geometry", "the mask is on another grid than the scan; resample it and run again"
        ) from unusable


def _mask_file(folder: Path, case: Case, source: str, scans: Collection[str]) -> Path:
    """Return the file that the mask of a row was read from.

    A given mask goes before all others in a run, also when it was corrected.
    """
    if case.mask and source in BY_PERSON:
        return case.mask
    made = folder / "masks" / f"{case.scan_name}.nii.gz"
    others = named_like(case.scan_name, scans)
    found = corrections_of(made, others) if source == CORRECTED else []
    if len(found) > 1:
        raise UnusableCase("unreadable", "there are several corrected masks; keep one, run again")
    path = found[0] if found else made
    if source == GIVEN or not path.is_file():
        what = "given mask is not known; give `masks`" if source == GIVEN else "mask is gone"
        raise UnusableCase("no_mask", f"the {what}, or run again")
    return path
