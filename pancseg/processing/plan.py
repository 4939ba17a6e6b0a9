"""Owns what is asked of a run; light enough for processes that do none of it themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pancseg.features.settings import FeatureSettings
from pancseg.quality.limits import DEFAULT_LIMITS, QualityLimits


@dataclass(frozen=True)
class ProcessingPlan:
    """What is to be done with every scan of a run.

    Attributes:
        command: ``segment`` makes and judges masks, ``extract`` and ``run`` measure features,
            ``check`` judges what is there.
        settings: of the features, with the limits of the verdict; None for ``segment``.
        limits: of the verdict for ``segment``.
        weights: a shipped name or a file; None: no network.
        engine: what runs the network.
        precision: of its arithmetic.
        threads: of the network.
        keep_failed: measure features of regions that fail the verdict too.
        allow_code: accept weights of a network outside pancseg, whose code then runs.
        uncertainty: passes of the network with dropout; 0: not asked.
    """

    command: Literal["segment", "extract", "run", "check"]
    settings: FeatureSettings | None
    weights: str | None = None
    engine: str = "auto"
    precision: str = "fp32"
    threads: int = 1
    keep_failed: bool = False
    uncertainty: int = 0
    limits: QualityLimits = DEFAULT_LIMITS
    allow_code: bool = False
