"""Read what is predicted, a class or the time to an event, from a joined cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.inputs.cell_values import MISSING
from pancseg.modelling.inputs.clinical import indicator
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.leaks import refuse_outcome_values
from pancseg.modelling.inputs.outcome_coding import (
    EventCoding,
    class_codes,
    competing_codes,
    event_codes,
    survival_times,
)
from pancseg.modelling.inputs.spelling import one_spelling


@dataclass(frozen=True)
class Endpoint:
    """What the models of a joined cohort predict.

    Attributes:
        kind: ``subtype`` or ``survival``.
        y: (n,) class 0 or 1, or a structured array of events and times.
        columns: the columns of the clinical file that it was read from.
        classes: names of class 0 and 1; empty for survival.
        others: the classes that class 0 combines; empty for survival.
        cause: (n,) 0 censored, 1 event, 2 competing event, where competing events were named.
        censored_codes: what the event column says of those who count as censored, and how often,
            where that is more than one value and no competing event was named.
        codes: outcome (``event``, ``competing event``, ``censored``) → what the event column says
            of it → number of rows; empty for classes.
    """

    kind: Literal["subtype", "survival"]
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    cause: np.ndarray | None = None
    censored_codes: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def rows(self, keep: np.ndarray) -> Endpoint:
        """Return the endpoint of some rows, without counts of codes; ``keep`` is (n,) boolean."""
        cause = None if self.cause is None else self.cause[keep]
        return replace(self, y=self.y[keep], cause=cause, censored_codes={}, codes={})

    @property
    def strata(self) -> np.ndarray:
        """(n,) what folds are balanced by: the class, or whether there was an event."""
        return np.asarray(self.y["event"] if self.kind == "survival" else self.y).astype(int)


def subtype_outcome(
    joined: JoinedTable, label: str, positive: str | None, others: tuple[str, ...] = ()
) -> tuple[JoinedTable, Endpoint]:
    """Return the patients with a known class, and the endpoint; the others are counted in a note.

    Raises:
        ValueError: see :func:`class_codes`; or a column is the class under another name.
    """
    cells = joined.outcomes[label]
    codes, classes = class_codes(cells, label, positive, others)
    keep = codes.notna().to_numpy()
    joined = joined.rows(keep, _lost(keep, f"no {label}", cells))
    y = codes[keep].to_numpy().astype(int)
    _refuse_outcome_again(joined, y.astype(float), label)
    others = others or tuple(sorted(set(one_spelling(cells)[0][codes == 0])))
    return joined, Endpoint("subtype", y, (label,), classes, others)


def survival_outcome_of(
    joined: JoinedTable,
    time: str,
    event: str,
    coding: EventCoding,
    trust_times: bool = False,
) -> tuple[JoinedTable, Endpoint]:
    """Return the patients with a known time and event, and the endpoint; others are counted.

    Args:
        joined: the cohort.
        time: column of the follow-up time.
        event: column that says event or censored.
        coding: what the values of ``event`` mean.
        trust_times: do not check whether two units are mixed.

    Raises:
        ValueError: see :func:`survival_times`, :func:`event_codes` and :func:`competing_codes`.
    """
    cells = joined.outcomes[event]
    rival = competing_codes(cells, event, coding.event_is, coding.competing, coding.fitted)
    events = event_codes(cells, event, coding.event_is, coding.fitted)
    # Last, as it may have to fit a mixture of two units.
    times = survival_times(joined.outcomes[time], time, trust_times)
    keep = (times.notna() & events.notna()).to_numpy()
    joined = joined.rows(keep, _lost(keep, f"no {time} or no {event}", joined.outcomes[event]))
    y = survival_outcome(events[keep].to_numpy() == 1, times[keep].to_numpy())
    _refuse_outcome_again(joined, y["time"], time)
    _refuse_outcome_again(joined, y["event"].astype(float), event)
    cause = np.where(rival[keep], 2, y["event"].astype(int)) if coding.competing else None
    named = coding.event_is is not None and not coding.competing
    codes = _censored_codes(cells[keep][~y["event"]]) if named else {}
    said = _codes_by_outcome(cells[keep], y["event"], rival[keep].to_numpy())
    return joined, Endpoint(
        "survival", y, (time, event), cause=cause, censored_codes=codes, codes=said
    )


def _codes_by_outcome(
    cells: pd.Series[str], event: np.ndarray, rival: np.ndarray
) -> dict[str, dict[str, int]]:
    """Return what the cells of each outcome say, and in how many rows; the most frequent first."""
    spelt = one_spelling(cells)[0]
    parts = {"event": event, "competing event": rival, "censored": ~event & ~rival}
    return {
        name: {str(code): int(count) for code, count in spelt[rows].value_counts().items()}
        for name, rows in parts.items()
        if rows.any()
    }


def _censored_codes(cells: pd.Series[str]) -> dict[str, int]:
    """Return what those without the event are called and how often, where names differ."""
    counts = one_spelling(cells)[0].str.casefold().value_counts()
    return {str(name): int(count) for name, count in counts.items()} if len(counts) > 1 else {}


def _refuse_outcome_again(joined: JoinedTable, outcome: np.ndarray, column: str) -> None:
    refuse_outcome_values(joined.features, outcome, column)
    refuse_outcome_values(all_levels(joined), outcome, column, "clinical variable")


def all_levels(joined: JoinedTable) -> pd.DataFrame:
    """Return clinical variables with an indicator of every level, including the first of many.

    Of two levels one indicator says all.
    """
    firsts = {
        indicator(name, levels[0]): 1
        - joined.clinical[[indicator(name, x) for x in levels[1:]]].sum(axis=1, skipna=False)
        for name, levels in joined.origin.levels.items()
        if len(levels) > 2
    }
    return joined.clinical.assign(**firsts)


def _lost(keep: np.ndarray, why: str, cells: pd.Series[str]) -> str | None:
    """Return a note on the rows left out, and on what their cells say where they are not empty."""
    if keep.all():
        return None
    texts = sorted(set(cells[~keep].str.casefold()) & (MISSING - {""}))
    written = f" (including cells that say {', '.join(texts)})" if texts else ""
    return f"{int((~keep).sum())} rows with {why} were left out{written}."
