"""Owns the pre-filled CLEAR checklist (Kocak et al. 2023, Insights Imaging 14:75; CC BY 4.0).

Only items that concern modelling can be filled by software; the others are the user's.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pancseg.outcomes.study import ModelSettings
from pancseg.outcomes.table import Joined

State = Literal["done by the software", "for the user to fill", "not applicable"]
DONE: State = "done by the software"
USER: State = "for the user to fill"
NOT: State = "not applicable"


class Item(NamedTuple):
    """One line: what is asked, its state, and where it stands or why not."""

    topic: str
    state: State
    note: str


def checklist(joined: Joined, settings: ModelSettings, performance: bool) -> list[Item]:
    """Return the checklist's topics by section, as far as this analysis settles them."""
    validated = f"{settings.repeats}×{settings.outer}×{settings.inner} nested, settings.yaml"
    shown = "report.md" if performance else "withheld: the canary found a leak"
    return [
        Item("Title, abstract, keywords, introduction", USER, ""),
        Item("Ethics, study nature, eligibility, flowchart", USER, ""),
        Item("Sample size", USER, "counts and events per variable: report.md, Warnings"),
        Item("Data source, overlap with earlier studies, splitting", USER, ""),
        Item("Imaging protocol, scanners, contrast", USER, "acquisition.csv, if it was written"),
        Item("Definition of the outcome", USER, "columns: settings.yaml"),
        Item("Segmentation strategy and readers", USER, "qc_mask_source in the features table"),
        Item("Pre-processing of images", USER, "provenance.json, where pancseg made FEATURES"),
        Item("Feature extraction and nomenclature", USER, "codebook.csv, likewise"),
        Item(
            "Harmonisation",
            DONE if joined.batch is not None else NOT,
            "ComBat within the folds" if joined.batch is not None else "no --batch was given",
        ),
        Item("Handling of missing data", DONE, "median of the training rows"),
        Item("Feature scaling", DONE, "z-scores of the training rows"),
        Item("Dimension reduction", DONE, "near-constant, Spearman clusters, univariate; in folds"),
        Item("Robustness of features", USER, "with --stability the more stable feature is kept"),
        Item("Algorithm, tuning, seeds", DONE, "settings.yaml and docs"),
        Item("Handling of confounders", USER, "volume only and clinical only: report.md"),
        Item("Internal validation", DONE, validated),
        Item("External validation", USER, "pancseg predict … --outcome"),
        Item("Performance measures with uncertainty", DONE, shown),
        Item("Comparison with non-radiomic models", DONE, shown),
        Item("Calibration and decision curves", DONE, shown),
        Item("Baseline characteristics", USER, ""),
        Item("Discussion and limitations", USER, "report.md, What it cannot know"),
        Item(
            "Open science: data, code, model", USER, "model.skops, predictions.csv, settings.yaml"
        ),
    ]
