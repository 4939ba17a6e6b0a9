"""Fill in the CLEAR checklist as far as an analysis can (Kocak et al. 2023; CC BY 4.0).

Insights Imaging 14:75. All 58 items have their published numbers. The software fills in those that
concern modelling. The others are left to the user, with a note on where to find material for them.
"""

from __future__ import annotations

from pancseg.modelling.report.study_facts import (
    DONE,
    NOT,
    NOT_DONE,
    PART,
    PRE_FILLED,
    USER,
    ChecklistItem,
    Settled,
    State,
    StudyFacts,
    filled,
)
from pancseg.modelling.words import listed

_ITEMS = {
    "Title": ("Title names the radiomic method",),
    "Abstract": ("Structured summary",),
    "Keywords": ("Keywords for radiomics",),
    "Introduction": ("Background", "Why radiomics", "Objectives"),
    "Study design": (
        "Guidelines and checklists followed",
        "Ethics, consent, data protection",
        "Sample size",
        "Study nature",
        "Eligibility criteria",
        "Flowchart of the technical pipeline",
    ),
    "Data": (
        "Data source",
        "Overlap with earlier studies",
        "How data were split",
        "Imaging protocol",
        "Predictors that are not radiomic",
        "Reference standard (outcome)",
    ),
    "Segmentation": ("Segmentation strategy", "Who segmented"),
    "Pre-processing": (
        "Pre-processing of images",
        "Resampling and its parameters",
        "Discretisation and its parameters",
        "Image types",
    ),
    "Feature extraction": (
        "Extraction method and software",
        "Feature classes",
        "Number of features",
        "Settings left at their defaults",
    ),
    "Data preparation": (
        "Missing data",
        "Class imbalance",
        "Reliability of the segmentation",
        "Feature scaling",
        "Dimension reduction",
    ),
    "Modelling": ("Algorithm", "Training and tuning", "Confounders", "Model selection"),
    "Evaluation": (
        "Testing: internal, external",
        "Performance measures and why these",
        "Uncertainty",
        "Statistical comparison of performance",
        "Comparison with other and combined methods",
        "Interpretability",
    ),
    "Results": (
        "Baseline characteristics",
        "Flowchart of eligibility",
        "Feature statistics",
        "Model performance",
        "Comparison with other and combined approaches",
    ),
    "Discussion": (
        "Main findings",
        "Earlier work and differences",
        "Practical implications",
        "Strengths and limitations",
    ),
    "Open science": (
        "Images and segmentations shared",
        "Feature data shared",
        "Pre-processing settings shared",
        "Modelling code shared",
        "Final model shared",
        "Ready-to-use system shared",
    ),
}


def clear_items(facts: StudyFacts) -> list[ChecklistItem]:
    """Return the 58 items, filled in as far as this analysis can."""
    names = [(section, name) for section, items in _ITEMS.items() for name in items]
    numbered: dict[str, dict[str, str]] = {section: {} for section in _ITEMS}
    for number, (section, name) in enumerate(names, start=1):
        numbered[section][str(number)] = name
    return filled(numbered, {**_pointers(facts), **_settled(facts)})


def _pointers(facts: StudyFacts) -> Settled:
    """Return, by item, where the user finds material for it."""
    made = "where pancseg made the feature table: "
    notes = {
        9: "`pancseg model plan`; counts and events per variable: report.md",
        11: "flow of rows from the tables to those analysed: flow.png",
        16: "acquisition.csv, where it was written",
        19: made + "weights_sha256 and qc_mask_source in the table",
        21: made + "provenance.json",
        22: made + "provenance.json and qc_grid_mm",
        23: made + "codebook.csv",
        24: made + "codebook.csv",
        25: made + "provenance.json",
        26: made + "codebook.csv",
        28: made + "provenance.json holds every setting",
        52: "report.md, What it cannot know",
        54: "the feature table with its codebook.csv and datapackage.json",
        55: "provenance.json, settings.yaml",
        56: "pancseg is open source; settings.yaml repeats the analysis",
        57: "model.json, coefficients.csv, model.safetensors, MODEL.md, if no patient can be "
        "identified from them",
        58: "`pancseg predict`",
    }
    return {str(number): (USER, note) for number, note in notes.items()}


