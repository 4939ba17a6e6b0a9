"""A saved model as numbers that anybody can compute with: ``model.json`` and two tables.

``model.json`` holds all that a prediction needs; the tables hold the same for a spreadsheet. Models
of trees have no short form: of them only the columns are given, and ``model.safetensors`` holds the
rest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.estimators.described import described
from pancseg.modelling.plain.arrays import Floats
from pancseg.modelling.plain.model import PlainModel, UsedColumns
from pancseg.modelling.plain.predictors import Constant, Cox, KaplanMeier, Logistic
from pancseg.modelling.saved_model import SavedModel

FORMAT, PLAIN_FORMAT = 2, 1
"""A file without equations for missing values has the format before, which is the same but for
them."""
_NO_LIMIT = np.finfo(np.float64).max
INTERCEPT = "(intercept)"
COEFFICIENT_COLUMNS = (
    "model", "variable", "block", "coefficient", "coefficient_per_unit", "ratio_per_sd",
    "if_missing", "lowest", "highest", "mean", "sd",
)  # fmt: skip


@dataclass(frozen=True)
class Tuning:
    """Which candidate of a model was chosen.

    Attributes:
        chosen: its settings as text.
        candidates: number of candidates.
        counts: settings as text → in how many of the outer models of the cross-validation; empty
            for a single candidate.
    """

    chosen: str
    candidates: int
    counts: Mapping[str, int]

    @property
    def models(self) -> int:
        """Number of outer models."""
        return sum(self.counts.values())

    @property
    def alike(self) -> int:
        """Number of outer models in which the inner folds chose what the saved model has."""
        return self.counts.get(self.chosen, 0)


def tuned(results: AnalysisResults) -> dict[str, Tuning]:
    """Return, by model, which of its candidates was chosen."""
    return {
        spec.name: tuning_of(
            spec.candidates,
            results.final[spec.name].choice,
            results.validation.models[spec.name].choices,
        )
        for spec in results.plan.specs
    }


def tuning_of(candidates: Sequence[Any], choice: int, choices: Sequence[int]) -> Tuning:
    """Return what was chosen among candidates.

    Args:
        candidates: unfitted estimators.
        choice: place of the one that the saved model is.
        choices: places of those chosen in the outer folds.
    """
    names = [described(each) for each in candidates]
    counts = Counter(names[place] for place in sorted(choices)) if len(candidates) > 1 else {}
    return Tuning(names[choice], len(candidates), dict(counts))


def model_json(saved: SavedModel, tuned: Mapping[str, Tuning]) -> str:
    """Return the text of ``model.json``; numbers read back bit for bit.

    Args:
        saved: the models.
        tuned: model → the candidate chosen.
    """
    facts = saved.facts
    imputes = any(model.imputes for model in saved.models.values())
    content = {
        "format": FORMAT if imputes else PLAIN_FORMAT,
        "made_by": facts["made_by"],
        "kind": saved.kind,
        "outcome": facts["outcome"],
        "classes": facts["classes"],
        "time_unit": facts.get("time_unit"),
        "horizons": list(facts.get("horizons") or ()),
        "patients": facts["patients"],
        "levels": facts["origin"]["levels"],
        "volume": facts["origin"]["volume"],
        "models": {
            name: _as_numbers(model, facts["batches"]) | _tuning(tuned.get(name))
            for name, model in saved.models.items()
        },
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _tuning(found: Tuning | None) -> dict[str, Any]:
    if found is None:
        return {}
    counts = dict(found.counts)
    return {"chosen": found.chosen, "candidates": found.candidates, "chosen_in_folds": counts}


def _as_numbers(model: PlainModel, batches: Sequence[str] | None) -> dict[str, Any]:
    """Return the plain values of one model."""
    predictor, numbers = model.predictor, linear_terms(model)
    columns: list[dict[str, Any]] = []
    for part in model.parts:
        for place, name in enumerate(part.names):
            column = {
                "name": name,
                "block": part.block,
                "if_missing": part.scaling.median[place],
                "lowest": _limit(part.scaling.low[place]),
                "highest": _limit(part.scaling.high[place]),
            }
            if part.effects is not None:
                column["site_effects"] = _site_effects(part, place, batches or ())
            columns.append(column)
    found: dict[str, Any] = {"predictor": _KINDS.get(type(predictor), "trees")}
    if numbers is not None:
        for column, row in zip(columns, numbers.to_dict("records"), strict=True):
            column |= {key: row[key] for key in ("mean", "sd", "coefficient")}
    match predictor:
        case Logistic():
            found["intercept"] = float(predictor.intercept[0])
        case Constant():
            found["probability"] = float(predictor.share[0])
        case Cox() | KaplanMeier():
            times, curve = baseline(model)
            found["baseline"] = {"times": times.tolist(), "event_free": curve.tolist()}
        case _:
            found["note"] = "trees; see model.safetensors"
    if model.imputes:
        found["missing_values"] = {"rule": _RULE, "parts": _equations(model, batches or ())}
    return found | {"threshold": model.threshold, "columns": columns}


_RULE = (
    "Values are moved within lowest and highest first. A missing one starts at if_missing; where "
    "its column has an equation it then is intercept + sum of coefficient x value (+ that of the "
    "site), moved within least and most of the equation. If values in an equation were missing, "
    "too, all equations are repeated in their order until nothing changes."
)


def _equations(model: PlainModel, sites: Sequence[str]) -> list[dict[str, Any]]:
    """Return the equations of each part that has some, and the columns that only they use."""
    found = []
    for part in model.parts:
        if part.imputation is None:
            continue
        names, imputation = (*part.names, *part.beside), part.imputation
        each, width = imputation.equations, len(names)
        others = [
            {
                "name": name,
                "if_missing": float(each.start[place]),
                "lowest": _limit(imputation.low[place]),
                "highest": _limit(imputation.high[place]),
            }
            for place, name in enumerate(names)
            if place >= len(part.names)
        ]
        equations = []
        for row, target in enumerate(each.target):
            terms = list(zip(each.predictors[row].tolist(), each.coefficients[row], strict=True))
            equation: dict[str, Any] = {
                "name": names[target],
                "intercept": float(each.intercept[row]),
                "coefficients": {names[j]: float(b) for j, b in terms if b and j < width},
                "least": float(each.least[row]),
                "most": float(each.most[row]),
            }
            if len(each.batches):
                equation["sites"] = {
                    sites[each.batches[j - width]]: float(b) for j, b in terms if j >= width
                }
            equations.append(equation)
        found.append({"block": part.block, "other_columns": others, "equations": equations})
    return found


_KINDS: dict[type, str] = {
    Logistic: "logistic",
    Cox: "cox",
    Constant: "constant",
    KaplanMeier: "kaplan_meier",
}


def _site_effects(part: UsedColumns, place: int, names: Sequence[str]) -> dict[str, Any]:
    """Return ComBat's numbers: x becomes ((x − mean) / scale − shift) / spread · scale + mean."""
    effects = part.effects
    assert effects is not None
    sites = {
        names[code]: {
            "shift": float(effects.shift[row, place]),
            "spread": float(effects.spread[row, place]),
        }
        for row, code in enumerate(effects.batches)
    }
    return {
        "mean": float(effects.mean[place]),
        "scale": float(effects.scale[place]),
        "sites": sites,
    }


