"""Lets a time limit end the scans that hang, and no other, however busy the machine is."""

from __future__ import annotations

import pytest

from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.messages import Request

PLENTY_S = 3600.0


def limit_only_what_hangs(patched: pytest.MonkeyPatch) -> None:
    """Give scans whose file is not named as one that hangs all the time that they need."""
    limit_of = SupervisedWorker._limit_of

    def limit(self: SupervisedWorker, request: Request) -> float:
        hangs = "hang" in request.cases[0].image.name
        return limit_of(self, request) if hangs else PLENTY_S

    patched.setattr(SupervisedWorker, "_limit_of", limit)
