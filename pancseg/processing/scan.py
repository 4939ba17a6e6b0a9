"""Process one scan: read it, segment it, judge it and measure its regions, one result per row.

Worker processes and reuse of earlier results are in ``pancseg.running``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import SimpleITK as sitk

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.cohort.roi import Ring, Roi
from pancseg.errors import OutputError, UnusableCase
from pancseg.features.extract import compute_features
from pancseg.features.regions import Region, region_of
from pancseg.features.result import FeatureResult
from pancseg.processing import fingerprint
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult, DraftRow, case_result
from pancseg.quality.verdict import (
    Verdict,
    judge_agreement,
    judge_checked_region,
    judge_resegmented,
    judge_scan,
)
from pancseg.scans.geometry import on_grid_of
from pancseg.scans.reading import read_scan
from pancseg.scans.writing import write_scan
from pancseg.system.lazy import Lazy
from pancseg.system.optional import require_torch
from pancseg.system.timing import timed

if TYPE_CHECKING:
    from pancseg.segmentation.segmenter import Segmenter
    from pancseg.segmentation.uncertainty import DropoutPasses

GIVEN = "given"
"""``qc_mask_source`` of a mask that the user gave."""
NO_MEMORY = "the process ran out of memory; lower `workers`, or crop the scan"


VOXELS = "voxels_sha256"
"""Name of the hash of a scan's voxels alone, which ``check`` compares; it is not in any table."""


@dataclass(frozen=True)
class ScanTask:
    """The rows of one scan, and the paths of its mask.

    Attributes:
        cases: cases with the same image, series and scan name, in order.
        new_mask: path to write a mask of the network to.
        ready_mask: path of an existing mask of this scan, to be used instead of the network.
        ready_source: ``qc_mask_source`` of the existing mask.
    """

    cases: tuple[Case, ...]
    new_mask: Path | None = None
    ready_mask: Path | None = None
    ready_source: str = ""


