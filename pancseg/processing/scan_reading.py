"""Read a scan and the masks of its rows, or let the network make one, on the scan's grid."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import SimpleITK as sitk

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.errors import UnusableCase
from pancseg.features.segment_privacy import hide_names
from pancseg.processing import fingerprint
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.scan_task import ScanTask
from pancseg.quality.verdict import Verdict, judge_scan
from pancseg.review.look import GIVEN
from pancseg.scans.masks import read_mask
from pancseg.scans.placement import placed
from pancseg.scans.reading import read_scan
from pancseg.system.lazy import Lazy
from pancseg.system.optional import require_torch
from pancseg.system.stage import begin_stage
from pancseg.system.timing import timed

if TYPE_CHECKING:
    from pancseg.segmentation.segmenter import Segmenter
    from pancseg.segmentation.uncertainty import DropoutPasses


class JudgedScan(NamedTuple):
    """A scan and its verdict.

    Attributes:
        image: the volume.
        digest: hash of the image.
        verdict: on the scan alone.
        voxels: hash of the voxels alone; empty unless the plan's command is ``check``.
    """

    image: sitk.Image
    digest: str
    verdict: Verdict
    voxels: str


class PlacedMask(NamedTuple):
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


class Network(NamedTuple):
    """The network of a run.

    Attributes:
        segmenter: makes masks.
        passes: tells the uncertainty of a mask that it made; None if not requested.
    """

    segmenter: Segmenter
    passes: DropoutPasses | None


def load_network(plan: ProcessingPlan, segmenter: Segmenter | None) -> Network | None:
    """Load the network of a plan; None if it has no weights.

    Args:
        plan: what is done with every scan.
        segmenter: a loaded segmenter, used instead of the plan's weights.

    Raises:
        FileNotFoundError, ValueError: as :func:`pancseg.segmentation.segmenter.load_segmenter`;
            ValueError also if the plan asks for the uncertainty of a network without dropout.
    """
    segmenter = segmenter or (None if plan.weights is None else _loaded(plan))
    return Network(segmenter, _dropout_passes(segmenter, plan)) if segmenter else None


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


def judged_scan(image: sitk.Image, plan: ProcessingPlan) -> JudgedScan:
    """Return a volume with its hash and the verdict on it alone."""
    settings = plan.settings
    hu = settings is None or bool(settings.ibsi.get("hu", True))
    with timed("judge"):
        voxels = fingerprint.of_voxels(image) if plan.command == "check" else ""
        digest = fingerprint.of_image(image)
        return JudgedScan(image, digest, judge_scan(image, plan.judging.limits, hu=hu), voxels)


def placed_mask(scan: sitk.Image, mask: sitk.Image, plan: ProcessingPlan) -> PlacedMask:
    """Return a mask that the user gave, on the grid that the settings want it on."""
    found = plan.settings.placed(scan, mask) if plan.settings else placed(scan, mask)
    return PlacedMask(found.image, GIVEN, note=found.note)


class ScanReader:
    """Reads the scan and the masks of a task, each once and only if a row needs it.

    Attributes:
        scan: the scan, judged.
        shared: the mask of the network, existing or new.
    """

    def __init__(self, task: ScanTask, plan: ProcessingPlan, network: Network | None) -> None:
        """Prepare to read.

        Args:
            task: the rows of one scan.
            plan: what is done with every scan.
            network: makes the mask, if there is none; None for no network.
        """
        self._task, self._plan, self._network = task, plan, network
        self.scan = Lazy(self._read_scan)
        self.shared = Lazy(lambda: self._shared_mask(self.scan.get()))

    def masks(self) -> Iterator[tuple[Case, Lazy[PlacedMask] | None]]:
        """Yield each case with its mask; a given mask is released once no later case needs it."""
        cases = self._task.cases
        given: dict[Path, Lazy[PlacedMask]] = {}
        for index, case in enumerate(cases):
            if case.mask and self._plan.takes_given(case):
                read = partial(self._read_given_mask, case.mask)
                mask = given.setdefault(case.mask, Lazy(read))
                if all(later.mask != case.mask for later in cases[index + 1 :]):
                    del given[case.mask]
                yield case, mask
            elif self._plan.takes_shared(case):
                yield case, self.shared
            elif self._plan.command == "check":
                yield case, None
            else:
                yield case, Lazy(partial(_refuse_region, case))

    def _read_scan(self) -> JudgedScan:
        case = self._task.cases[0]
        with timed("read the scan"):
            image = read_scan(case.image, series_uid=case.series_uid)
        return judged_scan(image, self._plan)

    def _shared_mask(self, scan: JudgedScan) -> PlacedMask:
        """Return the existing mask, or else the network's, on the scan's grid."""
        task, network = self._task, self._network
        if task.ready_mask:
            image, source = self._read_mask(task.ready_mask, scan.image), task.ready_source
            looks_dice = task.ready_looks_dice
        elif network:
            image, looks_dice = network.segmenter.segment_and_compare(scan.image)
            source = network.segmenter.checkpoint.name
        else:
            raise UnusableCase("no_mask", "there is no mask for this scan; segment it first")
        on_grid = placed(scan.image, image)  # a correction may be cut to the box that was drawn in
        image, agreement = on_grid.image, None
        if network and network.passes and source == network.segmenter.checkpoint.name:
            begin_stage("uncertainty")
            agreement = network.passes.agreement(scan.image, image)
        is_new = task.ready_mask is None
        return PlacedMask(image, source, agreement, looks_dice, is_new=is_new, note=on_grid.note)

    def _read_given_mask(self, path: Path) -> PlacedMask:
        image = self.scan.get().image  # before the mask: an unreadable scan is the reason to report
        return placed_mask(image, self._read_mask(path, image), self._plan)

    def _read_mask(self, path: Path, scan: sitk.Image) -> sitk.Image:
        """Read a mask; errors say that they are about the mask."""
        try:
            mask = read_mask(path, scan)
        except UnusableCase as unusable:
            raise UnusableCase(unusable.code, f"the mask: {unusable.fact}") from unusable
        if self._plan.pseudonyms:
            hide_names(mask, self._task.typed)
        return mask


def _refuse_region(case: Case) -> PlacedMask:
    fact = f"there is no mask for {case.roi!r}, and the network segments {DEFAULT_ROI!r} only"
    raise UnusableCase("no_mask", f"{fact}; give a mask for it")
