"""New patients with a known outcome, as the report of an external validation takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.estimators.competing import COMPETING
from pancseg.modelling.report.parts import of_class
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.settings import unit_of
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.words import counted
from pancseg.tables.html_page import escape_markdown

_EDGE = 1e-12


@dataclass(frozen=True)
class Judged:
    """New patients with a known outcome, and what the models predict for them.

    Attributes:
        saved: the models.
        scores: model → (n,) probabilities or log hazards, NaN without a prediction.
        event_free: model → (n, horizons) probabilities; empty for a class.
        y: (n,) outcomes.
        groups: (n,) patients.
        values: name of a column that a model uses → (n,) values, NaN where missing.
        measures: model → measure → estimate.
        differences: (a, b) → measure → what model a has more than model b.
        size: the number of patients, as text.
        doubts: warnings about the outcomes.
        horizons: times that survival is predicted for.
        own: number of patients left out, as the model was fitted on them.
        overlap_known: whether the model's own patients could be told.
        cause: (n,) 0 censored, 1 event, 2 competing event; None where competing events were not
            named, or cannot be told.
    """

    saved: SavedModel
    scores: Mapping[str, np.ndarray]
    event_free: Mapping[str, np.ndarray]
    y: np.ndarray
    groups: np.ndarray
    values: Mapping[str, np.ndarray]
    measures: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[tuple[str, str], Mapping[str, Estimate]]
    size: str
    doubts: Sequence[str] = ()
    horizons: Sequence[float] = ()
    own: int = 0
    overlap_known: bool = True
    cause: np.ndarray | None = None

    @property
    def survival(self) -> bool:
        """Whether the outcome is the time to an event."""
        return self.saved.kind == "survival"

    @property
    def positive(self) -> np.ndarray:
        """(n,) whether a patient has the event or is of the positive class."""
        return np.asarray(self.y["event"] if self.survival else self.y, dtype=bool)

    @property
    def unit(self) -> str:
        """The unit of times."""
        return unit_of(self.saved.facts.get("time_unit"))

    @property
    def main(self) -> str:
        """The measure that models are compared by."""
        return main_measure(self.saved.kind)

    @property
    def counts(self) -> str:
        """The number of events and of competing events, or of rows by class, as Markdown."""
        count, n = int(self.positive.sum()), len(self.y)
        if self.survival:
            return f"{counted(count, 'event')}{self._rivals}"
        rest, positive = map(escape_markdown, self.saved.facts["classes"][:2])
        return f"{of_class(count, positive)} and {of_class(n - count, rest)}"

    @property
    def _rivals(self) -> str:
        """What counts as censored beside an event, where the model knows competing events."""
        if not self.saved.facts["competing"]:
            return ""
        if self.cause is None:
            return " (competing events cannot be told from the censored, and count as such)"
        rivals = int((self.cause == COMPETING).sum())
        as_what = "counts" if rivals == 1 else "count"
        return f" and {counted(rivals, 'competing event')}, which {as_what} as censored"

    def known(self, name: str) -> np.ndarray:
        """Return (n,) whether a model predicts each row."""
        return np.asarray(~np.isnan(self.scores[name]))

    def linear(self, name: str) -> np.ndarray:
        """Return (n,) linear predictors: log odds or log hazards."""
        score = self.scores[name]
        return score if self.survival else linear_of(score)


def linear_of(probability: np.ndarray) -> np.ndarray:
    """Return log odds; probabilities of 0 and 1 become finite ones."""
    return np.asarray(logit(np.clip(probability, _EDGE, 1 - _EDGE)))


def followed(y: np.ndarray, horizon: float) -> bool:
    """Return whether somebody was followed up beyond a time."""
    return bool((y["time"] > horizon).any())