def _settled(facts: StudyFacts) -> Settled:
    """Return the state and note of the items that this analysis settles."""
    shown = facts.where
    nothing: tuple[State, str] = (NOT_DONE, facts.not_compared)
    combined: State = DONE if facts.clinical else PART
    test = ", likelihood-ratio test" if facts.tested else ""
    tuned = (
        f"{facts.candidates} candidates, chosen by {facts.inner} inner folds, seed {facts.seed}; "
        "settings.yaml; which were chosen: report.md"
        if facts.candidates > 1
        else "one candidate, nothing was tuned; settings.yaml"
    )
    found: dict[int, tuple[State, str]] = {
        7: PRE_FILLED,
        15: (DONE, f"{facts.folds}, by patient; folds.csv"),
        17: (DONE, ", ".join(facts.clinical))
        if facts.clinical
        else (USER, "none given (`clinical`)"),
        18: facts.outcome,
        27: (DONE, f"{facts.features} candidate features"),
        29: (DONE if not facts.missing else PART, _missing(facts)),
        30: (NOT, "survival has no classes")
        if facts.survival
        else (DONE, "folds stratified, nothing resampled; counts in report.md"),
        31: (PART, "features' ICC as given (`stability`); how it was measured is yours to say")
        if facts.stability
        else (USER, "not given (`stability`)"),
        32: (DONE, "values far out moved to fences, then z-scores, of the training rows"),
        33: (DONE, "near-constant, Spearman clusters, univariate; within the folds"),
        34: (DONE, f"{facts.model}, its settings and formula: report.md, model.json")
        if facts.linear and facts.shown
        else (PART, f"{facts.model}; its settings are in settings.yaml, it has no formula")
        if facts.shown
        else (PART, f"{facts.model}; its settings are in settings.yaml; formula {shown}"),
        35: (DONE, tuned),
        36: facts.confounders,
        37: (PART, "one algorithm was set before this analysis, the best of several is not chosen; "
             "whether others were tried in earlier runs is yours to say"),
        38: (PART, f"internal: {facts.internal}; external: not done (`pancseg predict`)")
        if facts.shown
        else (NOT_DONE, shown),
        39: facts.reasons,
        40: (DONE, f"bootstrap of patients, {facts.resamples} resamples; {shown}")
        if facts.shown
        else (NOT_DONE, shown),
        41: (DONE, f"differences with intervals{test}; {shown}")
        if facts.shown
        else (NOT_DONE, shown),
        42: (combined, f"{_compared_with(facts)}; {shown}")
        if facts.compared
        else nothing,
        43: (PART, "weights and their stability over the models: features_used.csv; what they mean "
             "is yours to say"),
        44: (PART, f"{listed(facts.beside)}, by outcome: report.md, The patients")
        if facts.clinical or facts.volume
        else (USER, "none given (`clinical`)"),
        45: (PART, "rows of the tables: flow.png, unmatched.csv; patients before them are yours"),
        46: (PART, "how often each feature was used: features_used.csv; no univariate statistics"),
        47: (DONE, shown) if facts.shown else (NOT_DONE, shown),
        48: (combined, shown) if facts.compared else nothing,
    }  # fmt: skip
    return {str(number): state for number, state in found.items()}


def _compared_with(facts: StudyFacts) -> str:
    """Return what radiomics was compared with; only clinical variables were also put beside it."""
    beside = "; clinical variables with radiomics" if facts.clinical else "; nothing combined"
    return f"{listed(facts.beside)} alone, and chance{beside}"


def _missing(facts: StudyFacts) -> str:
    if not facts.missing:
        return facts.gaps
    return f"{facts.gaps}; why they are missing is yours to say"
