"""Fill in the CLEAR checklist as far as an analysis can (Kocak et al. 2023; CC BY 4.0).

Insights Imaging 14:75. All 58 items have their published numbers. The software fills in those that
concern modelling. The others are left to the user, with a note on where to find material for them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.study import ModelSettings

State = Literal["done by the software", "for the user to fill", "not applicable"]
DONE: State = "done by the software"
USER: State = "for the user to fill"
NOT: State = "not applicable"

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


class ChecklistItem(NamedTuple):
    """One line of the checklist: section, number and short name, state, and where or why."""

    section: str
    item: str
    state: State
    note: str


def checklist(
    joined: JoinedTable, settings: ModelSettings, performance: bool, compared: bool
) -> list[ChecklistItem]:
    """Return the 58 items, filled in as far as this analysis can.

    Args:
        joined: the cohort.
        settings: the choices made beforehand.
        performance: whether the report shows performance.
        compared: whether the report compares radiomics with volume or clinical variables.
    """
    known = {**_pointers(), **_settled(joined, settings, performance, compared)}
    names = [(section, name) for section, items in _ITEMS.items() for name in items]
    return [
        ChecklistItem(section, f"{number}. {name}", *known.get(number, (USER, "")))
        for number, (section, name) in enumerate(names, start=1)
    ]


def _pointers() -> dict[int, tuple[State, str]]:
    """Return, by item, where the user finds material for it."""
    made = "where pancseg made the feature table: "
    notes = {
        7: "this file",
        9: "counts and events per variable: report.md, Warnings",
        16: "acquisition.csv, where it was written",
        18: "columns: settings.yaml",
        19: made + "weights_sha256 and qc_mask_source in the table",
        21: made + "provenance.json",
        22: made + "provenance.json and qc_grid_mm",
        23: made + "codebook.csv",
        24: made + "codebook.csv",
        25: made + "provenance.json",
        26: made + "codebook.csv",
        28: made + "provenance.json holds every setting",
        36: "volume only, clinical only, ComBat by `batch`: report.md",
        45: "rows left out and ids without a match: report.md, unmatched.csv",
        52: "report.md, What it cannot know",
        54: "the feature table with its codebook.csv and datapackage.json",
        55: "provenance.json, settings.yaml",
        56: "pancseg is open source; settings.yaml repeats the analysis",
        57: "model.safetensors, if no patient can be identified from it",
        58: "`pancseg predict`",
    }
    return {number: (USER, note) for number, note in notes.items()}


def _settled(
    joined: JoinedTable, settings: ModelSettings, performance: bool, compared: bool
) -> dict[int, tuple[State, str]]:
    """Return the state and note of the items that this analysis settles."""
    shown = "report.md" if performance else "withheld: the canary found a leak"
    folds = f"{settings.repeats}×{settings.outer}×{settings.inner} repeated nested cross-validation"
    survival = settings.kind == "survival"
    nothing = (
        USER,
        "nothing to compare with: neither a volume column nor clinical variables (`clinical`)",
    )
    nothing = nothing if performance else (USER, shown)
    clinical = ", ".join(map(str, joined.clinical)) or "none given (`clinical`)"
    return {
        15: (DONE, f"{folds}, by patient; folds.csv"),
        17: (DONE if joined.clinical.shape[1] else USER, clinical),
        27: (DONE, f"{joined.features.shape[1]} candidate features"),
        29: (
            DONE,
            "median of the training rows; texts: a level of their own; features that over half of "
            "the patients lack left out; missing_values.csv",
        ),
        30: (NOT, "survival has no classes")
        if survival
        else (DONE, "folds stratified, nothing resampled; counts in report.md"),
        32: (DONE, "values far out moved to fences, then z-scores, of the training rows"),
        33: (DONE, "near-constant, Spearman clusters, univariate; within the folds"),
        34: (DONE, f"{settings.model}; settings.yaml"),
        35: (DONE, f"inner {settings.inner} folds, seed {settings.seed}; settings.yaml"),
        37: (DONE, "the model was declared beforehand; the best of several is not chosen"),
        38: (DONE, f"internal: {folds}; external: pancseg predict with outcomes"),
        39: (USER, "report.md names the measures; the reasons for them are yours to give")
        if performance
        else (USER, shown),
        40: (DONE, f"bootstrap of patients, {settings.resamples} resamples; {shown}"),
        41: (DONE, f"difference with its interval; {shown}") if compared else nothing,
        42: (DONE, f"volume, clinical, both and chance, as far as columns were given; {shown}")
        if compared
        else nothing,
        43: (DONE, "weights and their stability over the models: features_used.csv"),
        46: (DONE, "how often each feature was used: features_used.csv"),
        47: (DONE, shown),
        48: (DONE, shown) if compared else nothing,
    }
