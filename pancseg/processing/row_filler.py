"""Fill the row of one region: judge the region, measure it, and say why values are missing."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import SimpleITK as sitk

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.cohort.roi import Ring
from pancseg.errors import UnusableCase
from pancseg.features.extract import compute_features, region_on_grid
from pancseg.features.memory import check_memory
from pancseg.features.regions import Region, region_by_settings
from pancseg.features.result import FeatureResult
from pancseg.processing import fingerprint
from pancseg.processing.duplicates import VOXELS
from pancseg.processing.picture_files import Seen
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import DraftRow
from pancseg.processing.scan_reading import JudgedScan, PlacedMask
from pancseg.quality.limits import QualityLimits
from pancseg.quality.verdict import (
    CUT_OFF,
    Verdict,
    judge_agreement,
    judge_checked_region,
    judge_looks,
    judge_resegmented,
)
from pancseg.review.look import BY_PERSON, CORRECTED, GIVEN
from pancseg.scans.geometry import has_same_grid
from pancseg.scans.placement import check_within, moved_to_grid
from pancseg.scans.segments import cut_at
from pancseg.system.lazy import Lazy
from pancseg.system.processes.memory_limit import is_out_of_memory
from pancseg.system.stage import begin_stage
from pancseg.system.timing import timed

log = logging.getLogger(__name__)

_KEPT = "its shape and its volume are those of a part"
NO_MEMORY = "the process ran out of memory; lower `workers`, or crop the scan"


@dataclass(frozen=True)
class RowFiller:
    """Fills rows of one scan.

    Attributes:
        plan: what is done with every scan.
        features_bytes: memory that the features of each region may take; None for no limit.
        corrected: keys of the cases whose region a person corrected in the given mask.
        position: of the region in work, and the number of regions.
    """

    plan: ProcessingPlan
    features_bytes: int | None = None
    corrected: frozenset[str] = frozenset()
    position: tuple[int, int] = 1, 1

    @property
    def _limits(self) -> QualityLimits:
        return self.plan.judging.limits

    def fill(
        self,
        row: DraftRow,
        case: Case,
        scan: Lazy[JudgedScan],
        mask: Lazy[PlacedMask] | None,
        seen: Seen,
    ) -> None:
        """Fill the row of one case.

        Args:
            row: the row, which is changed.
            case: ids and region.
            scan: the case's scan.
            mask: the mask that the region is in; None to judge the scan alone.
            seen: what was looked at, which is changed.

        Raises:
            UnusableCase: the scan, the mask or the region cannot be used, or memory ran out.
        """
        try:
            self._fill_all(row, case, scan, mask, seen)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise UnusableCase("memory", NO_MEMORY) from error
            raise

    def _fill_all(
        self,
        row: DraftRow,
        case: Case,
        scan: Lazy[JudgedScan],
        mask: Lazy[PlacedMask] | None,
        seen: Seen,
    ) -> None:
        image, digest, verdict, voxels = scan.get()
        row.values["image_sha256"] = digest
        if voxels:
            row.values[VOXELS] = voxels
        _add(row, verdict)
        if mask is None:
            return
        drawn = mask.get()
        source = CORRECTED if case.key in self.corrected else drawn.source
        row.values["qc_mask_source"] = source
        row.drawn = source in BY_PERSON
        region = self.region(case, image, drawn)
        seen.region = region.image
        row.advice = _advice(case, drawn.source, region.made_of)
        with timed("judge"):
            row.values["qc_mask_label"] = region.made_of
            row.values["mask_sha256"] = fingerprint.of_image(region.image)
            _add(row, self._judged_region(case, image, region.image, drawn=row.drawn))
        if drawn.note:  # after what may refuse the mask's grid
            row.note("geometry", "warn", drawn.note)
        if region.note:
            row.note("no_label", "warn", region.note)
        if cut := cut_at(drawn.image):
            fact = f"the mask holds fractions; voxels of at least {cut} are taken"
            row.note("not_labels", "warn", fact)
        self._add_agreement(row, drawn)
        settings = self.plan.settings
        if settings is None or self.plan.command == "check":
            return
        if row.ends_step():
            begin_stage("features", *self.position)
            with timed("features"):
                if self.features_bytes is not None:
                    check_memory(image, region.image, settings, self.features_bytes)
                found = compute_features(image, region.image, settings)
            seen.measured = found.measured
            self._add_features(row, found)

    def _add_agreement(self, row: DraftRow, mask: PlacedMask) -> None:
        """Add how well masks made with dropout agree, and the two looks, where it is known."""
        if mask.agreement is not None:
            _add(row, judge_agreement(mask.agreement, self._limits))
        if mask.looks_dice is not None:
            _add(row, judge_looks(mask.looks_dice, self._limits))

    def region(self, case: Case, scan: sitk.Image, mask: PlacedMask) -> Region:
        """Return a case's region of a mask.

        Raises:
            UnusableCase: as :func:`.regions.region_by_settings`.
        """
        given = mask.source == GIVEN and self.plan.settings
        return region_by_settings(mask.image, case.mask_label, given.label if given else None, scan)

    def _judged_region(
        self, case: Case, scan: sitk.Image, region: sitk.Image, *, drawn: bool
    ) -> Verdict:
        if not has_same_grid(scan, region):
            check_within(scan, region)
            region = moved_to_grid(scan, region)
        ring = isinstance(case.mask_label, Ring)
        cut_off = CUT_OFF
        if drawn:
            kept = self.plan.keep_truncated_shape
            cut_off = _KEPT if kept else f"{CUT_OFF}; `keep_truncated_shape` keeps the shape"
        return judge_checked_region(
            scan, region, self._limits, whole_pancreas=not ring, ring=ring, cut_off=cut_off
        )

    def _add_features(self, row: DraftRow, found: FeatureResult) -> None:
        """Add features, and reasons for empty ones, unless re-segmentation left too few voxels."""
        row.values["qc_grid_mm"] = " ".join(f"{side:.4g}" for side in found.spacing_mm)
        if found.resegmented_share is not None:
            _add(row, judge_resegmented(found.resegmented_share, self._limits))
        if not row.ends_step():
            return
        values = dict(found.values)
        for code, fact in found.reasons.items():
            row.note(code, "warn", fact)
        empty = [name for name, value in values.items() if not math.isfinite(value)]
        if missing := [name for name in empty if name not in found.explained]:
            listed = ", ".join(missing[:3]) + ", …" * (len(missing) > 3)
            count = "1 value" if len(missing) == 1 else f"{len(missing)} values"
            fact = f"{count} could not be computed: {listed}"
            row.note("missing_values", "warn", fact)
        kept = row.drawn and self.plan.keep_truncated_shape
        if "truncated" in row.judgement.reasons and not kept:
            values.update(dict.fromkeys(filter(_is_shape, values), math.nan))
        row.values.update(values)

    def measured(self, scan: sitk.Image, region: sitk.Image) -> sitk.Image | None:
        """Return the region on the features' grid, for a picture; None if it cannot be made."""
        settings = self.plan.settings
        if settings is None:
            return None
        try:
            with timed("pictures"):
                if self.features_bytes is not None:
                    check_memory(scan, region, settings, self.features_bytes)
                return region_on_grid(scan, region, settings)
        except Exception:  # such as too little memory; the row itself is done
            log.debug("no region on the features' grid", exc_info=True)
            return None


def _advice(case: Case, source: str, made_of: str) -> str:
    """Return what a region may be that is unusual for a pancreas, and how to say so."""
    if case.roi != DEFAULT_ROI:
        own = f"`pancseg: quality: regions: {case.roi}:`"
        return f"the limits are those of a pancreas; {own} gives this region its own"
    if source != GIVEN:
        return ""
    label = "1" if "+" in made_of or "(" in made_of else made_of
    return f"if it is a tumour or a part, name it: `roi` tumour={label}, or a manifest's column roi"


def _add(row: DraftRow, verdict: Verdict) -> None:
    row.values.update(verdict.values)
    row.checks.extend(verdict.checks)


def _is_shape(feature: str) -> bool:
    return feature.partition("_")[2].startswith(("shape_", "shape2D_"))
