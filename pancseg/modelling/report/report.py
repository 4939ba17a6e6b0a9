"""Write the report: sections of sentences, tables and pictures, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd

from pancseg.modelling.analysis import AnalysisResults, empty_models, interval, main_measure
from pancseg.modelling.competing_events import hazard_ratios, incidence, told_times
from pancseg.modelling.estimators.described import described
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.clear_checklist import checklist
from pancseg.modelling.report.figures import feature_table, weights_are_permuted
from pancseg.modelling.study import BOTH, RADIOMICS, SINGLE, Endpoint
from pancseg.modelling.validation.importance import SHUFFLES
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.version import __version__
from pancseg.tables.html_page import escape_markdown, escape_message
from pancseg.tables.markdown_table import markdown_table

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
    "Everything is fitted on training rows alone: missing values (median; in 0/1 columns the mean; "
    "texts have a level missing where five patients or more lack them), near-constant columns, "
    "values far out (moved to three interquartile ranges beyond the quartiles, at most one in "
    "twenty on each side), ComBat where a batch is named, redundant columns (Spearman's "
    "|rho| > 0.9, average linkage), scaling, selection, model and threshold. All rows of a patient "
    "are in the same fold. Only features that more than half of all patients lack are left out "
    "beforehand, whatever the outcome.",
    "Ranks are compared only between patients of one test fold, over all repeats. Intervals: "
    "percentile bootstrap of patients, widened where Nadeau and Bengio's corrected variance over "
    "folds, which allows for shared training rows, is larger.",
    "The model named `radiomics` was declared beforehand (`model`); other algorithms are shown "
    "for comparison, and the best of them is not chosen.",
    "Both sides of a comparison are fitted by the declared algorithm in the same folds: volume "
    "alone, the clinical variables alone, and the best single feature, which is chosen in each "
    "fold. Clinical variables have no penalty and are never left out. In clinical + radiomics "
    "they stand beside one more column, the score of the radiomics model (log odds or log hazard), "
    "taken out of inner folds where the model is trained; it can only raise the risk.",
    "The likelihood-ratio test asks whether the out-of-fold score of one model adds to that of the "
    "other (logistic or Cox, one-sided; the median over repeats). Net benefit is at the mean risk "
    "of the cohort; for survival, at the median event time, weighted for censoring.",
    "An interval of AUC, C, sensitivity or specificity is never narrower than the exact one of a "
    "perfect result of as many patients (Obuchowski and Lieber 2002; Clopper and Pearson 1934). "
    "PR-AUC is of all patients of a repeat; that of random scores, the row of chance, is somewhat "
    "above the prevalence.",
    "Settings are chosen in the inner folds by log loss, or by the Cox partial likelihood (ties "
    "as Efron).",
)

PERMUTED = (
    "The model has no coefficients. Used: selected in the fold. Weight: permutation importance, "
    "the rise of the log loss on the held-out patients when the feature is shuffled among them "
    f"(mean of {SHUFFLES} shuffles); features that carry the same information each look "
    "unimportant. Empty where the pipeline leaks."
)


@dataclass(frozen=True)
class Section:
    """A heading, sentences, perhaps a table and pictures (file names)."""

    title: str
    lines: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[str] = ()


def sections(
    results: AnalysisResults,
    joined: JoinedTable,
    outcome: Endpoint,
    warned: Sequence[str],
    missing: pd.DataFrame | None = None,
) -> list[Section]:
    """Return the sections of the report; without performance when a canary sang."""
    about = [_data(joined, outcome), *joined.notes]  # these quote names from the tables
    found = [_verdict(results), Section("Data", list(map(escape_message, about)))]
    found.append(Section("Warnings", list(map(escape_message, warned)) or ["None."]))
    if missing is not None and len(missing):
        found.append(_missing(missing))
    found.append(_canary(results))
    if not results.leaks:
        found.append(_performance(results))
        if results.differences:
            found.append(_differences(results))
        if BOTH in results.final:
            found.append(_beside(results))
        found.append(_calibration(results))
        found += [_pictures(results)]
        if results.settings.kind == "survival":
            found.append(_risk_groups(results, joined))
        if outcome.cause is not None:
            found += _competing(results, joined, outcome)
    found += [_features(results), _choices(results), Section("Methods", METHODS)]
    found.append(Section("What it cannot know", CANNOT_KNOW))
    found.append(Section("Made by", [made_by()]))
    return found


def made_by() -> str:
    """Return the versions used, as text."""
    names = ("scikit-learn", "scipy", "numpy", "pandas")
    return f"pancseg {__version__}, " + ", ".join(f"{n} {version(n)}" for n in names)


def markdown(title: str, parts: Sequence[Section]) -> str:
    """Return sections as Markdown; pictures are files beside it."""
    out = [f"# {title}\n"]
    for part in parts:
        out.append(f"## {part.title}\n")
        out += [f"{line}\n" for line in part.lines]
        if part.header:
            out.append(markdown_table(part.header, part.rows))
        out += [f"![{name}]({name})\n" for name in part.pictures]
    return "\n".join(out)


def clear_text(results: AnalysisResults, joined: JoinedTable) -> str:
    """Return the text of ``CLEAR.md``."""
    compared = any(SINGLE not in pair for pair in results.comparisons)
    items = checklist(joined, results.settings, not results.leaks, compared)
    part = Section(
        "By item",
        ["The 58 items of CLEAR (Kocak et al. 2023, Insights Imaging 14:75), in our words."],
        ["section", "item", "state", "where, or why"],
        [[escape_message(text) for text in item] for item in items],
    )
    return markdown("CLEAR checklist, pre-filled", [part])


def number(value: float) -> str:
    """Return a number with three decimals, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def with_interval(found: Estimate) -> str:
    """Return an estimate and its interval as text for a table."""
    if math.isnan(found.value):
        return "–"
    if math.isnan(found.low) and math.isnan(found.high):
        return number(found.value)
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"