class ScanProcessor:
    """Processes scans one after another with a network that is loaded once.

    Attributes:
        segmenter: makes masks; None if the plan has no weights.
    """

    def __init__(self, plan: ProcessingPlan, segmenter: Segmenter | None = None) -> None:
        """Load the network, if the plan has weights.

        Args:
            plan: what is done with every scan.
            segmenter: a loaded segmenter, used instead of the plan's weights.

        Raises:
            FileNotFoundError, ValueError: as :func:`pancseg.segmentation.segmenter.load_segmenter`;
                ValueError also if the plan asks for the uncertainty of a network without dropout.
        """
        self.segmenter = segmenter or (None if plan.weights is None else _loaded(plan))
        self._plan = plan
        self._limits = plan.settings.quality if plan.settings else plan.limits
        self._passes = _dropout_passes(self.segmenter, plan) if self.segmenter else None

    def results(
        self, task: ScanTask, on_mask: Callable[[Path], None] = lambda _: None
    ) -> Iterator[CaseResult]:
        """Yield one result per case of the task, in order.

        The scan is read, segmented and judged once, and each given mask is read once. An error
        becomes the result of the cases that it affects.

        Args:
            task: the rows of one scan.
            on_mask: called after ``new_mask`` was written, before the first result.

        Raises:
            OutputError: ``new_mask`` cannot be written.
        """
        scan = Lazy(lambda: self._judged_scan(task.cases[0]))
        shared = Lazy(lambda: self._shared_mask(task, scan.get()))
        mask = shared.value() if any(map(self.takes_shared, task.cases)) else None
        if mask and mask.is_new and task.new_mask:
            _write(mask.image, task.new_mask)
            on_mask(task.new_mask)
        for case, given_or_shared in self._with_masks(task.cases, scan, shared):
            yield case_result(case, partial(self._fill, case=case, scan=scan, mask=given_or_shared))

    def result_of(
        self, case: Case, scan: Callable[[], sitk.Image], mask: Callable[[], sitk.Image]
    ) -> CaseResult:
        """Return the result of a case whose scan and mask are already in memory.

        Args:
            case: ids and region; its files are not read.
            scan: returns the volume.
            mask: returns the label map. A mask on another grid makes the case unusable, unless the
                settings let pyradiomics resample masks (``correctMask``).
        """
        judged = Lazy(lambda: self._judged(scan()))
        drawn = Lazy(lambda: self._given_mask(mask(), judged))
        return case_result(case, partial(self._fill, case=case, scan=judged, mask=drawn))

    def takes_shared(self, case: Case) -> bool:
        """Return whether a case's region comes from the mask that the network makes of its scan."""
        named = case.mask_label is not None and self._plan.command != "segment"
        judged_alone = self._plan.command == "check"
        return not (judged_alone or self._takes_given(case)) and (case.roi == DEFAULT_ROI or named)

    def _takes_given(self, case: Case) -> bool:
        return case.mask is not None and self._plan.command != "segment"

    def _with_masks(
        self, cases: Sequence[Case], scan: Lazy[_Scan], shared: Lazy[_Mask]
    ) -> Iterator[tuple[Case, Lazy[_Mask] | None]]:
        """Yield each case with its mask; a given mask is released once no later case needs it."""
        given: dict[Path, Lazy[_Mask]] = {}
        for index, case in enumerate(cases):
            if case.mask and self._takes_given(case):
                read = partial(self._read_given_mask, case.mask, scan)
                mask = given.setdefault(case.mask, Lazy(read))
                if all(later.mask != case.mask for later in cases[index + 1 :]):
                    del given[case.mask]
                yield case, mask
            elif self.takes_shared(case):
                yield case, shared
            elif self._plan.command == "check":
                yield case, None
            else:
                yield case, Lazy(partial(_refuse_region, case))

    def _judged_scan(self, case: Case) -> _Scan:
        with timed("read the scan"):
            image = read_scan(case.image, series_uid=case.series_uid)
        return self._judged(image)

    def _judged(self, image: sitk.Image) -> _Scan:
        with timed("judge"):
            voxels = fingerprint.of_voxels(image) if self._plan.command == "check" else ""
            digest, verdict = (
                fingerprint.of_image(image),
                judge_scan(image, self._limits, hu=self._hu),
            )
            return _Scan(image, digest, verdict, voxels)

    def _shared_mask(self, task: ScanTask, scan: _Scan) -> _Mask:
        """Return the existing mask, or else the network's, on the scan's grid."""
        if task.ready_mask:
            image, source = _read_mask(task.ready_mask), task.ready_source
        elif self.segmenter:
            image, source = self.segmenter.segment(scan.image), self.segmenter.checkpoint.name
        else:
            raise UnusableCase("no_mask", "there is no mask for this scan; segment it first")
        image = on_grid_of(scan.image, image)
        agreement = None
        if self._passes and self.segmenter and source == self.segmenter.checkpoint.name:
            agreement = self._passes.agreement(scan.image, image)
        return _Mask(image, source, agreement, is_new=task.ready_mask is None)

    def _read_given_mask(self, path: Path, scan: Lazy[_Scan]) -> _Mask:
        image = scan.get().image  # before the mask: an unreadable scan is the reason to report
        return _Mask(self._on_grid(image, _read_mask(path)), GIVEN)

    def _given_mask(self, mask: sitk.Image, scan: Lazy[_Scan]) -> _Mask:
        return _Mask(self._on_grid(scan.get().image, mask), GIVEN)

    def _on_grid(self, scan: sitk.Image, mask: sitk.Image) -> sitk.Image:
        return mask if self._corrects_masks else on_grid_of(scan, mask)

    @property
    def _hu(self) -> bool:
        """Whether the settings assume that scans are in HU."""
        return self._plan.settings is None or bool(self._plan.settings.ibsi.get("hu", True))

    @property
    def _corrects_masks(self) -> bool:
        """Whether the settings let pyradiomics resample masks on another grid (``correctMask``)."""
        parameters = self._plan.settings.parameters if self._plan.settings else {}
        return bool((parameters.get("setting") or {}).get("correctMask"))

    def _fill(self, row: DraftRow, case: Case, scan: Lazy[_Scan], mask: Lazy[_Mask] | None) -> None:
        """Fill the row of one case; running out of memory makes the case unusable."""
        try:
            self._fill_all(row, case, scan, mask)
        except MemoryError as error:
            raise UnusableCase("memory", NO_MEMORY) from error

    def _fill_all(
        self, row: DraftRow, case: Case, scan: Lazy[_Scan], mask: Lazy[_Mask] | None
    ) -> None:
        image, digest, verdict, voxels = scan.get()
        row.values["image_sha256"] = digest
        if voxels:
            row.values[VOXELS] = voxels
        _add(row, verdict)
        if mask is None:
            return
        drawn = mask.get()
        row.values["qc_mask_source"] = drawn.source
        region = self._region(case, image, drawn)
        with timed("judge"):
            row.values["qc_mask_label"] = region.made_of
            row.values["mask_sha256"] = fingerprint.of_image(region.image)
            _add(row, self._judged_region(case, image, region.image))
        if drawn.agreement is not None:
            _add(row, judge_agreement(drawn.agreement, self._limits))
        settings = self._plan.settings
        if settings is None or self._plan.command == "check":
            return
        if row.status != "fail" or self._plan.keep_failed:
            with timed("features"):
                found = compute_features(image, region.image, settings)
            self._add_features(row, found)

    def _region(self, case: Case, scan: sitk.Image, mask: _Mask) -> Region:
        label: Roi | int | None = case.mask_label
        if label is None and mask.source == GIVEN and self._plan.settings:
            label = self._plan.settings.label
        return region_of(mask.image, label, scan)

    def _judged_region(self, case: Case, scan: sitk.Image, region: sitk.Image) -> Verdict:
        if self._corrects_masks:
            region = sitk.Resample(region, scan, sitk.Transform(), sitk.sitkNearestNeighbor)
        ring = isinstance(case.mask_label, Ring)
        whole = case.roi == DEFAULT_ROI and not ring
        return judge_checked_region(scan, region, self._limits, whole_pancreas=whole, ring=ring)

    def _add_features(self, row: DraftRow, found: FeatureResult) -> None:
        """Add features, and reasons for empty ones, unless re-segmentation left too few voxels."""
        row.values["qc_grid_mm"] = " ".join(f"{side:.4g}" for side in found.spacing_mm)
        if found.resegmented_share is not None:
            _add(row, judge_resegmented(found.resegmented_share, self._limits))
        if row.status == "fail" and not self._plan.keep_failed:
            return
        values = dict(found.values)
        for code, fact in found.reasons.items():
            row.note(code, "warn", fact)
        empty = [name for name, value in values.items() if not math.isfinite(value)]
        if missing := [name for name in empty if name not in found.explained]:
            listed = ", ".join(missing[:3]) + ", …" * (len(missing) > 3)
            fact = f"{len(missing)} values could not be computed: {listed}"
            row.note("missing_values", "warn", fact)
        if "truncated" in row.reasons:
            values.update(dict.fromkeys(filter(_is_shape, values), math.nan))
        row.values.update(values)


