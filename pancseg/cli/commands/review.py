"""The commands that record what a person decides about masks: accept, reject."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import option

if TYPE_CHECKING:
    from pancseg.review.judge import MaskRow

Folder = Annotated[
    Path, typer.Argument(metavar="OUT", help="Output folder of a run.", show_default=False)
]
Patients = Annotated[
    list[str],
    typer.Argument(metavar="PATIENT", help="Ids as in the table.", show_default=False),
]


@dataclass(frozen=True)
class Verdict:
    """What is decided, by whom, and about which rows of the patients."""

    reason: Annotated[str, option("Input", help="Why, in one line.")]
    by: Annotated[str, option("Input", metavar="INITIALS", help="Who decides.")]
    scan: Annotated[str | None, option("Input", metavar="ID", help="Only the scan of this id.")] = (
        None
    )
    region: Annotated[str | None, option("Input", metavar="NAME", help="Only this region.")] = None


def accept(*, out: Folder, patients: Patients, verdict: Verdict) -> None:
    """Accept masks as they are: OUT/review.csv. The next run measures and marks them.

    An acceptance holds for the mask as it is now, and lapses when the mask is changed.
    """
    for row in _judged(out, patients, "accept", verdict):
        if row.refusals:
            say(
                f"{row.name}: accepted, but it cannot be measured for another reason: "
                f"{', '.join(row.refusals)}",
                sys.stderr,
            )


def reject(*, out: Folder, patients: Patients, verdict: Verdict) -> None:
    """Reject masks: OUT/review.csv. The next run leaves their features empty."""
    _judged(out, patients, "reject", verdict)


def _judged(
    out: Path, patients: list[str], decision: Literal["accept", "reject"], verdict: Verdict
) -> list[MaskRow]:
    """Record the decision and say what comes next."""
    with usage_errors(verbose=False):
        from pancseg.cohort.choosing import listed
        from pancseg.review.judge import judge_masks, rows_to_judge
        from pancseg.system.output_folder import check_output_folder
        from pancseg.viewer.mask_files import masks_gone

        if not out.is_dir():
            raise ValueError("the output folder does not exist; give the folder of a run's output")
        check_output_folder(out)
        rows = rows_to_judge(out, patients, scan=verdict.scan, region=verdict.region)
        if gone := set(masks_gone(out)) & {row.name for row in rows}:
            raise ValueError(
                f"the mask that was measured is gone: {listed(sorted(gone))}; put its file back, "
                "or run again"
            )
        with output_errors():
            judge_masks(out, rows, decision, reason=verdict.reason, by=verdict.by)
    count = "1 mask" if len(rows) == 1 else f"{len(rows)} masks"
    say(f"{count} {decision}ed (review.csv); run the same command again", sys.stdout)
    return rows
