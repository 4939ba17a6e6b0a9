"""Owns what an outcome's cells mean: event codes, times, classes. Refuses what is ambiguous."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.cell_values import (
    is_missing,
    is_missing_class,
    numbers,
    refuse_two_spellings,
    shown,
)

EVENT_WORDS = {
    "0": 0, "0.0": 0, "no": 0, "n": 0, "false": 0, "alive": 0, "living": 0, "censored": 0,
    "0:living": 0, "0:censored": 0, "0:alive": 0, "lebend": 0, "nein": 0,
    "1": 1, "1.0": 1, "yes": 1, "y": 1, "true": 1, "dead": 1, "deceased": 1, "died": 1,
    "1:deceased": 1, "1:dead": 1, "1:event": 1, "event": 1, "death": 1, "verstorben": 1, "ja": 1,
}  # fmt: skip
_UNIT = re.compile(r"[\d.,]+\s*(d|day|w|week|m|mo|month|y|yr|year)s?\.?", re.IGNORECASE)
_UNIT_RATIO = 7.0
"""Days against weeks, the closest two units: a gap at least this wide parts two heaps of times."""

_FEWEST_FOR_HEAPS = 40
_HEAPS_BIC, _HEAPS_APART, _HEAPS_RATIO, _HEAPS_SHARE = 30.0, 2.5, 15.0, 0.1


def event_codes(
    cells: pd.Series[str], column: str, event_is: str | None, fitted: bool = False
) -> pd.Series[float]:
    """Return 1 for an event, 0 for censored, NaN where missing.

    Args:
        cells: as read.
        column: for messages.
        event_is: the one value that means event; all others are censored. None: known words.
        fitted: the coding is that of a model, and there may be no event.

    Raises:
        ValueError: a coding that is not known, with the values found.
    """
    missing = is_missing_class(cells)
    present = cells[~missing].str.casefold()
    if event_is is not None:
        present, wanted = present.map(_as_number), _as_number(event_is.strip().casefold())
        if not (present == wanted).any() and not fitted:
            raise ValueError(
                f"event column {column!r}: no row has {event_is!r}; found {shown(cells[~missing])}"
            )
        return (present == wanted).astype(float).reindex(cells.index)
    plain = present.str.replace(r"\s*:\s*", ":", regex=True)
    if len(present) == 0 and not fitted:
        raise ValueError(f"event column {column!r} is empty")
    if not plain.isin(list(EVENT_WORDS)).all():
        raise ValueError(
            f"event column {column!r}: the coding is ambiguous, found {shown(cells[~missing])}; "
            "use 0/1, no/yes or alive/dead, or name the event's value with `event_is`"
        )
    return plain.map(EVENT_WORDS).astype(float).reindex(cells.index)


def _as_number(text: str) -> str:
    """Return a number in one form, so that 2 and 2.0 are one value; else the text."""
    try:
        return str(float(text))
    except ValueError:
        return text


def survival_times(cells: pd.Series[str], column: str, trusted: bool) -> pd.Series[float]:
    """Return times, NaN where missing.

    Args:
        cells: as read.
        column: for messages.
        trusted: do not ask whether two units are mixed.

    Raises:
        ValueError: text, negative or infinite times, times that look like two units.
    """
    present = cells[~is_missing(cells)]
    with_unit = present[present.map(lambda cell: bool(_UNIT.fullmatch(cell)))]
    if len(with_unit):
        raise ValueError(
            f"time column {column!r}: {len(with_unit)} of {len(present)} times carry a unit, such "
            f"as {shown(with_unit, 3)}; write numbers of one unit"
        )
    found = numbers(cells, f"time column {column!r}")
    if np.isinf(found).any():
        raise ValueError(f"time column {column!r}: {int(np.isinf(found).sum())} times are infinite")
    if (found < 0).any():
        raise ValueError(
            f"time column {column!r}: {int((found < 0).sum())} times are negative, the lowest "
            f"{found.min():g}; count from the start of follow-up"
        )
    if not trusted:
        _refuse_two_units(found.dropna().to_numpy(), column)
        _refuse_two_heaps(found.dropna().to_numpy(), column)
    return found


def _refuse_two_units(times: np.ndarray, column: str) -> None:
    """Refuse times in two heaps with an empty stretch between them, as months and days give."""
    ordered = np.sort(times[times > 0])
    few = max(3, len(ordered) // 20)
    if len(ordered) < 2 * few:
        return
    ratios = ordered[few : len(ordered) - few + 1] / ordered[few - 1 : len(ordered) - few]
    place = int(np.argmax(ratios)) + few
    if ratios.max() >= _UNIT_RATIO:
        raise ValueError(
            f"time column {column!r}: times look like two units ({place} up to "
            f"{ordered[place - 1]:g}, {len(ordered) - place} from {ordered[place]:g}, none "
            "between); use one, or set `trust_times`"
        )


def _refuse_two_heaps(times: np.ndarray, column: str) -> None:
    """Refuse times whose logarithms are two heaps as far apart as days and months, if not parted.

    Two normal distributions must fit better than one by 30 points of BIC, lie 2.5 standard
    deviations apart (Ashman's D) and differ 15-fold. Of 20 time columns that come with lifelines
    none does; multiplied by 30.44 in half of the rows 14 do, in a fifth 12.
    """
    from sklearn.mixture import GaussianMixture

    logs = np.log(times[times > 0])[:, None]
    if len(logs) < _FEWEST_FOR_HEAPS or np.ptp(logs) < np.log(_HEAPS_RATIO):
        return
    one = GaussianMixture(1, random_state=0).fit(logs)
    two = GaussianMixture(2, random_state=0, n_init=5).fit(logs)
    low, high = np.sort(two.means_.ravel())
    apart = (high - low) / np.sqrt(two.covariances_.mean())
    if (
        one.bic(logs) - two.bic(logs) >= _HEAPS_BIC
        and apart >= _HEAPS_APART
        and high - low >= np.log(_HEAPS_RATIO)
        and two.weights_.min() >= _HEAPS_SHARE
    ):
        raise ValueError(
            f"time column {column!r}: times look like two units (heaps around {np.exp(low):.3g} "
            f"and {np.exp(high):.3g}); use one, or set `trust_times`"
        )


def class_codes(
    cells: pd.Series[str], column: str, positive: str | None, others: tuple[str, ...] = ()
) -> tuple[pd.Series[float], tuple[str, str]]:
    """Return 1 for the positive class and 0 for the other, NaN where missing; and their names.

    Without ``positive`` there must be two classes, and the one that sorts last is positive (1 of
    0/1, yes of no/yes). With it, every other class is the other.

    Args:
        cells: as read.
        column: for messages.
        positive: the class to tell from the rest.
        others: the classes that the rest may be, those of a model, of which not all need be there;
            none: any.

    Raises:
        ValueError: one class, more than two, two that differ in case only, ``positive`` is none of
            them, or one is not among ``others``.
    """
    known = (*others, positive) if others and positive else ()
    missing = is_missing_class(cells, known)
    present = cells[~missing]
    classes = sorted(set(present))
    refuse_two_spellings(classes, f"label column {column!r}")
    if others and (new := [name for name in classes if name not in {positive, *others}]):
        raise ValueError(
            f"label column {column!r}: the model was not fitted with {new[0]!r} but with "
            f"{', '.join(map(repr, (*others, positive)))}; empty those cells, or name the class "
            "to tell from all others with `positive`"
        )
    if len(classes) < 2 and not others:
        raise ValueError(
            f"label column {column!r}: {shown(present) or 'nothing'} in all {len(present)} rows; "
            "two classes are needed"
        )
    if positive is None and len(classes) > 2:
        raise ValueError(
            f"label column {column!r}: {len(classes)} classes, found {shown(present)}; name the "
            "one to tell from the rest with `positive`"
        )
    chosen = classes[-1] if positive is None else positive.strip()
    if chosen not in classes and not others:
        raise ValueError(
            f"label column {column!r}: no row has {positive!r}; found {shown(present)}"
        )
    rest = " or ".join(others or (name for name in classes if name != chosen))
    return (present == chosen).astype(float).reindex(cells.index), (rest, chosen)
