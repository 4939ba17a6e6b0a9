"""The sections of the report on performance, and on what radiomics adds to simpler models."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from pancseg.modelling.analysis.measure_names import benefit_at, brier_measure, main_measure
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.optimism import FEWEST_SAMPLES, PERFECT, SOUND, Corrected, trusted
from pancseg.modelling.report.parts import Section, number, with_interval
from pancseg.modelling.report.times_text import times_in
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.subtype import NET_BENEFIT
from pancseg.modelling.words import counted, listed, the
from pancseg.system.text.number_text import DASH
from pancseg.tables.html_page import escape_markdown

_NO_ERROR = 5e-4
"""A Monte Carlo error below this one is printed as 0.000."""


def performance_section(results: AnalysisResults) -> Section:
    """Return every measure of every model out of fold, with the .632+ estimates beside it."""
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
    notes: tuple[str, ...] = (
        "The threshold is the mean risk of the cohort, where a calibrated model gains most over "
        "treating all or none; see the decision curves for others.",
        _corrected_how(corrected, main_measure(results.settings.kind)),
    )
    if results.settings.competing:
        notes += (
            "Competing events count as censored in every column and in the threshold: these are "
            "measures of the hazard of the event, and of the risk without competing events only if "
            "these are independent of the event; no risk here is a share of patients.",
        )
    return Section("Performance", (), header, rows, caption=caption, notes=notes)


def _corrected_how(corrected: Mapping[str, Corrected], main: str) -> str:
    """Return what the .632+ estimates are of, and for which models none is given."""
    if not corrected[main].samples:
        return (
            "No .632+ estimate is given: there was no bootstrap sample to which the models could "
            "be fitted and whose left-out patients could be judged."
        )
    varies = _varies(corrected[main], main) if trusted(corrected) else ""
    return (
        f"The .632+ estimates are of {counted(corrected[main].samples, 'bootstrap sample')}, in "
        "each of which the models were tuned again; they have no interval"
        f"{varies}. No .632+ estimate is given for chance and other algorithms, for a model with "
        f"fewer than {FEWEST_SAMPLES} samples, or for one that orders its own patients almost "
        f"without error but not those left out ({main} of {PERFECT} or more in its own patients, "
        f"below {SOUND} in those left out): it does so whatever the outcome. Where a model has "
        "overfitted strongly .632+ is somewhat too "
        f"optimistic, and without any signal above 0.5 on average; take {main} out of fold as the "
        "result."
    )


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


def differences_section(results: AnalysisResults) -> Section:
    """Return the differences between radiomics and what it is compared with."""
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
        f"{_fitted(results)} In discrimination a second model below 0.5 counts as 0.5, because a "
        "useless model tends to rank the wrong way round out of fold; as the first may do so too, "
        "the upper end of the interval is not below that of the plain difference. A negative "
        "difference in Brier is better. The likelihood-ratio p is of whether the score of the "
        "first model adds to that of the second, which it can without ranking patients better."
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
    one = len(there) == 1
    others = f"that of {there[0]} is" if one else f"those of {listed(there)} are"
    same = f" The model {BOTH} is fitted as {CLINICAL} is." if BOTH in results.measures else ""
    return (
        "Both sides are linear models fitted in the same folds; that of radiomics is penalised and "
        f"tuned, {others} practically unpenalised.{same}"
    )


def _benefit(results: AnalysisResults) -> str:
    return f"{NET_BENEFIT} ({benefit_at(results.plan, results.settings)})"


def _p(value: float) -> str:
    if math.isnan(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def beside_section(results: AnalysisResults) -> Section:
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
    kept = "neither penalised nor left out" if linear else "not selected from"
    line = f"Clinical variables are {kept}. Weights are {meaning}."
    header = ["column", "weight, all patients", "mean over outer models", "std"]
    caption = f"The clinical variables and the radiomics score in the model {BOTH}."
    return Section(f"Weights of {BOTH}", [line], header, rows, caption=caption)
