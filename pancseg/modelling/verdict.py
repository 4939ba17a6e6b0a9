"""Say in sentences what radiomics adds, and no more than the numbers carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.validation.comparison import Comparison
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.words import the
from pancseg.system.text.number_text import decimals, printed

LEVEL = 0.05


@dataclass(frozen=True)
class HowCompared:
    """How the models were fitted and judged, as far as the sentences tell it.

    Attributes:
        empty: number of models of radiomics that used no feature, and of all.
        linear: whether the declared algorithm is linear: radiomics is then penalised, and what it
            is compared with is not.
        benefit_at: threshold and horizon of the net benefit, as text.
        single_is_volume: whether the best single feature was the volume in every fold.
        unweighted: number of models of clinical + radiomics in which the score of radiomics has no
            weight, and of all.
        brier: the Brier score that is compared, ``Brier`` or ``integrated Brier``.
    """

    empty: tuple[int, int] = (0, 1)
    linear: bool = True
    benefit_at: str = ""
    single_is_volume: bool = False
    unweighted: tuple[int, int] = (0, 1)
    brier: str = "Brier"


def verdict(
    judged: Mapping[str, Mapping[str, Estimate]],
    compared: Mapping[tuple[str, str], Comparison],
    main: str,
    how: HowCompared | None = None,
) -> list[str]:
    """Return sentences that say what radiomics adds to volume and clinical variables.

    Args:
        judged: model → measure → estimate.
        compared: (a, b) → model a less model b.
        main: the main measure, AUC or Harrell's C.
        how: how the models were fitted and judged; None: the defaults.
    """
    how = how or HowCompared()
    empty = how.empty
    radiomics = judged[RADIOMICS][main]
    found = printed(radiomics.low) > 0.5
    if found:
        sentences = [f"Radiomics predicts better than chance ({main} {interval(radiomics)})."]
    else:
        sentences = [
            f"No evidence that radiomics predicts better than chance ({main} "
            f"{interval(radiomics)}). {_not_excluded(radiomics, main)}"
        ]
    if empty[0]:
        sentences.append(
            f"No feature was used in {empty[0]} of {empty[1]} models. Those predict the same for "
            f"every patient, and {the(main)} is drawn to 0.5."
        )
    if (RADIOMICS, SINGLE) in compared and found:
        sentences.append(
            "The best single feature was the volume in every fold."
            if how.single_is_volume
            else _single(judged[SINGLE][main], compared[RADIOMICS, SINGLE], main, how.brier)
        )
    if VOLUME in judged:
        sentences += _volume(judged, compared, main, how)
    if (BOTH, CLINICAL) in compared:
        sentences.append(_added(judged[CLINICAL][main], compared[BOTH, CLINICAL], main, how))
    return sentences


def _not_excluded(radiomics: Estimate, main: str) -> str:
    """Return what an interval that reaches 0.5 leaves open, or why it lies below."""
    if printed(radiomics.high) <= 0.5:
        return (
            "All of the interval is at or below 0.5: a useless model tends to rank the wrong "
            "way round out of fold."
        )
    return (
        f"That is no evidence of absence: a true {main} up to {_number(radiomics.high)} cannot be "
        "excluded."
    )


def _single(alone: Estimate, more: Comparison, main: str, brier: str) -> str:
    if is_better(more):
        return (
            "More than one feature: radiomics ranks patients better than the best single feature, "
            f"chosen in the fold (difference in {main} {interval(more.discrimination)}, in the "
            f"{brier} score {interval(more.brier)}{_test(more, 'the feature')}); the feature's "
            f"{main} is {interval(alone)}."
        )
    ranks = (
        "more features rank patients worse"
        if is_worse(more)
        else "more features are not shown to rank patients better"
    )
    return (
        f"A single feature, chosen in the fold, reaches {interval(alone)}; {ranks} "
        f"(difference in {main} {interval(more.discrimination)}, in "
        f"the {brier} score {interval(more.brier)}{_test(more, 'the feature')})"
        f"{_risks(more, 'their')}.{_only_p(more, main)}"
    )


def _risks(more: Comparison, whose: str = "its") -> str:
    return f", though {whose} predicted risks are better" if printed(more.brier.high) < 0 else ""


def _volume(
    judged: Mapping[str, Mapping[str, Estimate]],
    compared: Mapping[tuple[str, str], Comparison],
    main: str,
    how: HowCompared,
) -> list[str]:
    fitted = (
        "linear models, fitted in the same folds" if how.linear else "fitted by the same algorithm"
    )
    volume, more = judged[VOLUME][main], compared[RADIOMICS, VOLUME]
    found = printed(judged[RADIOMICS][main].low) > 0.5
    if printed(volume.low) > 0.5 and not found:
        return [f"Volume alone predicts better than chance ({main} {interval(volume)})."]
    ranks = (
        "radiomics ranks patients worse"
        if is_worse(more)
        else "radiomics is not shown to rank patients better"
    )
    if printed(volume.low) > 0.5 and not is_better(more):
        start = "Less than volume" if is_worse(more) else "Not shown to be more than volume"
        return [
            f"**{start}**: volume alone reaches {interval(volume)}, and {ranks} (difference in "
            f"{main} {_all(more, how, 'volume')}){_risks(more)}.{_only_p(more, main)}"
        ]
    if printed(volume.low) > 0.5:
        return [
            f"More than volume: radiomics ranks patients better than volume alone ({fitted}; "
            "difference in "
            f"{main} {_all(more, how, 'volume')}); volume's {main} is {interval(volume)}."
        ]
    if found and not is_better(more):
        return [
            f"Volume alone reaches {interval(volume)}, not shown to be better than chance; "
            f"{ranks} than volume (difference in {main} {_all(more, how, 'volume')})"
            f"{_risks(more)}.{_only_p(more, main)}"
        ]
    return []


def _added(clinical: Estimate, more: Comparison, main: str, how: HowCompared) -> str:
    alone = (
        f"the clinical variables alone are not shown to be better than chance: {main} "
        f"{interval(clinical)}, counted as 0.5 in the difference, as a useless model tends to rank "
        "the wrong way round out of fold"
        if printed(clinical.value) < 0.5
        else f"the clinical variables alone reach {interval(clinical)}"
        + ("" if printed(clinical.low) > 0.5 else ", not shown to be better than chance")
    )
    tail = f"difference in {main} {_all(more, how)}; {alone}"
    if is_better(more):
        return f"Radiomics adds to the clinical variables ({tail})."
    if is_worse(more):
        return (
            f"With radiomics added, the clinical variables rank patients worse than alone ({tail})."
        )
    most, (none, models) = max(more.discrimination.high, 0.0), how.unweighted
    gain = f"A gain in {main} of up to {_number(most)} cannot be excluded."
    if none:
        gain = "No gain can be excluded." if 2 * none >= models else gain
        predict = "this one predicts" if none == 1 else "these predict"
        gain += (
            f" In {none} of {models} models of {BOTH} the score of radiomics has no weight: "
            f"{predict} as the clinical variables alone, which draws the difference and its "
            "interval towards 0."
        )
    gain += _only_p(more, main)
    return f"Radiomics is not shown to add to the clinical variables ({tail}). {gain}"


def _only_p(more: Comparison, main: str) -> str:
    """Return what a small p-value beside a difference that holds 0 is worth; else nothing."""
    if is_worse(more) or not more.added_p < LEVEL:
        return ""
    return (
        f" A likelihood-ratio p below {LEVEL:g} does not count alone, and the interval of the "
        f"difference in {main} holds 0."
    )


def is_better(more: Comparison) -> bool:
    """Return whether a ranks better than b and its score adds to b's, each at the 5 % level."""
    return printed(more.discrimination.low) > 0 and not more.added_p >= LEVEL


