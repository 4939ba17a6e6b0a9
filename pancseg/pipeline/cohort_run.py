"""Carry out a plan over a cohort: from scans to masks, verdicts, rows and the table.

A run writes ``OUT/masks/<id>.nii.gz``, ``OUT/features.csv`` with its codebook and description (or
``OUT/masks.csv`` after segmenting alone), ``OUT/provenance.json`` and ``OUT/run.jsonl``.
``OUT/.pancseg`` holds the results that the next run reuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case, is_name
from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.cohort.pseudonyms import check_output
from pancseg.errors import RunRefused
from pancseg.pipeline.output import PLAIN_CSV, RunOutput
from pancseg.processing.duplicates import with_duplicates
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.running.executors.place import executor_for
from pancseg.running.journal import Journal
from pancseg.running.lock import locked
from pancseg.running.options import DEFAULT, RunOptions
from pancseg.running.run import CohortRun, Report
from pancseg.running.run_log import RunLog
from pancseg.tables.format import TableFormat

Started = Callable[[Mapping[str, Any]], None]


def ignore(_: object) -> None:
    """Do nothing: the default of callbacks."""


def run_plan(  # noqa: PLR0913  what, where and how, and two callbacks
    cases: Sequence[Case],
    out: Path,
    plan: ProcessingPlan,
    report: Report = ignore,
    options: RunOptions = DEFAULT,
    style: TableFormat = PLAIN_CSV,
    *,
    started: Started = ignore,
) -> list[CaseResult]:
    """Process every case as planned, and write the output folder.

    A scan is read and segmented once for all its regions. If the plan has no weights, a case
    without a mask fails with ``no_mask``.

    Args:
        cases: the cohort.
        out: output folder, made if need be. The command ``segment`` writes masks, ``masks.csv`` and
            ``provenance.json``; otherwise the table is ``features.csv`` or ``.parquet``.
        plan: what is done with every scan.
        report: called with each result as soon as it is available.
        options: where and how the scans are processed.
        style: format of a table of features.
        started: called with the weights and the engine, before the first scan.

    Returns:
        One result per case, in the order of the cases. Values stay on the disk, in the output
        folder, and are read when they are accessed.

    Raises:
        RunRefused: the run cannot be started as planned, or another run writes into this folder.
        OSError: the output cannot be written.
        RunStopped: a strict run met a row that is not usable.
    """
    if plan.command == "segment":
        output = RunOutput(out / "masks.csv", plan, cases, pseudonyms=options.pseudonyms)
    else:
        output = RunOutput(out / f"features.{style.kind}", plan, cases, style, options.pseudonyms)
    return _run(output, options, report, started)


def _run(
    output: RunOutput, options: RunOptions, report: Report, started: Started
) -> list[CaseResult]:
    """Run all cases, then write their table."""
    for case in output.cases:
        if output.masks and not is_name(case.name):
            raise ValueError(f"{case.name!r} cannot be a file name; give the case other ids")
    try:
        check_output(output.folder, pseudonyms=options.pseudonyms)
    except ValueError as error:
        raise RunRefused(str(error)) from error
    cases, state = output.cases, output.folder / STATE_FOLDER
    with (
        locked(state),  # first, so that a refused run starts no workers and no cluster jobs
        closing(executor_for(output.plan, cases, options)) as executor,
        closing(Journal(state / "journal.jsonl")) as journal,
        closing(RunLog(output.folder / "run.jsonl")) as log,
    ):
        output.start(executor.network_info)
        log.start({"run": output.provenance(executor.network_info)["run"], "rows": len(cases)})
        started(executor.network_info)
        run = CohortRun(cases, executor, options, output.masks, journal, log, report)
        results = with_duplicates(run.results(), "image_sha256", "warn")
        output.write(results, executor.network_info)
        output.write_acquisition(run.acquisition)
        log.end(Counter(result.status for result in results))
    return results