def is_linear(model: PlainModel) -> bool:
    """Return whether a model is a sum of coefficients times columns."""
    return isinstance(model.predictor, Logistic | Cox) and bool(model.columns)


def linear_terms(model: PlainModel) -> pd.DataFrame | None:
    """Return the terms of a linear model, a row per column that it uses; None for other models.

    Returns:
        ``name``, ``block``, ``coefficient`` (of the column minus ``mean``, divided by ``sd``),
        ``if_missing`` (NaN: estimated by an equation), ``lowest`` and ``highest`` (values beyond
        them are moved onto them; NaN: no limit), ``mean``, ``sd``.
    """
    if not is_linear(model):
        return None
    predictor: Any = model.predictor
    spread = np.concatenate([part.scaling.spread for part in model.parts])
    centre = np.concatenate([part.scaling.centre for part in model.parts])
    shift = predictor.mean if isinstance(predictor, Cox) else np.zeros(len(spread))
    return pd.DataFrame(
        {
            "name": model.columns,
            "block": [part.block for part in model.parts for _ in part.names],
            "coefficient": np.asarray(predictor.coefficients),
            "if_missing": np.concatenate([_if_missing(part) for part in model.parts]),
            "lowest": _limits([part.scaling.low for part in model.parts]),
            "highest": _limits([part.scaling.high for part in model.parts]),
            "mean": centre + spread * shift,
            "sd": spread,
        }
    )


