"""How many patients a prediction model needs: the criteria of Riley and colleagues.

Riley et al. 2019, Stat Med 38:1276 (binary and survival outcomes); Riley et al. 2020, BMJ 368:m441;
for a model known by its C statistic Riley et al. 2021, Stat Med 40:859. The values are those of the
R package pmsampsize, except where :func:`for_survival` says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pancseg.modelling.words import counted

SHRINKAGE, OPTIMISM, MARGIN = 0.9, 0.05, 0.05
"""Least shrinkage factor, largest optimism in Nagelkerke's R², margin of error of a risk."""
NAGELKERKE = 0.15
"""Nagelkerke's R² to assume where nothing is known about the model (Riley 2020)."""
MEAN_ERROR, MOST_PARAMETERS = 0.05, 30
"""Mean absolute error of the risks of a class, and the most parameters that its formula is for."""
_Z = 1.96
_LARGEST = 10_000_000


@dataclass(frozen=True)
class SampleSize:
    """The sample size that each criterion needs.

    Attributes:
        r_squared: Cox and Snell's R² that the model is expected to reach.
        largest_r_squared: its largest possible value for this outcome.
        shrinkage: patients for an expected shrinkage of at least 0.9.
        optimism: patients for an optimism in Nagelkerke's R² of at most 0.05.
        overall_risk: patients for an estimate of the overall risk within 0.05.
        events_per_patient: expected number of events (or patients of the class) per patient.
        parameters: number of candidate parameters.
    """

    r_squared: float
    largest_r_squared: float
    shrinkage: int
    optimism: int
    overall_risk: int
    events_per_patient: float
    parameters: int

    @property
    def patients(self) -> int:
        """The smallest number of patients that meets all criteria."""
        return max(self.shrinkage, self.optimism, self.overall_risk)

    @property
    def events(self) -> int:
        """The number of events among them."""
        return math.ceil(self.patients * self.events_per_patient - 1e-9)

    @property
    def events_per_parameter(self) -> float:
        """The number of events per candidate parameter."""
        return self.patients * self.events_per_patient / self.parameters


def for_class(
    parameters: int,
    share: float,
    r_squared: float | None = None,
    c_statistic: float | None = None,
) -> SampleSize:
    """Return the sample size for a model of a class.

    Args:
        parameters: candidate parameters: every coefficient that may enter, before any selection.
        share: expected share of the class, between 0 and 1.
        r_squared: Cox and Snell's R², adjusted, of an earlier model.
        c_statistic: or its C statistic (AUC). Without either, Nagelkerke's R² is taken as 0.15.

    Raises:
        ValueError: values outside their range, or an R² that this outcome cannot reach.

    Example:
        >>> for_class(24, 0.174, r_squared=0.288).patients
        662
    """
    _check(parameters, r_squared, c_statistic)
    if not 0 < share < 1:
        raise ValueError(f"`share` is {share:g}; expected the share of the class, between 0 and 1")
    null = share * math.log(share) + (1 - share) * math.log(1 - share)
    largest = 1 - math.exp(2 * null)
    if c_statistic is not None:
        r_squared = _class_r_squared(c_statistic, share)
    return _sized(
        parameters,
        NAGELKERKE * largest if r_squared is None else r_squared,
        largest,
        math.ceil((_Z / MARGIN) ** 2 * share * (1 - share)),
        share,
    )


def for_survival(
    parameters: int,
    rate: float,
    horizon: float,
    follow_up: float,
    r_squared: float | None = None,
    c_statistic: float | None = None,
) -> SampleSize:
    """Return the sample size for a model of the time to an event.

    The third criterion is solved for the number of patients; pmsampsize only checks whether the
    first two meet it, so its third number is never larger than theirs.

    Args:
        parameters: candidate parameters: every coefficient that may enter, before any selection.
        rate: expected events per unit of time.
        horizon: time that risk is predicted for.
        follow_up: mean follow-up, in the same unit.
        r_squared: Cox and Snell's R², adjusted, of an earlier model.
        c_statistic: or its C statistic (Jinks et al. 2015 turn it into Royston's D). Without
            either, Nagelkerke's R² is taken as 0.15.

    Raises:
        ValueError: values outside their range, or an R² that this outcome cannot reach.

    Example:
        >>> for_survival(30, 0.065, 2, 2.07, r_squared=0.051).patients
        5143
    """
    _check(parameters, r_squared, c_statistic)
    for name, value in (("rate", rate), ("horizon", horizon), ("follow_up", follow_up)):
        if not 0 < value < math.inf:
            raise ValueError(f"`{name}` is {value:g}; expected a number above 0")
    events = rate * follow_up
    if events > 1:
        raise ValueError(
            f"`rate` times `follow_up` is {events:.3g} events per patient, but a patient has one "
            "at most, and follow-up ends with it; give both in the same unit of time"
        )
    largest = 1 - math.exp(2 * events * (math.log(events) - 1))
    if c_statistic is not None:
        r_squared = _survival_r_squared(c_statistic, events)
    return _sized(
        parameters,
        NAGELKERKE * largest if r_squared is None else r_squared,
        largest,
        _for_risk(rate, horizon, follow_up),
        events,
    )


