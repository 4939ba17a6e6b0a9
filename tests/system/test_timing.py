"""Seconds of stages reach who collects them, whoever reads the log, and nobody else."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pancseg import load_feature_settings, read_cohort
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.messages import Request, ScanDone
from pancseg.running.worker import Worker
from pancseg.system.timing import Stopwatch, stages_into, timed


def test_stages_are_added_up_and_told_to_the_innermost_collector_alone() -> None:
    outer: dict[str, float] = {}
    inner: dict[str, float] = {}
    with timed("before"), stages_into(outer):
        with timed("read"):
            pass
        with stages_into(inner), pytest.raises(KeyError), timed("fails"):
            raise KeyError
        watch = Stopwatch()
        for _ in range(3):
            with watch.running("network"):
                pass
        first = outer["read"]
        with timed("read"):
            pass
        watch.tell()
    assert list(outer) == ["read", "network"]
    assert list(inner) == ["fails"]
    assert outer["read"] > first > 0


def test_collectors_in_several_threads_do_not_mix() -> None:
    def stages_of(name: str) -> list[str]:
        found: dict[str, float] = {}
        with stages_into(found):
            for _ in range(200):
                with timed(name):
                    pass
        return list(found)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(stages_of, "abcdefgh")) == [[name] for name in "abcdefgh"]


def test_each_stage_is_a_line_in_the_log_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pancseg"), timed("judge"):
        pass
    (record,) = caplog.records
    assert record.name == "pancseg.system.timing"
    assert record.getMessage().startswith("judge: 0.0")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "pancseg"), timed("judge"):
        pass
    assert not caplog.records


def test_a_worker_counts_the_work_of_its_own_request_only(cohort: Path) -> None:
    """Two workers take turns in one thread, and who reads their messages does other work."""
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    worker = Worker(ProcessingPlan("check", settings))
    cases = [case for case in read_cohort(cohort) if case.mask][:2]
    running = [worker.messages(Request((replace(c),), (frozenset(),))) for c in cases]
    done: list[ScanDone] = []
    beside: dict[str, float] = {}
    with stages_into(beside):
        while running:
            for messages in list(running):
                with timed("beside"):
                    message = next(messages, None)
                if message is None:
                    running.remove(messages)
                elif isinstance(message, ScanDone):
                    done.append(message)
    assert [list(scan.stages) for scan in done] == [["read the scan", "judge"]] * 2
    assert list(beside) == ["beside"]