def _if_missing(part: UsedColumns) -> Floats:
    """Return what replaces a missing value of each column; NaN where an equation estimates it."""
    if part.imputation is None:
        return part.scaling.median
    estimated = np.isin(np.arange(len(part.names)), part.imputation.equations.target)
    return np.where(estimated, np.nan, part.scaling.median)


def _limit(value: float) -> float | None:
    """Return a limit, None for one that limits nothing."""
    return float(value) if abs(value) < _NO_LIMIT else None


def _limits(parts: Sequence[Floats]) -> Floats:
    """Return limits side by side, NaN for those that limit nothing."""
    values = np.concatenate(parts)
    return np.where(np.abs(values) < _NO_LIMIT, values, np.nan)


def baseline(model: PlainModel) -> tuple[Floats, Floats]:
    """Return event times, and from each on the probability of being event-free.

    It is that of a patient at the means of all columns, or of every patient without columns.
    """
    predictor = model.predictor
    if isinstance(predictor, Cox):
        return predictor.times, np.asarray(np.exp(-predictor.hazard))
    assert isinstance(predictor, KaplanMeier)
    return predictor.times, predictor.event_free_share


def coefficient_table(models: Mapping[str, PlainModel]) -> pd.DataFrame:
    """Return ``coefficients.csv``: a row per term of each linear model, the intercept first.

    A missing value is ``if_missing``; where that is empty, model.json has an equation. One beyond
    ``lowest`` or ``highest`` is moved onto it. ``coefficient`` is of (value − mean) / sd;
    ``coefficient_per_unit`` of the value itself; ``ratio_per_sd`` is the odds or hazard ratio per
    standard deviation.
    """
    rows: list[tuple[Any, ...]] = []
    for name, model in models.items():
        terms = linear_terms(model)
        if terms is None:
            continue
        if isinstance(model.predictor, Logistic):
            blank = (np.nan,) * (len(COEFFICIENT_COLUMNS) - 4)
            rows.append((name, INTERCEPT, "", float(model.predictor.intercept[0]), *blank))
        for term in terms.itertuples(index=False):
            each: Any = term
            rows.append(
                (
                    *(name, each.name, each.block, each.coefficient, each.coefficient / each.sd),
                    *(np.exp(each.coefficient), each.if_missing, each.lowest, each.highest),
                    *(each.mean, each.sd),
                )
            )
    return pd.DataFrame(rows, columns=list(COEFFICIENT_COLUMNS))


def baseline_table(models: Mapping[str, PlainModel]) -> pd.DataFrame:
    """Return ``baseline_survival.csv``: by model and time, the probability of being event-free.

    A patient's probability is this one to the power of exp(sum of the terms).
    """
    parts = []
    for name, model in models.items():
        if isinstance(model.predictor, Cox | KaplanMeier):
            times, curve = baseline(model)
            parts.append(pd.DataFrame({"model": name, "time": times, "event_free": curve}))
    return pd.concat(parts, ignore_index=True)
