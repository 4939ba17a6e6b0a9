"""How new patients differ from those of the training: case mix, values outside the range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pancseg.modelling.report.external.judged import Judged
from pancseg.modelling.report.parts import Section, digits
from pancseg.modelling.saved_model import SavedModel, columns_read
from pancseg.modelling.study import SHOWN
from pancseg.tables.html_page import escape_markdown

_EDGE = 1e-12


def case_mix_section(judged: Judged, shown: Sequence[str]) -> Section:
    """Return mean and spread of the linear predictors, in the training and in the new patients.

    Args:
        judged: the new patients.
        shown: the models.
    """
    known = judged.saved.facts.get("scores") or {}
    rows = []
    for name in shown:
        linear = judged.linear(name)
        here = linear[~np.isnan(linear)]
        if name in known and len(here) > 1:
            # The mean of a Cox model is 0 but for rounding.
            values = [v if abs(v) > _EDGE else 0.0 for v in (*known[name], here.mean(), here.std())]
            rows.append([name, *map(digits, values)])
    if not rows:
        return Section("Case mix", ["The model file does not hold that of the training."])
    what = "log hazard" if judged.survival else "log odds"
    lines = [
        f"The spread of the predicted {what} says how different the patients are from each other: "
        "with a smaller spread than in the training, a lower "
        f"{judged.main} is expected even of a valid model; another mean is another average risk. "
        "The model was fitted to its training patients, so its spread in them is somewhat too "
        "large."
    ]
    header = ["model", "training: mean", "training: SD", "new: mean", "new: SD"]
    return Section("Case mix", lines, header, rows, caption=f"Predicted {what}, by cohort.")


def outside_counts(
    judged: Judged, model: str | None = None
) -> tuple[int, list[tuple[str, int, int, float, float]]] | None:
    """Return the rows with a value outside the training's range, and counts by column.

    Args:
        judged: the new patients.
        model: the model whose columns count; None: those of all models.
    """
    models = judged.saved.models
    mine = None if model is None else {name for _, name in columns_read(models[model])}
    ranges = judged.saved.facts.get("ranges")
    if not ranges:
        return None
    anywhere, found = np.zeros(len(judged.y), bool), []
    for name, (low, high) in ranges.items():
        if name not in judged.values or (mine is not None and name not in mine):
            continue
        values = judged.values[name]
        with np.errstate(invalid="ignore"):
            out = (values < low) | (values > high)
        anywhere |= out
        found.append((name, int(out.sum()), int(np.isnan(values).sum()), low, high))
    return int(anywhere.sum()), found


def outside_section(judged: Judged) -> Section:
    """Return the columns with values outside the training's range, or missing."""
    title = "Values outside the range of the training"
    counts = outside_counts(judged)
    if counts is None:
        return Section(title, ["The model file does not hold the ranges of the training."])
    total, columns = counts
    rows = [
        [escape_markdown(name), f"{digits(low)} to {digits(high)}", str(out), str(missing)]
        for name, out, missing, low, high in sorted(columns, key=lambda each: (-each[1], each[0]))
        if out or missing
    ]
    lines = [
        f"{total} of {len(judged.y)} rows {'has' if total == 1 else 'have'} a value that a model "
        f"uses outside the range of the training; columns used: {len(columns)}."
    ]
    header = ["column", "training", "outside", "missing"]
    caption = "Columns with values outside the training's range, or missing."
    return Section(title, lines, header if rows else (), rows, caption=caption)


def values_of(saved: SavedModel, blocks: Mapping[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Return the values of the columns that the shown models use, by name.

    Those by which missing values of others are estimated are among them.
    """
    found: dict[str, np.ndarray] = {}
    for name in SHOWN:
        model = saved.models.get(name)
        for block, column in () if model is None else columns_read(model):
            if block in blocks:
                values = blocks[block].reindex(columns=pd.Index([column]))
                found[column] = values[column].to_numpy(float)
    return found