def _verdict(results: AnalysisResults) -> Section:
    if results.leaks:
        sang = ", ".join(f"{c.what}: {c.mean:.3f}" for c in results.canaries if c.sings)
        return Section(
            "Verdict",
            [
                f"**The pipeline leaks**: it finds a signal where there is none ({sang}; chance is "
                "0.5). No performance is shown, as it could not be trusted."
            ],
        )
    return Section("Verdict", list(map(_plain_but_bold, results.verdict)))


def _plain_but_bold(sentence: str) -> str:
    """Return a sentence with names from the tables escaped and bold words kept."""
    return escape_message(sentence).replace(r"\*\*", "**")


def _data(joined: JoinedTable, outcome: Endpoint) -> str:
    rows, p = joined.features.shape
    n = joined.size()
    if outcome.kind == "survival":
        return f"{n}, {int(outcome.y['event'].sum())} events, {p} features."
    rest, positive = outcome.classes
    count = int(outcome.y.sum())
    return f"{n}, {count} {positive} (the positive class), {rows - count} {rest}, {p} features."


def _canary(results: AnalysisResults) -> Section:
    if not results.canaries:
        return Section("Leakage canary", ["Not run (`canary` is 0): a leak would go unnoticed."])
    rows = [
        [
            *(c.what, str(len(c.values)), number(c.mean), number(c.low), number(c.detectable)),
            "leak" if c.sings else "too few runs to tell" if c.powerless else "no leak found",
        ]
        for c in results.canaries
    ]
    main = main_measure(results.settings.kind)
    lines = [
        "The same pipeline on data without a signal; it leaks when the lower limit of the mean "
        f"{main} is above 0.5. Four of five such canaries would find a leak that lifts the {main} "
        "to the value in the column `would find`; smaller ones can stay unnoticed."
    ]
    if any(c.powerless and not c.sings for c in results.canaries):
        lines.append(
            "**Powerless**: so few runs find gross leaks only. Take 8 or more (`canary`) before "
            "you call the pipeline sound."
        )
    header = ["on", "runs", f"mean {main}", "lower limit", "would find", ""]
    return Section("Leakage canary", lines, header, rows)


