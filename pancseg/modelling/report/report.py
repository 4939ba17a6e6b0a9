"""Write the report: sections of sentences, tables and pictures, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np

from pancseg.modelling.analysis import AnalysisResults, interval, main_measure
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.checklists import metrics_items, tripod_items
from pancseg.modelling.report.clear_checklist import clear_items
from pancseg.modelling.report.figures import (
    feature_table,
    risk_groups,
    shown,
    weights_are_permuted,
)
from pancseg.modelling.report.methods_text import methods_section
from pancseg.modelling.report.parts import Picture, Section, markdown, number, with_interval
from pancseg.modelling.report.stability import stability_section
from pancseg.modelling.report.study_facts import checklist_text, facts_of
from pancseg.modelling.report.verdict_section import verdict_section
from pancseg.modelling.study import RADIOMICS, Endpoint
from pancseg.modelling.validation.importance import SHUFFLES
from pancseg.system.version import __version__
from pancseg.tables.html_page import escape_markdown, escape_message

_SHOWN_FEATURES = 20
CANNOT_KNOW = (
    "Whether the features, their settings or the patients were chosen with knowledge of these "
    "outcomes. A table whose features were selected on the same patients gives a high AUC that no "
    "check of the pipeline can distinguish from a true one.",
    "Whether the model works elsewhere, with other scanners or in other hospitals (`pancseg "
    "predict` with their outcomes tests it).",
    "Whether an analysis was repeated until it gave the desired result: settings.yaml describes "
    "only this one.",
)
METHODS = (
    "Everything is fitted on training rows alone: missing values (median), near-constant columns, "
    "ComBat where a batch is named, redundant columns (Spearman's |rho| > 0.9, average linkage), "
    "scaling, selection, model and threshold. All rows of a patient are in the same fold.",
    "Ranks are compared only between patients of one test fold, over all repeats. Intervals: "
    "percentile bootstrap of patients, widened where Nadeau and Bengio's corrected variance over "
    "folds, which allows for shared training rows, is larger.",
    "The model named `radiomics` was declared beforehand (`model`); other algorithms are shown "
    "for comparison, and the best of them is not chosen. The models of volume alone and of "
    "clinical variables alone are linear with a weak penalty, whatever algorithm was declared, so "
    "part of a difference from them may be due to the algorithm.",
)

PERMUTED = (
    "The model has no coefficients. Used: selected in the fold. Weight: permutation importance, "
    "the rise of the log loss on the held-out patients when the feature is shuffled among them "
    f"(mean of {SHUFFLES} shuffles); features that carry the same information each look "
    "unimportant. Empty where the pipeline leaks."
)

TABLE = f"The {_SHOWN_FEATURES} features used most often; all of them: features_used.csv."
FEATURES = (
    "The features used most often by the outer models of radiomics: the share of models that use "
    "each, and the mean and standard deviation of its weight over all of them (0 where unused)."
)


def sections(
    results: AnalysisResults,
    joined: JoinedTable,
    outcome: Endpoint,
    warned: Sequence[str],
    more: Mapping[str, Sequence[Section]],
) -> list[Section]:
    """Return the sections of the report; without performance when a canary sang.

    Args:
        results: the analysis.
        joined: the rows analysed.
        outcome: their outcomes.
        warned: what the data are hardly sufficient for.
        more: sections made elsewhere, by their place: ``cohort``, ``formula``.
    """
    about = [_data(joined, outcome), *joined.notes]  # these quote names from the tables
    found = [verdict_section(results, joined, outcome, warned)]
    found.append(Section("Data", list(map(escape_message, about))))
    found += more.get("cohort", ())
    if results.leaks:
        found.append(Section("Warnings", list(map(escape_message, warned)) or ["None."]))
    found.append(_canary(results))
    if not results.leaks:
        found.append(_performance(results))
        if results.differences:
            found.append(_differences(results))
        found.append(_calibration(results))
        found.append(Section("Figures", pictures=shown(results)))
        found += [stability_section(results), *more.get("subgroups", ())]
        found += more.get("sites", ())
        if results.settings.kind == "survival":
            found.append(_log_rank(results, joined))
    found += [*more.get("formula", ()), _features(results), Section("Methods", METHODS)]
    found.append(methods_section(results, joined, outcome, made_by()))
    found.append(Section("What it cannot know", CANNOT_KNOW))
    found.append(Section("Made by", [made_by()]))
    return found


def made_by() -> str:
    """Return the versions used, as text."""
    names = ("scikit-learn", "dcurves", "numpy", "pandas")
    return f"pancseg {__version__}, " + ", ".join(f"{n} {version(n)}" for n in names)


def checklists(results: AnalysisResults, joined: JoinedTable) -> dict[str, str]:
    """Return file name → text of the checklists, pre-filled."""
    facts = facts_of(results, joined)
    source = "{} in our words, filled in by the software as far as it did or knows them."
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


def _data(joined: JoinedTable, outcome: Endpoint) -> str:
    rows, p = joined.features.shape
    n = joined.size()
    if outcome.kind == "survival":
        return f"{n}, {int(outcome.y['event'].sum())} events, {p} features."
    rest, positive = outcome.classes
    count = int(outcome.y.sum())
    return f"{n}, {count} {positive} (the positive class), {rows - count} {rest}, {p} features."


def outcome_counts(outcome: Endpoint) -> str:
    """Return how many rows have the event or are of each class, as a short text."""
    count, n = int(np.sum(outcome.strata)), len(outcome.y)
    if outcome.kind == "survival":
        return f"{count} events, {n - count} censored"
    return f"{count} {outcome.classes[1]}, {n - count} {outcome.classes[0]}"


def _canary(results: AnalysisResults) -> Section:
    if not results.canaries:
        return Section("Leakage canary", ["Not run (`canary` is 0): a leak would go unnoticed."])
    finding = {True: "leak", False: "no leak found"}
    rows = [
        [c.what, str(len(c.values)), number(c.mean), number(c.low), finding[c.sings]]
        for c in results.canaries
    ]
    line = (
        "The same pipeline on data without a signal; it leaks when the lower limit of the mean is "
        "above 0.5."
    )
    header = ["data", "runs", "mean", "lower limit", "finding"]
    return Section("Leakage canary", [line], header, rows)


def _performance(results: AnalysisResults) -> Section:
    names = list(next(iter(results.measures.values())))
    rows = [
        [model, *(with_interval(found[name]) for name in names)]
        for model, found in results.measures.items()
    ]
    caption = "Performance of every model out of fold, with 95 % intervals. Definitions: Methods."
    return Section("Performance, out of fold", (), ["model", *names], rows, caption=caption)


def _differences(results: AnalysisResults) -> Section:
    rows = [[f"{a} − {b}", with_interval(d)] for (a, b), d in results.differences.items()]
    title = f"What radiomics adds: {main_measure(results.settings.kind)}"
    caption = "Differences between models, on the same patients and folds, with 95 % intervals."
    return Section(title, (), ["models", "difference"], rows, caption=caption)


def _calibration(results: AnalysisResults) -> Section:
    rows = [
        [name, with_interval(a), with_interval(b)] for name, (a, b) in results.calibration.items()
    ]
    line = (
        "Slope 1 and intercept 0 are ideal; with a slope below 1 predictions are too extreme. All "
        "repeats (ten at most) are judged together; intervals are of the patient bootstrap alone. "
        "Curves in the pictures are of predictions averaged over repeats, which are less extreme "
        "than those of one model."
    )
    return Section("Calibration", [line], ["model", "slope", "intercept"], rows)


def _log_rank(results: AnalysisResults, joined: JoinedTable) -> Section:
    from scipy.stats import CensoredData, logrank

    y, high = results.plan.y, risk_groups(results, RADIOMICS)
    if high.all() or not high.any():
        return Section("Risk groups", ["All patients are in one group."])
    counted = f"Above the training median in most repeats: {int(np.sum(high))} of {joined.size()}"
    if joined.count() < len(y):
        line = f"{counted}. No log-rank test, as it would count each row as a different patient."
        return Section("Risk groups", [line])
    found = logrank(
        *(CensoredData.right_censored(y["time"][g], ~y["event"][g]) for g in (high, ~high))
    )
    return Section(
        "Risk groups",
        [
            f"{counted}; log-rank p = {found.pvalue:.2g} (out of fold; folds share patients, so "
            "the p-value is approximate)."
        ],
    )


def _features(results: AnalysisResults) -> Section:
    table = feature_table(results).head(_SHOWN_FEATURES)
    rows = [
        [escape_markdown(str(name)), f"{share:.0%}", number(mean), number(std)]
        for name, share, mean, std in table.to_numpy()
    ]
    header = ["feature", "used in", "mean weight", "std"]
    lines = ["Over all outer models."]
    if weights_are_permuted(results):
        lines.append(PERMUTED)
    return Section(
        "Features of the model",
        lines,
        header,
        rows,
        [Picture("features.png", FEATURES)],
        caption=TABLE,
    )


__all__ = ["Section", "checklists", "interval", "markdown", "sections"]
