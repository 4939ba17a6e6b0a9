"""The plan of a run: what is done with every scan.

It imports no network and no features, so that a process that only distributes scans stays small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.features.settings import FeatureSettings
from pancseg.processing.evidence import Judging
from pancseg.quality.limits import DEFAULT_LIMITS, QualityLimits
from pancseg.review.decisions import NO_REVIEWS, Reviews
from pancseg.segmentation import DEFAULT_ENGINE, DEFAULT_PRECISION


@dataclass(frozen=True)
class ProcessingPlan:
    """What is done with every scan of a run.

    Attributes:
        command: ``segment`` makes and judges masks, ``extract`` and ``run`` measure features,
            ``check`` judges scans and the masks that exist.
        settings: feature settings, with the limits of the verdict; None for ``segment``.
        limits: limits of the verdict for ``segment``.
        weights: name of shipped weights or path of a checkpoint; None for no network.
        engine: name of the engine that runs the network.
        precision: precision of the network's arithmetic.
        looks: 1 or 2 looks of the segmenter; None for as many as the weights have networks for.
        threads: CPU threads of the network.
        keep_failed: measure features also of regions that fail the verdict.
        keep_truncated_shape: measure the shape also of a region that the scan's edge cuts off, if
            a person drew it.
        reviews: what people decided about masks.
        pseudonyms: the ids are pseudonyms, so that names in masks are not shown either.
        allow_code: accept weights of a network outside pancseg, whose code then runs.
        uncertainty: passes of the network with dropout; 0 for none.
        pictures: make pictures of every row for the report's page.
    """

    command: Literal["segment", "extract", "run", "check"]
    settings: FeatureSettings | None
    weights: str | None = None
    engine: str = DEFAULT_ENGINE
    precision: str = DEFAULT_PRECISION
    threads: int = 1
    keep_failed: bool = False
    uncertainty: int = 0
    limits: QualityLimits = DEFAULT_LIMITS
    allow_code: bool = False
    pictures: bool = False
    keep_truncated_shape: bool = False
    reviews: Reviews = NO_REVIEWS
    pseudonyms: bool = False
    looks: int | None = None

    def takes_given(self, case: Case) -> bool:
        """Return whether a case's region comes from the mask that the user gave for it."""
        return case.mask is not None and self.command != "segment"

    def takes_shared(self, case: Case) -> bool:
        """Return whether a case's region comes from the mask that the network makes of its scan."""
        if self.command == "check" or self.takes_given(case):
            return False
        named = case.mask_label is not None and self.command != "segment"
        return case.roi == DEFAULT_ROI or named

    @property
    def judging(self) -> Judging:
        """By what the rows are judged."""
        limits = self.settings.limits if self.settings else self.limits
        return Judging(limits, self.keep_failed, self.reviews)
