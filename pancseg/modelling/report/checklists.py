"""Fill in TRIPOD+AI and METRICS as far as an analysis can, in our words, by their numbers.

TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378 (27 items in 52 parts, CC BY 4.0).
METRICS: Kocak et al. 2024, Insights Imaging 15:8 (30 items, CC BY 4.0).
"""

from __future__ import annotations

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.clear_checklist import clear_items
from pancseg.modelling.report.study_facts import (
    DONE,
    NOT,
    NOT_DONE,
    PART,
    PRE_FILLED,
    USER,
    ChecklistItem,
    Settled,
    StudyFacts,
    checklist_text,
    facts_of,
    filled,
    filled_by,
)
from pancseg.modelling.words import counted, listed

_TRIPOD = {
    "Title and abstract": {"1": "Title", "2": "Abstract"},
    "Introduction": {
        "3a": "Context and reason for the model",
        "3b": "Target population, purpose, users",
        "3c": "Known health inequalities",
        "4": "Objectives",
    },
    "Methods": {
        "5a": "Sources of the data",
        "5b": "Dates of the data",
        "6a": "Setting and centres",
        "6b": "Eligibility",
        "6c": "Treatments",
        "7": "Data preparation and quality checks",
        "8a": "Outcome, time horizon, how assessed",
        "8b": "Outcome assessors, if subjective",
        "8c": "Blinding of outcome assessment",
        "9a": "Choice of the initial predictors",
        "9b": "Predictors, how and when measured",
        "9c": "Predictor assessors, if subjective",
        "10": "Sample size",
        "11": "Missing data",
        "12a": "How data were used and partitioned",
        "12b": "Handling of predictors",
        "12c": "Type of model, building, tuning, internal validation",
        "12d": "Heterogeneity between clusters",
        "12e": "Measures and plots of performance, and why",
        "12f": "Updating of the model",
        "12g": "How predictions were computed",
        "13": "Class imbalance",
        "14": "Approach to fairness",
        "15": "Output of the model and thresholds",
        "16": "Differences between development and evaluation data",
        "17": "Ethical approval",
    },
    "Open science": {
        "18a": "Funding",
        "18b": "Conflicts of interest",
        "18c": "Protocol",
        "18d": "Registration",
        "18e": "Data sharing",
        "18f": "Code sharing",
    },
    "Patients and public": {"19": "Involvement"},
    "Results": {
        "20a": "Flow of participants, outcomes, follow-up",
        "20b": "Characteristics, missing data",
        "20c": "Development against evaluation data",
        "21": "Numbers of participants and events in each analysis",
        "22": "Full model, to predict new patients",
        "23a": "Performance with intervals, subgroups",
        "23b": "Heterogeneity of performance between clusters",
        "24": "Updated model",
    },
    "Discussion": {
        "25": "Interpretation",
        "26": "Limitations",
        "27a": "Poor-quality or missing input in use",
        "27b": "Interaction and expertise needed in use",
        "27c": "Next steps",
    },
}

_METRICS = {
    "Study design": {
        "1": "Checklists or guidelines followed",
        "2": "Eligibility criteria, representative population",
        "3": "High-quality reference standard",
    },
    "Imaging data": {
        "4": "Several centres",
        "5": "Imaging source translates to practice",
        "6": "Imaging protocol with acquisition parameters",
        "7": "Interval between imaging and reference standard",
    },
    "Segmentation": {
        "8": "Segmentation described",
        "9": "Automated segmentation evaluated",
        "10": "Test masks from a single reader or an automated tool",
    },
    "Image processing and feature extraction": {
        "11": "Pre-processing appropriate and described",
        "12": "Standardised extraction software",
        "13": "Extraction parameters reported",
    },
    "Feature processing": {
        "14": "Removal of non-robust features",
        "15": "Removal of redundant features",
        "16": "Dimensionality appropriate to the data size",
        "17": "Robustness of end-to-end deep learning",
    },
    "Preparation for modelling": {
        "18": "Data partitioned properly",
        "19": "Confounders handled",
    },
    "Metrics and comparison": {
        "20": "Appropriate measures of performance",
        "21": "Uncertainty",
        "22": "Calibration",
        "23": "One imaging method, or proof that several are better",
        "24": "Comparison with a non-radiomic approach",
        "25": "Comparison with simple or classical models",
    },
    "Testing": {"26": "Internal testing", "27": "External testing"},
    "Open science": {"28": "Data available", "29": "Code available", "30": "Model available"},
}

