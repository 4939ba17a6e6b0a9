"""Process one scan: read it, segment it, judge it and measure its regions, one result per row.

Worker processes and reuse of earlier results are in ``pancseg.running``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from pancseg.cohort.case import Case
from pancseg.errors import OutputError, UnusableCase
from pancseg.processing.picture_files import Seen, write_pictures
from pancseg.processing.picture_names import Mark, mark_of
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult, case_result
from pancseg.processing.row_filler import RowFiller
from pancseg.processing.scan_reading import ScanReader, judged_scan, load_network, placed_mask
from pancseg.processing.scan_task import ScanTask
from pancseg.scans.writing import write_scan
from pancseg.system.lazy import Lazy
from pancseg.system.timing import timed

if TYPE_CHECKING:
    from pancseg.segmentation.segmenter import Segmenter


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
            FileNotFoundError, ValueError: as :func:`.scan_reading.load_network`.
        """
        self._plan, self._by = plan, plan.judging
        self._network = load_network(plan, segmenter)
        self.segmenter = self._network.segmenter if self._network else None

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
        reader = ScanReader(task, self._plan, self._network)
        filler = RowFiller(self._plan, task.features_bytes, task.corrected)
        mask = reader.shared.value() if any(map(self.takes_shared, task.cases)) else None
        if mask and mask.is_new and task.new_mask:
            _write(mask.image, task.new_mask)
            on_mask(task.new_mask, mask.looks_dice)
        for number, (case, given_or_shared) in enumerate(reader.masks(), 1):
            here, seen = replace(filler, position=(number, len(task.cases))), Seen()
            fill = partial(here.fill, case=case, scan=reader.scan, mask=given_or_shared, seen=seen)
            result = case_result(case, fill, self._by)
            if task.pictures:
                read = reader.scan.value()
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
        reader = ScanReader(task, self._plan, self._network)
        filler = RowFiller(self._plan, task.features_bytes)
        for (case, mask), mark in zip(reader.masks(), marks, strict=True):
            read, labels, seen = reader.scan.value(), mask.value() if mask else None, Seen()
            if read and labels:
                with suppress(UnusableCase):
                    seen.region = filler.region(case, read.image, labels).image
            if read and seen.region is not None and mark.measured:
                seen.measured = filler.measured(read.image, seen.region)
            write_pictures(task.pictures, case, mark.text, read.image if read else None, seen)

    def draw_scan(self, results: Sequence[CaseResult], folder: Path) -> None:
        """Make the pictures of rows for which no mask was looked at: the scan's slices alone.

        Args:
            results: the rows, all of one scan.
            folder: the folder of pictures, which exists.

        Raises:
            OutputError: a picture cannot be written.
        """
        scan = ScanReader(ScanTask((results[0].case,)), self._plan, self._network).scan
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
        judged = Lazy(lambda: judged_scan(scan(), self._plan))
        drawn = Lazy(lambda: placed_mask(judged.get().image, mask(), self._plan))
        fill = partial(RowFiller(self._plan).fill, case=case, scan=judged, mask=drawn, seen=Seen())
        return case_result(case, fill, self._by)

    def takes_shared(self, case: Case) -> bool:
        """Return whether a case's region comes from the mask that the network makes of its scan."""
        return self._plan.takes_shared(case)


def _write(mask: sitk.Image, path: Path) -> None:
    try:
        with timed("write the mask"):
            write_scan(mask, path)
    except OSError as error:
        raise OutputError(*error.args) from error
