"""Refuse cohorts that are too small, or too uniform, for a model."""

from __future__ import annotations

import numpy as np

from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.settings import ModelSettings

FEWEST_EVENTS, FEWEST_OF_CLASS, FEWEST_PATIENTS, FEWEST_OF_BATCH = 10, 10, 20, 10
FEWEST_GROUPS = 3


def refuse_what_cannot_be_modelled(joined: JoinedTable, endpoint: Endpoint) -> None:
    """Refuse cohorts that are too small or too uniform for a model.

    Raises:
        ValueError: says what is missing, in one line.
    """
    n = joined.count()
    if endpoint.kind == "survival":
        events = joined.count(endpoint.y["event"])
        if events == 0:
            raise ValueError(
                f"all {n} patients are censored, so there is no event to model; check the event "
                "column"
            )
        if events < FEWEST_EVENTS:
            raise ValueError(
                f"{events} events in {n} patients; at least {FEWEST_EVENTS} events are needed"
            )
        if np.ptp(endpoint.y["time"]) == 0:
            raise ValueError(
                f"the outcome is constant: all {n} times are {endpoint.y['time'][0]:g}; check the "
                "time column"
            )
    else:
        smaller = smaller_group(joined, endpoint)
        if smaller == 0:
            raise ValueError(f"all {n} patients are of one class; two classes are needed")
        if smaller < FEWEST_OF_CLASS:
            raise ValueError(
                f"the smaller class has {smaller} of {n} patients; at least "
                f"{FEWEST_OF_CLASS} are needed"
            )
    if n < FEWEST_PATIENTS:
        raise ValueError(f"the cohort has {n} patients; at least {FEWEST_PATIENTS} are needed")
    if joined.batch is not None:
        _refuse_batches(joined, joined.batch)


def smaller_group(joined: JoinedTable, endpoint: Endpoint) -> int:
    """Return the number of patients with an event, or of the smaller class."""
    codes = (1,) if endpoint.kind == "survival" else (0, 1)
    return min(joined.count(endpoint.strata == code) for code in codes)


def refuse_few_groups(groups: int, settings: ModelSettings) -> None:
    """Refuse fewer groups of rows than the outer and inner folds need."""
    largest_fold = -(-groups // settings.outer)
    if groups < settings.outer or groups - largest_fold < settings.inner:
        raise ValueError(
            f"{groups} groups of rows that stay together are too few for {settings.outer} folds "
            f"with {settings.inner} inner folds each; name another `group`, or take fewer folds "
            "(`folds`)"
        )


def refuse_lonely_class(joined: JoinedTable, endpoint: Endpoint) -> None:
    """Refuse a class, or events, in so few groups that a training fold may have none."""
    what = "events" if endpoint.kind == "survival" else "patients of a class"
    for code in (1,) if endpoint.kind == "survival" else (0, 1):
        groups = len(np.unique(joined.groups[endpoint.strata == code]))
        if groups < FEWEST_GROUPS:
            raise ValueError(
                f"all {what} are in {groups} of {len(np.unique(joined.groups))} groups of rows "
                f"that stay together; at least {FEWEST_GROUPS} are needed: name another `group`"
            )


def _refuse_batches(joined: JoinedTable, batch: np.ndarray) -> None:
    names = np.unique(batch)
    sizes = np.array([joined.count(batch == name) for name in names])
    if len(names) == 1:
        raise ValueError(
            f"`batch`: all rows are of one scanner or site ({names[0]}), so there is nothing to "
            "harmonise; leave `batch` out"
        )
    if sizes.min() < FEWEST_OF_BATCH:
        raise ValueError(
            f"`batch`: {str(names[sizes.argmin()])!r} has {sizes.min()} patients; at least "
            f"{FEWEST_OF_BATCH} of each scanner or site are needed: merge it with another or leave "
            "it out"
        )
