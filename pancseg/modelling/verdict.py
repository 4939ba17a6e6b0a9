"""Say in sentences what radiomics adds, and no more than the numbers carry."""

from __future__ import annotations

from collections.abc import Mapping

from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.validation.comparison import Comparison
from pancseg.modelling.validation.measures import Estimate

LEVEL = 0.05


def verdict(
    judged: Mapping[str, Mapping[str, Estimate]],
    compared: Mapping[tuple[str, str], Comparison],
    main: str,
    empty: tuple[int, int] = (0, 1),
) -> list[str]:
    """Return sentences that say what radiomics adds to volume and clinical variables.

    Args:
        judged: model → measure → estimate.
        compared: (a, b) → model a less model b.
        main: the main measure, AUC or Harrell's C.
        empty: number of models of radiomics that used no feature, and of all.
    """
    radiomics = judged[RADIOMICS][main]
    found = radiomics.low > 0.5
    if found:
        sentences = [f"Radiomics predicts better than chance ({main} {interval(radiomics)})."]
    else:
        sentences = [
            f"No evidence that radiomics predicts better than chance ({main} "
            f"{interval(radiomics)}). That is no evidence of absence: a true {main} up to "
            f"{_number(radiomics.high)} cannot be excluded."
        ]
    if empty[0]:
        sentences.append(
            f"No feature was used in {empty[0]} of {empty[1]} models. Those predict the same for "
            f"every patient, and the {main} is drawn to 0.5."
        )
    if (RADIOMICS, SINGLE) in compared and found:
        sentences.append(_single(judged[SINGLE][main], compared[RADIOMICS, SINGLE], main))
    if VOLUME in judged:
        sentences += _volume(judged, compared, main)
    if (BOTH, CLINICAL) in compared:
        sentences.append(_added(judged[CLINICAL][main], compared[BOTH, CLINICAL], main))
    return sentences


def _single(alone: Estimate, more: Comparison, main: str) -> str:
    if is_better(more):
        return (
            "More than one feature: radiomics is better than the best single feature, chosen in "
            f"the fold, by {interval(more.discrimination)}; the feature's {main} is "
            f"{interval(alone)}."
        )
    return (
        f"A single feature, chosen in the fold, reaches {interval(alone)}; more features are not "
        f"shown to be better (difference in {main} {interval(more.discrimination)})."
    )


def _volume(
    judged: Mapping[str, Mapping[str, Estimate]],
    compared: Mapping[tuple[str, str], Comparison],
    main: str,
) -> list[str]:
    volume, more = judged[VOLUME][main], compared[RADIOMICS, VOLUME]
    found = judged[RADIOMICS][main].low > 0.5
    if volume.low > 0.5 and not found:
        return [f"Volume alone predicts better than chance ({main} {interval(volume)})."]
    if volume.low > 0.5 and not is_better(more):
        return [
            "**Explained by volume, as far as these data show**: volume alone reaches "
            f"{interval(volume)}, and radiomics is not shown to be better (difference in {main} "
            f"{_all(more)})."
        ]
    if volume.low > 0.5:
        return [
            "More than volume: radiomics is better than volume alone, fitted by the same "
            f"algorithm (difference in {main} {_all(more)}); volume's {main} is "
            f"{interval(volume)}."
        ]
    if found and not is_better(more):
        return [
            f"Volume alone reaches {interval(volume)}; radiomics is not shown to be better than "
            f"volume (difference in {main} {_all(more)})."
        ]
    return []


def _added(clinical: Estimate, more: Comparison, main: str) -> str:
    tail = (
        f"difference in {main} {_all(more)}; the clinical variables alone reach "
        f"{interval(clinical)}"
    )
    if is_better(more):
        return f"Radiomics adds to the clinical variables, by the same algorithm ({tail})."
    most = max(more.discrimination.high, 0.0)
    return (
        f"Radiomics is not shown to add to the clinical variables ({tail}). A gain in {main} of up "
        f"to {_number(most)} cannot be excluded."
    )


def is_better(more: Comparison) -> bool:
    """Return whether a ranks better than b and its score adds to b's, each at the 5 % level."""
    return more.discrimination.low > 0 and not more.added_p >= LEVEL


def _all(more: Comparison) -> str:
    text = (
        f"{interval(more.discrimination)}, in the Brier score {interval(more.brier)}, in net "
        f"benefit {interval(more.net_benefit)}"
    )
    return text if more.added_p != more.added_p else f"{text}; {p_value(more.added_p)}"


def p_value(p: float) -> str:
    """Return the p-value of the likelihood-ratio test as text."""
    return "likelihood-ratio p " + ("< 0.001" if p < 0.001 else f"= {p:.2g}")


def interval(found: Estimate) -> str:
    """Return an estimate and its interval as text for a sentence."""
    return f"{_number(found.value)}, 95 % interval {_number(found.low)} to {_number(found.high)}"


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")
