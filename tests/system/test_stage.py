"""Stages are told to whoever listens: beginnings always, steps seldom, failures never."""

from __future__ import annotations

import threading

import pytest

from pancseg.system.stage import EVERY_S, Listener, Stage, advance_stage, begin_stage, heard_by


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_beginnings_are_always_told_and_steps_once_a_second() -> None:
    clock, heard = Clock(), list[Stage]()
    with heard_by(Listener(heard.append, clock)):
        begin_stage("read")
        begin_stage("segment", 0, 30)
        for done in range(1, 31):
            clock.now_s += EVERY_S / 4
            advance_stage("segment", done, 30)
        begin_stage("features", 1, 2)
        begin_stage("features", 2, 2)
    steps = [stage.done for stage in heard if stage.name == "segment"]
    assert steps == [0, *range(4, 29, 4)]
    assert [s for s in heard if s.name != "segment"] == [
        *(Stage("read"), Stage("features", 1, 2), Stage("features", 2, 2))
    ]


def test_nobody_hears_outside_the_block_or_in_another_thread() -> None:
    heard: list[Stage] = []
    begin_stage("read")
    with heard_by(Listener(heard.append)):
        thread = threading.Thread(target=begin_stage, args=("read",))
        thread.start()
        thread.join()
        with heard_by(None):
            begin_stage("read")
    begin_stage("read")
    assert heard == []


@pytest.mark.parametrize("problem", [OSError("pipe"), MemoryError(), RuntimeError("closed")])
def test_what_cannot_be_told_stops_nothing(problem: Exception) -> None:
    def tell(stage: Stage) -> None:
        asked.append(stage)
        raise problem

    asked: list[Stage] = []
    with heard_by(Listener(tell)):
        begin_stage("read")
        begin_stage("segment", 0, 9)
    assert len(asked) == 2


def test_ctrl_c_is_no_failure_to_tell() -> None:
    def tell(stage: Stage) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), heard_by(Listener(tell)):
        begin_stage("read")
