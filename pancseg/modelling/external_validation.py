"""Judge a saved model by new patients' known outcomes: external validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.endpoint import Endpoint, subtype_outcome, survival_outcome_of
from pancseg.modelling.external_measures import (
    benefit_threshold,
    index_name,
    measured_externally,
    middle_of,
)
from pancseg.modelling.inputs.cell_values import MISSING_CLASS, is_missing, is_missing_class
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.outcome_coding import EventCoding
from pancseg.modelling.inputs.spelling import meaning
from pancseg.modelling.predict import column_of, curve_column, horizons_of
from pancseg.modelling.refusals import FEWEST_EVENTS, FEWEST_OF_CLASS
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SHOWN, VOLUME
from pancseg.modelling.subtype import NET_BENEFIT
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.limits import difference_of, honest
from pancseg.modelling.validation.measures import Estimate, estimate
from pancseg.modelling.validation.new_patients import risks_of, smooth_curves

_VALIDATION_COLUMNS = (
    "model", "measure", "value", "low_95", "high_95", "rows", "positive_or_events", "kind",
)  # fmt: skip
_ANOTHER_UNIT = 7
"""Median times that differ by more than this are probably in two units.

A month has 30 days and a year 12 months; medians of two cohorts rarely differ that much.
"""


def known_outcome(
    saved: SavedModel,
    joined: JoinedTable,
    positive: str | None,
    event_is: str | None,
) -> tuple[JoinedTable, Endpoint] | None:
    """Return the new patients whose outcome is known, and the endpoint; None if there are none.

    Competing events are told apart where the event column is coded as the model's was.

    Args:
        saved: the model.
        joined: new patients.
        positive: the class to tell from all others, where its name differs from the model's.
        event_is: the value that means event, where it differs from the model's.

    Raises:
        ValueError: outcomes that cannot be understood (see :mod:`.inputs.outcome_coding`), or a
            class that the model was not fitted with.
    """
    columns = saved.facts["outcome"]
    if not set(columns) <= set(joined.outcomes):
        return None
    others, classes = tuple(saved.facts["others"]), saved.facts["classes"]
    missing = is_missing_class(joined.outcomes[columns[-1]], (*others, *classes))
    if (missing | is_missing(joined.outcomes[columns[0]], MISSING_CLASS)).all():
        return None
    if saved.kind == "subtype":
        others = () if positive else others
        positive = positive or classes[1]
        return subtype_outcome(joined, columns[0], positive, others)
    known = saved.facts["event_is"]
    alike = event_is is None or (known is not None and meaning(event_is) == meaning(known))
    rivals = tuple(saved.facts["competing"]) if alike else ()
    coding = EventCoding(event_is or known, rivals, fitted=event_is is None or bool(rivals))
    return survival_outcome_of(joined, columns[0], columns[1], coding, True)


@dataclass(frozen=True)
class NewPatients:
    """New patients with a known outcome, and what the saved models predict for them.

    Attributes:
        saved: the models.
        table: the result of :func:`.predict.predictions`, n rows.
        y: (n,) outcomes of the same rows.
        groups: (n,) patients of the same rows.
    """

    saved: SavedModel
    table: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray

    def predicted_by(self, *names: str) -> NewPatients | None:
        """Return those whom all of these models predict.

        None if the table lacks one of the models, or they are of one class or have no event.
        """
        columns = [column_of(name) for name in names]
        if not set(columns) <= set(self.table):
            return None
        known = self.table[columns].notna().all(axis=1).to_numpy()
        if not _has_contrast(self.saved.kind, self.y[known]):
            return None
        return replace(self, table=self.table[known], y=self.y[known], groups=self.groups[known])


def external(new: NewPatients, resamples: int = 1000) -> dict[str, dict[str, Estimate]]:
    """Return measures of the saved models on patients that they have not seen.

    A model is left out where the patients that it predicts are of one class, or have no event; a
    measure where too few patients have or lack the event.

    Args:
        new: these patients.
        resamples: number of resamples of the patient bootstrap.

    Raises:
        ValueError: all patients are of one class or have no event, or no model is left.
    """
    saved = new.saved
    if not _has_contrast(saved.kind, new.y):
        what = "no event" if saved.kind == "survival" else "only one class"
        raise ValueError(
            f"external validation is not possible: {what} in {len(new.y)} patients; they were "
            "predicted"
        )
    threshold = benefit_threshold(saved, new.y)
    times = horizons_of(saved) if saved.kind == "survival" else []
    found = {}
    for name in SHOWN:
        known = new.predicted_by(name)
        if known is None:
            continue
        weights = measures.bootstrap_weights(known.groups, resamples, 0)
        vectors = measured_externally(saved, name, known.table, known.y, weights, threshold)
        found[name] = {
            measure: honest(estimate(values), measure, known.y, known.groups)
            for measure, values in vectors.items()
        }
        score = known.table[column_of(name)].to_numpy(float)
        free = known.table[[curve_column(name, t) for t in times]].to_numpy(float)
        curves = smooth_curves(risks_of(known.y, score, free, times), weights)
        found[name] |= {index_name(time): curve.ici for time, curve in curves.items()}
    if not found:
        raise ValueError(
            "external validation is not possible: no model predicts patients both with and without "
            "the event or positive class"
        )
    return found


def differences(
    new: NewPatients, resamples: int = 1000
) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Return what one model has more than another, in the patients that both predict.

    Args:
        new: patients that the models have not seen.
        resamples: number of resamples of the patient bootstrap.

    Returns:
        (a, b) → measure → a less b: AUC or Harrell's C, Brier scores, net benefit. Unlike in the
        report of the training, a second model below 0.5 counts as it is: here no model is made to
        rank the wrong way round.
    """
    saved = new.saved
    threshold, main, found = benefit_threshold(saved, new.y), main_measure(saved.kind), {}
    for a, b in ((BOTH, CLINICAL), (RADIOMICS, VOLUME)):
        known = new.predicted_by(a, b)
        if known is None:
            continue
        weights = measures.bootstrap_weights(known.groups, resamples, 0)
        how = (known.table, known.y, weights, threshold)
        more, less = (measured_externally(saved, name, *how) for name in (a, b))
        found[a, b] = {
            name: estimate(values - less[name])
            for name, values in more.items()
            if name == main or "Brier" in name or name.startswith(NET_BENEFIT)
        }
        if more[main][0] == less[main][0] == 1:  # no resample can tell them apart
            alone = honest(estimate(more[main]), main, known.y, known.groups)
            found[a, b][main] = difference_of(alone, alone)
    return found


