"""A cohort's scans and masks, judged before anything expensive is done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pancseg import export, scans
from pancseg.case import DEFAULT_ROI, Case
from pancseg.cohort import Found, Outcome, Value, run_cases
from pancseg.features.regions import region_of
from pancseg.pipeline import Given, fields_and_rows, volume_ml
from pancseg.quality import judge_region, judge_scan
from pancseg.settings import FeatureSettings


def check_cohort(
    cases: Sequence[Case], settings: FeatureSettings, report: Callable[[Outcome], None]
) -> list[Outcome]:
    """Judge every case; a case without a mask is judged by its scan alone.

    Scans with the same voxels under two ids are both ``duplicate``.

    Args:
        cases: the cohort.
        settings: whose limits hold, and which label of a mask is meant.
        report: called with each outcome as soon as it is there, duplicates not yet known.

    Returns:
        One outcome per case, in their order.
    """
    given = Given()

    def work(case: Case) -> Found:
        scan = given.scan(case)
        verdict = judge_scan(scan, settings.quality)
        values: dict[str, Value] = {"image_sha256": given.scan_hash(case, scan)}
        if case.mask:
            region = region_of(given.mask(case.mask), case.mask_label or settings.label, scan)
            image = scans.on_grid_of(scan, region.image)
            whole = case.roi == DEFAULT_ROI
            verdict = verdict.plus(
                judge_region(scan, image, settings.quality, whole_pancreas=whole)
            )
            values |= {"qc_mask_label": region.made_of, "qc_volume_ml": volume_ml(image)}
        reasons = {finding.code: finding.fact for finding in verdict.findings}
        return Found({**values, **verdict.values}, reasons, verdict.grade)

    outcomes = []
    for outcome in run_cases(cases, work):
        outcomes.append(outcome)
        report(outcome)
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
    reason = ";".join(filter(None, [outcome.reason, "duplicate"]))
    fact = f"its scan has the same voxels as that of {', '.join(others[:3])}"
    facts = "; ".join(filter(None, [outcome.fact, fact]))
    return replace(outcome, status="fail", reason=reason, fact=facts)
