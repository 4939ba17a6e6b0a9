"""How often the intervals and sentences of `pancseg model` are true, where the truth is known.

    python studies/outcome_intervals.py run FILE KIND SIGNAL PATIENTS SEEDS [REPEATS]
    python studies/outcome_intervals.py all FILE [SEEDS] [REPEATS]
    python studies/outcome_intervals.py table FILE [FILE ...]

KIND is subtype or survival, SIGNAL is noise or planted. ``run`` appends a line of JSON per table to
FILE; seeds that FILE has are skipped, so that it can be stopped and started again. ``all`` does so
for both kinds, noise and planted, of 60, 120 and 200 patients, ten seeds of each in turn. ``table``
prints coverage and how often sentences are said.

A table has 60 features, a volume and an age, all normal; a third of the patients are of class 1,
or three in five have the event. ``noise``: nothing is associated with the outcome. ``planted``: log
odds or log hazards are f0 + 0.5 age. The models are those of the command, 5 outer and 5 inner
folds; one repeat of them, where the command makes five, unless REPEATS says more.

**What an interval should hold.** A report's performance is that of models fitted to most of the
patients of this table, in new patients. The truth here is therefore what the same formula yields
when the models of the outer folds predict 4,000 new patients of the same distribution; a difference
between two models is that of their truths. This conditions on the table: it is not the performance
averaged over all tables that could have been drawn. Three measures need a word:

* AUC and C count pairs within 400 of the new patients and one model, as a report does within a
  fold. On noise they are exactly 0.5, slopes exactly 0, and the hazard ratio of the groups exactly
  1, and these values are used. In a difference of AUC or C, a second model below 0.5 counts as 0.5,
  as in the report.
* PR-AUC depends on the number of patients: the truth is its mean over new tables of as many
  patients as this one has.
* Weighted for censoring are Brier score, net benefit, Uno's C and AUC at a horizon, in the new
  patients as in the report; time grid, horizon and threshold are those of this table.

A slope, ratio or hazard ratio that a table does not have, as predictions do not vary, is counted
apart ("without").
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from outcomes import joined, outcome, study_of
from threadpoolctl import threadpool_limits

from pancseg.modelling.analysis.analyse import analyse
from pancseg.modelling.analysis.measure_names import brier_measure, main_measure
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.cross_validation.fitted_models import FittedModel, fit_specs
from pancseg.modelling.cross_validation.folds import outer_seed
from pancseg.modelling.cross_validation.out_of_fold import OutOfFold, ValidationResult
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import BOTH, CHANCE, CLINICAL
from pancseg.modelling.subtype import subtype_measures
from pancseg.modelling.survival import SurvivalTask, survival_measures, treatment_threshold
from pancseg.modelling.times import named_time
from pancseg.modelling.validation.calibration import cox_slope, in_the_large, logistic_line
from pancseg.modelling.validation.measures import Estimate, average_precision
from pancseg.modelling.validation.observed_expected import observed_over_expected

FEATURES, NEW_PATIENTS, CHUNK = 60, 4000, 400
SHARE = 1 / 3
Truths = dict[str, dict[str, float]]


def drawn(
    kind: str, signal: str, patients: int, random: np.random.Generator
) -> tuple[JoinedTable, np.ndarray]:
    """Return a table and its outcomes."""
    x, size, age = (
        random.normal(size=(patients, FEATURES)),
        random.normal(size=patients),
        random.normal(size=patients),
    )
    risk = x[:, 0] + 0.5 * age if signal == "planted" else np.zeros(patients)
    if kind == "subtype":
        risk = risk + np.log(SHARE / (1 - SHARE)) * (1.2 if signal == "planted" else 1)
    cohort = joined(x, np.exp(size))
    ages = pd.DataFrame({"age": age}, index=cohort.features.index)
    return replace(cohort, clinical=ages), outcome(kind, risk, random)


def one_table(kind: str, signal: str, patients: int, seed: int, repeats: int) -> dict[str, Any]:
    """Return the intervals of one table beside the truth, and what its verdict says."""
    random = np.random.default_rng([seed, patients, kind == "subtype", signal == "noise"])
    while True:  # as the command does, refuse a table with too few of a class or events
        cohort, y = drawn(kind, signal, patients, random)
        event = np.asarray(y["event"] if kind == "survival" else y, dtype=bool)
        if min(event.sum(), patients if kind == "survival" else (~event).sum()) >= 10:
            break
    settings = ModelSettings(kind=kind, repeats=repeats, canary=0, seed=seed)  # type: ignore[arg-type]
    plan = study_of(cohort, kind, y, seed, repeats)
    specs = [spec for spec in plan.specs if not spec.name.startswith("radiomics, ")]
    plan = replace(plan, specs=specs)
    results = analyse(plan, settings)
    return {
        "kind": kind,
        "signal": signal,
        "patients": patients,
        "seed": seed,
        "repeats": repeats,
        "said": _said(results, kind),
        "intervals": list(_beside(results, _truths(results, kind, signal, random))),
    }


def _said(results: AnalysisResults, kind: str) -> dict[str, bool]:
    said = " ".join(results.verdict)
    told = {
        "radiomics above chance": "Radiomics predicts better" in said,
        "volume above chance": "olume alone predicts better" in said,
        "more than volume": "More than volume" in said,
        "more than one feature": "More than one feature" in said,
        "adds to clinical": "Radiomics adds" in said,
        "likelihood-ratio p < 0.05": results.comparisons[BOTH, CLINICAL].added_p < 0.05,
    }
    if kind == "subtype":
        random = results.measures[CHANCE]["PR-AUC"].value
        told["PR-AUC interval above random scores"] = (
            results.measures["radiomics"]["PR-AUC"].low > random
        )
    elif results.groups is not None:
        told["high group has events earlier"] = results.groups.ratio.low > 1
        told["high group has events later"] = results.groups.ratio.high < 1
    return {name: bool(value) for name, value in told.items()}


def _printed(results: AnalysisResults) -> Iterator[tuple[str, str, Estimate]]:
    """Yield model or pair of models, measure, and the interval that a report prints."""
    for name, found in results.measures.items():
        if name != CHANCE:
            yield from ((name, measure, value) for measure, value in found.items())
    main, brier = (name(results.settings.kind) for name in (main_measure, brier_measure))
    for (a, b), compared in results.comparisons.items():
        pair = f"{a} − {b}"
        yield pair, main, compared.discrimination
        yield pair, brier, compared.brier
        yield pair, "net benefit", compared.net_benefit
    for name, found in results.calibration.items():
        yield name, "calibration slope", found.slope
        if results.settings.kind == "subtype":
            yield name, "calibration in the large", found.intercept
        for ratio in list(found.ratios.values())[:2][-1:]:  # the only one, or the middle horizon
            yield name, "observed/expected", ratio
    if results.groups is not None:
        yield "radiomics", "hazard ratio of groups", results.groups.ratio


def _beside(results: AnalysisResults, truths: Truths) -> Iterator[list[Any]]:
    for name, measure, found in _printed(results):
        parts, first = name.split(" − "), measure
        if len(parts) == 1:
            truth = truths[name][measure]
        else:
            a, b = (truths[part][first] for part in parts)
            ranks = first == main_measure(results.settings.kind)
            truth = a - (max(b, 0.5) if ranks else b)
        row = (found.value, found.low, found.high, truth)
        if measure.startswith("AUC at "):
            times = [f"AUC at {named_time(time)}" for time in results.horizons]
            measure = f"AUC at horizon {times.index(measure) + 1}"
        yield [name, measure, *(None if np.isnan(v) else round(float(v), 5) for v in row)]


def _truths(
    results: AnalysisResults, kind: str, signal: str, random: np.random.Generator
) -> Truths:
    """Return model → measure → what the fold models reach in new patients."""
    plan = results.plan
    cohort, y = drawn(kind, signal, NEW_PATIENTS, random)
    frames = {"radiomics": cohort.features, "volume only": cohort.volume}
    frames["clinical only"] = cohort.clinical
    new = {name: frame.to_numpy(float) for name, frame in frames.items()}
    folds, fitted = results.validation.folds, []
    for repeat in range(plan.repeats):
        for number in range(plan.outer):
            with threadpool_limits(1):
                train = np.flatnonzero(folds[repeat] != number)
                fitted.append(fit_specs(plan, train, outer_seed(plan, repeat, number)))
    # A row of ``turn`` says which model predicts a patient: in each row those of one repeat.
    place, row = np.arange(NEW_PATIENTS), np.arange(max(plan.outer, plan.repeats))[:, None]
    turn = (place + row) % plan.outer + plan.outer * (row % plan.repeats)
    together = turn + plan.outer * plan.repeats * (place // (CHUNK * plan.outer))
    found: Truths = {}
    for name in results.calibration:
        models = [each[name] for each in fitted]
        _same_models(results, name, models, folds)
        out = _predictions(plan, models, new, turn)
        values = _measured(plan, y, ValidationResult(together, {name: out}), out)
        values |= _calibration(plan, y, out, turn)
        if kind == "subtype":
            values["PR-AUC"] = _precision(y, out.score, len(plan.y))
        if signal == "noise":
            values |= {k: v for k, v in _USELESS.items() if k in values}
        found[name] = values
    return found


_USELESS = {
    "AUC": 0.5,
    "Harrell's C": 0.5,
    "Uno's C": 0.5,
    "calibration slope": 0.0,
    "hazard ratio of groups": 1.0,
}


def _same_models(
    results: AnalysisResults, name: str, models: list[FittedModel], folds: np.ndarray
) -> None:
    """Stop unless these models made the report's out-of-fold predictions."""
    plan = results.plan
    for place, model in enumerate(models):
        repeat, number = divmod(place, plan.outer)
        test = folds[repeat] == number
        x = model.prepared({block: each.x[test] for block, each in plan.blocks.items()})
        again = plan.task.predict(model.model, x)
        if not np.allclose(again, results.validation.models[name].score[repeat, test]):
            raise RuntimeError(f"{name}: fold {place} was not refitted as it had been fitted")


