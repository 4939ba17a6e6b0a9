"""Tell whether new patients are those that a saved model was fitted on, by salted hashes.

A hash is made of a row's values, to six digits, in a few features that differ between patients;
several such sets of features have a hash each, so that one value that was rounded otherwise hides
nobody. A table of which all values were rounded to fewer digits has other hashes, and says of
nobody whether the model was fitted on them; that it was rounded is seen from the names of columns
that had six digits. Rounding to decimals takes digits from small values alone, so that each set is
judged by itself, and a column by its smaller values. Hashes of fewer digits are not kept: of five
values to three digits there are so few that all could be tried, and the values be read from the
hash. The salt is made of all rows: hashes of two models have nothing in common, and the same table
gives the same bytes. Who has a patient's very values can tell that the patient was in the training;
nothing else can be read from a hash.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pancseg.modelling.inputs.cell_values import numbers

SETS, COLUMNS = 6, 5
"""Most sets of features, and features in a set."""
_MEASURED = 2
_UNROUNDED, _RARER_THAN = 1e5, 1e6
"""A column without a value twice may have so many; others have those that were seen. A set has so
many times more combinations than there are patients: with few, strangers would have the same."""


def telling_columns(values: pd.DataFrame) -> list[list[str]]:
    """Return sets of features that tell all patients apart; none if there are none.

    At least two of a set are measurements, with different values in more than half of the patients.

    Args:
        values: (n, features) numbers.
    """
    counts = values.nunique().to_numpy()
    possible = np.where(counts == values.notna().sum().to_numpy(), _UNROUNDED, counts)
    order = np.argsort(-counts, kind="stable")
    found = []
    for start in range(0, min(len(order), SETS * COLUMNS), COLUMNS):
        chosen = np.sort(order[start : start + COLUMNS])
        texts = pd.Series(_texts(values.iloc[:, chosen].to_numpy(float)))
        unique = not texts[texts != ""].duplicated().any()
        rare = math.prod(possible[chosen]) > _RARER_THAN * len(values)
        if unique and rare and (counts[chosen] > len(values) / 2).sum() >= _MEASURED:
            found.append([str(values.columns[j]) for j in chosen])
    return found


def with_all_digits(values: pd.DataFrame, sets: Sequence[Sequence[str]]) -> list[str]:
    """Return the columns of these sets of which a value below the median has all six digits.

    A value is compared by its magnitude; whole numbers of up to five digits have no six.

    Args:
        values: (n, features) numbers.
        sets: what :func:`telling_columns` returned.
    """
    names = dict.fromkeys(name for columns in sets for name in columns)
    return [name for name in names if _has_all_digits(values[name].to_numpy(float))]


def _has_all_digits(values: np.ndarray) -> bool:
    found = values[np.isfinite(values)]
    if not found.size:
        return False
    small = found[np.abs(found) <= np.median(np.abs(found))]
    return any(f"{v:.5e}" != f"{float(f'{v:.4e}'):.5e}" for v in small)


def salt_of(values: np.ndarray) -> str:
    """Return the salt of a table's (n, k) values, as hexadecimal digits."""
    text = "\n".join(sorted(_texts(values)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def row_hashes(table: pd.DataFrame, sets: Sequence[Sequence[str]], salt: str) -> NDArray[np.int64]:
    """Return (n, sets) hashes of rows, of values to six digits; 0 where all values are missing.

    Args:
        table: (n, columns) numbers.
        sets: what :func:`telling_columns` returned.
        salt: what :func:`salt_of` returned.
    """
    found = np.zeros((len(table), len(sets)), dtype=np.int64)
    for number, names in enumerate(sets):
        for row, text in enumerate(_texts(table[list(names)].to_numpy(float))):
            if text:
                digest = hashlib.sha256(f"{salt}\n{number}\n{text}".encode()).digest()
                found[row, number] = int.from_bytes(digest[:8], "big", signed=True)
    return found


def own_rows(
    text: pd.DataFrame,
    sets: Sequence[Sequence[str]],
    salt: str,
    known: NDArray[np.int64],
    exact: Sequence[str] = (),
) -> tuple[str, ...] | None:
    """Return the ids of the rows that a model was fitted on; None if that cannot be told.

    It cannot where the table lacks the columns, or holds them rounded to fewer digits: a set tells
    who is new only if each of its exact columns still has all digits here.

    Args:
        text: the new feature table as read; the index is the id.
        sets: what :func:`telling_columns` returned for the training table.
        salt: what :func:`salt_of` returned for it.
        known: what :func:`row_hashes` returned for it.
        exact: what :func:`with_all_digits` returned for it.
    """
    there = [number for number, names in enumerate(sets) if set(names) <= set(text.columns)]
    own = np.zeros(len(text), dtype=bool)
    told = False
    for number in there:
        names = list(sets[number])
        try:
            values = {name: numbers(text[name], name) for name in names}
        except ValueError:
            continue
        lists = [[] if other != number else names for other in range(len(sets))]
        found = row_hashes(pd.DataFrame(values, index=text.index), lists, salt)[:, number]
        own |= np.isin(found, known[:, number]) & (found != 0)
        kept = (_has_all_digits(np.asarray(values[name], float)) for name in {*names} & {*exact})
        told = told or all(kept)
    return tuple(map(str, text.index[own])) if told or own.any() else None


def _texts(values: np.ndarray) -> list[str]:
    """Return each row's numbers to six digits; empty for a row of gaps alone."""
    gaps = np.isnan(values).all(axis=1)
    return [
        "" if empty else ",".join(f"{value + 0.0:.6g}" for value in row)
        for empty, row in zip(gaps, values, strict=True)
    ]
