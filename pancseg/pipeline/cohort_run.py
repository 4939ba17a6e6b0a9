"""Knows the order: scan → mask → verdict → row → table. Stages meet on disk, in the output folder.

``OUT/masks/<id>.nii.gz``, ``OUT/features.csv`` with its codebook and description (or
``OUT/masks.csv`` after segmenting alone), ``OUT/provenance.json`` and ``OUT/run.jsonl``;
``OUT/.pancseg`` holds what the next run need not do again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pancseg.cohort.case import Case, is_name
from pancseg.cohort.discovery import STATE_FOLDER
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

if TYPE_CHECKING:
    pass

Started = Callable[[Mapping[str, Any]], None]


def _silent(said: object) -> None:
    """Say nothing."""


def run_plan(  # noqa: PLR0913  what, where, how, and who is told
    cases: Sequence[Case],
    out: Path,
    plan: ProcessingPlan,
    report: Report = _silent,
    options: RunOptions = DEFAULT,
    style: TableFormat = PLAIN_CSV,
    *,
    started: Started = _silent,
) -> list[CaseResult]:
    """Process every case as planned and write what that makes.

    A scan is read, and segmented, once for all its regions. Without weights a case without a mask
    fails with ``no_mask``.

    Args:
        cases: the cohort.
        out: output folder, made if need be. Segmenting alone writes masks, ``masks.csv`` and
            ``provenance.json``; else the table is ``features.csv`` or ``.parquet``.
        plan: what is done with every scan.
        report: called with each result as soon as it is there.
        options: where and how.
        style: how a table of features is written.
        started: called with what runs the network, before the first case.

    Returns:
        One result per case, in the order of the cases. Their values stay on the disk, in the
        output folder, until they are asked for.

    Raises:
        RunRefused: the work cannot be done as it is asked for, or another run writes into this
            folder.
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
            raise ValueError(f"{case.name!r} cannot be the name of a file in a folder")
    cases, state = output.cases, output.folder / STATE_FOLDER
    with (
        locked(state),  # before anything is started: neither workers nor jobs of a cluster
        closing(executor_for(output.work, cases, options)) as place,
        closing(Journal(state / "journal.jsonl")) as journal,
        closing(RunLog(output.folder / "run.jsonl")) as log,
    ):
        output.start(place.about)
        log.start({"run": output.provenance(place.about)["run"], "rows": len(cases)})
        started(place.about)
        run = CohortRun(cases, place, options, output.masks, journal, log, report)
        outcomes = with_duplicates(run.outcomes(), "image_sha256", "warn")
        output.write(outcomes, place.about)
        output.write_acquisition(run.acquisition)
        log.end(Counter(outcome.status for outcome in outcomes))
    return outcomes
