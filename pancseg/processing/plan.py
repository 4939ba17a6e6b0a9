"""The plan of a run: what is done with every scan.

It imports no network and no features, so that a process that only distributes scans stays small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pancseg.features.settings import FeatureSettings
from pancseg.quality.limits import DEFAULT_LIMITS, QualityLimits
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
        threads: CPU threads of the network.
        keep_failed: measure features also of regions that fail the verdict.
        allow_code: accept weights of a network outside pancseg, whose code then runs.
        uncertainty: passes of the network with dropout; 0 for none.
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
