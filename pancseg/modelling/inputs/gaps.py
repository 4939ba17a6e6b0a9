"""Count missing values per column, and leave out features that are mostly empty."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from pancseg.modelling.estimators.chained import can_be_estimated
from pancseg.modelling.estimators.preparation import MOST_MISSING, Varied
from pancseg.modelling.inputs.clinical import NOT_KNOWN, indicator
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.system.text.number_text import DASH, percent, share_of_some

COLUMNS = ("column", "kind", "missing", "share", "dropped_in", "models", "filled_with")
_FEW = 3


def without_gaps(joined: JoinedTable) -> tuple[JoinedTable, pd.DataFrame]:
    """Leave out features that more than half of the patients lack.

    All patients decide, not those of a fold: a feature with as many gaps as the limit would be
    dropped in some folds and not in others. The outcome plays no part.

    Returns:
        The cohort with a note, and the rows of :func:`missing_values` for what was left out.

    Raises:
        ValueError: no feature is left.
    """
    shares = joined.features.isna().mean()
    empty = shares.index[shares > MOST_MISSING]
    rows = pd.DataFrame(
        [
            _row(str(name), "feature", joined.features[name].isna(), 0, 0, "left out")
            for name in empty
        ],
        columns=list(COLUMNS),
    )
    if not len(empty):
        return joined, rows
    if len(empty) == len(shares):
        raise ValueError(
            f"all {len(shares)} features are missing in more than {percent(MOST_MISSING)} of the "
            "patients; check how the tables were joined"
        )
    note = (
        f"{len(empty)} features that more than {percent(MOST_MISSING)} of the patients lack were "
        f"left out: {_named(map(str, empty))} (missing_values.csv)."
    )
    kept = joined.features.drop(columns=empty)
    return replace(joined, features=kept, notes=(*joined.notes, note)), rows


def imputed_columns(joined: JoinedTable) -> list[str]:
    """Return the columns that are estimated where missing values are imputed.

    They are numbers with gaps, known in ten patients or more and not all the same. So it is for the
    models of all patients; those of a fold may have too few (:func:`missing_values`).
    """
    texts = [
        indicator(name, level) for name, all_of in joined.origin.levels.items() for level in all_of
    ]
    frames = (joined.features, joined.volume, joined.clinical)
    return [
        str(name)
        for frame in frames
        for name in frame.columns[frame.isna().any().to_numpy()]
        if name not in texts and _can_be_imputed(frame[name].to_numpy(float))
    ]


def _can_be_imputed(values: np.ndarray) -> bool:
    return bool(can_be_estimated(values[:, None])[0])


def missing_values(
    joined: JoinedTable, trainings: list[np.ndarray], imputations: int = 1
) -> pd.DataFrame:
    """Return the columns with missing values, and those that some models could not use.

    Args:
        joined: the cohort.
        trainings: training rows of each outer fold.
        imputations: number of completed tables; 1: numbers are filled by medians.

    Returns:
        ``column``, ``kind`` (feature, volume, clinical), ``missing`` (patients), ``share``,
        ``dropped_in`` (of ``models`` outer models, the number in which the column was nearly
        constant), and ``filled_with``, which names the number of outer models whose training rows
        are too few to impute the column. Columns with most gaps come first.
    """
    features = joined.features
    values = features.to_numpy(float)
    kept = np.zeros(values.shape[1], int)
    for rows in trainings:
        kept[Varied().fit(values[rows]).kept_] += 1
    found, count = [], len(trainings)

    def how(values: pd.Series[float]) -> str:
        known = values.to_numpy(float)
        if imputations == 1 or not _can_be_imputed(known):
            return "median"
        few = sum(not _can_be_imputed(known[rows]) for rows in trainings)
        but = f", median in {few} of {count} outer models" if few else ""
        return f"{imputations} imputations{but}"

    for j, name in enumerate(map(str, features.columns)):
        gaps = features.iloc[:, j].isna()
        if gaps.any() or kept[j] < count:
            filled = how(features.iloc[:, j]) if gaps.any() else DASH
            found.append(_row(name, "feature", gaps, count - int(kept[j]), count, filled))
    for volume in map(str, joined.volume.columns):
        if (gaps := joined.volume[volume].isna()).any():
            found.append(_row(volume, "volume", gaps, 0, count, how(joined.volume[volume])))
    for name in joined.origin.levels:
        number = how(joined.clinical[name]) if name in joined.clinical else "median"
        if row := _clinical(joined, name, count, number):
            found.append(row)
    table = pd.DataFrame(found, columns=list(COLUMNS))
    return table.sort_values(["share", "dropped_in", "column"], ascending=[False, False, True])


def missing_notes(table: pd.DataFrame, imputations: int = 1) -> list[str]:
    """Return sentences on a table of :func:`missing_values`.

    Args:
        table: the result.
        imputations: number of completed tables that was asked for.
    """
    gaps = table[table["missing"] > 0].drop_duplicates("column")  # the volume is a feature, too
    dropped = table[table["dropped_in"] > 0]
    found = []
    imputed = gaps["filled_with"].str.contains("imputations")
    if imputations > 1 and not imputed.any():
        what = "no number is missing" if not len(gaps) else "no column of numbers can be imputed"
        found.append(f"`imputations` changes nothing: {what}.")
    mostly = gaps[imputed & (gaps["share"] > MOST_MISSING)]
    found += [
        f"{name!r} is imputed in {percent(float(share))} of the patients: what it says rests on "
        "the few who have it."
        for name, share in zip(mostly["column"], mostly["share"], strict=True)
    ]
    if len(gaps):
        first = gaps.iloc[0]
        columns_have = "1 column has" if len(gaps) == 1 else f"{len(gaps)} columns have"
        most = "" if len(gaps) == 1 else " most"
        found.append(
            f"{columns_have} missing values, {first['column']!r}{most} ({first['missing']} "
            f"patients, {share_of_some(first['share'])}; filled with: {first['filled_with']}). "
            "All are listed in missing_values.csv."
        )
    if len(dropped):
        names = [
            f"{row.column} in {row.dropped_in} of {row.models} models"
            for row in dropped.head(_FEW).itertuples()
        ]
        more = f" and {len(dropped) - _FEW} more" if len(dropped) > _FEW else ""
        found.append(f"Nearly constant in the training rows: {', '.join(names)}{more}.")
    return found


def _clinical(
    joined: JoinedTable, name: str, models: int, number: str
) -> tuple[object, ...] | None:
    """Return the row of a clinical variable, None if it is complete.

    ``number`` is what it is filled with if it is a number.
    """
    levels = joined.origin.levels[name]
    if NOT_KNOWN in levels:
        gaps = joined.clinical[indicator(name, NOT_KNOWN)] == 1
        return _row(name, "clinical", gaps, 0, models, "a level of its own")
    column = indicator(name, levels[1]) if len(levels) > 1 else name
    if column not in joined.clinical or not (gaps := joined.clinical[column].isna()).any():
        return None
    return _row(name, "clinical", gaps, 0, models, "shares of the levels" if levels else number)


def _row(
    name: str, kind: str, gaps: pd.Series[bool], dropped: int, models: int, filled: str
) -> tuple[object, ...]:
    return name, kind, int(gaps.sum()), round(float(gaps.mean()), 4), dropped, models, filled


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_FEW]) + (
        f" and {len(listed) - _FEW} more" if len(listed) > _FEW else ""
    )
