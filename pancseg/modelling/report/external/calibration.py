"""Calibration of a saved model in new patients, and the corrections that would mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pancseg.modelling.recalibration import (
    recalibrated_class,
    recalibrated_survival,
)
from pancseg.modelling.report.external.curves import calibration_picture, not_computed
from pancseg.modelling.report.external.judged import Judged, followed
from pancseg.modelling.report.parts import Section, digits, with_interval
from pancseg.modelling.times import named_time
from pancseg.modelling.validation.measures import Estimate, bootstrap_weights, estimate
from pancseg.modelling.validation.new_patients import FEWEST
from pancseg.modelling.validation.observed_expected import observed_over_expected
from pancseg.system.text.number_text import DASH


def calibration_of(judged: Judged, name: str, resamples: int) -> dict[str, Estimate]:
    """Return calibration in the large of a model: a shift or ratios of observed to expected.

    Args:
        judged: the new patients.
        name: of the model.
        resamples: number of resamples of the patient bootstrap.
    """
    known = judged.known(name)
    weights = bootstrap_weights(judged.groups[known], resamples, 0)
    y = judged.y[known]
    if not judged.survival:
        risk = judged.scores[name][known]
        ratio = observed_over_expected(y, risk, weights)
        return {
            "in the large": judged.measures[name]["calibration-in-the-large"],
            "observed / expected": estimate(ratio),
        }
    found = {}
    for place, horizon in enumerate(judged.horizons):
        if not followed(y, horizon):
            continue
        risk = 1 - judged.event_free[name][known, place]
        at_horizon = estimate(observed_over_expected(y, risk, weights, horizon))
        if int((y["event"] & (y["time"] <= horizon)).sum()) < FEWEST:  # no event: 0 (0 to 0)
            at_horizon = Estimate(at_horizon.value, np.nan, np.nan)
        found[f"observed / expected at {named_time(horizon)}"] = at_horizon
    return found


def calibration_section(
    judged: Judged, calibrated: Mapping[str, Mapping[str, Estimate]]
) -> Section:
    """Return the section on calibration in the large, slope and ICI.

    Args:
        judged: the new patients.
        calibrated: model → the result of :func:`calibration_of`.
    """
    names = list(dict.fromkeys(key for found in calibrated.values() for key in found))
    measured = judged.measures
    indices = list(
        dict.fromkeys(key for n in calibrated for key in measured[n] if key[:3] == "ICI")
    )
    rows = []
    for name, found in calibrated.items():
        cells = [with_interval(found[key]) if key in found else DASH for key in names]
        cells.append(with_interval(measured[name]["calibration slope"]))
        cells += [
            with_interval(measured[name][k]) if k in measured[name] else DASH for k in indices
        ]
        rows.append([name, *cells])
    lines = [
        "Observed / expected is 1 where the average risk is right; above 1 the model's risks are "
        "too low. A slope between 0 and 1 means that risks are too extreme, one of 0 or below "
        "that they do not go with the outcome. ICI, the integrated calibration index, is the mean "
        "distance of the smooth curve from the diagonal over patients."
    ]
    if not judged.survival:
        lines[0] += (
            " In the large is the shift of the log odds that would make the average "
            "risk right (slope kept at 1); 0 is ideal."
        )
    lines += not_computed(
        judged, list(calibrated), ("smooth curve and ICI", "smooth curves and ICI")
    )
    header = ["model", *names, "slope", *indices]
    caption = "Calibration, with 95 % intervals."
    if judged.survival:
        caption += f" Times are in {judged.unit}."
    return Section("Calibration", lines, header, rows, [calibration_picture(judged)], caption)


def recalibration_section(judged: Judged, shown: Sequence[str]) -> Section:
    """Return the corrections of each model that fit the new patients best.

    Args:
        judged: the new patients.
        shown: the models.
    """
    rows = []
    for name in shown:
        known = judged.known(name)
        linear, y = judged.linear(name)[known], judged.y[known]
        if np.ptp(linear) < 1e-9:
            continue
        if judged.survival:
            times = np.array([t for t in judged.horizons if followed(y, t)])
            new = recalibrated_survival(y, linear, times)
            free = ", ".join(
                f"{digits(v)} at {named_time(t)}" for t, v in zip(times, new.baseline, strict=True)
            )
            centre = new.centre if abs(new.centre) > 1e-12 else 0.0  # but for rounding
            rows.append([name, digits(new.slope), digits(centre), free or DASH])
        else:
            found = recalibrated_class(y, linear)
            rows.append([name, *map(digits, found)])
    if judged.survival:
        line = (
            "Fitted to the new patients: event-free = S₀(t) to the power of exp(slope × (log "
            "hazard − centre))."
        )
        header = ["model", "slope", "centre", f"S₀ ({judged.unit})"]
    else:
        line = (
            "Fitted to the new patients: either log odds + shift, or intercept + slope × log odds."
        )
        header = ["model", "shift alone", "intercept", "slope"]
    lines = [line, "A recalibrated model is a new model: it has to be tested on others again."]
    caption = "Recalibration of the saved models."
    return Section("Recalibration", lines, header if rows else (), rows, caption=caption)
