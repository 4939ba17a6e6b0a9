"""A cohort's scans and masks, judged before anything expensive is done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pancseg import export
from pancseg.case import Case
from pancseg.cohort import Outcome, Value
from pancseg.pipeline import fields_and_rows
from pancseg.running.journal import Journal
from pancseg.running.log import RunLog
from pancseg.running.options import DEFAULT, Options
from pancseg.running.run import CohortRun, place_for
from pancseg.settings import FeatureSettings
from pancseg.work import Work

DUPLICATE = "duplicate"


def check_cohort(
    cases: Sequence[Case],
    settings: FeatureSettings,
    report: Callable[[Outcome], None],
    options: Options = DEFAULT,
) -> list[Outcome]:
    """Judge every case; a case without a mask is judged by its scan alone.

    Scans with the same voxels under two ids are both ``duplicate``.

    Args:
        cases: the cohort.
        settings: whose limits hold, and which label of a mask is meant.
        report: called with each outcome as soon as it is there, duplicates not yet known.
        options: where and how.

    Returns:
        One outcome per case, in their order.
    """
    work = Work("check", settings)
    with (
        closing(place_for(work, cases, options)) as place,
        TemporaryDirectory() as folder,
        closing(Journal(Path(folder) / "journal.jsonl")) as journal,
        closing(RunLog(Path(folder) / "run.jsonl")) as log,
    ):
        found = CohortRun(cases, place, options, None, journal, log, report).outcomes()
        outcomes = [replace(outcome, values=dict(outcome.values)) for outcome in found]
    return _with_duplicates(outcomes)


def write_check(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the verdicts as CSV: ids, ``qc_*``, the scan's hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields, rows = fields_and_rows(outcomes, None, "safe")
    export.write_whole({path: export.table_bytes(fields, rows, export.TableFormat())})


def _with_duplicates(outcomes: list[Outcome]) -> list[Outcome]:
    """Fail all cases whose scan is also there under another id."""
    names: dict[Value, set[str]] = {}
    for outcome in outcomes:
        if digest := outcome.values.get("image_sha256"):
            names.setdefault(digest, set()).add(outcome.case.scan_name)
    return [_doubled(o, names.get(o.values.get("image_sha256", ""), set())) for o in outcomes]


def _doubled(outcome: Outcome, names: set[str]) -> Outcome:
    others = sorted(names - {outcome.case.scan_name})
    if not others:
        return outcome
    reason = ";".join(filter(None, [outcome.reason, DUPLICATE]))
    fact = f"its scan has the same voxels as that of {', '.join(others[:3])}"
    facts = "; ".join(filter(None, [outcome.fact, fact]))
    return replace(outcome, status="fail", reason=reason, fact=facts)
