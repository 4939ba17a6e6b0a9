"""Process one scan: read it, segment it, judge it and measure its regions, one result per row.

Worker processes and reuse of earlier results are in ``pancseg.running``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import SimpleITK as sitk

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.cohort.roi import Ring
from pancseg.errors import OutputError, UnusableCase
from pancseg.features.extract import compute_features, region_on_grid
from pancseg.features.memory import check_memory
from pancseg.features.regions import Region, region_by_settings
from pancseg.features.result import FeatureResult
from pancseg.features.segment_privacy import hide_names
from pancseg.processing import fingerprint
from pancseg.processing.picture_files import Seen, write_pictures
from pancseg.processing.picture_names import Mark, mark_of
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult, DraftRow, case_result
from pancseg.quality.verdict import (
    CUT_OFF,
    Verdict,
    judge_agreement,
    judge_checked_region,
    judge_looks,
    judge_resegmented,
    judge_scan,
)
from pancseg.review.look import BY_PERSON, CORRECTED, GIVEN
from pancseg.scans.geometry import has_same_grid
from pancseg.scans.masks import read_mask
from pancseg.scans.placement import check_within, moved_to_grid, placed
from pancseg.scans.reading import read_scan
from pancseg.scans.segments import cut_at
from pancseg.scans.writing import write_scan
from pancseg.system.lazy import Lazy
from pancseg.system.optional import require_torch
from pancseg.system.processes.memory_limit import is_out_of_memory
from pancseg.system.stage import begin_stage
from pancseg.system.timing import timed

if TYPE_CHECKING:
    from pancseg.segmentation.segmenter import Segmenter
    from pancseg.segmentation.uncertainty import DropoutPasses

log = logging.getLogger(__name__)

_KEPT = "its shape and its volume are those of a part"
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
        ready_looks_dice: agreement of the two looks that made the existing mask, if it is known.
        features_bytes: memory that the features of each region may take; None for no limit.
        pictures: folder to write the rows' pictures to; None for none.
        corrected: keys of the cases whose region a person corrected in the given mask.
    """

    cases: tuple[Case, ...]
    new_mask: Path | None = None
    ready_mask: Path | None = None
    ready_source: str = ""
    ready_looks_dice: float | None = None
    features_bytes: int | None = None
    pictures: Path | None = None
    corrected: frozenset[str] = frozenset()


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
        self._features_bytes: int | None = None
        self._corrected: frozenset[str] = frozenset()
        self._typed: frozenset[str] = frozenset()  # names of segments in the task's expressions
        self._position = 1, 1  # of the region in work among those of its scan
        self._by = plan.judging
        self._limits = self._by.limits
        self._passes = _dropout_passes(self.segmenter, plan) if self.segmenter else None

    def results(
        self,
        task: ScanTask,
        on_mask: Callable[[Path, float | None], None] = lambda _path, _looks_dice: None,
    ) -> Iterator[CaseResult]:
        """Yield one result per case of the task, in order.

        The scan is read, segmented and judged once, and each given mask is read once. An error
        becomes the result of the cases that it affects.

        Args:
            task: the rows of one scan.
            on_mask: called after ``new_mask`` was written, before the first result, with the path
                and the agreement of the two looks (None with one).

        Raises:
            OutputError: ``new_mask`` or a picture cannot be written.
        """
        self._features_bytes, self._corrected = task.features_bytes, task.corrected
        self._typed = frozenset(n for c in task.cases if c.mask_label for n in c.mask_label.names)
        scan = Lazy(lambda: self._judged_scan(task.cases[0]))
        shared = Lazy(lambda: self._shared_mask(task, scan.get()))
        mask = shared.value() if any(map(self.takes_shared, task.cases)) else None
        if mask and mask.is_new and task.new_mask:
            _write(mask.image, task.new_mask)
            on_mask(task.new_mask, mask.looks_dice)
        masks = self._with_masks(task.cases, scan, shared)
        for number, (case, given_or_shared) in enumerate(masks, 1):
            self._position, seen = (number, len(task.cases)), Seen()
            fill = partial(self._fill, case=case, scan=scan, mask=given_or_shared, seen=seen)
            result = case_result(case, fill, self._by)
            if task.pictures:
                read = scan.value()
                image = read.image if read else None
                write_pictures(task.pictures, case, mark_of(result.values), image, seen)
            yield result

    def draw(self, task: ScanTask, marks: Sequence[Mark]) -> None:
        """Make the pictures of rows that were made before, but not the rows.

        Args:
            task: the rows of one scan; if they need the network's mask, it exists.
            marks: what the pictures of each row show.

        Raises:
            OutputError: a picture cannot be written.
        """
        assert task.pictures is not None
        self._features_bytes = task.features_bytes
        scan = Lazy(lambda: self._judged_scan(task.cases[0]))
        shared = Lazy(lambda: self._shared_mask(task, scan.get()))
        drawn = self._with_masks(task.cases, scan, shared)
        for (case, mask), mark in zip(drawn, marks, strict=True):
            read, labels, seen = scan.value(), mask.value() if mask else None, Seen()
            if read and labels:
                with suppress(UnusableCase):
                    seen.region = self._region(case, read.image, labels).image
            if read and seen.region is not None and mark.measured:
                seen.measured = self._measured(read.image, seen.region)
            write_pictures(task.pictures, case, mark.text, read.image if read else None, seen)

    def draw_scan(self, results: Sequence[CaseResult], folder: Path) -> None:
        """Make the pictures of rows for which no mask was looked at: the scan's slices alone.

        Args:
            results: the rows, all of one scan.
            folder: the folder of pictures, which exists.

        Raises:
            OutputError: a picture cannot be written.
        """
        scan = Lazy(lambda: self._judged_scan(results[0].case))
        for result in results:
            read = scan.value()
            image = read.image if read else None
            write_pictures(folder, result.case, mark_of(result.values), image, Seen())

    def result_of(
        self, case: Case, scan: Callable[[], sitk.Image], mask: Callable[[], sitk.Image]
    ) -> CaseResult:
        """Return the result of a case whose scan and mask are already in memory.

        Args:
            case: ids and region; its files are not read.
            scan: returns the volume.
            mask: returns the label map. A mask on another grid makes the case unusable, unless it
                covers a box of the scan's, or the settings let pyradiomics resample masks.
        """
        self._features_bytes, self._position, self._corrected = None, (1, 1), frozenset()
        judged = Lazy(lambda: self._judged(scan()))
        drawn = Lazy(lambda: self._given_mask(mask(), judged))
        fill = partial(self._fill, case=case, scan=judged, mask=drawn, seen=Seen())
        return case_result(case, fill, self._by)

    def _measured(self, scan: sitk.Image, region: sitk.Image) -> sitk.Image | None:
        """Return the region on the features' grid, for a picture; None if it cannot be made."""
        settings = self._plan.settings
        if settings is None:
            return None
        try:
            with timed("pictures"):
                if self._features_bytes is not None:
                    check_memory(scan, region, settings, self._features_bytes)
                return region_on_grid(scan, region, settings)
        except Exception:  # such as too little memory; the row itself is done
            log.debug("no region on the features' grid", exc_info=True)
            return None

    def takes_shared(self, case: Case) -> bool:
        """Return whether a case's region comes from the mask that the network makes of its scan."""
        return self._plan.takes_shared(case)

    def _with_masks(
        self, cases: Sequence[Case], scan: Lazy[_Scan], shared: Lazy[_Mask]
    ) -> Iterator[tuple[Case, Lazy[_Mask] | None]]:
        """Yield each case with its mask; a given mask is released once no later case needs it."""
        given: dict[Path, Lazy[_Mask]] = {}
        for index, case in enumerate(cases):
            if case.mask and self._plan.takes_given(case):
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
            image, source = self._read_mask(task.ready_mask, scan.image), task.ready_source
            looks_dice = task.ready_looks_dice
        elif self.segmenter:
            image, looks_dice = self.segmenter.segment_and_compare(scan.image)
            source = self.segmenter.checkpoint.name
        else:
            raise UnusableCase("no_mask", "there is no mask for this scan; segment it first")
        on_grid = placed(scan.image, image)  # a correction may be cut to the box that was drawn in
        image, agreement = on_grid.image, None
        if self._passes and self.segmenter and source == self.segmenter.checkpoint.name:
            begin_stage("uncertainty")
            agreement = self._passes.agreement(scan.image, image)
        is_new = task.ready_mask is None
        return _Mask(image, source, agreement, looks_dice, is_new=is_new, note=on_grid.note)

    def _read_given_mask(self, path: Path, scan: Lazy[_Scan]) -> _Mask:
        image = scan.get().image  # before the mask: an unreadable scan is the reason to report
        return self._placed(image, self._read_mask(path, image))

    def _read_mask(self, path: Path, scan: sitk.Image) -> sitk.Image:
        """Read a mask; errors say that they are about the mask."""
        try:
            mask = read_mask(path, scan)
        except UnusableCase as unusable:
            raise UnusableCase(unusable.code, f"the mask: {unusable.fact}") from unusable
        if self._plan.pseudonyms:
            hide_names(mask, self._typed)
        return mask

    def _given_mask(self, mask: sitk.Image, scan: Lazy[_Scan]) -> _Mask:
        return self._placed(scan.get().image, mask)

    def _placed(self, scan: sitk.Image, mask: sitk.Image) -> _Mask:
        settings = self._plan.settings
        found = settings.placed(scan, mask) if settings else placed(scan, mask)
        return _Mask(found.image, GIVEN, note=found.note)

    @property
    def _hu(self) -> bool:
        """Whether the settings assume that scans are in HU."""
        return self._plan.settings is None or bool(self._plan.settings.ibsi.get("hu", True))

    def _fill(
        self, row: DraftRow, case: Case, scan: Lazy[_Scan], mask: Lazy[_Mask] | None, seen: Seen
    ) -> None:
        """Fill the row of one case; running out of memory makes the case unusable."""
        try:
            self._fill_all(row, case, scan, mask, seen)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise UnusableCase("memory", NO_MEMORY) from error
            raise

    def _fill_all(
        self, row: DraftRow, case: Case, scan: Lazy[_Scan], mask: Lazy[_Mask] | None, seen: Seen
    ) -> None:
        image, digest, verdict, voxels = scan.get()
        row.values["image_sha256"] = digest
        if voxels:
            row.values[VOXELS] = voxels
        _add(row, verdict)
        if mask is None:
            return
        drawn = mask.get()
        source = CORRECTED if case.key in self._corrected else drawn.source
        row.values["qc_mask_source"] = source
        row.drawn = source in BY_PERSON
        region = self._region(case, image, drawn)
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
        settings = self._plan.settings
        if settings is None or self._plan.command == "check":
            return
        if row.ends_step():
            begin_stage("features", *self._position)
            with timed("features"):
                if self._features_bytes is not None:
                    check_memory(image, region.image, settings, self._features_bytes)
                found = compute_features(image, region.image, settings)
            seen.measured = found.measured
            self._add_features(row, found)

    def _add_agreement(self, row: DraftRow, mask: _Mask) -> None:
        """Add how well masks made with dropout agree, and the two looks, where it is known."""
        if mask.agreement is not None:
            _add(row, judge_agreement(mask.agreement, self._limits))
        if mask.looks_dice is not None:
            _add(row, judge_looks(mask.looks_dice, self._limits))

    def _region(self, case: Case, scan: sitk.Image, mask: _Mask) -> Region:
        given = mask.source == GIVEN and self._plan.settings
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
            kept = self._plan.keep_truncated_shape
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
        kept = row.drawn and self._plan.keep_truncated_shape
        if "truncated" in row.judgement.reasons and not kept:
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
        looks_dice: agreement of the first look with both, 0–1; None if there were not two.
        is_new: whether the network has just made it.
        note: what is unusual about its grid.
    """

    image: sitk.Image
    source: str
    agreement: float | None = None
    looks_dice: float | None = None
    is_new: bool = False
    note: str = ""


def _loaded(plan: ProcessingPlan) -> Segmenter:
    from pancseg.segmentation.segmenter import load_segmenter

    assert plan.weights is not None
    return load_segmenter(
        plan.weights,
        threads=plan.threads,
        engine=plan.engine,
        precision=plan.precision,
        looks=plan.looks,
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


def _refuse_region(case: Case) -> _Mask:
    fact = f"there is no mask for {case.roi!r}, and the network segments {DEFAULT_ROI!r} only"
    raise UnusableCase("no_mask", f"{fact}; give a mask for it")


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