def _performance(results: AnalysisResults) -> Section:
    names = list(next(iter(results.measures.values())))
    rows = [
        [model, *(with_interval(found[name]) for name in names)]
        for model, found in results.measures.items()
    ]
    return Section("Performance, out of fold", (), ["model", *names], rows)


def _differences(results: AnalysisResults) -> Section:
    kind = results.settings.kind
    brier = "Brier" if kind == "subtype" else "integrated Brier"
    rows = [
        [
            f"{a} − {b}",
            with_interval(found.discrimination),
            with_interval(found.brier),
            with_interval(found.net_benefit),
            "–" if math.isnan(found.added_p) else f"{found.added_p:.2g}",
        ]
        for (a, b), found in results.comparisons.items()
    ]
    line = (
        "Both by the same algorithm in the same folds. In discrimination a second model below 0.5 "
        "counts as 0.5, because a useless model ranks the wrong way round out of fold. A negative "
        "difference in Brier is better."
    )
    header = ["models", main_measure(kind), brier, "net benefit", "likelihood-ratio p"]
    return Section("What radiomics adds", [line], header, rows)


def _beside(results: AnalysisResults) -> Section:
    """Return the weights of the clinical variables and of the radiomics score in one model."""
    final = results.final[BOTH].beside or {}
    models = results.validation.models[BOTH].weights
    rows = []
    for name, weight in final.items():
        each = np.array([weights.get(name, 0.0) for weights in models])
        rows.append(
            [escape_markdown(name), number(weight), number(each.mean()), number(each.std())]
        )
    linear = results.settings.model == "elastic-net"
    ratio = "log odds ratios" if results.settings.kind == "subtype" else "log hazard ratios"
    meaning = (
        f"{ratio}: of a clinical variable per standard deviation, of the radiomics score per unit "
        "of its own log scale (1: as strong beside the clinical variables as alone; 0: it adds "
        "nothing)"
        if linear
        else "importances of the trees (1 where the algorithm has none)"
    )
    line = f"Clinical variables are neither penalised nor left out. Weights are {meaning}."
    header = ["column", "weight, all patients", "mean over outer models", "std"]
    return Section(f"Weights of {BOTH}", [line], header, rows)


def _calibration(results: AnalysisResults) -> Section:
    survival = results.settings.kind == "survival"
    rows, header = [], ["model", "slope"]
    for name, found in results.calibration.items():
        row = [name, with_interval(found.slope)]
        if not survival:
            row.append(with_interval(found.intercept))
        for curve in found.curves.values():
            row += [with_interval(curve.ratio)] * survival + [with_interval(curve.ici)]
        rows.append(row)
    if survival:
        longest = max(results.calibration.values(), key=lambda found: len(found.curves))
        for time in longest.curves:
            header += [f"observed / expected at {time:.3g}", f"ICI at {time:.3g}"]
        large = "observed / expected is the number of events by a time over the predicted one"
    else:
        header += ["in the large", "ICI"]
        large = "in the large is the intercept in log odds with the slope fixed at 1 (0 is ideal)"
    rows = [row + ["–"] * (len(header) - len(row)) for row in rows]
    line = (
        f"Slope 1 is ideal; below 1 predictions are too extreme. Calibration {large}. ICI is the "
        "mean distance of the smooth curve (local linear, span 0.75) from the diagonal. All of "
        "single models, repeats judged together (ten at most)."
    )
    return Section("Calibration", [line], header, rows)


def _pictures(results: AnalysisResults) -> Section:
    first = "roc.png" if results.settings.kind == "subtype" else "kaplan_meier.png"
    return Section("Pictures", pictures=[first, "calibration.png", "decision_curve.png"])


