"""A cohort's scans and masks, judged before anything expensive is done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pancseg.cohort.case import Case
from pancseg.cohort.pseudonyms import mark_output
from pancseg.features.settings import FeatureSettings
from pancseg.pipeline.result_table import fields_and_rows
from pancseg.processing.duplicates import with_duplicates
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.processing.scan import VOXELS
from pancseg.running.executors.place import executor_for
from pancseg.running.options import DEFAULT, RunOptions
from pancseg.running.run import CohortRun
from pancseg.system.whole_files import write_whole
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import table_bytes


def check_cohort(
    cases: Sequence[Case],
    settings: FeatureSettings,
    report: Callable[[CaseResult], None],
    options: RunOptions = DEFAULT,
) -> list[CaseResult]:
    """Judge every case; a case without a mask is judged by its scan alone.

    Scans with the same voxels under two ids are both ``duplicate``, wherever the voxels lie and
    however they are turned.

    Args:
        cases: the cohort.
        settings: whose limits hold, and which label of a mask is meant.
        report: called with each outcome as soon as it is there, duplicates not yet known.
        options: where and how.

    Returns:
        One outcome per case, in their order.
    """
    work = ProcessingPlan("check", settings)
    with closing(executor_for(work, cases, options)) as place:
        run = CohortRun(cases, place, options, masks=None, journal=None, log=None, report=report)
        outcomes = run.outcomes()
    return [_shown(outcome) for outcome in with_duplicates(outcomes, VOXELS, "fail")]


def write_check(outcomes: Sequence[CaseResult], path: Path, *, pseudonyms: bool = False) -> None:
    """Write the verdicts as CSV: ids (own ones, or pseudonyms), ``qc_*``, the scan's hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pseudonyms:
        mark_output(path.parent)
    fields, rows = fields_and_rows(outcomes, None, "safe")
    write_whole({path: table_bytes(fields, rows, TableFormat())})


def _shown(outcome: CaseResult) -> CaseResult:
    values = {name: value for name, value in outcome.values.items() if name != VOXELS}
    return replace(outcome, values=values)