def _predictions(
    plan: ValidationPlan, models: list[FittedModel], new: dict[str, np.ndarray], turn: np.ndarray
) -> OutOfFold:
    score, threshold = np.empty((2, *turn.shape))
    curves = None
    for number, model in enumerate(models):
        x = model.prepared(new)
        mine = turn == number
        repeats, rows = np.nonzero(mine)
        score[mine] = plan.task.predict(model.model, x)[rows]
        threshold[mine] = model.threshold
        each = plan.task.curves(model.model, x)
        if each is not None:
            curves = np.empty((*turn.shape, each.shape[1])) if curves is None else curves
            curves[repeats, rows] = each[rows]
    return OutOfFold(score, threshold, curves, (), ())


def _measured(
    plan: ValidationPlan, y: np.ndarray, validation: ValidationResult, out: OutOfFold
) -> dict[str, float]:
    """Return each measure in the new patients, at the times and threshold of the table."""
    once = np.ones((1, len(y)))
    if isinstance(plan.task, SurvivalTask):
        at = treatment_threshold(plan.y, plan.task.middle)
        found = survival_measures(y, validation, out, once, plan.task, at)
    else:
        found = subtype_measures(y, validation, out, once, float(plan.y.mean()))
    return {name: float(values[0]) for name, values in found.items()}


