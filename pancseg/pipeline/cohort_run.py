"""Carry out a plan over a cohort: from scans to masks, verdicts, rows and the table.

A run writes ``OUT/masks/<id>.nii.gz``, ``OUT/features.csv`` with its codebook and description (or
``OUT/masks.csv`` after segmenting alone), ``OUT/provenance.json`` and ``OUT/run.jsonl``.
``OUT/.pancseg`` holds the results that the next run reuses, and where the scans are;
``OUT/report/pictures`` the rows' pictures.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case, is_name, name_key
from pancseg.cohort.choosing import chosen, listed
from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.cohort.pseudonyms import check_output
from pancseg.errors import RunRefused
from pancseg.pipeline.earlier_table import leaving_rows
from pancseg.pipeline.output import PLAIN_CSV, RunOutput
from pancseg.processing.duplicates import with_duplicates
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.review.decisions import (
    BY_MANIFEST,
    Decision,
    Kind,
    add_decisions,
    now,
    reviews_of,
)
from pancseg.running.executors.early import EarlyWorker
from pancseg.running.executors.place import executor_for
from pancseg.running.journal import Journal
from pancseg.running.kept import kept_rows, manner_of
from pancseg.running.lock import locked
from pancseg.running.mask_files import of_no_scan
from pancseg.running.options import DEFAULT, RunOptions
from pancseg.running.progress import Watch
from pancseg.running.run import CohortRun, Report
from pancseg.running.run_log import RunLog
from pancseg.system.output_folder import check_output_folder
from pancseg.system.text.excerpt import excerpt
from pancseg.tables.fields import Value
from pancseg.tables.format import TableFormat

_log = logging.getLogger(__name__)
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
    only: Sequence[str] | None = None,
    started: Started = ignore,
    watch: Watch = ignore,
    words: Callable[[str], str] = str,
    early: EarlyWorker | None = None,
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
        only: ids of the patients or scans to process; all other cases keep the rows that an
            earlier run gave them. None processes all.
        started: called with the weights and the engine, before the first scan.
        watch: called with the progress whenever it changes.
        words: turns a message that names parameters in backticks into the caller's words.
        early: a worker process that was started before the cohort was read.

    Returns:
        One result per case, in the order of the cases. Values stay on the disk, in the output
        folder, and are read when they are accessed.

    Raises:
        RunRefused: the run cannot be started as planned, or another run writes into this folder.
        OSError: the output cannot be written.
        RunStopped: a strict run met a row that is not usable.
    """
    if plan.command == "segment":
        path, style = out / "masks.csv", PLAIN_CSV
    else:
        path = out / f"features.{style.kind}"
    output = RunOutput(path, plan, cases, style, options.pseudonyms, words)
    try:
        wanted = (
            [True] * len(cases)
            if only is None
            else chosen(cases, only, show=not options.pseudonyms)
        )
    except ValueError as error:
        raise RunRefused(str(error)) from error
    return _run(output, wanted, options, report, started, watch, early)


def _run(  # noqa: PLR0913  the arguments of run_plan
    output: RunOutput,
    wanted: Sequence[bool],
    options: RunOptions,
    report: Report,
    started: Started,
    watch: Watch,
    early: EarlyWorker | None,
) -> list[CaseResult]:
    """Run the cases that are wanted and keep the rows of the others, then write the table."""
    output = _with_reviews(output, options)
    state, plan = output.folder / STATE_FOLDER, output.plan
    cases = [case for case, this in zip(output.cases, wanted, strict=True) if this]
    others = [case for case, this in zip(output.cases, wanted, strict=True) if not this]
    with (
        locked(state),  # first, so that a refused run starts no further workers and no cluster jobs
        closing(executor_for(plan, cases, options, early)) as executor,
        closing(Journal(state / "journal.jsonl", plan.judging)) as journal,
    ):
        manner = manner_of(plan, executor.network_info)
        names = {name_key(case.scan_name) for case in output.cases}
        kept = kept_rows(others, journal, plan, manner, output.masks, names)
        with closing(RunLog(output.folder / "run.jsonl")) as log:
            _begin(output, executor.network_info, journal, log)
            if output.masks:
                _tell_of_no_scan(output.masks, output.cases, show=not options.pseudonyms)
            started(executor.network_info)
            _log_kept(kept.values(), log)
            run = CohortRun(
                cases, executor, options, output.masks, journal, log, report, watch, plan.settings,
                output.pictures, manner, others,
            )  # fmt: skip
            rows = kept | {result.case.key: result for result in run.results()}
            in_order = [rows[case.key] for case in output.cases]
            results = with_duplicates(in_order, "image_sha256", "warn")
            _write(output, results, executor.network_info)
            output.write_acquisition(run.acquisition | _acquisition_of(others, journal))
            log.end(Counter(result.status for result in results))
    return results


