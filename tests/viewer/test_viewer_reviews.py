"""Decisions made in the viewer are recorded for the mask they are about, and the next run obeys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewed_output import EMPTY, FOUND, GIVEN, Client, run, viewing

from pancseg.review.decisions import read_decisions


def sent(client: Client, n: int, decision: str = "reject", **changed: Any) -> dict[str, Any]:
    table = client.get(f"api/row/{n}").json["mask"]["table_sha256"]
    content = {"decision": decision, "reason": "on the stomach", "by": "KM", "mask_sha256": table}
    return content | changed


def test_a_rejection_is_shown_recorded_and_obeyed(folder: Path) -> None:
    out = folder / "out"
    with viewing(out) as client:
        n = client.number(FOUND)
        reply = client.post(f"api/review/{n}", sent(client, n))
        assert reply.status == 200, reply.body
        assert reply.json["n"] == n
        assert reply.json["decision"]["decision"] == "reject"
        assert reply.json["decision"]["holds"]
        cohort = client.get("api/cohort").json
        assert cohort["rows"][n]["decision"] == reply.json["decision"]
        assert cohort["reviewer"] == "KM"
        assert "1 decision saved" in client.server.session.account
    (made,) = read_decisions(out)
    assert (made.patient_id, made.roi, made.reason, made.by) == (
        FOUND, "pancreas", "on the stomach", "KM",
    )  # fmt: skip
    assert run(folder / "cohort.csv", out)[0].reason == "rejected_by_reviewer"


def test_of_two_decisions_the_later_holds_and_comments_stay(folder: Path) -> None:
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        for decision in ("comment", "reject", "accept"):
            assert client.post(f"api/review/{n}", sent(client, n, decision)).status == 200
        row = client.get("api/cohort").json["rows"][n]
    assert row["decision"]["decision"] == "accept"
    assert [each["decision"] for each in row["comments"]] == ["comment"]
    assert not row["to_look_at"]
    assert len(read_decisions(folder / "out")) == 3


def test_a_decision_about_another_mask_than_the_tables_is_refused(folder: Path) -> None:
    out = folder / "out"
    with viewing(out) as client:
        n = client.number(FOUND)
        reply = client.post(f"api/review/{n}", sent(client, n, mask_sha256="0" * 64))
        assert (reply.status, "made anew" in reply.json["error"]) == (409, True)
        mask = client.get(f"api/row/{n}").json["mask"]
        voxels = np.zeros(96 * 96 * 12)
        voxels[:30] = 1
        assert client.put(f"api/mask/{n}", voxels, mask["sha256"]).status == 200
        reply = client.post(f"api/review/{n}", sent(client, n))
        assert (reply.status, "run again" in reply.json["error"]) == (409, True)
        assert client.post(f"api/review/{n}", sent(client, n, "comment")).status == 200
    assert [made.decision for made in read_decisions(out)] == ["comment"]


def test_a_mask_that_is_gone_is_not_accepted(folder: Path) -> None:
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        content = sent(client, n, "accept")
        (folder / "out" / "masks" / f"{FOUND}.nii.gz").unlink()
        assert client.post(f"api/review/{n}", content).status == 409
    assert not read_decisions(folder / "out")


def test_another_row_of_the_same_file_stays_to_be_judged(folder: Path) -> None:
    with viewing(folder / "out") as client:
        n, other = client.number(GIVEN), client.number(GIVEN, "tumour")
        content = sent(client, n, "accept")
        mask = client.get(f"api/row/{other}").json["mask"]
        voxels = np.zeros(96 * 96 * 12)
        voxels[:30] = 1
        assert client.put(f"api/mask/{other}", voxels, mask["sha256"]).status == 200
        assert client.post(f"api/review/{n}", content).status == 200


@pytest.mark.parametrize(
    ("changed", "fact"),
    [
        ({"decision": "maybe"}, "none of accept, reject and comment"),
        ({"reason": " "}, "the reason is empty"),
        ({"by": ""}, "the initials are empty"),
        ({"reason": "=1+1"}, "the reason"),
        ({"reason": "two\nlines"}, "not one line"),
        ({"reason": "x" * 1001}, "1000 characters"),
        ({"by": 7}, "are texts"),
        ({"reason": None}, "are texts"),
    ],
    ids=lambda given: str(given)[:30],
)
def test_a_text_that_is_no_reason_is_refused_in_the_pages_words(
    folder: Path, changed: dict[str, Any], fact: str
) -> None:
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        reply = client.post(f"api/review/{n}", sent(client, n, **changed))
    assert reply.status == 400
    assert fact in reply.json["error"]
    assert "`" not in reply.json["error"]
    assert not (folder / "out" / "review.csv").exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"decision": "accept"}', b"[" * 9999])
def test_what_is_no_decision_is_refused(folder: Path, body: bytes) -> None:
    with viewing(folder / "out") as client:
        reply = client.ask("POST", "api/review/0", body, {"X-Pancseg": "1"})
    assert reply.status == 400
    assert not (folder / "out" / "review.csv").exists()


def test_without_a_mask_only_comments_are_kept(folder: Path) -> None:
    with viewing(folder / "out") as client:
        n = client.number(EMPTY)
        reply = client.post(f"api/review/{n}", sent(client, n, "accept"))
        assert (reply.status, reply.json["error"]) == (400, "there is no mask to accept")
        hostile = sent(client, n, "comment", reason="<script>alert('&')</script>")
        reply = client.post(f"api/review/{n}", hostile)
        assert reply.json["comments"][0]["reason"] == hostile["reason"]