class _Scan(NamedTuple):
    image: sitk.Image
    digest: str
    verdict: Verdict
    voxels: str


class _Mask(NamedTuple):
    """A mask on its scan's grid (or on another grid, if pyradiomics will resample it).

    Attributes:
        image: label map.
        source: value of ``qc_mask_source``.
        agreement: agreement of masks made with dropout, 0–1; None if not requested, or if the mask
            does not come from the network.
        is_new: whether the network has just made it.
    """

    image: sitk.Image
    source: str
    agreement: float | None = None
    is_new: bool = False


def _loaded(plan: ProcessingPlan) -> Segmenter:
    from pancseg.segmentation.segmenter import load_segmenter

    assert plan.weights is not None
    return load_segmenter(
        plan.weights,
        threads=plan.threads,
        engine=plan.engine,
        precision=plan.precision,
        allow_code=plan.allow_code,
    )


def _dropout_passes(segmenter: Segmenter, plan: ProcessingPlan) -> DropoutPasses | None:
    if not plan.uncertainty:
        return None
    require_torch("uncertainty")
    from pancseg.segmentation.uncertainty import DropoutPasses

    return DropoutPasses(segmenter.checkpoint, plan.uncertainty, segmenter.threads)


def _write(mask: sitk.Image, path: Path) -> None:
    try:
        with timed("write the mask"):
            write_scan(mask, path)
    except OSError as error:
        raise OutputError(*error.args) from error


def _read_mask(path: Path) -> sitk.Image:
    """Read a mask; errors say that they are about the mask."""
    try:
        return read_scan(path)
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the mask: {unusable.fact}") from unusable


def _refuse_region(case: Case) -> _Mask:
    fact = f"there is no mask for {case.roi!r}, and the network segments {DEFAULT_ROI!r} only"
    raise UnusableCase("no_mask", f"{fact}; give a mask for it")


def _add(row: DraftRow, verdict: Verdict) -> None:
    row.values.update(verdict.values)
    for code, grade, fact in verdict.findings:
        row.note(code, grade, fact)


def _is_shape(feature: str) -> bool:
    return feature.partition("_")[2].startswith(("shape_", "shape2D_"))
