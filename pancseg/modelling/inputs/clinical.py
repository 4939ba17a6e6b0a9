"""Turn clinical variables, read as text, into numbers and 0/1 indicators."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.cell_values import (
    all_numbers,
    is_missing_class,
    numbers,
    refuse_two_spellings,
    shown,
)

_MOST_LEVELS = 10


def finite(cells: pd.Series[str], what: str) -> pd.Series[float]:
    """Return a column of text as finite numbers, NaN where missing.

    Args:
        cells: as read.
        what: what messages call the column.

    Raises:
        ValueError: as for :func:`numbers`, or a number is infinite.
    """
    found = numbers(cells, what)
    if (count := int(np.isinf(found).sum())) > 0:
        raise ValueError(f"{what}: {count} values are infinite; empty those cells")
    return found


def clinical_levels(cells: pd.Series[str], name: str) -> tuple[str, ...]:
    """Return the levels (different texts) of a clinical variable, sorted; none if it is numeric.

    They are taken from all rows, which is no leak: nothing about the outcome enters.

    Raises:
        ValueError: more than ten levels, or two that differ in case only.
    """
    if all_numbers(cells):
        return ()
    present = cells[~is_missing_class(cells)]
    levels = tuple(sorted(set(present)))
    if len(levels) > _MOST_LEVELS:
        raise ValueError(
            f"`clinical` {name!r}: {len(levels)} different texts, such as {shown(present, 3)}; at "
            f"most {_MOST_LEVELS} can become indicators: merge some, or leave the column out"
        )
    refuse_two_spellings(levels, f"`clinical` {name!r}")
    return levels


def clinical_numbers(
    cells: pd.Series[str], name: str, levels: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Return a clinical variable as numbers, or as 0/1 indicators of all levels but the first.

    Args:
        cells: as read.
        name: name of the variable.
        levels: its levels when the model was fitted; None takes those of the cells.

    Raises:
        ValueError: text or infinity in a numeric variable, or a level that the model does not know.
    """
    levels = clinical_levels(cells, name) if levels is None else levels
    if not levels:
        return finite(cells, f"`clinical` {name!r}").to_frame(name)
    missing = is_missing_class(cells, levels)
    if new := sorted(set(cells[~missing]) - set(levels)):
        raise ValueError(
            f"`clinical` {name!r}: the model was fitted without the value {new[0]!r}; it knows "
            f"{', '.join(map(repr, levels))}. Empty those cells, or leave the patients out"
        )
    parts = {f"{name}={level}": (cells == level).astype(float) for level in levels[1:]}
    found = pd.DataFrame(parts, index=cells.index)
    found[missing] = np.nan
    return found
