"""Turn the results of a cohort into the columns and rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pancseg.cohort.roi import Labels, Roi
from pancseg.features.expected_names import feature_names
from pancseg.features.settings import FeatureSettings, as_feature_settings
from pancseg.processing import fingerprint
from pancseg.processing.row import CaseResult
from pancseg.tables.fields import Field, Row, Value, fields_of

if TYPE_CHECKING:
    import pandas as pd


def results_table(
    results: Iterable[CaseResult], settings: FeatureSettings | str | Path | None = None
) -> pd.DataFrame:
    """Return the results as a table: ids, ``qc_*``, hashes and features under safe names.

    A case that is not usable has its reason and no values.

    Args:
        results: one per row.
        settings: if given, the table has all features' columns, in the order of the settings, even
            if no case is usable.

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
    frame = pd.DataFrame(list(rows), columns=[field.original_name for field in fields])
    return frame.set_axis([field.name for field in fields], axis=1)


def fields_and_rows(
    results: Sequence[CaseResult], settings: FeatureSettings | None, naming: str
) -> tuple[list[Field], Iterable[Row]]:
    """Return the columns of a table, and its rows, which are made one by one while iterating."""
    rows = _Rows(results, settings)
    measured = any(result.usable for result in results)
    expected = [] if measured or settings is None else feature_names(settings)
    return fields_of(rows, expected, settings, naming), rows


class _Rows:
    """The rows of a table; iterating reads the values of one row at a time from the disk."""

    def __init__(self, results: Sequence[CaseResult], settings: FeatureSettings | None) -> None:
        self._results = results
        self._hashed: dict[str, Value] = (
            {"settings_sha256": fingerprint.of_settings(settings)} if settings else {}
        )

    def __iter__(self) -> Iterator[Row]:
        for result in self._results:
            values = dict(result.values.items())  # ** would read the row once per column
            yield {**_ids(result), **self._hashed, **values}


def _ids(result: CaseResult) -> dict[str, Value]:
    case = result.case
    return {
        "patient_id": case.patient_id,
        "scan_id": case.scan_id,
        "roi": case.roi,
        "qc_status": result.status,
        "qc_reasons": result.reason,
        "qc_mask_label": _label_text(case.mask_label),
    }


def _label_text(label: Roi | None) -> str:
    """Return the text of labels for a cell: ``1+2``, which no program reads as the number 1.2."""
    return str(label).replace(",", "+") if isinstance(label, Labels) else str(label or "")
