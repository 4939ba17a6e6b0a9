"""Owns the work on one scan: read it, mask it, judge it, measure it; one outcome per row.

In-process; knows nothing about processes, tables or what was done before.
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
    judge_region,
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
"""``qc_mask_source`` of a mask that came with its case."""
NO_MEMORY = "the memory did not suffice; lower `workers`, or crop the scan"


VOXELS = "voxels_sha256"
"""The hash of a scan's voxels alone, which ``check`` compares; no column of any table."""


@dataclass(frozen=True)
class ScanTask:
    """The rows of one scan.

    Attributes:
        cases: rows with the same image, series and scan name, in order.
        new_mask: where a mask that the network makes is written.
        ready_mask: a mask of this scan that need not be made again.
        ready_source: its ``qc_mask_source``.
    """

    cases: tuple[Case, ...]
    new_mask: Path | None = None
    ready_mask: Path | None = None
    ready_source: str = ""


class ScanProcessor:
    """Does the work on one scan after the other; the network is loaded once.

    Attributes:
        segmenter: makes masks; None without weights.
    """

    def __init__(self, work: ProcessingPlan, segmenter: Segmenter | None = None) -> None:
        """Load the network, if there are weights.

        Args:
            work: what is to be done.
            segmenter: one that is loaded already, instead of the work's weights.

        Raises:
            FileNotFoundError, ValueError: as :func:`pancseg.segmentation.load`; ValueError also
                when uncertainty is asked of a network without dropout.
        """
        self.segmenter = segmenter or (None if work.weights is None else _loaded(work))
        self._work = work
        self._limits = work.settings.quality if work.settings else work.limits
        self._passes = _dropout_passes(self.segmenter, work) if self.segmenter else None

    def outcomes(
        self, task: ScanTask, on_mask: Callable[[Path], None] = lambda _: None
    ) -> Iterator[CaseResult]:
        """Yield one outcome per case of the task, in order.

        The scan is read, segmented and judged once, and each own mask is read once. Whatever goes
        wrong becomes the outcome of the cases that it concerns.

        Args:
            task: the rows of one scan.
            on_mask: called when ``new_mask`` was written, before the first outcome.

        Raises:
            OutputError: ``new_mask`` cannot be written.
        """
        scan = Lazy(lambda: self._judged_scan(task.cases[0]))
        shared = Lazy(lambda: self._shared_mask(task, scan.get()))
        mask = shared.value() if any(map(self.takes_shared, task.cases)) else None
        if mask and mask.is_new and task.new_mask:
            _write(mask.image, task.new_mask)
            on_mask(task.new_mask)
        for case, own_or_shared in self._with_masks(task.cases, scan, shared):
            yield case_result(case, partial(self._fill, case=case, scan=scan, mask=own_or_shared))

    def result_of(
        self, case: Case, scan: Callable[[], sitk.Image], mask: Callable[[], sitk.Image]
    ) -> CaseResult:
        """Return the result of a case whose scan and mask are given, not read from its files.

        Args:
            case: its ids and region.
            scan: returns the volume.
            mask: returns the label map; one on another grid is unusable unless the settings
                correct masks.
        """
        judged = Lazy(lambda: self._judged(scan()))
        drawn = Lazy(lambda: self._given_mask(mask(), judged))
        return case_result(case, partial(self._fill, case=case, scan=judged, mask=drawn))

    def takes_shared(self, case: Case) -> bool:
        """Whether a case's region is one of the mask that the network makes of its scan."""
        named = case.mask_label is not None and self._work.command != "segment"
        judged_alone = self._work.command == "check"
        return not (judged_alone or self._takes_own(case)) and (case.roi == DEFAULT_ROI or named)

    def _takes_own(self, case: Case) -> bool:
        return case.mask is not None and self._work.command != "segment"

    def _with_masks(
        self, cases: Sequence[Case], scan: Lazy[_Scan], shared: Lazy[_Mask]
    ) -> Iterator[tuple[Case, Lazy[_Mask] | None]]:
        """Yield each case with its mask; an own mask is let go when no later case has it."""
        own: dict[Path, Lazy[_Mask]] = {}
        for index, case in enumerate(cases):
            if case.mask and self._takes_own(case):
                mask = own.setdefault(case.mask, Lazy(partial(self._own_mask, case.mask, scan)))
                if all(later.mask != case.mask for later in cases[index + 1 :]):
                    del own[case.mask]
                yield case, mask
            elif self.takes_shared(case):
                yield case, shared
            elif self._work.command == "check":
                yield case, None
            else:
                yield case, Lazy(partial(_refuse_region, case))

    def _judged_scan(self, case: Case) -> _Scan:
        with timed("read the scan"):
            image = read_scan(case.image, series_uid=case.series_uid)
        return self._judged(image)

    def _judged(self, image: sitk.Image) -> _Scan:
        with timed("judge"):
            voxels = fingerprint.of_voxels(image) if self._work.command == "check" else ""
            digest, verdict = (
                fingerprint.of_image(image),
                judge_scan(image, self._limits, hu=self._hu),
            )
            return _Scan(image, digest, verdict, voxels)

    def _shared_mask(self, task: ScanTask, scan: _Scan) -> _Mask:
        """Return the mask that is ready, or the network's; either lies on the scan's grid."""
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

    def _own_mask(self, path: Path, scan: Lazy[_Scan]) -> _Mask:
        image = scan.get().image  # first: a scan that cannot be read is the reason to name
        return _Mask(self._on_grid(image, _read_mask(path)), GIVEN)

    def _given_mask(self, mask: sitk.Image, scan: Lazy[_Scan]) -> _Mask:
        return _Mask(self._on_grid(scan.get().image, mask), GIVEN)

    def _on_grid(self, scan: sitk.Image, mask: sitk.Image) -> sitk.Image:
        return mask if self._corrects_masks else on_grid_of(scan, mask)

    @property
    def _hu(self) -> bool:
        """Whether the settings take scans to be in HU."""
        return self._work.settings is None or bool(self._work.settings.ibsi.get("hu", True))

    @property
    def _corrects_masks(self) -> bool:
        """Whether pyradiomics is asked to resample masks that lie on another grid."""
        parameters = self._work.settings.parameters if self._work.settings else {}
        return bool((parameters.get("setting") or {}).get("correctMask"))

    def _fill(self, row: DraftRow, case: Case, scan: Lazy[_Scan], mask: Lazy[_Mask] | None) -> None:
        """Make the row of one case, as far as it and the memory come."""
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
        settings = self._work.settings
        if settings is None or self._work.command == "check":
            return
        if row.status != "fail" or self._work.keep_failed:
            with timed("features"):
                found = compute_features(image, region.image, settings)
            self._add_features(row, found)

    def _region(self, case: Case, scan: sitk.Image, mask: _Mask) -> Region:
        label: Roi | int | None = case.mask_label
        if label is None and mask.source == GIVEN and self._work.settings:
            label = self._work.settings.label
        return region_of(mask.image, label, scan)

    def _judged_region(self, case: Case, scan: sitk.Image, region: sitk.Image) -> Verdict:
        if self._corrects_masks:
            region = sitk.Resample(region, scan, sitk.Transform(), sitk.sitkNearestNeighbor)
        ring = isinstance(case.mask_label, Ring)
        whole = case.roi == DEFAULT_ROI and not ring
        return judge_region(scan, region, self._limits, whole_pancreas=whole, ring=ring)

    def _add_features(self, row: DraftRow, found: FeatureResult) -> None:
        """Add measured features, unless what they were made of is too little."""
        row.values["qc_grid_mm"] = " ".join(f"{side:.4g}" for side in found.spacing_mm)
        if found.resegmented_share is not None:
            _add(row, judge_resegmented(found.resegmented_share, self._limits))
        if row.status == "fail" and not self._work.keep_failed:
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
    """A mask of a scan, on its grid (unless pyradiomics is to put it there).

    Attributes:
        image: label map.
        source: ``qc_mask_source``.
        agreement: of masks made with dropout; None when not asked, or not the network's mask.
        is_new: the network has just made it.
    """

    image: sitk.Image
    source: str
    agreement: float | None = None
    is_new: bool = False


