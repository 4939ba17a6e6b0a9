"""What people decided about rows, for the page, and the decisions that it records."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

from pancseg.report.rows import ReportRow
from pancseg.review.decisions import Decision, Kind, add_decisions, now
from pancseg.review.standing import Standing, standing, stands
from pancseg.system.json_file import parse_json
from pancseg.viewer.refusal import Refusal


def state_of(decisions: Sequence[Decision], mask_sha256: str) -> dict[str, Any]:
    """Return the verdict that stands for a row, and all comments, each with whether it holds.

    Args:
        decisions: about the row, in order.
        mask_sha256: hash of the mask that the table's row has; empty without one.
    """
    verdicts = [each for each in standing(decisions, mask_sha256) if each.decision != "comment"]
    told = [stands(made, mask_sha256) for made in decisions]
    return {
        "decision": _told(verdicts[0]) if verdicts else None,
        "comments": [_told(each) for each in told if each.decision == "comment"],
    }


def _told(standing: Standing) -> dict[str, Any]:
    made = standing.made
    return {
        "decision": made.decision,
        "reason": made.reason,
        "by": made.by,
        "at": made.at,
        "holds": standing.holds,
    }


def decision_from(body: bytes, row: ReportRow, mask_sha256: str) -> Decision:
    """Return the decision that the page sends about a row.

    Args:
        body: JSON with ``decision``, ``reason``, ``by`` and, for a verdict, ``mask_sha256``.
        row: the row.
        mask_sha256: hash of the mask that the table's row has now.

    Raises:
        Refusal: it is no decision, or is about another mask.
    """
    try:
        sent = parse_json(body)
        kind, reason, by = (sent[name] for name in ("decision", "reason", "by"))
        about = sent.get("mask_sha256", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad("a decision has decision, reason, by and mask_sha256") from error
    if kind not in get_args(Kind):
        raise _bad("the decision is none of accept, reject and comment")
    if not all(isinstance(text, str) for text in (reason, by, about)):
        raise _bad("the reason and the initials are texts")
    if not reason.strip():
        raise _bad("the reason is empty; say it in a few words")
    if kind != "comment" and not by.strip():
        raise _bad("the initials are empty; say who decides")
    if kind != "comment" and not mask_sha256:
        raise _bad(f"there is no mask to {kind}")
    if kind != "comment" and about != mask_sha256:
        raise Refusal(
            HTTPStatus.CONFLICT,
            "the table has been made anew since this page read it; look at the row again",
            mask_sha256=mask_sha256,
        )
    ids = row.patient_id, row.scan_id, row.roi
    return Decision(*ids, kind, reason.strip(), by.strip(), now(), mask_sha256)


def record(folder: Path, made: Decision) -> None:
    """Append a decision to ``review.csv``.

    Raises:
        Refusal: a text of it is refused; one sentence.
        OSError: the file cannot be written.
    """
    try:
        add_decisions(folder, [made])
    except ValueError as error:
        text = str(error).replace("`reason`", "the reason").replace("`by`", "the initials")
        raise _bad(text) from error


def _bad(text: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, text)
