"""Read events, times and classes from the cells of outcome columns, and refuse ambiguous ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.cell_values import (
    is_missing,
    is_missing_class,
    numbers,
    refuse_two_spellings,
    shown,
)
from pancseg.modelling.inputs.spelling import meaning, one_spelling, spelt_like

EVENT_WORDS = {
    "0": 0, "0.0": 0, "no": 0, "n": 0, "false": 0, "alive": 0, "living": 0, "censored": 0,
    "0:living": 0, "0:censored": 0, "0:alive": 0, "lebend": 0, "nein": 0,
    "1": 1, "1.0": 1, "yes": 1, "y": 1, "true": 1, "dead": 1, "deceased": 1, "died": 1,
    "1:deceased": 1, "1:dead": 1, "1:event": 1, "event": 1, "death": 1, "verstorben": 1, "ja": 1,
}  # fmt: skip
_UNIT = re.compile(r"[\d.,]+\s*(d|day|w|week|m|mo|month|y|yr|year)s?\.?", re.IGNORECASE)
_UNIT_RATIO = 7.0
"""A gap at least this wide separates two units: days and weeks, the closest two, differ 7-fold."""

_FEWEST_FOR_HEAPS = 40
_HEAPS_BIC, _HEAPS_APART, _HEAPS_RATIO, _HEAPS_SHARE = 30.0, 2.6, 15.0, 0.1


@dataclass(frozen=True)
class EventCoding:
    """What the values of an event column mean.

    Attributes:
        event_is: the value that means event; None: the usual codings (``EVENT_WORDS``).
        competing: the values that mean a competing event, which counts as censored.
        fitted: the coding is that of a fitted model, so no event, of either kind, need occur.
    """

    event_is: str | None = None
    competing: tuple[str, ...] = ()
    fitted: bool = False


def event_codes(
    cells: pd.Series[str], column: str, event_is: str | None, fitted: bool = False
) -> pd.Series[float]:
    """Return 1 for an event, 0 for censored, NaN where missing.

    Args:
        cells: as read.
        column: name of the column, for messages.
        event_is: the one value that means event; all others mean censored. None: the usual codings
            (``EVENT_WORDS``).
        fitted: the coding is that of a fitted model, so an event need not occur.

    Raises:
        ValueError: an unknown coding; the message names the values found.
    """
    missing = is_missing_class(cells)
    present = cells[~missing].str.casefold()
    if event_is is not None:
        present, wanted = present.map(meaning), meaning(event_is)
        if not (present == wanted).any() and not fitted:
            raise ValueError(
                f"event column {column!r}: no row has the value {event_is!r} of `event_is`; found "
                f"{shown(cells[~missing])}"
            )
        return (present == wanted).astype(float).reindex(cells.index)
    plain = present.str.replace(r"\s*:\s*", ":", regex=True)
    if len(present) == 0 and not fitted:
        raise ValueError(f"event column {column!r} is empty; name another one")
    if not plain.isin(list(EVENT_WORDS)).all():
        raise ValueError(
            f"event column {column!r}: the coding is ambiguous, found {shown(cells[~missing])}; "
            "use 0/1, no/yes or alive/dead, or name the value that means event with `event_is`"
        )
    return plain.map(EVENT_WORDS).astype(float).reindex(cells.index)


def competing_codes(
    cells: pd.Series[str],
    column: str,
    event_is: str | None,
    competing: tuple[str, ...],
    fitted: bool = False,
) -> pd.Series[bool]:
    """Return whether each row has a competing event.

    Args:
        cells: as read.
        column: name of the column, for messages.
        event_is: the value that means event.
        competing: the values that mean a competing event; empty: none.
        fitted: the coding is that of a fitted model, so a competing event need not occur.

    Raises:
        ValueError: ``event_is`` is not named, is one of them, or no row has one of them.
    """
    found = cells.map(meaning)
    if competing and event_is is None:
        raise ValueError(
            f"`competing`: name the value of {column!r} that means event with `event_is`, too"
        )
    for code in competing:
        if event_is is not None and meaning(code) == meaning(event_is):
            raise ValueError(f"`competing` {code}: that value is the event itself (`event_is`)")
        if not (found == meaning(code)).any() and not fitted:
            present = cells[~is_missing_class(cells)]
            raise ValueError(
                f"event column {column!r}: no row has the value {code!r} of `competing`; found "
                f"{shown(present)}"
            )
    return found.isin({meaning(code) for code in competing})


def survival_times(cells: pd.Series[str], column: str, trusted: bool) -> pd.Series[float]:
    """Return times, NaN where missing.

    Args:
        cells: as read.
        column: name of the column, for messages.
        trusted: do not check whether two units are mixed.

    Raises:
        ValueError: text, negative or infinite times, or times that look like two units.
    """
    present = cells[~is_missing(cells)]
    with_unit = present[present.map(lambda cell: bool(_UNIT.fullmatch(cell)))]
    if len(with_unit):
        raise ValueError(
            f"time column {column!r}: {len(with_unit)} of {len(present)} times carry a unit, such "
            f"as {shown(with_unit, 3)}; write plain numbers, all in one unit"
        )
    found = numbers(cells, f"time column {column!r}")
    if np.isinf(found).any():
        raise ValueError(
            f"time column {column!r}: {int(np.isinf(found).sum())} times are infinite; empty those "
            "cells"
        )
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
    """Refuse times in two clusters with a gap between them, as a mix of months and days gives."""
    ordered = np.sort(times[times > 0])
    few = max(3, len(ordered) // 20)
    if len(ordered) < 2 * few:
        return
    ratios = ordered[few : len(ordered) - few + 1] / ordered[few - 1 : len(ordered) - few]
    count = int(np.argmax(ratios)) + few
    if ratios.max() >= _UNIT_RATIO:
        raise ValueError(
            f"time column {column!r}: times look like two units ({count} up to "
            f"{ordered[count - 1]:g}, {len(ordered) - count} from {ordered[count]:g}, none in "
            "between); use one unit, or set `trust_times`"
        )


def _refuse_two_heaps(times: np.ndarray, column: str) -> None:
    """Refuse times whose logarithms form two clusters as far apart as days and months.

    The clusters may overlap. Two normal distributions must fit better than one by 30 points of BIC,
    be 2.6 standard deviations apart (Ashman's D) and differ 15-fold. None of 26 time columns that
    come with lifelines and scikit-survival is refused; with half or a fifth of the rows multiplied
    by 30.44, 15 are. (With 2.5, the infarctions of ``whas500`` were, many of whom died early.)
    """
    logs = np.log(times[times > 0])[:, None]
    if len(logs) < _FEWEST_FOR_HEAPS or np.ptp(logs) < np.log(_HEAPS_RATIO):
        return
    from sklearn.mixture import GaussianMixture

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
            f"time column {column!r}: times look like two units (clusters around {np.exp(low):.3g} "
            f"and {np.exp(high):.3g}); use one unit, or set `trust_times`"
        )


def _named_class(positive: str, classes: list[str]) -> str:
    """Return the class that means the same as ``positive``; without one, ``positive``."""
    return spelt_like(pd.Series([positive]), classes).iloc[0]


def class_codes(
    cells: pd.Series[str], column: str, positive: str | None, others: tuple[str, ...] = ()
) -> tuple[pd.Series[float], tuple[str, str]]:
    """Return 1 for the positive class, 0 for the other and NaN where missing, and their names.

    Without ``positive`` there must be two classes, and the one that sorts last is positive (1 of
    0/1, yes of no/yes). With ``positive``, all other classes together are class 0. Numbers and
    logical values are compared as such (1, 1.0 and TRUE are one class), and with the classes of a
    model, texts in any case.

    Args:
        cells: as read.
        column: name of the column, for messages.
        positive: the class to tell from all others.
        others: the classes that were class 0 when the model was fitted; not all need occur. Empty:
            any class.

    Raises:
        ValueError: one class, more than two without ``positive``, two that differ in case only, no
            row of class ``positive``, or a class that is not among ``others``.
    """
    known = (*others, positive) if others and positive else ()
    cells = spelt_like(cells, known) if known else one_spelling(cells)[0]
    missing = is_missing_class(cells, known)
    present = cells[~missing]
    classes = sorted(set(present))
    refuse_two_spellings(classes, f"label column {column!r}")
    if others and (new := [name for name in classes if name not in {positive, *others}]):
        raise ValueError(
            f"label column {column!r}: the model was fitted without the class {new[0]!r}, with "
            f"{', '.join(map(repr, (*others, positive)))}; empty those cells, or name the class "
            "to tell from all others with `positive`"
        )
    if len(classes) < 2 and not others:
        found = f"only the class {shown(present)}" if classes else "no class"
        raise ValueError(
            f"label column {column!r}: found {found} in {len(present)} of {len(cells)} rows; two "
            "classes are needed, so name another column, or check that the ids of all rows match"
        )
    if positive is None and len(classes) > 2:
        raise ValueError(
            f"label column {column!r}: {len(classes)} classes, found {shown(present)}; name the "
            "one to tell from all others with `positive`"
        )
    chosen = classes[-1] if positive is None else _named_class(positive.strip(), classes)
    if chosen not in classes and not others:
        raise ValueError(
            f"label column {column!r}: no row has the class {positive!r} of `positive`; found "
            f"{shown(present)}"
        )
    rest = " or ".join(others or (name for name in classes if name != chosen))
    return (present == chosen).astype(float).reindex(cells.index), (rest, chosen)