_MADE = "where pancseg made the feature table: "


def tripod_items(facts: StudyFacts) -> list[ChecklistItem]:
    """Return the 52 parts of TRIPOD+AI, filled in as far as this analysis can."""
    shown = facts.shown
    external = "`pancseg predict` with outcomes"
    counts = "events, follow-up" if facts.survival else "classes"
    known: Settled = {
        "7": (USER, _MADE + "qc_status, qc_reasons, provenance.json; rows left out: flow.png"),
        "8a": facts.outcome,
        "9b": (USER, _MADE + "codebook.csv, provenance.json"),
        "10": (USER, "`pancseg model plan`; events per variable: report.md"),
        "11": (DONE if not facts.missing else PART, facts.gaps),
        "12a": (DONE, f"{facts.folds}, by patient; folds.csv"),
        "12b": (DONE, "z-scores, fences, imputation, redundancy: report.md, Methods"),
        "12c": (
            PART,
            f"{facts.model}, {counted(facts.candidates, 'candidate')}, {facts.internal}; why this "
            "type of model is yours to say",
        ),
        "12d": (DONE, "each site left out in turn, pooled by random effects: report.md")
        if facts.sites
        else (PART, "scanner or site effects removed by ComBat; performance by site not shown")
        if facts.batch
        else (NOT_DONE, "`leave_out` COLUMN leaves each site out in turn"),
        "12e": facts.reasons,
        "12f": (NOT, "no model was updated"),
        "12g": (NOT, "no earlier model is evaluated"),
        "13": (NOT, "survival has no classes")
        if facts.survival
        else (DONE, "folds stratified, nothing resampled"),
        "14": (PART, "subgroups with intervals: report.md; the approach is yours to give")
        if facts.subgroups
        else (USER, "no subgroups were given (`subgroup`)"),
        "15": (DONE, "report.md, The model as a formula; MODEL.md")
        if shown and facts.linear
        else (DONE, "probabilities by `pancseg predict`; MODEL.md")
        if shown
        else (NOT_DONE, facts.where),
        "16": (NOT, f"no evaluation data; {external}"),
        "18e": (USER, "feature table with its codebook.csv; predictions.csv"),
        "18f": (USER, "pancseg is open source; settings.yaml repeats the analysis"),
        "20a": (PART, f"flow of rows, {counts}: report.md; before the tables it is yours"),
        "20b": (PART, f"{listed([*facts.beside, 'missing values'])}: report.md, The patients")
        if facts.clinical or facts.volume
        else (USER, "none given (`clinical`)"),
        "20c": (NOT, f"no evaluation data; {external}"),
        "21": (DONE, "report.md, The patients; folds.csv"),
        "22": (
            PART,
            "model.json, coefficients.csv, report.md, MODEL.md; who may use it is yours to say",
        )
        if shown and facts.linear
        else (PART, "model.safetensors; trees have no formula")
        if shown
        else (NOT_DONE, facts.where),
        "23a": (NOT_DONE, facts.where)
        if not shown
        else (DONE, "report.md, performance.csv, with subgroups")
        if facts.subgroups
        else (PART, "report.md, performance.csv; no subgroups were given (`subgroup`)"),
        "23b": (DONE, "each site left out in turn: report.md, Sites left out")
        if facts.sites
        else (NOT_DONE, "`leave_out` COLUMN leaves each site out in turn"),
        "24": (NOT, "no model was updated"),
        "26": (USER, "report.md: What speaks against it, What it cannot know"),
        "27a": (
            PART,
            f"`pancseg predict` replaces missing values: {filled_by(facts.imputations)}; no "
            "prediction for rows with qc_status fail or error, for patients without any value that "
            "the model uses, or with a text that the training lacked; whether that suits the place "
            "of use is yours to say",
        ),
    }
    return filled(_TRIPOD, known)


