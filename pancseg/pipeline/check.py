"""Judge the scans and masks of a cohort before anything expensive is done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case
from pancseg.cohort.pseudonyms import mark_output
from pancseg.features.settings import FeatureSettings
from pancseg.pipeline.result_table import fields_and_rows
from pancseg.processing.duplicates import VOXELS, with_duplicates
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.running.executors.early import EarlyWorker
from pancseg.running.executors.place import executor_for
from pancseg.running.options import DEFAULT, RunOptions
from pancseg.running.progress import Watch
from pancseg.running.run import CohortRun
from pancseg.system.output_folder import check_output_folder
from pancseg.system.whole_files import write_whole
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import table_bytes


def check_cases(  # noqa: PLR0913  keywords, as the command has options
    cases: Sequence[Case],
    settings: FeatureSettings,
    report: Callable[[CaseResult], None],
    options: RunOptions = DEFAULT,
    *,
    started: Callable[[Mapping[str, Any]], None] = lambda _: None,
    watch: Watch = lambda _: None,
    early: EarlyWorker | None = None,
) -> list[CaseResult]:
    """Judge every case; a case without a mask is judged by its scan alone.

    Scans with the same voxels under two ids are both ``duplicate``, whatever their geometry and
    orientation.

    Args:
        cases: the cohort.
        settings: limits of the verdict, and the label of the region in a mask.
        report: called with each result as soon as it is available; duplicates are found later.
        options: where and how the scans are processed.
        started: called before the first scan, with an empty mapping, as there is no network.
        watch: called with the progress whenever it changes.
        early: a worker process that was started before the cohort was read.

    Returns:
        One result per case, in order.
    """
    plan = ProcessingPlan("check", settings, pseudonyms=options.pseudonyms)
    with closing(executor_for(plan, cases, options, early)) as executor:
        started(executor.network_info)
        run = CohortRun(cases, executor, options, None, None, None, report, watch)
        results = run.results()
    return [_without_voxel_hash(result) for result in with_duplicates(results, VOXELS, "fail")]


def write_check(
    results: Sequence[CaseResult],
    path: Path,
    *,
    pseudonyms: bool = False,
    words: Callable[[str], str] = str,
) -> None:
    """Write the verdicts to a CSV: ids (real ones or pseudonyms), ``qc_*`` and the scan's hash.

    Args:
        results: results of :func:`check_cases`.
        path: path of the CSV; its folder is made if need be.
        pseudonyms: whether the ids are pseudonyms, which is then recorded in the folder.
        words: turns a message that names parameters in backticks into the caller's words.

    Raises:
        ValueError: the folder is not pancseg's, or an entry in it is a link.
        OSError: the CSV cannot be written.
    """
    check_output_folder(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    if pseudonyms:
        mark_output(path.parent)
    fields, rows = fields_and_rows(results, None, "safe", words)
    write_whole({path: table_bytes(fields, rows, TableFormat())})


def _without_voxel_hash(result: CaseResult) -> CaseResult:
    values = {name: value for name, value in result.values.items() if name != VOXELS}
    return replace(result, values=values)
