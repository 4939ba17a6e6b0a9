"""Turn clinical variables, read as text, into numbers and 0/1 indicators."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.cell_values import (
    all_numbers,
    is_missing,
    is_missing_class,
    numbers,
    refuse_two_spellings,
    shown,
)
from pancseg.modelling.inputs.spelling import meaning, one_spelling, spelt_like

_MOST_LEVELS = 10
NOT_KNOWN = ""
"""The level of patients whose cell is empty, "unknown" or the like."""
FEWEST_NOT_KNOWN = 5
"""Fewest such patients for them to be a level; fewer are given the shares of the other levels."""


def finite(cells: pd.Series[str], what: str) -> pd.Series[float]:
    """Return a column of text as finite numbers, NaN where missing.

    Args:
        cells: as read; TRUE and FALSE are 1 and 0 in a column without other values.
        what: what messages call the column.

    Raises:
        ValueError: as for :func:`numbers`, or a number is infinite.
    """
    if set(cells[~is_missing(cells)].map(meaning)) <= {"0", "1"}:
        cells = cells.where(is_missing(cells), cells.map(meaning))
    found = numbers(cells, what)
    if (count := int(np.isinf(found).sum())) > 0:
        raise ValueError(f"{what}: {count} values are infinite; empty those cells")
    return found


def indicator(name: str, level: str) -> str:
    """Return the name of the column that says whether a variable has a level."""
    return f"{name}={level or 'missing'}"


def clinical_levels(cells: pd.Series[str], name: str) -> tuple[str, ...]:
    """Return the levels (different texts) of a clinical variable, sorted; none if it is numeric.

    They are taken from all rows, which is no leak: nothing about the outcome enters. Where five
    patients or more have no value, that is the last level, :data:`NOT_KNOWN`.

    Raises:
        ValueError: more than ten levels, or two that differ in case only.
    """
    cells, _ = one_spelling(cells)
    if all_numbers(cells):
        return ()
    missing = is_missing_class(cells)
    present = cells[~missing]
    levels = tuple(sorted(set(present)))
    if len(levels) > _MOST_LEVELS:
        raise ValueError(
            f"`clinical` {name!r}: {len(levels)} different texts, such as {shown(present, 3)}; at "
            f"most {_MOST_LEVELS} can become indicators: merge some, or leave the column out"
        )
    refuse_two_spellings(levels, f"`clinical` {name!r}")
    return (*levels, NOT_KNOWN) if missing.sum() >= FEWEST_NOT_KNOWN else levels


def clinical_numbers(
    cells: pd.Series[str], name: str, levels: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Return a clinical variable as numbers, or as 0/1 indicators of all levels but the first.

    Indicators are NaN where the level is one that the model does not know, and where there is no
    value and :data:`NOT_KNOWN` is not a level.

    Args:
        cells: as read.
        name: name of the variable.
        levels: its levels when the model was fitted; None takes those of the cells.

    Raises:
        ValueError: text or infinity in a numeric variable.

    Example:
        >>> sexes = pd.Series(["m", "f", "M"])
        >>> clinical_numbers(sexes, "sex", ("f", "m"))["sex=m"].tolist()
        [1.0, 0.0, 1.0]
    """
    levels = clinical_levels(cells, name) if levels is None else levels
    if not levels:
        return finite(cells, f"`clinical` {name!r}").to_frame(name)
    found = _of_levels(cells, levels)
    parts = {indicator(name, level): (found == level).astype(float) for level in levels[1:]}
    table = pd.DataFrame(parts, index=cells.index)
    table[~found.isin(levels)] = np.nan
    return table


def new_levels(cells: pd.Series[str], levels: tuple[str, ...]) -> pd.Series[bool]:
    """Return whether each cell has a level that is not among those a model was fitted with.

    Args:
        cells: as read.
        levels: the model's; empty for a numeric variable, which has none.
    """
    found = _of_levels(cells, levels)
    return ~found.isin({*levels, NOT_KNOWN}) & bool(levels)


def _of_levels(cells: pd.Series[str], levels: tuple[str, ...]) -> pd.Series[str]:
    """Return the cells, spelt like the levels they mean; :data:`NOT_KNOWN` where missing."""
    known = tuple(level for level in levels if level != NOT_KNOWN)
    spelt = spelt_like(one_spelling(cells)[0], known)
    return spelt.mask(is_missing_class(spelt, known), NOT_KNOWN)