def _calibration(
    plan: ValidationPlan, y: np.ndarray, out: OutOfFold, turn: np.ndarray
) -> dict[str, float]:
    repeats = len(turn)
    many, once = np.tile(y, repeats), np.ones((1, repeats * len(y)))
    found = {}
    if isinstance(plan.task, SurvivalTask):
        assert out.curves is not None
        strata = (turn + (1 + turn.max()) * np.arange(repeats)[:, None]).ravel()
        found["calibration slope"] = cox_slope(many, out.score.ravel(), strata, once)[0]
        high = (out.score > out.threshold).astype(float).ravel()
        found["hazard ratio of groups"] = np.exp(cox_slope(many, high, strata, once)[0])
        horizons = plan.task.horizons
        at = horizons[1] if len(horizons) > 1 else horizons[0]
        risk = 1 - plan.task.event_free(out.curves, at)
    else:
        found["calibration slope"] = logistic_line(many, out.score.ravel(), once)[0][0]
        found["calibration in the large"] = in_the_large(many, out.score.ravel(), once)[0]
        risk, at = out.score, 0.0
    mean, once = risk.mean(axis=0), np.ones((1, len(y)))
    found["observed/expected"] = observed_over_expected(y, mean, once, at)[0]
    return {name: float(value) for name, value in found.items()}