def _with_reviews(output: RunOutput, options: RunOptions) -> RunOutput:
    """Check the output folder, and return the output with what people decided about its masks."""
    for case in output.cases:
        if output.masks and not is_name(case.name):
            raise ValueError(f"{case.name!r} cannot be a file name; give the case other ids")
    try:
        check_output_folder(output.folder)
        check_output(output.folder, pseudonyms=options.pseudonyms)
        reviews = reviews_of(output.folder, output.cases)
    except ValueError as error:
        raise RunRefused(str(error)) from error
    plan = replace(output.plan, reviews=reviews, pseudonyms=options.pseudonyms)
    return replace(output, plan=plan)


def _tell_of_no_scan(masks: Path, cases: Sequence[Case], *, show: bool) -> None:
    """Say which files in the folder of masks will not be used."""
    names = of_no_scan(masks, {case.scan_name for case in cases})
    if names:
        _log.debug("masks that fit no scan: %s", names)
        shown = f" ({listed([excerpt(name, 40) for name in names])})" if show else ""
        count = "1 mask file" if len(names) == 1 else f"{len(names)} mask files"
        fits = "fits" if len(names) == 1 else "fit"
        _log.warning(
            "%s in the output folder%s %s no scan of the cohort; name a correction "
            "<id>_corrected.nii.gz, <id>.nrrd or <id>.seg.nrrd",
            count, shown, fits,
        )  # fmt: skip


def _begin(
    output: RunOutput, network_info: Mapping[str, Any], journal: Journal, log: RunLog
) -> None:
    if damage := journal.damage():
        _log.warning("%s", damage)
    output.start(network_info)
    log.start({"run": output.provenance(network_info)["run"], "rows": len(output.cases)})


def _write(
    output: RunOutput, results: Sequence[CaseResult], network_info: Mapping[str, Any]
) -> None:
    """Write the table, and say how many rows of the earlier one leave it."""
    if pending := output.plan.reviews.pending:
        decided = reviews_of(output.folder).latest  # also what was decided during the run
        if made := _of_manifest(results, pending, decided):
            add_decisions(output.folder, made)
    gone = leaving_rows(output.path, output.cases)
    output.write(results, network_info)
    if gone:
        _log.warning("%s", _told(gone))


def _log_kept(rows: Iterable[CaseResult], log: RunLog) -> None:
    scans: dict[str, list[CaseResult]] = {}
    for row in rows:
        scans.setdefault(row.case.scan_name, []).append(row)
    for name, of_scan in scans.items():
        log.kept(name, of_scan)


def _acquisition_of(cases: Iterable[Case], journal: Journal) -> dict[str, dict[str, Value]]:
    """Return key of a scan's first case → its acquisition as an earlier run found it."""
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(name_key(case.scan_name), case)
    found = {case.key: journal.acquisition(scan) for scan, case in first.items()}
    return {key: acquisition for key, acquisition in found.items() if acquisition}


def _told(gone: int) -> str:
    rows, them = ("1 row", "it") if gone == 1 else (f"{gone} rows", "them")
    return (
        f"{rows} of the earlier table left it, as this cohort has no such patient or region; give "
        f"the whole cohort to have {them} back, and name in `only` the patients to process"
    )


def _of_manifest(
    results: Sequence[CaseResult], pending: Mapping[str, str], decided: Collection[tuple[str, str]]
) -> list[Decision]:
    """Return the acceptances of the manifest, now that the masks which they mean are known.

    Args:
        results: of the run.
        pending: key of a case → the manifest's reason, of those not recorded yet.
        decided: keys of cases and hashes of masks that people have judged. There the manifest's
            acceptance changes nothing, and is recorded as a comment.
    """
    made = []
    for result in results:
        case, mask = result.case, str(result.values.get("mask_sha256", ""))
        if mask and (reason := pending.get(case.key)):
            kind: Kind = "comment" if (case.key, mask) in decided else "accept"
            ids = case.patient_id, case.scan_id, case.roi
            made.append(Decision(*ids, kind, reason, BY_MANIFEST, now(), mask))
    return made