def _loaded(work: ProcessingPlan) -> Segmenter:
    from pancseg.segmentation.segmenter import load_segmenter

    assert work.weights is not None
    return load_segmenter(
        work.weights,
        threads=work.threads,
        engine=work.engine,
        precision=work.precision,
        allow_code=work.allow_code,
    )


def _dropout_passes(segmenter: Segmenter, work: ProcessingPlan) -> DropoutPasses | None:
    if not work.uncertainty:
        return None
    require_torch("uncertainty")
    from pancseg.segmentation.uncertainty import DropoutPasses

    return DropoutPasses(segmenter.checkpoint, work.uncertainty, segmenter.threads)


def _write(mask: sitk.Image, path: Path) -> None:
    try:
        with timed("write the mask"):
            write_scan(mask, path)
    except OSError as error:
        raise OutputError(*error.args) from error


def _read_mask(path: Path) -> sitk.Image:
    """Read a mask; what is wrong with it is said of the mask."""
    try:
        return read_scan(path)
    except UnusableCase as unusable:
        raise UnusableCase(unusable.code, f"the mask: {unusable.fact}") from unusable


def _refuse_region(case: Case) -> _Mask:
    fact = f"no mask for {case.roi!r}: the network makes {DEFAULT_ROI!r} only"
    raise UnusableCase("no_mask", fact)


def _add(row: DraftRow, verdict: Verdict) -> None:
    row.values.update(verdict.values)
    for code, grade, fact in verdict.findings:
        row.note(code, grade, fact)


def _is_shape(feature: str) -> bool:
    return feature.partition("_")[2].startswith(("shape_", "shape2D_"))
