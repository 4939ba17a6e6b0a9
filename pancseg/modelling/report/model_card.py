"""Write ``MODEL.md``: the card that goes with a model (Mitchell et al. 2019, arXiv 1810.03993)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pancseg.modelling.analysis.measure_names import benefit_at
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.model_numbers import Tuning, linear_terms, tuned
from pancseg.modelling.report.parts import Section, columns_named, markdown, with_interval
from pancseg.modelling.report.study_facts import filled_by, imputations_of
from pancseg.modelling.report.times_text import times_in
from pancseg.modelling.report.verdict_section import against_results
from pancseg.modelling.saved_model import SavedModel, helping_features, used_features
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import CHANCE, RADIOMICS, SINGLE
from pancseg.modelling.subtype import NET_BENEFIT
from pancseg.modelling.times import timed
from pancseg.modelling.words import counted, listed
from pancseg.tables.html_page import escape_markdown, escape_message

_TO_FILL = "*For you to fill in:* "


def model_card(
    saved: SavedModel,
    results: AnalysisResults,
    joined: JoinedTable,
    endpoint: Endpoint,
    warned: Sequence[str],
) -> str:
    """Return the text of ``MODEL.md``.

    Args:
        saved: the models.
        results: their validation.
        joined: the cohort.
        endpoint: what is predicted.
        warned: what speaks against the model before it is fitted; no line may name a patient.
    """
    what = columns_named([*map(escape_markdown, endpoint.columns)])
    parts = [
        Section("What it is", _details(saved, results, what)),
        Section("What it is for", _use(saved)),
        Section("Whom it was fitted on", _training(results, joined, endpoint)),
        _needs(saved, imputations_of(results.settings, joined)),
        _performance(results, joined, endpoint),
        Section("What speaks against it", _against(results, warned)),
        Section("Limits", [*_competing(saved), *_limits(results, saved)]),
        Section("Files", _files(saved, results)),
    ]
    return markdown(f"Model card: radiomics and {what}", parts)


def _details(saved: SavedModel, results: AnalysisResults, what: str) -> list[str]:
    model = saved.models[RADIOMICS]
    form = "a sum of terms" if linear_terms(model) is not None else "trees"
    if saved.kind == "survival":
        predicts = f"{what}: a log hazard, and from it the probability of "
        predicts += "being event-free"
    else:
        positive, rest = (escape_markdown(saved.facts["classes"][k]) for k in (1, 0))
        predicts = f"the probability of {positive} against {rest} (column {what})"
    return [
        f"It predicts {predicts}.",
        f"Algorithm, set before this run: {results.settings.model} ({form}). "
        f"Saved beside it for comparison: {', '.join(n for n in saved.models if n != RADIOMICS)}.",
        *_setting(tuned(results)[RADIOMICS]),
        f"Made by {saved.facts['made_by']}; random seed {results.settings.seed}.",
    ]


def _setting(tuning: Tuning) -> list[str]:
    """Return how the saved model was set, and how many of those that were judged were set so."""
    if not tuning.models:
        return []
    return [
        f"Its setting, {tuning.chosen}, was chosen among {tuning.candidates} candidates by inner "
        f"folds of all patients. The performance below is of {counted(tuning.models, 'model')} of "
        f"the cross-validation, each tuned for itself; {tuning.alike or 'none'} of them had this "
        "setting."
    ]


def _use(saved: SavedModel) -> list[str]:
    return [
        "Research. It is not a medical device, and no decision about a patient may rest on it.",
        "Apply it with `pancseg predict`, or compute it from model.json as report.md says.",
        _TO_FILL + "the intended users and patients, and the point in care at which the "
        "prediction would be made.",
    ]


def _training(results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint) -> list[str]:
    if endpoint.kind == "survival":
        unit = unit_of(results.settings.time_unit)
        median = float(np.median(endpoint.y["time"]))
        events = int(endpoint.y["event"].sum())
        outcome = f"{events} events; median observed time {timed(median, unit)}"
    else:
        rest, positive = map(escape_markdown, endpoint.classes)
        count = int(endpoint.y.sum())
        outcome = f"{count} {positive}, {len(endpoint.y) - count} {rest}"
    origin = joined.origin
    region = f"Region: {escape_markdown(origin.region)}. " if origin.region else ""
    settings = f"Feature settings: {origin.settings[:12]}…. " if origin.settings else ""
    return [
        f"{joined.size()}; {outcome}. See report.md for table and flow.",
        f"{joined.features.shape[1]} candidate features. {region}{settings}".strip(),
        _TO_FILL + "hospital, years, scanners, and who was eligible.",
    ]


def _needs(saved: SavedModel, imputations: int) -> Section:
    rows = [["radiomics feature", escape_markdown(name)] for name in used_features(saved.models)]
    used = set(used_features(saved.models))
    rows += [
        ["radiomics feature, for missing values of others", escape_markdown(name)]
        for name in helping_features(saved.models)
        if name not in used
    ]
    if saved.facts["origin"]["volume"]:
        rows.append(["volume", escape_markdown(saved.facts["origin"]["volume"])])
    for name, levels in saved.facts["origin"]["levels"].items():
        texts = f" ({', '.join(level or 'missing' for level in levels)})" if levels else ""
        rows.append(["clinical variable", escape_markdown(name + texts)])
    lines = [
        f"A missing value is replaced: {filled_by(imputations)}. Values far out are "
        "moved to the limits in model.json."
    ]
    return Section("What it needs of a patient", lines, ["kind", "column"], rows)


def _performance(results: AnalysisResults, joined: JoinedTable, endpoint: Endpoint) -> Section:
    unsaved = (CHANCE, SINGLE)
    shown = {name: found for name, found in results.measures.items() if name not in unsaved}
    shown = {name: found for name, found in shown.items() if not name.startswith("radiomics, ")}
    measures = list(next(iter(shown.values())))
    rows = [[name, *(with_interval(f[m]) for m in measures)] for name, f in shown.items()]
    settings = results.settings
    line = (
        f"Out of fold, in {joined.size()}: {counted(settings.repeats, 'repeat')} of "
        f"{settings.outer} outer and {settings.inner} inner folds; 95 % intervals. The saved "
        "model was refitted on all of them and has not been tested on other patients."
        f"{times_in(results)}"
    )
    benefit = f"{NET_BENEFIT} ({benefit_at(results.plan, settings)})"
    header = [benefit if name == NET_BENEFIT else name for name in measures]
    return Section("How good it is", [line], ["model", *header], rows)


def _competing(saved: SavedModel) -> list[str]:
    if not saved.facts.get("competing"):
        return []
    return [
        "It is cause-specific: competing events count as censored, and the probability of being "
        "event-free is the one without them, if they are independent of the event, and no share "
        "of patients. The Brier score and net benefit above are of such probabilities, too."
    ]


def _against(results: AnalysisResults, warned: Sequence[str]) -> list[str]:
    """Return what the report's verdict says against the model, without patients' ids."""
    lines = map(escape_message, [*against_results(results), *warned])
    return [f"* {line}" for line in lines]


def _limits(results: AnalysisResults, saved: SavedModel) -> list[str]:
    groups = results.settings.subgroups
    imputes = any(model.imputes for model in saved.models.values())
    seen = ", of imputed columns the smallest and largest value" if imputes else ""
    by = listed([escape_markdown(name) for name in groups])
    return [
        "`pancseg predict` with outcomes validates it in other patients.",
        "Other scanners, protocols, ways of drawing the region or feature settings change the "
        "features, and with them the predictions.",
        f"Performance was looked at within groups of patients, by {by}: see report.md."
        if groups
        else "Performance within groups of patients was not looked at (`subgroup`).",
        "model.json and coefficients.csv hold no patient's row, but training medians, means"
        f"{seen} and, for survival, the event times. model.safetensors also holds the "
        "smallest and largest training values and, where features identify a row, a salted hash of "
        "each training row (with its salt), by which a known patient can be recognised. "
        "predictions.csv and folds.csv hold a row per patient. Check what may be shared.",
    ]


def _files(saved: SavedModel, results: AnalysisResults) -> list[str]:
    found = [
        "model.safetensors: what `pancseg predict` reads.",
        "model.json: the same as numbers, for people and other programs (trees excepted).",
        "coefficients.csv: the terms of the linear models.",
    ]
    if saved.kind == "survival":
        found.append("baseline\\_survival.csv: their curves for a patient at all means.")
    return [*found, "report.md, predictions.csv, folds.csv, settings.yaml: the study behind it."]
