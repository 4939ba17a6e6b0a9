"""The verdict that stands for a row is the last one about its mask."""

from __future__ import annotations

from pancseg.review.decisions import Decision, Kind
from pancseg.review.standing import standing
from pancseg.viewer.reviews import state_of

A, B, C = "a" * 64, "b" * 64, "c" * 64


def made(kind: Kind, mask: str, text: str = "seen") -> Decision:
    return Decision("P1", "", "pancreas", kind, text, "KM", "2026-01-01T00:00:00+00:00", mask)


HISTORY = [made("accept", A), made("comment", A, "early"), made("reject", B), made("comment", "")]


def test_a_mask_that_is_put_back_has_its_own_verdict() -> None:
    for mask, kind, holds in [(A, "accept", True), (B, "reject", True), (C, "reject", False)]:
        verdict, *comments = standing(HISTORY, mask)
        assert (verdict.decision, verdict.holds) == (kind, holds)
        assert {each.decision for each in comments} == {"comment"}
        told = state_of(HISTORY, mask)["decision"]
        assert (told["decision"], told["holds"]) == (kind, holds)
    assert [len(standing(HISTORY, mask)) for mask in (A, B)] == [3, 2]


def test_comments_stand_without_a_verdict() -> None:
    (only,) = standing([made("comment", A)], A)
    assert (only.decision, only.holds) == ("comment", True)
    assert standing([], A) == ()
    assert not standing([made("accept", A)], "")[0].holds
