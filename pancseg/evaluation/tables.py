"""Make the tables of an evaluation: cases, summary, comparisons and the paper's Table 2."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from pancseg.evaluation.metrics import MaskMeasures
from pancseg.evaluation.published import parameters_of, published_dice, published_name
from pancseg.evaluation.scores import MaskScore
from pancseg.evaluation.statistics import Comparison, Summary, compare, holm, summarise

SEED = 0
"""Seed of the bootstrap: the same masks give the same intervals, to the last digit."""

SUMMARISED = (
    "dice",
    "hd95_mm",
    "surface_dice_2mm",
    "volume_error_ml",
    "volume_error_percent",
    "absolute_volume_error_percent",
)
COMPARED = ("dice", "hd95_mm", "surface_dice_2mm", "absolute_volume_error_percent")
TESTS = ("t_test_p", "paired_t_p", "wilcoxon_p")


_PUBLISHED = ("published_dice_mean", "published_dice_std")


def cases_table(scores: Sequence[MaskScore], models: Sequence[str]) -> pd.DataFrame:
    """Return one row per model and case, sorted by model and then by case."""
    blank: dict[str, Any] = dict.fromkeys(MaskMeasures._fields, float("nan"))
    rows = [
        {"model": s.model, "case_id": s.case_id, "status": s.status, "reason": s.reason}
        | (s.measures._asdict() if s.measures else blank)
        for s in sorted(scores, key=lambda s: models.index(s.model))
    ]
    return pd.DataFrame(rows)


def summary_table(cases: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Return one row per model and measure."""
    rows = []
    for model in models:
        of_model = _with_absolute(cases[cases["model"] == model])
        for measure in SUMMARISED:
            found = summarise(of_model[measure].to_numpy(), SEED)
            rows.append({"model": model, "measure": measure} | found._asdict())
    return pd.DataFrame(rows, columns=["model", "measure", *Summary._fields])


def comparison_table(cases: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Return one row per measure and pair of models, compared on their common cases.

    Each test's p-values are corrected by Holm's method over all pairs of models within a measure.
    """
    wide = _with_absolute(cases).pivot(index="case_id", columns="model")
    tables = []
    for measure in COMPARED:
        rows = []
        for a, b in combinations(models, 2):
            of_a, of_b = (wide[measure][model].to_numpy(dtype=float) for model in (a, b))
            found = compare(of_a, of_b, SEED)._asdict()
            rows.append({"measure": measure, "model_a": a, "model_b": b} | found)
        table = pd.DataFrame(rows, columns=["measure", "model_a", "model_b", *Comparison._fields])
        for test in TESTS:
            column = list(table.columns).index(test) + 1
            table.insert(column, f"{test}_holm", holm(table[test].tolist()))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def table_2(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    models: Sequence[str],
    *,
    published: bool = False,
) -> pd.DataFrame:
    """Return the paper's table: network, parameters, Dice, and p-values against one network.

    That network is MoNet if it is among the models, else the first. What the paper reports of a
    network stands in the columns ``parameters``, ``published_dice_mean`` and
    ``published_dice_std``, only with ``published``, as a model's name alone says who it claims
    to be.
    """
    baseline = next((m for m in models if published_name(m) == "monet"), models[0])
    dice = comparisons[comparisons["measure"] == "dice"]
    rows: list[dict[str, Any]] = []
    for model in models:
        of_model = summary[(summary["model"] == model) & (summary["measure"] == "dice")].iloc[0]
        pair = dice[
            ((dice["model_a"] == model) & (dice["model_b"] == baseline))
            | ((dice["model_a"] == baseline) & (dice["model_b"] == model))
        ]
        parameters: dict[str, Any] = {}
        reported: dict[str, Any] = {}
        if published:
            parameters = {"parameters": parameters_of(model)}
            reported = dict(zip(_PUBLISHED, published_dice(model), strict=True))
        rows.append(
            {
                "network": model,
                **parameters,
                "n": of_model["n"],
                "dice_mean": of_model["mean"],
                "dice_std": of_model["std"],
                **reported,
                "compared_with": baseline if len(pair) else "",
                **{
                    column: pair[column].iloc[0] if len(pair) else np.nan
                    for column in ("t_test_p", "wilcoxon_p_holm")
                },
            }
        )
    kinds = {"n": "int64"} | ({"parameters": "Int64"} if published else {})
    return pd.DataFrame(rows).astype(kinds)


def csv(table: pd.DataFrame) -> str:
    """Return a table as CSV with LF line ends, empty missing cells and floats with all digits."""
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def _with_absolute(cases: pd.DataFrame) -> pd.DataFrame:
    return cases.assign(absolute_volume_error_percent=cases["volume_error_percent"].abs())