def is_worse(more: Comparison) -> bool:
    """Return whether a ranks worse than b: the whole interval of the difference is below 0."""
    return printed(more.discrimination.high) < 0


def _all(more: Comparison, how: HowCompared, other: str = "") -> str:
    benefit = f"net benefit ({how.benefit_at})" if how.benefit_at else "net benefit"
    return (
        f"{interval(more.discrimination)}, in the {how.brier} score {interval(more.brier)}, in "
        f"{benefit} "
        f"{interval(more.net_benefit)}{_test(more, other)}"
    )


def _test(more: Comparison, other: str = "") -> str:
    """Return the p-value, which is of added information, not of the difference before it."""
    if more.added_p != more.added_p:
        return ""
    added = f"the score of radiomics added to that of {other}, " if other else ""
    return f"; {added}{p_value(more.added_p)}"


def p_value(p: float) -> str:
    """Return the p-value of the likelihood-ratio test as text."""
    return "likelihood-ratio p " + ("< 0.001" if p < 0.001 else f"= {p:.2g}")


def interval(found: Estimate) -> str:
    """Return an estimate and its interval as text for a sentence."""
    return f"{_number(found.value)}, 95 % interval {_number(found.low)} to {_number(found.high)}"


def _number(value: float) -> str:
    return decimals(value, 3)
