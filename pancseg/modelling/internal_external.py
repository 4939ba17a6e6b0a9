"""Internal–external validation: leave one site out, fit on the others, and pool the results.

Each site is predicted by a model that never saw it. The sites' values are pooled by random effects
on a logit scale, with a prediction interval for a new site (Debray et al. 2017, BMJ 356:i6460;
Riley et al. 2016, BMJ 353:i3140).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.study import SHOWN
from pancseg.modelling.validation import measures
from pancseg.modelling.validation.limits import honest
from pancseg.modelling.validation.measures import Estimate, bootstrap_weights, estimate
from pancseg.system.text.number_text import printed

FEWEST_SITES, FEWEST_OF_EACH = 2, 5
_EDGE = 1e-6


@dataclass(frozen=True)
class SiteResult:
    """One site, predicted by models fitted on the others.

    Attributes:
        site: its name.
        rows: number of rows.
        patients: number of patients.
        positive: number with the event or of the positive class.
        measures: model → AUC or Harrell's C; none where too few patients have or lack the
            outcome.
        errors: model → standard error of its logit: of the patient bootstrap, or of the interval
            where that is the wider one of a perfect result or of random ranks.
    """

    site: str
    rows: int
    patients: int
    positive: int
    measures: dict[str, Estimate]
    errors: dict[str, float]


@dataclass(frozen=True)
class Pooled:
    """A value pooled over sites.

    Attributes:
        value: the mean over sites, with its 95 % interval.
        new_site: 95 % prediction interval of the value in a new site; NaN for two sites.
        heterogeneity: standard deviation between sites, on the logit scale.
        sites: number of sites.
    """

    value: Estimate
    new_site: tuple[float, float]
    heterogeneity: float
    sites: int


def pooled(values: np.ndarray, errors: np.ndarray) -> Pooled:
    """Return values between 0 and 1 pooled on the logit scale by random effects.

    The variance between sites is DerSimonian and Laird's; intervals use Student's t: of k − 1
    degrees of freedom with Hartung and Knapp's variance for the mean, of k − 2 for a new site.

    Args:
        values: (k,) of the sites, two or more.
        errors: (k,) standard errors of their logits.
    """
    k = len(values)
    x, variance = logit(np.clip(values, _EDGE, 1 - _EDGE)), errors**2
    fixed = 1 / variance
    centre = np.average(x, weights=fixed)
    excess = (fixed * (x - centre) ** 2).sum() - (k - 1)
    between = max(0.0, float(excess / (fixed.sum() - (fixed**2).sum() / fixed.sum())))
    weight = 1 / (variance + between)
    mean = float(np.average(x, weights=weight))
    spread = float((weight * (x - mean) ** 2).sum() / (k - 1) / weight.sum())
    # Not narrower than without Hartung and Knapp's factor (Röver et al. 2015).
    error = np.sqrt(max(spread, 1 / weight.sum()))
    half = student.ppf(0.975, k - 1) * error
    low, high = expit([mean - half, mean + half])
    new = (float("nan"), float("nan"))
    if k > 2:
        wide = student.ppf(0.975, k - 2) * np.sqrt(between + error**2)
        new = (float(expit(mean - wide)), float(expit(mean + wide)))
    return Pooled(
        Estimate(float(expit(mean)), float(low), float(high)), new, float(np.sqrt(between)), k
    )


def refuse_sites(plan: ValidationPlan, sites: np.ndarray, column: str) -> None:
    """Refuse a column that makes no sites to leave out.

    Raises:
        ValueError: one site, a site with nearly all patients, none with enough to be judged, or a
            patient in two sites.
    """
    names = np.unique(sites)
    if len(names) < FEWEST_SITES:
        raise ValueError(
            f"`leave_out` {column!r}: all rows are of one site ({names[0]}); two or more are needed"
        )
    owner = dict(zip(plan.groups, sites, strict=True))
    if any(owner[group] != site for group, site in zip(plan.groups, sites, strict=True)):
        raise ValueError(
            f"`leave_out` {column!r}: rows that stay together are of several sites; give a column "
            "that is the same for all rows of a patient"
        )
    strata = plan.strata % 2
    for name in names:
        left = strata[sites != name]
        if min((left == 1).sum(), (left == 0).sum()) < 2 * plan.inner:
            raise ValueError(
                f"`leave_out` {column!r}: without {str(name)!r} too few rows are left to fit a "
                f"model to ({int((left == 1).sum())} with and {int((left == 0).sum())} without the "
                f"outcome; {2 * plan.inner} of each are needed); merge sites"
            )
    if not any(_can_be_judged(plan.y[sites == name], plan.groups[sites == name]) for name in names):
        needed = (
            f"{FEWEST_OF_EACH} patients with the event"
            if plan.y.dtype.names
            else f"{FEWEST_OF_EACH} patients of each class"
        )
        raise ValueError(
            f"`leave_out` {column!r}: none of its {len(names)} values has {needed}, so no site "
            "could be judged; give a column of hospitals or sites, or merge small ones"
        )


def leave_sites_out(
    plan: ValidationPlan,
    sites: np.ndarray,
    resamples: int = 1000,
    tell: Callable[[str], None] = lambda line: None,
) -> list[SiteResult]:
    """Return each site's performance by models fitted on the other sites.

    Args:
        plan: data and models; only radiomics and those it is compared with are fitted.
        sites: (n,) names.
        resamples: number of resamples of the patient bootstrap.
        tell: called with a line after each site.
    """
    plan = replace(plan, specs=[spec for spec in plan.specs if spec.name in SHOWN])
    found = []
    for number, site in enumerate(np.unique(sites)):
        test = np.flatnonzero(sites == site)
        with threadpool_limits(1):
            fitted = fit_specs(plan, np.flatnonzero(sites != site), plan.seed + number)
        values = {name: block.x[test] for name, block in plan.blocks.items()}
        scores = {
            name: plan.task.predict(model.model, model.prepared(values))
            for name, model in fitted.items()
        }
        found.append(_judged(plan, str(site), test, scores, resamples))
        tell(f"site {number + 1}")
    return found


def _judged(
    plan: ValidationPlan,
    site: str,
    test: np.ndarray,
    scores: dict[str, np.ndarray],
    resamples: int,
) -> SiteResult:
    y, groups = plan.y[test], plan.groups[test]
    patients = _patients(groups)
    positive = _positive(y)
    judged: dict[str, Estimate] = {}
    errors: dict[str, float] = {}
    having, lacking = _patients(groups[positive]), _patients(groups[~positive])
    if _can_be_judged(y, groups):
        pairs = measures.harrell_pairs(y) if y.dtype.names else measures.class_pairs(y)
        weights = bootstrap_weights(groups, resamples, plan.seed)
        rows, measure = np.arange(len(test)), "Harrell's C" if y.dtype.names else "AUC"
        for name, score in scores.items():
            resampled = measures.pair_measure([(rows, score, pairs)], weights)
            bare = estimate(resampled)
            if np.ptp(score) == 0:  # nobody is ranked: no more certain than random ranks
                half = having // 2  # C: of the events, the earlier half against the later
                reach = 1.96 * (
                    _random_error(half, half) if y.dtype.names else _random_error(having, lacking)
                )
                bare = Estimate(bare.value, bare.low - reach, bare.high + reach)
            found = honest(bare, measure, y, groups)
            judged[name] = found.within(0, 1)
            logits = logit(_inside(resampled[1:], patients))
            errors[name] = float(np.nanstd(logits))
            if np.ptp(score) == 0 or found != bare:
                errors[name] = max(errors[name], _logit_error(judged[name], patients))
    return SiteResult(site, len(test), patients, int(positive.sum()), judged, errors)


def _positive(y: np.ndarray) -> np.ndarray:
    return np.asarray(y["event"] if y.dtype.names else y, dtype=bool)


def _can_be_judged(y: np.ndarray, groups: np.ndarray) -> bool:
    """Return whether enough patients of a site have the outcome, and of a class lack it."""
    positive = _positive(y)
    of_each = [positive] if y.dtype.names else [positive, ~positive]
    return min(_patients(groups[those]) for those in of_each) >= FEWEST_OF_EACH


def _patients(groups: np.ndarray) -> int:
    return len(np.unique(groups))


def _random_error(a: int, b: int) -> float:
    """Return the standard error of the AUC of random ranks, of so many against so many."""
    return float(np.sqrt((a + b + 1) / (12 * a * b)))


def _inside(values: ArrayLike, n: ArrayLike) -> np.ndarray:
    """Return values of n patients that are half a patient away from 0 and 1 at least."""
    edge = 0.5 / np.asarray(n)
    return np.asarray(np.clip(values, edge, 1 - edge))


def _logit_error(found: Estimate, n: int) -> float:
    """Return the standard error of the logit of a site's value, of its interval.

    A site in nearly perfect order is the same in nearly every resample: by these it would have all
    the weight, or none.
    """
    value, low, high = logit(_inside([found.value, found.low, found.high], n))
    return float(max(value - low, high - value) / 1.96)


def pooled_over(results: list[SiteResult], name: str) -> Pooled | None:
    """Return a model's value pooled over the sites that have one; None for fewer than two.

    On the logit scale a value counts as half a patient from the end of the scale at most, as in its
    standard error. That may move all sites to one side, but a mean lies within its sites: the
    pooled value is limited to their range, and its intervals reach to it. Six sites of 1.000 are
    1.000, and how sure that is, is said by the lower limit.
    """
    judged = [site for site in results if site.errors.get(name, 0.0) > 0]
    if len(judged) < FEWEST_SITES:
        return None
    values = np.array([site.measures[name].value for site in judged])
    patients = np.array([site.patients for site in judged])
    found = pooled(_inside(values, patients), np.array([site.errors[name] for site in judged]))
    value = float(np.clip(found.value.value, values.min(), values.max()))
    low, high = _reaching((found.value.low, found.value.high), value)
    return replace(
        found, value=Estimate(value, low, high), new_site=_reaching(found.new_site, value)
    )


def _reaching(interval: tuple[float, float], value: float) -> tuple[float, float]:
    """Return an interval, extended to hold a value; NaN stays NaN."""
    return float(np.minimum(interval[0], value)), float(np.maximum(interval[1], value))


def lower_in_sites(results: list[SiteResult], name: str, inside: Estimate) -> Pooled | None:
    """Return the pooled value if its whole interval is below that of out of fold; else None.

    The interval out of fold counts as half a patient of the smallest site from 1 at most, as the
    sites' values do: sites in perfect order are not below it.

    Args:
        results: of each site.
        name: of the model.
        inside: its value out of fold.
    """
    found = pooled_over(results, name)
    if found is None:
        return None
    smallest = min(site.patients for site in results if name in site.measures)
    return (
        found if printed(found.value.high) < printed(float(_inside(inside.low, smallest))) else None
    )
