"""Results of a cohort as a table: its columns and its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pancseg.cohort.roi import Labels, Roi
from pancseg.features.expected_names import feature_names
from pancseg.features.settings import FeatureSettings
from pancseg.processing import fingerprint
from pancseg.processing.row import CaseResult
from pancseg.tables.fields import Field, Row, Value, fields_of

if TYPE_CHECKING:
    import pandas as pd


def results_table(
    outcomes: Sequence[CaseResult], settings: FeatureSettings | None = None
) -> pd.DataFrame:
    """Return one row per outcome; columns: ids, ``qc_*``, hashes, features under safe names.

    An unusable case has its reason and no values. With ``settings`` the features' columns are
    there, in the settings' order, whatever became of the cases.

    Example:
        >>> from pancseg import results_table, run_cohort
        >>> table = results_table(run_cohort("cohort.csv", "results", weights="monet_phantom"))
        >>> table[["patient_id", "qc_status"]].values.tolist()
        [['P1', 'warn']]
    """
    import pandas as pd

    fields, rows = fields_and_rows(outcomes, settings, "safe")
    frame = pd.DataFrame(list(rows), columns=[field.original_name for field in fields])
    return frame.set_axis([field.name for field in fields], axis=1)


def fields_and_rows(
    outcomes: Sequence[CaseResult], settings: FeatureSettings | None, naming: str
) -> tuple[list[Field], Iterable[Row]]:
    """Return the columns of a table and its rows, one per outcome, made as they are asked for."""
    rows = _Rows(outcomes, settings)
    measured = any(outcome.usable for outcome in outcomes)
    expected = [] if measured or settings is None else feature_names(settings)
    return fields_of(rows, expected, settings, naming), rows


class _Rows:
    """The rows of a table: each is made, and read from the disk, whenever it is its turn."""

    def __init__(self, outcomes: Sequence[CaseResult], settings: FeatureSettings | None) -> None:
        self._outcomes = outcomes
        self._hashed: dict[str, Value] = (
            {"settings_sha256": fingerprint.of_settings(settings)} if settings else {}
        )

    def __iter__(self) -> Iterator[Row]:
        for outcome in self._outcomes:
            values = dict(outcome.values.items())  # ** would read them once per column
            yield {**_ids(outcome), **self._hashed, **values}


def _ids(outcome: CaseResult) -> dict[str, Value]:
    case = outcome.case
    return {
        "patient_id": case.patient_id,
        "scan_id": case.scan_id,
        "roi": case.roi,
        "qc_status": outcome.status,
        "qc_reasons": outcome.reason,
        "qc_mask_label": _asked(case.mask_label),
    }


def _asked(label: Roi | None) -> str:
    """Return labels as a measured region's are written: 1+2, which no program takes for 1.2."""
    return str(label).replace(",", "+") if isinstance(label, Labels) else str(label or "")
