"""Write the report: sections of sentences, tables and pictures, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np

from pancseg.modelling.analysis import (
    AnalysisResults,
    benefit_at,
    brier_measure,
    empty_models,
    interval,
    main_measure,
)
from pancseg.modelling.competing_events import hazard_ratios, incidence, mean_score, told_times
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.described import described
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.optimism import FEWEST_SAMPLES, PERFECT, Corrected, trusted
from pancseg.modelling.report.checklists import metrics_items, tripod_items
from pancseg.modelling.report.clear_checklist import clear_items
from pancseg.modelling.report.figures import feature_table, shown, weights_are_permuted
from pancseg.modelling.report.methods_text import methods_section
from pancseg.modelling.report.parts import (
    Picture,
    Section,
    counted,
    digits,
    in_most,
    listed,
    markdown,
    number,
    the,
    with_interval,
)
from pancseg.modelling.report.stability import stability_section
from pancseg.modelling.report.study_facts import checklist_text, facts_of
from pancseg.modelling.report.times_text import censored, times_in
from pancseg.modelling.report.verdict_section import verdict_section
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.subtype import NET_BENEFIT
from pancseg.modelling.validation.importance import SHUFFLES
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.text.number_text import DASH, percent
from pancseg.system.version import __version__
from pancseg.tables.html_page import escape_markdown, escape_message

_SHOWN_FEATURES = 20
_NO_ERROR = 5e-4
"""A Monte Carlo error below this one is printed as 0.000."""
CANNOT_KNOW = (
    "Whether the features, their settings or the patients were chosen with knowledge of these "
    "outcomes. A table whose features were selected on the same patients gives a high AUC that no "
    "check of the pipeline can distinguish from a true one.",
    "Whether the model works elsewhere, with other scanners or in other hospitals (`pancseg "
    "predict` with their outcomes tests it).",
    "Whether an analysis was repeated until it gave the desired result: settings.yaml describes "
    "only this one.",
)
PERMUTED = (
    "The model has no coefficients. Used: selected in the fold. Weight: permutation importance, "
    "the rise of the log loss on the held-out patients when the feature is shuffled among them "
    f"(mean of {SHUFFLES} shuffles); features that carry the same information each look "
    "unimportant. Empty where the pipeline leaks."
)

FEATURES = (
    "The features used most often by the outer models of radiomics: the share of models that use "
    "each, and the mean and standard deviation of its weight over all of them (0 where unused)."
)


def sections(
    results: AnalysisResults,
    joined: JoinedTable,
    outcome: Endpoint,
    warned: Sequence[str],
    more: Mapping[str, Sequence[Section]] | None = None,
) -> list[Section]:
    """Return the sections of the report; without performance when a canary sang.

    Args:
        results: the analysis.
        joined: the rows analysed.
        outcome: their outcomes.
        warned: what the data are hardly sufficient for.
        more: sections made elsewhere, by their place: ``cohort``, ``missing``, ``subgroups``,
            ``sites``, ``formula``.
    """
    more = more or {}
    found = [verdict_section(results, joined, outcome, warned)]
    found += more.get("cohort", ())
    notes = list(map(escape_message, joined.notes))  # these quote names from the tables
    found.append(Section("Data", notes or ["Nothing to note."]))
    found += more.get("missing", ())
    if results.leaks:
        found.append(Section("Warnings", list(map(escape_message, warned)) or ["None."]))
    found.append(_canary(results))
    if not results.leaks:
        found.append(_performance(results))
        if results.differences:
            found.append(_differences(results))
        if BOTH in results.final:
            found.append(_beside(results))
        found.append(_calibration(results))
        found.append(Section("Figures", pictures=shown(results)))
        found += [stability_section(results), *more.get("subgroups", ())]
        found += more.get("sites", ())
        if results.settings.kind == "survival":
            found.append(_risk_groups(results, joined))
        if outcome.cause is not None:
            found += _competing(results, joined, outcome)
    found += [*more.get("formula", ()), _features(results), _choices(results)]
    found.append(methods_section(results, joined, outcome, made_by()))
    found.append(Section("What it cannot know", CANNOT_KNOW))
    found.append(Section("Made by", [made_by()]))
    return found


def made_by() -> str:
    """Return the versions used, as text."""
    names = ("scikit-learn", "scipy", "numpy", "pandas")
    return f"pancseg {__version__}, " + ", ".join(f"{n} {version(n)}" for n in names)


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
        "The model radiomics on data without a signal, one repeat; it leaks when the lower limit "
        f"of the mean {main} is above 0.5. Four of five such canaries would find a leak that "
        f"lifts {the(main)} "
        "to the value in the column `would find`; smaller ones can stay unnoticed."
    ]
    if any(c.powerless and not c.sings for c in results.canaries):
        lines.append(
            "**Powerless**: so few runs find gross leaks only. Take 8 or more of each (`canary`) "
            "before you call the model sound."
        )
    header = ["data", "runs", f"mean {main}", "lower limit", "would find", "finding"]
    caption = f"Mean {main} of the model radiomics on data without a signal."
    return Section("Leakage canary", lines, header, rows, caption=caption)


def _performance(results: AnalysisResults) -> Section:
    names = list(next(iter(results.measures.values())))
    corrected = results.corrected[RADIOMICS]
    header, rows = ["model"], [[model] for model in results.measures]
    for name in names:
        header.append(_benefit(results) if name == NET_BENEFIT else name)
        for row in rows:
            row.append(with_interval(results.measures[row[0]][name]))
        if name in corrected:
            header.append(f"{name}, .632+")
            for row in rows:
                known = results.corrected.get(row[0])
                row.append(number(known[name].value) if known and trusted(known) else DASH)
    caption = (
        "Performance of every model out of fold, with 95 % intervals; .632+: a second "
        f"estimate, by the bootstrap.{times_in(results)} Definitions: Methods, ready to paste."
    )
    main = main_measure(results.settings.kind)
    varies = _varies(corrected[main], main) if trusted(corrected) else ""
    notes: tuple[str, ...] = (
        "The threshold is the mean risk of the cohort, where a calibrated model gains most over "
        "treating all or none; see the decision curves for others.",
        f"The .632+ estimates are of {counted(corrected[main].samples, 'bootstrap sample')}, in "
        "each of which the models were tuned again; they have no interval"
        f"{varies}. Chance and other algorithms have none, nor does a model "
        f"with fewer than {FEWEST_SAMPLES} samples, or one that orders its own patients almost "
        f"without error ({main} of {PERFECT} or more in them) but not those left out: it does so "
        "whatever the outcome. Where a model has overfitted strongly .632+ is somewhat too "
        f"optimistic, and without any signal above 0.5 on average; take {main} out of fold as the "
        "result.",
    )
    if results.settings.competing:
        notes += (
            "Competing events count as censored in every column and in the threshold: these are "
            "measures of the hazard of the event, and of the risk without competing events only if "
            "these are independent of the event; no risk here is a share of patients.",
        )
    return Section("Performance", (), header, rows, caption=caption, notes=notes)


def _varies(corrected: Corrected, main: str) -> str:
    """Return how much a .632+ estimate depends on its samples; nothing for fewer than two.

    Nor where all samples say that there is no information, as the value is then at its limit.
    """
    if corrected.samples < 2 or corrected.error < _NO_ERROR:
        return ""
    return (
        f". With other samples of the same patients {the(main)} of radiomics by .632+ would vary "
        f"by about {number(corrected.error)} (Monte Carlo standard error)"
    )


def _differences(results: AnalysisResults) -> Section:
    kind = results.settings.kind
    rows = [
        [
            f"{a} − {b}",
            with_interval(found.discrimination),
            with_interval(found.brier),
            with_interval(found.net_benefit),
            _p(found.added_p),
        ]
        for (a, b), found in results.comparisons.items()
    ]
    line = (
        f"{_fitted(results)} In discrimination a second model below 0.5 "
        "counts as 0.5, because a useless model ranks the wrong way round out of fold. A negative "
        "difference in Brier is better."
    )
    header = [
        "models",
        main_measure(kind),
        brier_measure(kind),
        _benefit(results),
        "likelihood-ratio p",
    ]
    caption = "Differences between models, on the same patients and folds, with 95 % intervals."
    return Section("What radiomics adds", [line], header, rows, caption=caption)


def _fitted(results: AnalysisResults) -> str:
    """Return how both sides of a comparison were fitted."""
    if results.settings.model != "elastic-net":
        return "Both by the same algorithm in the same folds."
    said = {
        VOLUME: "volume",
        SINGLE: "one feature",
        CLINICAL: "clinical variables",
    }
    there = [text for name, text in said.items() if name in results.measures]
    same = f" The model {BOTH} is fitted as {CLINICAL} is." if BOTH in results.measures else ""
    return (
        "Both sides are linear models fitted in the same folds; that of radiomics is penalised and "
        f"tuned, those of {listed(there)} are practically unpenalised.{same}"
    )


def _benefit(results: AnalysisResults) -> str:
    return f"{NET_BENEFIT} ({benefit_at(results.plan, results.settings)})"


def _p(value: float) -> str:
    if math.isnan(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


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
        "of its own log scale (alone, its weight is its calibration slope; 0: it adds nothing)"
        if linear
        else "importances of the trees (1 where the algorithm has none)"
    )
    line = f"Clinical variables are neither penalised nor left out. Weights are {meaning}."
    header = ["column", "weight, all patients", "mean over outer models", "std"]
    caption = f"The clinical variables and the radiomics score in the model {BOTH}."
    return Section(f"Weights of {BOTH}", [line], header, rows, caption=caption)


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
            header += [f"observed / expected at {time:.4g}", f"ICI at {time:.4g}"]
        large = (
            "Observed / expected is the number of events by a time over the predicted one, both "
            "of patients not censored by then and weighted for censoring; out of stratified folds "
            "it is close to 1 by construction and says nothing about calibration elsewhere"
        )
        if results.settings.competing:
            large += (
                "; competing events are among the censored, and predictions are not compared with "
                "the Aalen–Johansen incidence"
            )
    else:
        header += ["in the large", "ICI"]
        large = (
            "In the large is the intercept in log odds with the slope fixed at 1; out of "
            "stratified folds it is close to 0 by construction and says nothing about calibration "
            "elsewhere"
        )
    rows = [row + ["–"] * (len(header) - len(row)) for row in rows]
    line = (
        "Slope 1 is ideal; between 0 and 1 predictions are too extreme, at 0 or below they do not "
        f"go with the outcome. Where the interval of {main_measure(results.settings.kind)} reaches "
        f"down to 0.5, that of the slope is extended to hold 0. {large}. ICI is the mean distance "
        "of the smooth curve (local linear, span 0.75) from the diagonal. "
        "Predictions of up to ten repeats are pooled, not averaged."
    )
    caption = f"Calibration of every model out of fold, with 95 % intervals.{times_in(results)}"
    return Section("Calibration", [line], header, rows, caption=caption)


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
    repeats = len(results.validation.folds)
    lines = [
        f"Hazard ratio, high against low: {with_interval(ratio)}; {direction}",
        "A patient is called high risk if the predicted hazard is above the median of the patients "
        f"whom the model was fitted to{in_most(repeats)}, and low risk otherwise. "
        + (
            "The hazard ratio is of a Cox model stratified by fold. "
            if repeats == 1
            else "The hazard ratio is of the groups that each repeat forms by itself (ten repeats "
            "at most), in one Cox model stratified by repeat and fold. "
        )
        + "Numbers at risk: see the Kaplan–Meier figure.",
    ]
    y, rows = results.plan.y, []
    for name, group in (("high", found.high), ("low", found.low)):
        rows.append(
            [
                *(name, joined.size(group.rows), str(int(y["event"][group.rows].sum()))),
                _median_time(group.median),
            ]
        )
    unit = unit_of(results.settings.time_unit)
    header = ["group", "patients", "events", f"median time to the event ({unit})"]
    caption = "Out-of-fold risk groups of the model radiomics, with 95 % intervals."
    caption += censored(results)
    return Section("Risk groups", lines, header, rows, caption=caption)


def _median_time(found: Estimate) -> str:
    if math.isnan(found.value):
        return "not reached"
    low, high = (digits(value) for value in (found.low, found.high))
    return f"{digits(found.value)} ({low} to {high})"


def _weights_are(results: AnalysisResults) -> str:
    """Return what the weights of linear models and of forests are."""
    if weights_are_permuted(results):
        return ""
    if results.settings.model != "elastic-net":
        return " The weight is the forest's impurity importance."
    ratio = "log odds ratio" if results.settings.kind == "subtype" else "log hazard ratio"
    return f" The weight is the {ratio} per standard deviation, shrunken by the penalty."


def _shown_features(count: int) -> str:
    if count > _SHOWN_FEATURES:
        return f"The {_SHOWN_FEATURES} features used most often; all of them: features_used.csv."
    return "The one feature used." if count == 1 else f"All {count} features used."


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
    caption = "Candidates by the number of outer models in which the inner folds chose them."
    title, header = "Settings chosen in the inner folds", ["model", "setting", "models"]
    return Section(title, (), header, rows, caption=caption)


def _competing(results: AnalysisResults, joined: JoinedTable, outcome: Endpoint) -> list[Section]:
    times = np.array(told_times(outcome, results.horizons))
    shares = [
        [f"{time:.4g}", number(among), number(alone)]
        for time, (among, alone) in zip(times, incidence(outcome, times), strict=True)
    ]
    title = "Competing events"
    line = (
        "The last column counts competing events as censored, and is no share of patients: it "
        "would be the one without them if they were independent of the event."
    )
    unit = unit_of(results.settings.time_unit)
    header = [f"by time ({unit})", "cumulative incidence (Aalen–Johansen)", "1 − Kaplan–Meier"]
    validation = results.validation
    score = mean_score(validation.models[RADIOMICS].score, validation.folds)
    ratios = hazard_ratios(outcome, score, joined.groups, results.settings.seed)
    rows = [[name, with_interval(found)] for name, found in ratios.items()]
    about = (
        "Per standard deviation of the out-of-fold score of radiomics, centred by fold and "
        "averaged over repeats. Intervals are normal on the log scale, with the standard error of "
        "a bootstrap of patients, the score kept. The model "
        "itself is cause-specific."
    )
    return [
        Section(title, [line], header, shares, caption="How often the event occurs."),
        Section(
            "Competing events: the score",
            [about],
            ["of", "hazard ratio"],
            rows,
            caption="Hazard ratios of the out-of-fold score, with 95 % intervals.",
        ),
    ]


def _features(results: AnalysisResults) -> Section:
    table = feature_table(results).head(_SHOWN_FEATURES)
    rows = [
        [escape_markdown(str(name)), percent(share), number(mean), number(std)]
        for name, share, mean, std in table.to_numpy()
    ]
    header = ["feature", "used in", "mean weight", "std"]
    empty, models = empty_models(results.validation, RADIOMICS)
    lines = ["Over all outer models." + _weights_are(results)]
    if empty:
        lines.append(f"No feature was used in {empty} of {models} models.")
    if weights_are_permuted(results):
        lines.append(PERMUTED)
    return Section(
        "Features of the model",
        lines,
        header,
        rows,
        [Picture("features.png", FEATURES)],
        caption=_shown_features(len(feature_table(results))),
    )


__all__ = ["Section", "checklists", "interval", "markdown", "sections"]
