"""Write the files of an analysis, all together or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.optimism import optimism_table
from pancseg.modelling.outputs.csv_file import csv_bytes
from pancseg.modelling.outputs.final_model import saved_model, training_values
from pancseg.modelling.outputs.performance_table import performance_table
from pancseg.modelling.outputs.predictions_table import folds_table, predictions_table
from pancseg.modelling.outputs.settings_file import settings_text
from pancseg.modelling.outputs.study_tables import StudyTables
from pancseg.modelling.report.checklists import checklists
from pancseg.modelling.report.cohort_section import cohort_sections, flow_files, outcome_counts
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
from pancseg.modelling.report.report import sections
from pancseg.modelling.report.sites_section import sites_files, sites_section
from pancseg.modelling.report.subgroups import subgroup_section
from pancseg.modelling.report.word import word_document
from pancseg.modelling.saved_model import MODEL_FILE, OLD_FILE, SavedModel, model_bytes
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
        drawn, nomogram_files = nomograms(saved, training_values(joined))
        files |= nomogram_files
        more["formula"] = formula_sections(saved, tuned(results), drawn)
        if results.sites:
            column, kind = str(results.settings.leave_out), results.settings.kind
            more["sites"] = [sites_section(list(results.sites), kind, column)]
            files |= sites_files(list(results.sites), kind)
        if tables.subgroups:
            more["subgroups"] = [subgroup_section(results, tables.subgroups)]
        files["predictions.csv"] = csv_bytes(predictions_table(results, joined, endpoint))
        files["performance.csv"] = csv_bytes(performance_table(results))
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
        "folds.csv": csv_bytes(folds_table(results, joined)),
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