def _precision(y: np.ndarray, score: np.ndarray, patients: int) -> float:
    """Return the mean average precision of new tables of so many patients."""
    found = []
    for first in range(0, len(y) - patients + 1, patients):
        rows = slice(first, first + patients)
        once = np.ones((1, patients))
        found += [average_precision(y[rows], each[rows], once)[0] for each in score]
    return float(np.mean(found))


def run(file: Path, kind: str, signal: str, patients: int, seeds: int, repeats: int = 1) -> None:
    """Append the tables that the file lacks."""
    have = {tuple(_key(row)) for row in _rows(file)}
    with file.open("a") as lines:
        for seed in range(seeds):
            if (kind, signal, patients, repeats, seed) not in have:
                row = one_table(kind, signal, patients, seed, repeats)
                print(json.dumps(row), file=lines, flush=True)


def run_all(file: Path, seeds: int = 200, repeats: int = 1) -> None:
    """Append all tables that the file lacks, a few seeds of each kind in turn."""
    for until in [*range(10, seeds, 10), seeds]:
        for signal in ("noise", "planted"):
            for n in (60, 120, 200):
                for kind in ("subtype", "survival"):
                    run(file, kind, signal, n, until, repeats)
        print(f"{until} of {seeds} seeds", flush=True)


def table(*files: Path) -> None:
    """Print how often intervals hold the truth, and how often sentences are said."""
    rows = [row for file in files for row in _rows(file)]
    settings = ["kind", "signal", "patients", "repeats"]
    said = pd.DataFrame([{k: row[k] for k in settings} | row["said"] for row in rows])
    said = said.astype(dict.fromkeys(said.columns.difference(settings), float))
    parts = said.groupby(settings)
    print(f"tables:\n{parts.size().to_string()}\n\nsaid, % of tables:")
    print((100 * parts.mean()).round(1).T.to_string(na_rep=""))
    names = ["model", "measure", "value", "low", "high", "truth"]
    found = pd.DataFrame(
        [
            {k: row[k] for k in settings} | dict(zip(names, values, strict=True))
            for row in rows
            for values in row["intervals"]
        ]
    )
    found["without"] = 100.0 * found[["low", "high", "truth"]].isna().any(axis=1)
    known = found["without"] == 0
    found["above"] = (100.0 * (found["low"] > found["truth"])).where(known)
    found["below"] = (100.0 * (found["high"] < found["truth"])).where(known)
    found["covers"] = (100.0 - found["above"] - found["below"]).where(known)
    found["bias"] = found["value"] - found["truth"]
    found["width"] = found["high"] - found["low"]
    shown = found.groupby([*settings, "measure", "model"]).agg(
        covers=("covers", "mean"),
        above=("above", "mean"),
        below=("below", "mean"),
        without=("without", "mean"),
        truth=("truth", "mean"),
        bias=("bias", "mean"),
        error=("bias", "std"),
        width=("width", "median"),
    )
    print("\nintervals (% that hold the truth, lie above it, lie below it):")
    print(shown.round(3).to_string())


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _key(row: dict[str, Any]) -> list[Any]:
    return [row[name] for name in ("kind", "signal", "patients", "repeats", "seed")]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run", file, kind, signal, patients, seeds, *repeats]:
            run(Path(file), kind, signal, int(patients), int(seeds), *map(int, repeats))
        case ["all", file, *rest]:
            run_all(Path(file), *map(int, rest))
        case ["table", *files] if files:
            table(*map(Path, files))
        case _:
            raise SystemExit(__doc__)