def _risk_groups(results: AnalysisResults, joined: JoinedTable) -> Section:
    found = results.groups
    if found is None:
        return Section("Risk groups", ["All patients are in one group."])
    ratio = found.ratio
    if ratio.low > 1:
        direction = "the group called high risk has the event earlier."
    elif ratio.high < 1:
        direction = "**the wrong way round**: the group called high risk has the event later."
    else:
        direction = "the interval holds 1, so that no difference is shown."
    lines = [
        f"Hazard ratio, high against low: {with_interval(ratio)}; {direction}",
        "High: above the median risk of the training patients in most repeats. The ratio is of "
        "each repeat's groups. No log-rank p: groups of a cross-validation are not independent of "
        "the outcomes that their models were fitted to.",
    ]
    y, rows = results.plan.y, []
    for name, group in (("high", found.high), ("low", found.low)):
        rows.append(
            [
                *(name, joined.size(group.rows), str(int(y["event"][group.rows].sum()))),
                with_interval(group.median)
                if not math.isnan(group.median.value)
                else "not reached",
                *map(str, group.at_risk),
            ]
        )
    header = ["group", "patients", "events", "median survival"]
    header += [f"at risk, {time:.3g}" for time in found.times]
    return Section("Risk groups", lines, header, rows)


def _choices(results: AnalysisResults) -> Section:
    """Return how often the inner folds chose each candidate."""
    rows, specs = [], {spec.name: spec for spec in results.plan.specs}
    for name, spec in specs.items():
        choices = results.validation.models[name].choices
        for index, candidate in enumerate(spec.candidates):
            if len(spec.candidates) > 1 and index in choices:
                rows.append([name, described(candidate), f"{choices.count(index)}/{len(choices)}"])
    if not rows:
        return Section("Settings chosen in the inner folds", ["There was nothing to choose."])
    return Section("Settings chosen in the inner folds", (), ["model", "setting", "models"], rows)


def _missing(table: pd.DataFrame) -> Section:
    rows = [
        [
            *(escape_markdown(name), kind, f"{missing} ({share:.0%})"),
            *(f"{dropped} of {models}" if models else "all", filled),
        ]
        for name, kind, missing, share, dropped, models, filled in table.head(
            _SHOWN_FEATURES
        ).to_numpy()
    ]
    more = f"; {len(table) - len(rows)} more in missing_values.csv" * (len(table) > len(rows))
    line = (
        "Columns with missing values, and those that were nearly constant in the training rows of "
        f"some models (dropped){more}."
    )
    header = ["column", "kind", "missing", "dropped in", "filled with"]
    return Section("Missing values", [line], header, rows)


def _competing(results: AnalysisResults, joined: JoinedTable, outcome: Endpoint) -> list[Section]:
    times = np.array(told_times(outcome))
    shares = [
        [f"{time:.3g}", number(among), number(alone)]
        for time, (among, alone) in zip(times, incidence(outcome, times), strict=True)
    ]
    title = "Competing events: how often the event occurs"
    line = "The last column counts competing events as censored, and is no share of patients."
    header = ["by time", "cumulative incidence (Aalen–Johansen)", "1 − Kaplan–Meier"]
    score = results.validation.models[RADIOMICS].score.mean(axis=0)
    ratios = hazard_ratios(outcome, score, joined.groups, results.settings.seed)
    rows = [[name, with_interval(found)] for name, found in ratios.items()]
    about = (
        "Per standard deviation of the out-of-fold score of radiomics, averaged over repeats; "
        "percentile bootstrap of patients, the score kept. The model itself is cause-specific."
    )
    return [
        Section(title, [line], header, shares),
        Section("Competing events: hazard ratios of the score", [about], ["of", "ratio"], rows),
    ]


def _features(results: AnalysisResults) -> Section:
    table = feature_table(results).head(_SHOWN_FEATURES)
    rows = [
        [escape_markdown(str(name)), f"{share:.0%}", number(mean), number(std)]
        for name, share, mean, std in table.to_numpy()
    ]
    header = ["feature", "used in", "mean weight", "std"]
    empty, models = empty_models(results.validation, RADIOMICS)
    lines = ["Over all outer models."]
    if empty:
        lines.append(f"No feature was used in {empty} of {models} models.")
    if weights_are_permuted(results):
        lines.append(PERMUTED)
    return Section("Features of the model", lines, header, rows, ["features.png"])


__all__ = ["Section", "clear_text", "interval", "markdown", "sections"]