def metrics_items(facts: StudyFacts) -> list[ChecklistItem]:
    """Return the 30 items of METRICS, filled in as far as this analysis can."""
    shown = facts.shown
    simple = listed([*facts.beside, "one feature"])
    known: Settled = {
        "1": PRE_FILLED,
        "6": (USER, "acquisition.csv, where it was written"),
        "8": (USER, _MADE + "weights_sha256 and qc_mask_source in the table"),
        "9": (USER, "`pancseg evaluate`"),
        "11": (USER, _MADE + "provenance.json"),
        "12": (USER, _MADE + "pancseg's IBSI values: `pancseg selftest`"),
        "13": (USER, _MADE + "provenance.json, codebook.csv"),
        "14": (PART, "of correlated features the most stable one is kept; none is removed for a "
               "low ICC")
        if facts.stability
        else (NOT_DONE, "no stability was given (`stability`)"),
        "15": (DONE, "Spearman's |rho| > 0.9, within the folds"),
        "16": (USER, "events per variable: report.md; `pancseg model plan`"),
        "17": (NOT, "no end-to-end deep learning"),
        "18": (DONE, f"{facts.folds}, by patient; folds.csv")
        if shown
        else (NOT_DONE, "the canary found a leak"),
        "19": facts.confounders,
        "20": (DONE, "report.md, Performance, with net benefit")
        if shown
        else (NOT_DONE, facts.where),
        "21": (DONE, f"intervals of {facts.resamples} resamples: report.md")
        if shown
        else (NOT_DONE, facts.where),
        "22": (DONE, "report.md, Calibration") if shown else (NOT_DONE, facts.where),
        "24": (DONE if facts.clinical else PART, f"{listed(facts.beside)}: report.md")
        if facts.compared
        else (NOT_DONE, facts.not_compared),
        "25": (DONE, f"linear models of {simple}; report.md")
        if shown and facts.linear
        else (PART, f"{simple}, by the same algorithm: {facts.model}")
        if shown
        else (NOT_DONE, facts.where),
        "26": (DONE, facts.internal) if shown else (NOT_DONE, facts.where),
        "27": (NOT_DONE, "`pancseg predict` with outcomes"),
        "28": (USER, "the feature table with its codebook.csv"),
        "29": (USER, "pancseg is open source; settings.yaml repeats the analysis"),
        "30": (USER, "model.json, model.safetensors, MODEL.md"),
    }  # fmt: skip
    return filled(_METRICS, known)


def checklists(results: AnalysisResults, joined: JoinedTable) -> dict[str, str]:
    """Return file name → text of the checklists, pre-filled."""
    facts = facts_of(results, joined)
    source = (
        "{}, filled in by the software as far as it did or knows them. Their numbers are the "
        "publication's; the wording is ours and shorter, so read the items there."
    )
    return {
        "CLEAR.md": checklist_text(
            "CLEAR checklist, pre-filled",
            [source.format("The 58 items of CLEAR (Kocak et al. 2023, Insights Imaging 14:75)")],
            clear_items(facts),
        ),
        "TRIPOD.md": checklist_text(
            "TRIPOD+AI checklist, pre-filled",
            [
                source.format("The 27 items of TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378)"),
                "For a study that develops a model and validates it internally.",
            ],
            tripod_items(facts),
            "parts",
        ),
        "METRICS.md": checklist_text(
            "METRICS, pre-filled",
            [
                source.format("The 30 items of METRICS (Kocak et al. 2024, Insights Imaging 15:8)"),
                "The score itself is for you to compute, once all items are judged.",
            ],
            metrics_items(facts),
        ),
    }
