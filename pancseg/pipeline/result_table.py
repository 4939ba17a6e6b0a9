"""Turn the results of a cohort into the columns and rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pancseg.cohort.case import EXTRA_PREFIX, name_key
from pancseg.cohort.roi import Labels, Roi
from pancseg.features.expected_names import feature_names
from pancseg.features.settings import FeatureSettings, as_feature_settings
from pancseg.processing import fingerprint
from pancseg.processing.row import CaseResult
from pancseg.tables.fields import Field, Row, Value, fields_of
from pancseg.tables.wide import ONCE, WideTable, key_of, region_tags, wide_columns

if TYPE_CHECKING:
    import pandas as pd


def results_table(
    results: Iterable[CaseResult],
    settings: FeatureSettings | str | Path | None = None,
    *,
    wide: bool = False,
) -> pd.DataFrame:
    """Return the results as a table: ids, ``qc_*``, hashes and features under safe names.

    A case that is not usable has its reason and no values.

    Args:
        results: one per row.
        settings: if given, the table has all features' columns, in the order of the settings, even
            if no case is usable.
        wide: one row per patient and scan with the regions side by side, as columns
            ``<region>__<column>`` (:mod:`pancseg.tables.wide`).

    Example:
        >>> from pancseg import results_table, run_cohort
        >>> table = results_table(run_cohort("cohort.csv", "results", weights="monet_phantom"))
        >>> table[["patient_id", "qc_status"]].values.tolist()
        [['P1', 'warn']]
    """
    import pandas as pd

    found = list(results)
    loaded = None if settings is None else as_feature_settings(settings)
    fields, rows = fields_and_rows(found, loaded, "safe")
    if wide:
        table = wide_table(found, loaded, "safe")
        fields, rows = table.fields, table.rows
    frame = pd.DataFrame(list(rows), columns=[field.original_name for field in fields])
    return frame.set_axis([field.name for field in fields], axis=1)


def fields_and_rows(
    results: Sequence[CaseResult],
    settings: FeatureSettings | None,
    naming: str,
    words: Callable[[str], str] = str,
) -> tuple[list[Field], Iterable[Row]]:
    """Return the columns of a table, and its rows, which are made one by one while iterating.

    Args:
        results: one per row.
        settings: of the features; None if none are computed.
        naming: how columns are named, ``safe`` or ``pyradiomics``.
        words: turns a message that names parameters in backticks into the caller's words.
    """
    rows = _Rows(results, settings, words)
    measured = any(result.usable for result in results)
    expected = [] if measured or settings is None else feature_names(settings)
    return fields_of(rows, expected, settings, naming), rows


def wide_table(
    results: Sequence[CaseResult],
    settings: FeatureSettings | None,
    naming: str,
    words: Callable[[str], str] = str,
) -> WideTable:
    """Return the table that has the regions of each scan side by side, as :func:`fields_and_rows`.

    Scans and regions are in the order of their first rows.
    """
    fields, _ = fields_and_rows(results, settings, naming)
    regions = [result.case.roi for result in results]
    once = (*ONCE, *_shared(results))
    columns = wide_columns(fields, regions, shorten=naming == "safe", once=once)
    return WideTable(columns, _WideRows(results, _Rows(results, settings, words), once))


def _shared(results: Sequence[CaseResult]) -> list[str]:
    """Return the manifest's columns in which all regions of each scan have the same text."""
    scans: dict[str, dict[str, str]] = {}
    names: dict[str, bool] = {}
    for result in results:
        first = scans.setdefault(name_key(result.case.scan_name), dict(result.case.carried))
        for name, text in result.case.carried:
            names[name] = names.get(name, True) and first.get(name) == text
    return [f"{EXTRA_PREFIX}{name}" for name, shared in names.items() if shared]


class _Rows:
    """The rows of a table; iterating reads the values of one row at a time from the disk."""

    def __init__(
        self,
        results: Sequence[CaseResult],
        settings: FeatureSettings | None,
        words: Callable[[str], str],
    ) -> None:
        self._results, self._words = results, words
        self._hashed: dict[str, Value] = (
            {"settings_sha256": fingerprint.of_settings(settings)} if settings else {}
        )

    def __iter__(self) -> Iterator[Row]:
        return map(self.of, self._results)

    def of(self, result: CaseResult) -> dict[str, Value]:
        """Return the row of a result."""
        values = dict(result.values.items())  # ** would read the row once per column
        return {**_ids(result, self._words), **self._hashed, **values}


class _WideRows:
    """The rows of a wide table; iterating reads the rows of one scan at a time from the disk."""

    def __init__(
        self,
        results: Sequence[CaseResult],
        long: _Rows,
        once: Sequence[str],
    ) -> None:
        self._once, self._long = once, long
        self._tags = region_tags(result.case.roi for result in results)
        self._scans: dict[str, list[CaseResult]] = {}
        for result in results:
            self._scans.setdefault(name_key(result.case.scan_name), []).append(result)

    def __iter__(self) -> Iterator[Row]:
        for results in self._scans.values():
            found: dict[str, Value] = {}
            for result in results:
                tag = self._tags[name_key(result.case.roi)]
                for name, value in self._long.of(result).items():
                    if name in self._once:
                        found.setdefault(name, value)
                    else:
                        found[key_of(tag, name)] = value
            yield found


def _ids(result: CaseResult, words: Callable[[str], str]) -> dict[str, Value]:
    case = result.case
    return {
        "patient_id": case.patient_id,
        "scan_id": case.scan_id,
        "roi": case.roi,
        **{f"{EXTRA_PREFIX}{name}": text for name, text in case.carried},
        "qc_status": result.status,
        "qc_reasons": result.reason,
        "qc_message": words(result.fact),
        "qc_mask_label": _label_text(case.mask_label),
    }


def _label_text(label: Roi | None) -> str:
    """Return the text of labels for a cell: ``1+2``, which no program reads as the number 1.2."""
    return str(label).replace(",", "+") if isinstance(label, Labels) else str(label or "")
