"""Name the measures that models are compared by, and where net benefit is taken."""

from __future__ import annotations

from pancseg.modelling import survival
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.settings import ModelSettings, unit_of
from pancseg.modelling.times import timed
from pancseg.system.text.number_text import percent


def main_measure(kind: str) -> str:
    """Return the measure that models of a kind, ``subtype`` or ``survival``, are compared by."""
    return "AUC" if kind == "subtype" else "Harrell's C"


def brier_measure(kind: str) -> str:
    """Return the name of the Brier score of a kind, ``subtype`` or ``survival``."""
    return "Brier" if kind == "subtype" else "integrated Brier"


def benefit_at(plan: ValidationPlan, settings: ModelSettings) -> str:
    """Return the threshold of the net benefit, and for survival its horizon, as text."""
    if not isinstance(plan.task, survival.SurvivalTask):
        return f"threshold {percent(plan.y.mean())}"
    risk = survival.treatment_threshold(plan.y, plan.task.middle)
    time = timed(plan.task.middle, unit_of(settings.time_unit))
    return f"threshold {percent(risk)}, by {time}"