def for_mean_error(parameters: int, share: float) -> int | None:
    """Return the patients for a mean absolute error of a class's risks of at most 0.05.

    This is the fourth criterion of Riley et al. (2020), by a formula that van Smeden et al. (2019,
    Stat Methods Med Res 28:2455) fitted to simulations; pmsampsize leaves it out.

    Args:
        parameters: candidate parameters; None is returned above 30, where the formula ends.
        share: expected share of the class; of both classes the smaller one counts.

    Example:
        >>> for_mean_error(10, 0.3)
        461
    """
    if parameters > MOST_PARAMETERS:
        return None
    logs = 0.259 * math.log(min(share, 1 - share)) + 0.504 * math.log(parameters)
    return math.ceil(math.exp((-0.508 + logs - math.log(MEAN_ERROR)) / 0.544))


def _check(parameters: int, r_squared: float | None, c_statistic: float | None) -> None:
    if parameters < 1:
        raise ValueError(f"`parameters` is {parameters}; expected 1 or more")
    if r_squared is not None and c_statistic is not None:
        raise ValueError("give either `r_squared` or `c_statistic`, not both")
    if r_squared is not None and not 0 < r_squared < 1:
        raise ValueError(f"`r_squared` is {r_squared:g}; expected a number between 0 and 1")
    if c_statistic is not None and not 0.5 < c_statistic < 1:
        raise ValueError(f"`c_statistic` is {c_statistic:g}; expected a number between 0.5 and 1")


def _sized(
    parameters: int, r_squared: float, largest: float, risk: int, events: float
) -> SampleSize:
    if r_squared >= min(largest, SHRINKAGE):
        raise ValueError(
            f"`r_squared` is {r_squared:.3g}, but Cox and Snell's R² of this outcome is below "
            f"{min(largest, SHRINKAGE):.3g}; Nagelkerke's R² times {largest:.3g} is Cox and Snell's"
        )
    second = r_squared / (r_squared + OPTIMISM * largest)
    first, other = (_for_shrinkage(parameters, r_squared, s) for s in (SHRINKAGE, second))
    return SampleSize(r_squared, largest, first, other, risk, events, parameters)


def _for_shrinkage(parameters: int, r_squared: float, shrinkage: float) -> int:
    return math.ceil(parameters / ((shrinkage - 1) * math.log(1 - r_squared / shrinkage)))


def _class_r_squared(c: float, share: float) -> float:
    """Return Cox and Snell's R² of a calibrated model whose linear predictor is normal by class.

    Riley 2021 simulates such a predictor; its expected log likelihood is integrated here.
    """
    apart = math.sqrt(2) * norm.ppf(c)
    x = np.linspace(-12, 12 + apart, 40_001)
    positive, negative = share * norm.pdf(x - apart), (1 - share) * norm.pdf(x)
    linear = apart * x - apart**2 / 2 + math.log(share / (1 - share))
    gain = positive * -np.logaddexp(0, -linear) + negative * -np.logaddexp(0, linear)
    null = share * math.log(share) + (1 - share) * math.log(1 - share)
    return 1 - math.exp(-2 * (float(np.trapezoid(gain, x)) - null))


def _survival_r_squared(c: float, events: float) -> float:
    """Return Cox and Snell's R² by Royston's D and O'Quigley's R² (Riley 2019, section 5)."""
    d = 5.50 * (c - 0.5) + 10.26 * (c - 0.5) ** 3
    explained = math.pi / 8 * d**2
    of_d = explained / (math.pi**2 / 6 + explained)
    quigley = -(math.pi**2) / 6 * of_d / ((1 - math.pi**2 / 6) * of_d - 1)
    return 1 - math.exp(events * math.log(1 - quigley))


