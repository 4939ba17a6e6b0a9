"""What speaks against a study's results before anything is fitted: leaks, twins, competing events.

These sentences are part of the verdict, and without ids of the model card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pancseg.modelling.endpoint import Endpoint, all_levels
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.near_twins import letter_twins, near_twins
from pancseg.modelling.validation.lone_columns import lone_column_sentences

_SAME_OUTCOMES = 0.95


@dataclass(frozen=True)
class Doubt:
    """A sentence on what puts every number in doubt.

    Attributes:
        text: the sentence.
        without_ids: the same without an example of patients' ids, for what is shared.
    """

    text: str
    without_ids: str


def doubts_of(joined: JoinedTable, endpoint: Endpoint) -> list[Doubt]:
    """Return sentences that name columns made from the outcome, and patients under two ids.

    Args:
        joined: the cohort.
        endpoint: the endpoint of the same rows.
    """
    columns = pd.concat([joined.features, all_levels(joined)], axis=1)
    # Volume is what radiomics is compared with, and may be strong.
    columns = columns.drop(columns=joined.volume.columns, errors="ignore")
    columns = columns.loc[:, ~columns.columns.duplicated()]
    found = [Doubt(line, line) for line in lone_column_sentences(columns, endpoint.y)]
    twins = near_twins(joined.features, joined.groups)
    if twins:
        found.append(Doubt(_twins(twins, _such_as(twins)), _twins(twins, "")))
    letters = letter_twins(joined.features.index, joined.groups)
    if letters and not twins:
        same = sum(_same_outcome(joined, endpoint, pair) for pair in letters)
        if same >= _SAME_OUTCOMES * len(letters):
            found.append(
                Doubt(_letters(letters, same, _such_as(letters)), _letters(letters, same, ""))
            )
    return found


def id_warnings(joined: JoinedTable, endpoint: Endpoint) -> list[str]:
    """Return a warning where ids differ in their last letter only, as P01a and P01b do."""
    letters = letter_twins(joined.features.index, joined.groups)
    if not letters:
        return []
    same = sum(_same_outcome(joined, endpoint, pair) for pair in letters)
    return [_letters(letters, same, _such_as(letters))]


def _such_as(pairs: list[tuple[str, str]]) -> str:
    first, second = pairs[0]
    return f", such as {first!r} and {second!r}"


def _twins(pairs: list[tuple[str, str]], example: str) -> str:
    count = "1 pair of patients is" if len(pairs) == 1 else f"{len(pairs)} pairs of patients are"
    return (
        f"{count} nearly the same in all features{example}. Scans of one patient under two ids are "
        "in training and test at once, and performance here is then too good: name the column of "
        "the patient with `group`."
    )


def _letters(pairs: list[tuple[str, str]], same: int, example: str) -> str:
    return (
        f"{len(pairs)} pairs of ids differ in their last letter only{example}; {same} of these "
        "pairs have the same outcome. If they are scans of one patient, name the column of the "
        "patient with `group`."
    )


def _same_outcome(joined: JoinedTable, endpoint: Endpoint, pair: tuple[str, str]) -> bool:
    first, second = (joined.features.index.get_loc(name) for name in pair)
    return bool(np.all(endpoint.y[first] == endpoint.y[second]))
