"""Write the files of an analysis, all together or none at all."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pancseg.cohort.formulas import refuse_formulas
from pancseg.modelling.analysis import (
    AnalysisResults,
    Calibration,
    brier_measure,
    main_measure,
)
from pancseg.modelling.cohort import Cohort
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.described import described
from pancseg.modelling.inputs.features_table import TableOptions, TableOrigin
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.optimism import optimism_table, trusted
from pancseg.modelling.overlap import row_hashes, salt_of, telling_columns, with_all_digits
from pancseg.modelling.plain.from_fitted import plain_model
from pancseg.modelling.plain.model import PlainModel
from pancseg.modelling.report.checklists import checklists
from pancseg.modelling.report.cohort_section import cohort_sections, flow_files, outcome_counts
from pancseg.modelling.report.external.judged import linear_of
from pancseg.modelling.report.figures import PERFORMANCE, feature_table, pictures
from pancseg.modelling.report.formula import formula_sections
from pancseg.modelling.report.missing_section import missing_section
from pancseg.modelling.report.model_card import model_card
from pancseg.modelling.report.model_numbers import (
    baseline_table,
    coefficient_table,
    model_json,
    tuned,
)
from pancseg.modelling.report.nomogram import nomograms
from pancseg.modelling.report.parts import Section, columns_named, markdown
from pancseg.modelling.report.picture_files import KINDS
from pancseg.modelling.report.report import made_by, sections
from pancseg.modelling.report.sites_section import sites_files, sites_section
from pancseg.modelling.report.subgroups import Subgroup, subgroup_section
from pancseg.modelling.report.word import word_document
from pancseg.modelling.saved_model import (
    MODEL_FILE,
    OLD_FILE,
    SavedModel,
    helping_features,
    model_bytes,
    used_features,
)
from pancseg.modelling.study import CHANCE, CLINICAL, RADIOMICS, SINGLE, VOLUME, batch_codes
from pancseg.modelling.survival import SurvivalTask, named_time, time_grid
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.version import __version__
from pancseg.system.whole_files import write_whole
from pancseg.tables.html_page import escape_markdown, html_page

OPTIONAL = (
    "predictions.csv", "performance.csv", "optimism.csv", MODEL_FILE, OLD_FILE, "model.json",
    "coefficients.csv", "MODEL.md", "baseline_survival.csv",
    *(
        f"nomogram{which}.{kind}"
        for which in ("", "_clinical_and_radiomics")
        for kind in KINDS
    ),
    *(f"sites.{kind}" for kind in KINDS),
)  # fmt: skip
"""Files that not every analysis writes; those of an earlier one are deleted."""


@dataclass(frozen=True)
class DataRemarks:
    """What is remarkable about the data.

    Attributes:
        warnings: a line each.
        limits: those of them that can be told without a patient's id, for the model card.
        missing: columns with missing values, and those that some folds could not use.
        outliers: single values far outside their column.
    """

    warnings: Sequence[str]
    limits: Sequence[str]
    missing: pd.DataFrame
    outliers: pd.DataFrame


@dataclass(frozen=True)
class StudyTables:
    """The tables behind an analysis.

    Attributes:
        joined: the rows analysed.
        endpoint: their outcomes.
        options: how the tables were read.
        remarks: what the data are like.
        cohort: who was analysed, and who was left out.
        subgroups: of the rows, to be reported.
    """

    joined: JoinedTable
    endpoint: Endpoint
    options: TableOptions
    remarks: DataRemarks
    cohort: Cohort
    subgroups: Sequence[Subgroup] = ()


def write_analysis(folder: Path, results: AnalysisResults, tables: StudyTables) -> None:
    """Write report, predictions, model, settings and checklist; same input, same bytes.

    Args:
        folder: where to.
        results: what was found.
        tables: the tables behind it.

    Raises:
        OSError: the folder cannot be written.
    """
    joined, endpoint, options = tables.joined, tables.endpoint, tables.options
    remarks = tables.remarks
    folder.mkdir(parents=True, exist_ok=True)
    files = pictures(results) | flow_files(tables.cohort, outcome_counts(endpoint))
    more: dict[str, Sequence[Section]] = {
        "cohort": cohort_sections(
            tables.cohort, joined, endpoint, results.settings.time_unit, results.horizons
        )
    }
    if len(remarks.missing):
        more["missing"] = [missing_section(remarks.missing)]
    if not results.leaks:
        saved = saved_model(results, joined, endpoint, options)
        files |= _model_files(saved, results, tables)
        drawn, nomogram_files = nomograms(saved, _training_values(joined))
        files |= nomogram_files
        more["formula"] = formula_sections(saved, tuned(results), drawn)
        if results.sites:
            column, kind = str(results.settings.leave_out), results.settings.kind
            more["sites"] = [sites_section(list(results.sites), kind, column)]
            files |= sites_files(list(results.sites), kind)
        if tables.subgroups:
            more["subgroups"] = [subgroup_section(results, tables.subgroups)]
        files["predictions.csv"] = csv_bytes(_predictions(results, joined, endpoint))
        files["performance.csv"] = csv_bytes(_performance(results))
        files["optimism.csv"] = csv_bytes(optimism_table(results.corrected))
    title = escape_markdown(f"Radiomics and {columns_named(endpoint.columns)}")
    parts = sections(results, joined, endpoint, remarks.warnings, more)
    text = markdown(title, parts)
    files |= {
        "report.md": text.encode(),
        "report.html": html_page(text, files).encode(),
        "report.docx": word_document(text, files),
        **{name: text.encode() for name, text in checklists(results, joined).items()},
        "settings.yaml": settings_text(results, endpoint, options, joined.origin).encode(),
        "unmatched.csv": csv_bytes(joined.unmatched),
        "features_used.csv": csv_bytes(feature_table(results)),
        "folds.csv": csv_bytes(_folds(results, joined)),
        "missing_values.csv": csv_bytes(remarks.missing),
        "outliers.csv": csv_bytes(remarks.outliers),
    }
    write_whole({folder / name: content for name, content in files.items()})
    for name in {*OPTIONAL, *PERFORMANCE} - set(files):  # of an earlier run
        (folder / name).unlink(missing_ok=True)


def _model_files(
    saved: SavedModel, results: AnalysisResults, tables: StudyTables
) -> dict[str, bytes]:
    """Return the files that hold the model: to apply, to read and to share."""
    card = model_card(saved, results, tables.joined, tables.endpoint, tables.remarks.limits)
    files = {
        MODEL_FILE: model_bytes(saved),
        "model.json": model_json(saved, tuned(results)).encode(),
        "coefficients.csv": csv_bytes(coefficient_table(saved.models)),
        "MODEL.md": card.encode(),
    }
    if saved.kind == "survival":
        files["baseline_survival.csv"] = csv_bytes(baseline_table(saved.models))
    return files


def _training_values(joined: JoinedTable) -> dict[str, pd.DataFrame]:
    return {RADIOMICS: joined.features, VOLUME: joined.volume, CLINICAL: joined.clinical}


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
        "origin": {**plain(joined.origin), "features": features},
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
    blocks = _training_values(joined)
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


def settings_text(
    results: AnalysisResults, endpoint: Endpoint, options: TableOptions, origin: TableOrigin
) -> str:
    """Return the text of ``settings.yaml``: every choice, without paths or a time stamp."""
    content = {
        "pancseg": __version__,
        "made_by": made_by(),
        "outcome": list(endpoint.columns),
        "classes": list(endpoint.classes),
        "settings": results.settings.model_dump(),
        "features": {name: value for name, value in plain(origin).items() if name != "features"},
        "table": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(options).items()
        },
        "times": _times(results),
        "models": {spec.name: len(spec.candidates) for spec in results.plan.specs},
        "candidates": {
            spec.name: [described(each) for each in spec.candidates]
            for spec in results.plan.specs
            if len(spec.candidates) > 1
        },
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _times(results: AnalysisResults) -> dict[str, list[float]]:
    """Return the times that predictions.csv gives probabilities for."""
    task = results.plan.task
    if not isinstance(task, SurvivalTask):
        return {}
    return {"horizons": list(task.horizons), "integrated_brier": list(task.times)}


def plain(origin: TableOrigin) -> dict[str, Any]:
    """Return a table's origin as plain lists and text."""
    levels = {name: list(texts) for name, texts in origin.levels.items()}
    lists = {"features": list(origin.features), "grids": list(origin.grids)}
    return {**vars(origin), **lists, "levels": levels}


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV (UTF-8, LF); numbers read back bit for bit.

    Raises:
        ValueError: a name is a formula to spreadsheet programs; those of tables are refused sooner.
    """
    texts = [
        table[name] for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])
    ]
    for cells in (table.columns, *texts):
        refuse_formulas(map(str, cells), "the names in a table", "change them")
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def _predictions(results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint) -> pd.DataFrame:
    """Return ``predictions.csv``, from which every number of the report can be computed again.

    A row per model, repeat and patient; for survival a column per time of settings.yaml, and where
    competing events are named the cause: 0 censored, 1 event, 2 competing event.
    """
    parts = []
    for name, model in results.validation.models.items():
        for repeat, score in enumerate(model.score):
            columns: dict[str, Any] = {
                "id": joined.features.index,
                "group": joined.groups,
                "repeat": repeat + 1,
                "fold": results.validation.folds[repeat] + 1,
                "model": name,
                **_outcome_columns(endpoint),
                "score": score,
                "threshold": model.threshold[repeat],
            }
            if model.curves is not None:
                for place, time in enumerate(_curve_times(results)):
                    columns.setdefault(f"event_free_at_{time:.10g}", model.curves[repeat, :, place])
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _curve_times(results: AnalysisResults) -> tuple[float, ...]:
    task = results.plan.task
    return (*task.times, *task.horizons) if isinstance(task, SurvivalTask) else ()


def _outcome_columns(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.kind == "survival":
        found: dict[str, Any] = {
            "event": endpoint.y["event"].astype(int),
            "time": endpoint.y["time"],
        }
        return found if endpoint.cause is None else {**found, "cause": endpoint.cause}
    return {"outcome": endpoint.y}


def _performance(results: AnalysisResults) -> pd.DataFrame:
    """Return ``performance.csv``: the measures of the report with all their digits."""
    rows: list[tuple[str, str, float, float, float]] = []

    def add(model: str, measure: str, one: Estimate) -> None:
        rows.append((model, measure, one.value, one.low, one.high))

    nothing = float("nan")
    for name, found in results.measures.items():
        for measure, one in found.items():
            add(name, measure, one)
        for measure, value in _corrected(results, name).items():
            add(name, f"{measure}, .632+", Estimate(value, nothing, nothing))
    for name, fit in results.calibration.items():
        for measure, one in _calibration(results, fit):
            add(name, measure, one)
    for (a, b), more in results.comparisons.items():
        pair = f"{a} − {b}"
        add(pair, f"difference in {main_measure(results.settings.kind)}", more.discrimination)
        add(pair, f"difference in {brier_measure(results.settings.kind)}", more.brier)
        add(pair, "difference in net benefit", more.net_benefit)
        add(pair, "likelihood-ratio p", Estimate(more.added_p, nothing, nothing))
    if results.groups is not None:
        add(RADIOMICS, "hazard ratio of high against low risk", results.groups.ratio)
    table = pd.DataFrame(rows, columns=["model", "measure", "value", "low_95", "high_95"])
    return table.dropna(subset="value")


def _calibration(results: AnalysisResults, fit: Calibration) -> Iterator[tuple[str, Estimate]]:
    """Yield the names and values of a model's calibration."""
    yield "calibration slope", fit.slope
    if not results.horizons:
        yield "calibration-in-the-large", fit.intercept
    for horizon, ratio in fit.ratios.items():
        at = f" at {named_time(horizon)}" if results.horizons else ""
        yield f"observed / expected{at}", ratio
        if horizon in fit.curves:
            yield f"ICI{at}", fit.curves[horizon].ici


def _corrected(results: AnalysisResults, name: str) -> dict[str, float]:
    """Return a model's .632+ estimates by measure; none where they cannot be trusted."""
    found = results.corrected.get(name)
    if not found or not trusted(found):
        return {}
    return {measure: each.value for measure, each in found.items()}


def _folds(results: AnalysisResults, joined: JoinedTable) -> pd.DataFrame:
    folds = results.validation.folds + 1
    columns = {f"repeat_{r + 1}": row for r, row in enumerate(folds)}
    return pd.DataFrame({"id": joined.features.index, "group": joined.groups, **columns})


__all__ = ["CHANCE", "MODEL_FILE", "StudyTables", "csv_bytes", "saved_model", "write_analysis"]
