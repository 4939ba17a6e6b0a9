"""The model to be saved: fitted on all patients, and what new patients are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.outputs.settings_file import plain_origin
from pancseg.modelling.overlap import row_hashes, salt_of, telling_columns, with_all_digits
from pancseg.modelling.plain.from_fitted import plain_model
from pancseg.modelling.plain.model import PlainModel
from pancseg.modelling.report.external.judged import linear_of
from pancseg.modelling.report.report import made_by
from pancseg.modelling.saved_model import SavedModel, helping_features, used_features
from pancseg.modelling.study import CLINICAL, RADIOMICS, SINGLE, VOLUME, batch_codes
from pancseg.modelling.survival import time_grid


def saved_model(
    results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint, options: TableOptions
) -> SavedModel:
    """Return the declared model and those it is compared with, fitted on all patients."""
    columns = {name: block.names for name, block in results.plan.blocks.items()}
    models = {
        name: plain_model(fitted, columns)
        for name, fitted in results.final.items()
        if name != SINGLE and not name.startswith("radiomics, ")
    }
    used = {*used_features(models), *helping_features(models)}
    features = [name for name in joined.origin.features if name in used]
    told = telling_columns(joined.features)
    salt = salt_of(joined.features.to_numpy(float))
    facts: dict[str, Any] = {
        "row_columns": told,
        "exact_columns": with_all_digits(joined.features, told),
        "salt": salt,
        "competing": list(results.settings.competing),
        "origin": {**plain_origin(joined.origin), "features": features},
        "batches": None if joined.batch is None else list(batch_codes(joined.batch)[1]),
        "batch_column": options.batch,
        "exclude_warn": options.exclude_warn,
        "outcome": list(endpoint.columns),
        "classes": list(endpoint.classes),
        "others": list(endpoint.others),
        "event_is": results.settings.event_is,
        "times": list(time_grid(endpoint.y)) if endpoint.kind == "survival" else [],
        "patients": len(endpoint.y),
        "made_by": made_by(),
    }
    if endpoint.kind == "survival":
        facts["median_time"] = float(np.median(endpoint.y["time"]))
        facts["time_unit"] = results.settings.time_unit
        facts["horizons"] = list(results.horizons)
        facts["middle"] = results.middle
    facts |= _training_facts(results, joined, models)
    rows = np.sort(row_hashes(joined.features, told, salt), axis=0)  # in no order of patients
    return SavedModel(endpoint.kind, models, facts, rows)


def _training_facts(
    results: AnalysisResults, joined: JoinedTable, models: Mapping[str, PlainModel]
) -> dict[str, Any]:
    """Return what new patients are compared with: ranges, linear predictors, performance."""
    blocks = training_values(joined)
    codes = None if joined.batch is None else batch_codes(joined.batch)[0]
    ranges: dict[str, tuple[float, float]] = {}
    scores: dict[str, tuple[float, float]] = {}
    for name, model in models.items():
        if not model.columns:
            continue
        score = model.predictor.score(model.prepared(blocks, codes, len(joined.features)))
        linear = score if results.horizons else linear_of(score)
        scores[name] = float(linear.mean()), float(linear.std())
        for part in model.parts:
            for column in (*part.names, *part.beside):
                values = blocks[part.block][column].dropna()
                ranges[str(column)] = float(values.min()), float(values.max())
    main = main_measure(results.settings.kind)
    measures = {
        name: {main: (found[main].value, found[main].low, found[main].high)}
        for name, found in results.measures.items()
        if name in models and np.isfinite([found[main].low, found[main].high]).all()
    }
    return {"ranges": ranges, "scores": scores, "measures": measures}


def training_values(joined: JoinedTable) -> dict[str, pd.DataFrame]:
    """Return block → (n, columns) values of the patients that the models are fitted to."""
    return {RADIOMICS: joined.features, VOLUME: joined.volume, CLINICAL: joined.clinical}
