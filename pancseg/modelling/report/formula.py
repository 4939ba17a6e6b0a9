"""The section of the report that writes the saved linear models as formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pancseg.modelling.plain.model import PlainModel
from pancseg.modelling.plain.predictors import Cox, Logistic
from pancseg.modelling.report.model_numbers import Tuning, baseline, linear_terms
from pancseg.modelling.report.parts import Picture, Section, class_called, digits
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import BOTH, RADIOMICS
from pancseg.modelling.times import timed
from pancseg.modelling.words import counted
from pancseg.system.text.number_text import DASH
from pancseg.tables.html_page import escape_markdown

SHOWN = (RADIOMICS, BOTH)
"""The models whose formula the report writes; the files have that of every linear model."""


_RULES = (
    "A missing value becomes the one under *if missing*; a value beyond the limits is moved onto "
    "them."
)
_ESTIMATED = " *Estimated*: from the patient's other values, by the equation in model.json."


def formula_sections(
    saved: SavedModel, tuned: Mapping[str, Tuning], pictures: Mapping[str, Picture]
) -> list[Section]:
    """Return a section per model of :data:`SHOWN` that was saved.

    Args:
        saved: the models.
        tuned: model → the candidate chosen.
        pictures: model → its nomogram, where it has one.
    """
    found: list[Section] = []
    for name in SHOWN:
        if name in saved.models:
            section = _formula(name, saved, tuned.get(name), _pictures(name, pictures))
            if any(before.rows for before in found):
                same = f"Missing values and limits as for {SHOWN[0]}."
                section = replace(section, caption=section.caption.replace(_RULES, same))
            found.append(section)
    return found


def _pictures(name: str, pictures: Mapping[str, Picture]) -> list[Picture]:
    return [pictures[name]] if name in pictures else []


def _formula(
    name: str, saved: SavedModel, tuned: Tuning | None, pictures: Sequence[Picture]
) -> Section:
    model = saved.models[name]
    title = f"The model as a formula: {name}"
    lines = []
    if tuned is not None and tuned.candidates > 1:
        lines.append(
            f"Setting chosen for the saved model: {escape_markdown(tuned.chosen)}; the same as in "
            f"{tuned.alike} of {counted(tuned.models, 'outer model')}."
        )
    terms = linear_terms(model)
    if terms is None:
        why = "It uses no column." if not model.columns else "It consists of trees."
        return Section(title, [*lines, f"{why} There is no formula; model.safetensors holds it."])
    used = terms[terms["coefficient"] != 0]
    idle = [str(each) for each in terms.loc[terms["coefficient"] == 0, "name"]]
    if idle:
        names = ", ".join(map(escape_markdown, idle[:8])) + (", …" if len(idle) > 8 else "")
        of = (
            "coefficient of 1 column is"
            if len(idle) == 1
            else f"coefficients of {len(idle)} columns are"
        )
        lines.append(f"The {of} 0: {names}.")
    if not len(used):
        lines.append("All coefficients are 0: the model predicts the same for every patient.")
    lines += _equation(model, saved)
    ratio = "hazard ratio per SD" if saved.kind == "survival" else "odds ratio per SD"
    rows = [
        [
            escape_markdown(str(row["name"])),
            *(digits(row[key]) for key in ("coefficient", "mean", "sd")),
            digits(float(np.exp(row["coefficient"]))),
            "estimated" if np.isnan(row["if_missing"]) else digits(row["if_missing"]),
            _range(row["lowest"], row["highest"]),
        ]
        for row in used.to_dict("records")
    ]
    header = ["variable", "coefficient", "mean", "SD", ratio, "if missing", "limits"]
    estimated = _ESTIMATED if used["if_missing"].isna().any() else ""
    caption = (
        f"Terms of the model {name}. {_shrunken(name)}{_RULES}{estimated} Exact values: "
        "coefficients.csv, model.json."
    )
    return Section(title, lines, header if rows else (), rows, pictures, caption)


def _shrunken(name: str) -> str:
    if name == BOTH:
        return (
            "The clinical variables have no penalty; the coefficients of features are those of "
            "radiomics, shrunken by its penalty, times the weight of the radiomics score, and "
            "their means are those at which the score is at its mean out of inner folds. There are "
            "no standard errors. "
        )
    return "Coefficients are shrunken by the penalty and have no standard errors. "


def _range(lowest: float, highest: float) -> str:
    """Return the limits of a variable as text."""
    if np.isnan(lowest) and np.isnan(highest):
        return DASH
    return f"{digits(lowest)} to {digits(highest)}"


def _equation(model: PlainModel, saved: SavedModel) -> list[str]:
    """Return the sentences that say how the terms become a prediction."""
    each = "coefficient × (value − mean) / SD, added up over the variables"
    if isinstance(model.predictor, Logistic):
        positive = class_called(escape_markdown(str(saved.facts["classes"][1])))
        start = digits(float(model.predictor.intercept[0]))
        return [
            f"Log odds of {positive} = {start} + {each}. Probability = 1 / (1 + exp(−log odds)). "
            f"From a probability of {digits(model.threshold)} on, {positive} is predicted."
        ]
    assert isinstance(model.predictor, Cox)
    times, curve = baseline(model)
    unit = unit_of(saved.facts.get("time_unit"))
    values = [
        f"{digits(_at(times, curve, time))} at {timed(time, unit)}"
        for time in saved.facts.get("horizons") or ()
    ]
    return [
        f"Log hazard, relative to a patient at the values under mean = {each}. Probability of "
        "being event-free at time t = S₀(t) to the power of exp(log hazard), with S₀ = "
        f"{', '.join(values)} (all times: baseline\\_survival.csv). Risk is called high above a "
        f"log hazard of {digits(model.threshold)}, the median of the training."
        + (
            " Competing events count as censored: the probability is the one without them, if they "
            "are independent of the event, and no share of patients."
            if saved.facts.get("competing")
            else ""
        )
    ]


def _at(times: np.ndarray, curve: np.ndarray, time: float) -> float:
    step = int(np.searchsorted(times, time, side="right"))
    return float(np.concatenate([[1.0], curve])[step])
