"""Judge and measure one region of one scan, with the same values as in a cohort's table."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from pathlib import Path
from typing import Unpack

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.cohort.roi import as_roi
from pancseg.errors import UnusableCase
from pancseg.features import DEFAULT_PRESET
from pancseg.features.extract import check_values
from pancseg.features.settings import FeatureSettings, as_feature_settings
from pancseg.pipeline.result_table import fields_and_rows
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.scan import ScanProcessor
from pancseg.scans.conversion import ArrayGeometry, VolumeLike, as_mask, as_scan
from pancseg.system.lazy import Lazy
from pancseg.tables.fields import Field, Row, Value

log = logging.getLogger(__name__)

_IDS = ("patient_id", "scan_id")


def measure(  # noqa: PLR0913  keywords, as the command has options
    scan: VolumeLike,
    mask: VolumeLike,
    settings: FeatureSettings | str | Path = DEFAULT_PRESET,
    *,
    label: int | str | None = None,
    roi: str = DEFAULT_ROI,
    keep_failed: bool = False,
    keep_truncated_shape: bool = False,
    **geometry: Unpack[ArrayGeometry],
) -> dict[str, Value]:
    """Return the row that ``pancseg extract`` writes for one region of one scan.

    Args:
        scan: a 3-D CT in HU: a path, a ``SimpleITK.Image``, a nibabel image, or an array
            ``(z, y, x)`` with ``spacing``.
        mask: labels in the same space, given in the same ways. An array of the scan's shape is on
            the scan's grid.
        settings: a preset's name, a pyradiomics parameter file, or loaded settings; they include
            the limits of the verdict.
        label: which label of the mask, or an expression such as ``ring(1,2;5mm)``; by default as
            for :func:`pancseg.extract_features`.
        roi: name of the region; only ``pancreas`` is compared with the norms of a whole pancreas.
        keep_failed: measure features also of a region that fails the verdict.
        keep_truncated_shape: keep the shape of a region that the scan's edge cuts off.
        geometry: ``spacing``, ``origin`` and ``direction`` where the scan is an array.

    Returns:
        Column name → value, without the ids: ``qc_status`` (pass, warn, fail, error),
        ``qc_reasons``, further ``qc_*``, hashes and features under safe names. A case that is not
        usable has its reason and no features. Cells that the table leaves empty are NaN.
        The log tells, as a warning, why a row is not usable.

    Raises:
        TypeError: scan or mask is not a volume (see ``scan``).
        ValueError: ``label`` is not an expression, or the settings are unknown.

    Example:
        >>> from pancseg import measure
        >>> from pancseg.phantom import make_phantom
        >>> phantom = make_phantom(3, size=(96, 96, 32), spacing_mm=(3.6, 3.6, 5.0))
        >>> row = measure(phantom.image, phantom.mask, "pyradiomics_default")
        >>> row["qc_status"], row["qc_reasons"]
        ('warn', 'thick_slices')
    """
    settings = as_feature_settings(settings)
    check_values(settings)
    case = Case("", Path(), mask=Path(), mask_label=as_roi(label), roi=roi)
    image = Lazy(lambda: as_scan(scan, **geometry))
    labels = Lazy(lambda: as_mask(mask, image.get()))
    with suppress(UnusableCase):  # the row will report it; other errors are raised here
        image.get(), labels.get()
    plan = ProcessingPlan(
        "extract",
        settings,
        keep_failed=keep_failed,
        keep_truncated_shape=keep_truncated_shape,
    )
    processor = ScanProcessor(plan)
    result = processor.result_of(case, image.get, labels.get)
    if not result.usable:
        log.warning("not usable: %s", result.fact)
    fields, rows = fields_and_rows([result], settings, "safe")
    (row,) = rows
    return {f.name: _cell(f, row) for f in fields if f.name not in _IDS}


def _cell(field: Field, row: Row) -> Value:
    empty = "" if field.type == "string" else math.nan
    return row.get(field.original_name, empty)
