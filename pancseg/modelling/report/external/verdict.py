"""The section that comes first: how the model does in new patients, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pancseg.modelling.report.external.case_mix import outside_counts
from pancseg.modelling.report.external.judged import Judged
from pancseg.modelling.report.parts import Section, with_interval
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, VOLUME
from pancseg.modelling.times import timed
from pancseg.modelling.validation.limits import difference_of
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.validation.new_patients import FEWEST
from pancseg.modelling.words import counted
from pancseg.system.text.number_text import printed
from pancseg.tables.html_page import escape_markdown, escape_message


def verdict_section(judged: Judged, calibrated: Mapping[str, Mapping[str, Estimate]]) -> Section:
    """Return the first section.

    Args:
        judged: the new patients.
        calibrated: model → the result of :func:`.calibration.calibration_of`.
    """
    facts, name = judged.saved.facts, RADIOMICS
    found = judged.measures.get(name)
    lines = [
        f"**What?** A model that was fitted to {counted(facts['patients'], 'row')} "
        f"({escape_markdown(facts['made_by'].split(',')[0])}) was applied to new patients as it "
        "is.",
        f"**In whom?** {judged.size}, {judged.counts}."
        + (
            f" {counted(judged.own, 'patient')} that the model was fitted on, and found again in "
            "the table, were left out."
            if judged.own
            else ""
        ),
    ]
    against = [f"* {escape_message(line)}" for line in [*judged.doubts, *_overlap(judged)]]
    if found is None:
        lines.append("**How much?** The model radiomics has no prediction that could be judged.")
        return Section("Verdict", [*lines, *against])
    main = found[judged.main]
    better = _said(
        main,
        0.5,
        "predicts better than chance",
        "predicts worse than chance",
        "is not shown to predict better than chance",
    )
    lines.append(
        f"**How much?** Radiomics {better} in them ({judged.main} {with_interval(main)})."
        f"{_against_development(judged, main)}"
    )
    lines += [
        f"**More than {what}?** {_more(judged, pair, what)}"
        for pair, what in (
            ((BOTH, CLINICAL), "the clinical variables"),
            ((RADIOMICS, VOLUME), "volume"),
        )
        if pair in judged.differences
    ]
    lines.append(f"**Calibrated?** {_calibration_sentence(judged, calibrated[name])}")
    outside = outside_counts(judged)
    if outside is not None and outside[0]:
        against.append(_outside(judged, outside[0]))
    missing = int(np.isnan(judged.scores[name]).sum())
    if missing:
        have = "has" if missing == 1 else "have"
        against.append(f"* {counted(missing, 'row')} {have} no prediction of {name}.")
    lines.append("**What speaks against it?**" + ("" if against else " Nothing that was tested."))
    return Section("Verdict", [*lines, *against])


def _outside(judged: Judged, count: int) -> str:
    """Return a sentence on rows outside the range of the training: which models they concern."""
    mine = outside_counts(judged, RADIOMICS)
    assert mine is not None
    of = "none" if not mine[0] else "all" if mine[0] == count else str(mine[0])
    return (
        f"* {count} of {len(judged.y)} rows {'has' if count == 1 else 'have'} a value outside the "
        f"range of the training ({of} of them in a column that radiomics reads); a model that "
        "reads it is not supported by data there."
    )


def _said(found: Estimate, null: float, above: str, below: str, neither: str) -> str:
    """Return the words for an interval, as printed: above a value, below it, or holding it."""
    if printed(found.low) > null:
        return above
    return below if printed(found.high) < null else neither


def _overlap(judged: Judged) -> list[str]:
    """Return what cannot be told of the patients, and of competing events."""
    found = []
    if not judged.overlap_known:
        found.append(
            "Whether the model was fitted on some of these patients cannot be told: the table "
            "lacks features that the training's had, holds them rounded to fewer than six digits, "
            "or they do not tell patients apart."
        )
    if rivals := judged.saved.facts.get("competing"):
        found.append(
            f"The model is cause-specific: competing events ({', '.join(rivals)}) count as "
            "censored, in what was predicted and in what is observed here; its risks are no shares "
            "of patients."
        )
    return found


def _against_development(judged: Judged, main: Estimate) -> str:
    """Return a sentence on the out-of-fold performance in the training cohort, if it is known."""
    known = (judged.saved.facts.get("measures") or {}).get(RADIOMICS, {}).get(judged.main)
    if known is None:
        return ""
    before = Estimate(*known)
    change = difference_of(main, before)
    says = _said(change, 0, "it is higher here", "it is lower here", "no difference is shown")
    return (
        f" Out of fold, in the cohort that it was fitted to, it was {with_interval(before)}: "
        f"{says} (here less there {with_interval(change)})."
    )


def _more(judged: Judged, pair: tuple[str, str], other: str) -> str:
    """Return a sentence on what the first model of a pair has more than the second."""
    change = judged.differences[pair][judged.main]
    ranks = _said(
        change,
        0,
        "ranks them better than",
        "ranks them worse than",
        "is not shown to rank them better than",
    )
    first = pair[0][0].upper() + pair[0][1:]
    return f"{first} {ranks} {other} alone (difference in {judged.main} {with_interval(change)})."


def _calibration_sentence(judged: Judged, found: Mapping[str, Estimate]) -> str:
    ratios = {key: each for key, each in found.items() if key.startswith("observed")}
    if not ratios:
        return "No patient was followed up long enough to say."
    parts = []
    for key, each in ratios.items():
        ratio = _at(judged, f"{key[0].upper()}{key[1:]}")
        parts.append(f"{ratio} is {with_interval(each)}: {_shift(judged, each)}.")
    measures = judged.measures[RADIOMICS]
    slope = f"The calibration slope is {with_interval(measures['calibration slope'])}"
    indices = [
        f"{_at(judged, key)} is {with_interval(measures[key])}"
        for key in measures
        if key[:3] == "ICI"
    ]
    return f"{' '.join(parts)} {', '.join([slope, *indices])}."


def _shift(judged: Judged, ratio: Estimate) -> str:
    """Return what a ratio of observed to expected says."""
    if np.isnan(ratio.low):
        few = judged.survival and not np.isnan(ratio.value)
        return f"fewer than {FEWEST} events by then, too few to say" if few else "not to be told"
    if printed(ratio.low) > 1:
        return "risks are too low on average"
    if printed(ratio.high) < 1:
        return "risks are too high on average"
    return "no shift of the average risk is shown"


def _at(judged: Judged, measure: str) -> str:
    """Return the name of a measure, with the unit of its time."""
    name, at, time = measure.partition(" at ")
    return f"{name} at {timed(float(time), judged.unit)}" if at else measure
