"""The results of an analysis, which reports are made from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pancseg.modelling import survival
from pancseg.modelling.analysis.calibration import Calibration
from pancseg.modelling.cross_validation.fitted_models import FittedModel
from pancseg.modelling.cross_validation.out_of_fold import ValidationResult
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.internal_external import SiteResult
from pancseg.modelling.optimism import Corrected
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.validation.canary import Canary
from pancseg.modelling.validation.comparison import Comparison
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.validation.risk_groups import RiskGroups


@dataclass(frozen=True)
class AnalysisResults:
    """Everything that a report is made from.

    Attributes:
        plan: data, folds and models that were compared.
        settings: the choices made beforehand.
        validation: out-of-fold predictions.
        canaries: runs of the declared model on data without a signal, which reveal leaks.
        final: model → the model fitted on all patients.
        measures: model → measure → estimate. Empty when a canary finds a signal, as are the
            attributes below.
        comparisons: (a, b) → model a less model b.
        calibration: model → :class:`.Calibration`.
        corrected: model → AUC or C, and Brier score → corrected for optimism by the bootstrap.
        decision: net benefit with its interval by model and threshold.
        groups: patients of high and low risk; None for a class, or if all are in one group.
        verdict: sentences on what radiomics adds, and on what speaks against it.
        doubts: those of them that come first, as they put every number in doubt.
        sites: performance in each site by models fitted on the others, if that was asked for.
    """

    plan: ValidationPlan
    settings: ModelSettings
    validation: ValidationResult
    canaries: list[Canary]
    final: dict[str, FittedModel]
    measures: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    corrected: dict[str, dict[str, Corrected]] = field(default_factory=dict)
    decision: pd.DataFrame = field(default_factory=pd.DataFrame)
    groups: RiskGroups | None = None
    verdict: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    sites: tuple[SiteResult, ...] = ()

    @property
    def horizons(self) -> tuple[float, ...]:
        """The times that survival is reported for; none for a class."""
        task = self.plan.task
        return task.horizons if isinstance(task, survival.SurvivalTask) else ()

    @property
    def middle(self) -> float:
        """The horizon of net benefit and of the risks that are shown; for survival alone."""
        assert isinstance(self.plan.task, survival.SurvivalTask)
        return self.plan.task.middle

    def event_free_at(self, name: str, horizon: int) -> np.ndarray:
        """Return (repeats, n) out-of-fold probabilities at a horizon, given by its place."""
        curves, task = self.validation.models[name].curves, self.plan.task
        assert curves is not None
        assert isinstance(task, survival.SurvivalTask)
        return task.event_free(curves, task.horizons[horizon])

    @property
    def leaks(self) -> bool:
        """Whether a canary found a signal where there is none."""
        return any(canary.sings for canary in self.canaries)

    @property
    def differences(self) -> dict[tuple[str, str], Estimate]:
        """(a, b) → difference in the main measure, a minus b."""
        return {pair: found.discrimination for pair, found in self.comparisons.items()}


def is_tested(results: AnalysisResults) -> bool:
    """Return whether a likelihood-ratio test was made: not where patients have several rows."""
    return any(not np.isnan(one.added_p) for one in results.comparisons.values())