def doubts(saved: SavedModel, y: np.ndarray) -> list[str]:
    """Return warnings about new patients' outcomes that are few or look odd.

    Args:
        saved: the model.
        y: (n,) their outcomes.
    """
    if not len(y):
        return []
    few = "warning: {} of {} rows {}, too few to judge the model by; give at least {}"
    if saved.kind == "subtype":
        smaller = int(min(y.sum(), len(y) - y.sum()))
        line = few.format(smaller, len(y), "are of the smaller class", FEWEST_OF_CLASS)
        return [line] * (smaller < FEWEST_OF_CLASS)
    events, middle = int(y["event"].sum()), middle_of(saved)
    longest, usual = float(y["time"].max()), float(np.median(y["time"]))
    found = [few.format(events, len(y), "have an event", FEWEST_EVENTS)] * (events < FEWEST_EVENTS)
    if middle >= longest:
        found.append(
            f"warning: no patient was followed up to {middle:.3g}, the middle of the model's times "
            f"(the longest follow-up is {longest:.3g}); measures at that time are left empty"
        )
    fitted = saved.facts.get("median_time") or usual
    if not fitted / _ANOTHER_UNIT < usual < fitted * _ANOTHER_UNIT:
        found.append(
            f"warning: times are about {usual:.3g} here and {fitted:.3g} in the model's cohort; "
            "are both in the same unit?"
        )
    return found


def validation_table(
    found: Mapping[str, Mapping[str, Estimate]],
    more: Mapping[tuple[str, str], Mapping[str, Estimate]],
    table: pd.DataFrame,
    y: np.ndarray,
    apparent: bool = False,
) -> pd.DataFrame:
    """Return the result of :func:`external` as a table, a row per model and measure.

    Args:
        found: the result of :func:`external`.
        more: that of :func:`differences`.
        table: the predictions that were judged.
        y: (n,) their outcomes.
        apparent: whether the patients are those that the model was fitted on.
    """
    positive = np.asarray(y["event"] if y.dtype.names else y, bool)
    of = "apparent performance" if apparent else "external validation"
    parts: list[tuple[tuple[str, ...], str, Mapping[str, Estimate]]] = [
        ((name,), name, measured) for name, measured in found.items()
    ]
    parts += [
        ((a, b), f"{a} − {b}", {f"difference in {m}": one for m, one in measured.items()})
        for (a, b), measured in more.items()
    ]
    rows = []
    for models, name, measured in parts:
        known = table[[column_of(model) for model in models]].notna().all(axis=1).to_numpy()
        counts = int(known.sum()), int(positive[known].sum())
        rows += [
            (name, m, one.value, one.low, one.high, *counts, of) for m, one in measured.items()
        ]
    return pd.DataFrame(rows, columns=list(_VALIDATION_COLUMNS))


def is_validation_table(path: Path) -> bool:
    """Return whether a file is there and begins as :func:`validation_table` does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.readline(1000).decode("utf-8-sig", "replace")
    columns = tuple(header.strip().split(","))
    return columns in (_VALIDATION_COLUMNS, _VALIDATION_COLUMNS[:-1])  # older ones lack the kind


def _has_contrast(kind: str, y: np.ndarray) -> bool:
    if kind == "survival":
        return bool(y["event"].any())
    return 0 < int(y.sum()) < len(y)