def _for_risk(rate: float, horizon: float, follow_up: float) -> int:
    """Return the patients for whom the risk's upper 95 % limit is within the margin."""

    def beyond(n: int) -> bool:
        upper = rate + _Z * math.sqrt(rate / (n * follow_up))
        return math.exp(-rate * horizon) - math.exp(-upper * horizon) > MARGIN

    low, high = 0, 1
    while beyond(high):
        low, high = high, 2 * high
        if high > _LARGEST:
            raise ValueError("`rate` is so small that more than ten million patients are needed")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if beyond(middle) else (low, middle)
    return high


def parameters_for(patients: int, needed: SampleSize) -> int:
    """Return how many candidate parameters so many patients allow by the first two criteria.

    Args:
        patients: number of patients that can be had.
        needed: the sample size for the same outcome and R², for any number of parameters.

    Example:
        >>> needed = for_class(24, 0.174, r_squared=0.288)
        >>> parameters_for(662, needed)
        24
    """
    second = needed.r_squared / (needed.r_squared + OPTIMISM * needed.largest_r_squared)
    strictest = max(SHRINKAGE, second)
    return math.floor(patients * (strictest - 1) * math.log(1 - needed.r_squared / strictest))


def needed_lines(  # noqa: PLR0913  keywords, as the command has options
    parameters: int,
    *,
    share: float | None = None,
    rate: float | None = None,
    horizon: float | None = None,
    follow_up: float | None = None,
    r_squared: float | None = None,
    c_statistic: float | None = None,
    patients: int | None = None,
) -> list[str]:
    """Return sentences on the sample size that a study needs.

    Args:
        parameters: candidate parameters.
        share: expected share of the class; or, for survival:
        rate: expected events per unit of time.
        horizon: time that risk is predicted for.
        follow_up: mean follow-up.
        r_squared: expected R² of Cox and Snell.
        c_statistic: or expected C statistic.
        patients: number of patients that can be had, if known.

    Raises:
        ValueError: as for :func:`for_class` and :func:`for_survival`, or values of both or neither.
    """
    times = (rate, horizon, follow_up)
    if share is not None and times == (None, None, None):
        found = for_class(parameters, share, r_squared, c_statistic)
        events = "of the class"
    elif share is None and rate is not None and horizon is not None and follow_up is not None:
        found = for_survival(parameters, rate, horizon, follow_up, r_squared, c_statistic)
        events = "events"
    else:
        raise ValueError(
            "give `share` for a class, or `rate`, `horizon` and `follow_up` for survival"
        )
    if c_statistic is not None:
        why = f"from a C statistic of {c_statistic:g}"
    else:
        why = "as given" if r_squared is not None else f"Nagelkerke's R² assumed to be {NAGELKERKE}"
    lines = [
        f"{found.patients} patients with {found.events} {events} are needed for "
        f"{counted(parameters, 'candidate parameter')} ({found.events_per_parameter:.1f} "
        f"{events} per parameter).",
        f"  shrinkage of at least {SHRINKAGE}: {found.shrinkage}",
        f"  optimism in Nagelkerke's R² of at most {OPTIMISM}: {found.optimism}",
        f"  overall risk within ± {MARGIN}: {found.overall_risk}",
        f"R² of Cox and Snell: {found.r_squared:.3f} ({why}); at most "
        f"{found.largest_r_squared:.3f} for this outcome.",
    ]
    if share is not None and (error := for_mean_error(parameters, share)) is not None:
        lines.append(
            f"Riley 2020 also asks for a mean absolute error of the risks of at most {MEAN_ERROR}: "
            f"about {error} patients, by a formula fitted to simulations (van Smeden et al. 2019); "
            "it is not in the number above."
        )
    if patients is not None:
        most = parameters_for(patients, found)
        lines.append(
            f"{counted(patients, 'patient')} {'allow' if patients != 1 else 'allows'} "
            f"{counted(most, 'candidate parameter')} by the first two criteria."
            + ("" if patients >= found.overall_risk else " They are too few for the third.")
        )
    return [
        *lines,
        "Sources: Riley et al. 2019, Stat Med 38:1276; 2020, BMJ 368:m441. Every feature that a "
        "selection may choose counts as a parameter; penalties do not replace patients.",
    ]
