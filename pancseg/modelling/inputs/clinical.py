"""Owns clinical variables: columns of text → numbers, and 0/1 indicators of texts.

Knows nothing about files or models.
"""

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

    Raises:
        ValueError: as :func:`numbers`, or infinite ones.
    """
    found = numbers(cells, what)
    if (count := int(np.isinf(found).sum())) > 0:
        raise ValueError(f"{what}: {count} values are infinite; empty those cells")
    return found


def clinical_levels(cells: pd.Series[str], name: str) -> tuple[str, ...]:
    """Return the texts of a clinical variable in order; none where it is numbers.

    They are facts of the table, not fitted.

    Raises:
        ValueError: more than ten, or two that differ in case only.
    """
    if all_numbers(cells):
        return ()
    present = cells[~is_missing_class(cells)]
    levels = tuple(sorted(set(present)))
    if len(levels) > _MOST_LEVELS:
        raise ValueError(
            f"`clinical` {name!r}: {len(levels)} different texts, such as {shown(present, 3)}; at "
            f"most {_MOST_LEVELS} can be indicators"
        )
    refuse_two_spellings(levels, f"`clinical` {name!r}")
    return levels


def clinical_numbers(
    cells: pd.Series[str], name: str, levels: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Return a clinical variable as numbers, or text as 0/1 indicators of all levels but the first.

    Args:
        cells: as read.
        name: of the variable.
        levels: see :func:`clinical_levels`; None: those of the cells.

    Raises:
        ValueError: text or infinity where numbers are known, or a text that is not known.
    """
    levels = clinical_levels(cells, name) if levels is None else levels
    if not levels:
        return finite(cells, f"`clinical` {name!r}").to_frame(name)
    missing = is_missing_class(cells, levels)
    if new := sorted(set(cells[~missing]) - set(levels)):
        raise ValueError(
            f"`clinical` {name!r}: {new[0]!r} was not there when the model was fitted; it knows "
            f"{', '.join(map(repr, levels))}"
        )
    parts = {f"{name}={level}": (cells == level).astype(float) for level in levels[1:]}
    found = pd.DataFrame(parts, index=cells.index)
    found[missing] = np.nan
    return found
