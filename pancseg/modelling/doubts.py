"""What speaks against a study's results before anything is fitted: leaks, twins, competing events.

These sentences are part of the verdict.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.near_twins import letter_twins, near_twins
from pancseg.modelling.study import Endpoint, all_levels
from pancseg.modelling.validation.lone_columns import lone_column_sentences

_SAME_OUTCOMES = 0.95


def doubts_of(joined: JoinedTable, endpoint: Endpoint) -> list[str]:
    """Return sentences that name columns made from the outcome, and patients under two ids.

    Args:
        joined: the cohort.
        endpoint: the endpoint of the same rows.
    """
    columns = pd.concat([joined.features, all_levels(joined)], axis=1)
    # Volume is what radiomics is compared with, and may be strong.
    columns = columns.drop(columns=joined.volume.columns, errors="ignore")
    columns = columns.loc[:, ~columns.columns.duplicated()]
    found = lone_column_sentences(columns, endpoint.y)
    twins = near_twins(joined.features, joined.groups)
    if twins:
        first, second = twins[0]
        pairs = (
            "1 pair of patients is" if len(twins) == 1 else f"{len(twins)} pairs of patients are"
        )
        found.append(
            f"{pairs} nearly the same in all features, such as {first!r} and {second!r}. Scans "
            "of one patient under two ids are in training and test at once, and every number here "
            "is then too high: name the column of the patient with `group`."
        )
    letters = letter_twins(joined.features.index, joined.groups)
    if letters and not twins:
        same = sum(_same_outcome(joined, endpoint, pair) for pair in letters)
        if same >= _SAME_OUTCOMES * len(letters):
            found.append(_letters(letters, same))
    return found


def id_warnings(joined: JoinedTable, endpoint: Endpoint) -> list[str]:
    """Return a warning where ids differ in their last letter only, as P01a and P01b do."""
    letters = letter_twins(joined.features.index, joined.groups)
    if not letters:
        return []
    return [_letters(letters, sum(_same_outcome(joined, endpoint, pair) for pair in letters))]


def _letters(pairs: list[tuple[str, str]], same: int) -> str:
    first, second = pairs[0]
    return (
        f"{len(pairs)} pairs of ids differ in their last letter only, such as {first!r} and "
        f"{second!r}; {same} of these pairs have the same outcome. If they are scans of one "
        "patient, name the column of the patient with `group`."
    )


def _same_outcome(joined: JoinedTable, endpoint: Endpoint, pair: tuple[str, str]) -> bool:
    first, second = (joined.features.index.get_loc(name) for name in pair)
    return bool(np.all(endpoint.y[first] == endpoint.y[second]))
