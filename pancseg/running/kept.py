"""Keep the rows of cases that a run leaves alone, as the journal has them, or refuse the run.

A kept row is the one that the case had last, made in the same way and on the mask that it has now.
Scans are neither read nor hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.cohort.choosing import listed
from pancseg.errors import RunRefused
from pancseg.processing import fingerprint
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.running import keys
from pancseg.running.journal import Journal, LastRow
from pancseg.running.mask_files import corrections_of, named_like

Manner = Callable[[Case], str]
"""Case → the key of how its row is made."""


def manner_of(plan: ProcessingPlan, network_info: Mapping[str, Any]) -> Manner:
    """Return a function that gives the key of how a case's row is made: all but the files.

    Limits of the verdict and people's decisions are not part of it, as every row that is not
    measured again is judged by those of today.

    Args:
        plan: what is done with every scan.
        network_info: the weights and the engine; empty without a network.
    """
    settings = fingerprint.of_settings(plan.settings) if plan.settings else ""
    limits = plan.judging.limits
    tissue_hu = [limits.fat_below_hu, limits.dense_above_hu]
    how = [plan.command, settings, tissue_hu, plan.uncertainty, plan.keep_truncated_shape]
    network = []
    if network_info:
        weights = network_info["weights"]
        made_of = weights.get(keys.WITHOUT_RANGES, weights["sha256"])
        network = [made_of, *network_info["inference"].values()]

    def manner(case: Case) -> str:
        shared = plan.takes_shared(case)
        what = [str(case.mask_label or ""), case.roi == DEFAULT_ROI, case.series_uid or "", shared]
        return keys.of_manner(how, what, network if shared else [])

    return manner


def kept_rows(
    cases: Sequence[Case],
    journal: Journal,
    plan: ProcessingPlan,
    manner: Manner,
    masks: Path | None,
    scans: Collection[str],
) -> dict[str, CaseResult]:
    """Return key of a case → its row, for the cases that a run leaves alone.

    Args:
        cases: the cases.
        journal: rows of earlier runs.
        plan: what is done with the other cases.
        manner: how a case's row is made.
        masks: folder of the network's masks; None if the network makes none.
        scans: keys of the names of all scans of the cohort.

    Raises:
        RunRefused: a case has no row, or one that was made in another way, on another mask, or
            not to the end that today's limits and decisions ask for.
    """
    if cases and journal.damaged:
        raise RunRefused(
            "`only`: the journal of earlier results is damaged, so the rows that it has may not be "
            "the last ones; run once without `only`"
        )
    found = {case.key: journal.last(case) for case in cases}
    rows = {key: last for key, last in found.items() if last}
    _refuse(
        [case for case in cases if case.key not in rows],
        "no earlier row in the output folder",
        "name them in `only` too, or omit it",
    )
    _refuse(
        [case for case in cases if rows[case.key].manner != manner(case)],
        "a row that was made with other settings, weights or regions, or by another version",
        "run as before, or without `only`",
    )
    _refuse(
        [
            case
            for case in cases
            if not _on_its_mask(
                case, rows[case.key], plan, masks, named_like(case.scan_name, scans)
            )
        ],
        "another mask than when the row was made",
        "name them in `only` too",
    )
    _refuse(
        [case for case in cases if not rows[case.key].enough],
        "a row to be measured further, as limits or decisions have changed",
        "name them in `only` too",
    )
    return {key: last.result for key, last in rows.items()}


def _refuse(cases: Sequence[Case], what: str, remedy: str) -> None:
    if cases:
        others = "1 other case has" if len(cases) == 1 else f"{len(cases)} other cases have"
        names = listed([case.name for case in cases])
        raise RunRefused(f"`only`: {others} {what} ({names}); {remedy}")


def _on_its_mask(
    case: Case,
    last: LastRow,
    plan: ProcessingPlan,
    masks: Path | None,
    other_scans: Collection[str],
) -> bool:
    """Return whether the mask of a row is still the one that the row was made on."""
    if last.mask is None:  # of a scan that ran out of time or memory
        return True
    if not plan.takes_shared(case):
        return last.mask == (keys.of_given_mask(case.mask) if case.mask else "")
    if masks is None:
        return not last.mask
    path = masks / f"{case.scan_name}.nii.gz"
    if corrections := corrections_of(path, other_scans):
        return last.mask in map(keys.of_given_mask, corrections)
    return last.mask == keys.of_file(path)
