"""The last scans stay in memory, and are there at once while another is being read."""

from __future__ import annotations

import gc
import weakref
from threading import Event, Thread

from pancseg.viewer.recent import Recent


class Scan:
    pass


def test_the_last_two_are_kept_and_the_oldest_is_released_first() -> None:
    kept = Recent[Scan](most=2)
    first = weakref.ref(kept.get(1, Scan))
    second = weakref.ref(kept.get(2, Scan))
    assert kept.get(1, Scan) is first()  # used again
    held = []

    def third() -> Scan:
        gc.collect()
        held.extend([first() is not None, second() is not None])
        return Scan()

    kept.get(3, third)
    assert held == [True, False]  # before the third is read


def test_what_is_kept_is_given_while_another_is_made() -> None:
    kept, begun, go_on = Recent[str](most=2), Event(), Event()
    kept.get("here", lambda: "scan")

    def slow() -> str:
        begun.set()
        assert go_on.wait(120)
        return "slow"

    thread = Thread(target=lambda: kept.get("next", slow))
    thread.start()
    try:
        assert begun.wait(120)
        assert kept.get("here", lambda: "read again") == "scan"
    finally:
        go_on.set()
        thread.join()
    assert kept.get("next", lambda: "read again") == "slow"


def test_two_threads_make_one_thing_once() -> None:
    kept, made, begun = Recent[str](most=2), [], Event()

    def make() -> str:
        made.append(1)
        begun.wait(0.2)
        return "scan"

    threads = [Thread(target=lambda: kept.get("a", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_the_end_waits_for_what_is_being_made_and_nothing_more_is() -> None:
    kept, begun, go_on = Recent[str](most=2), Event(), Event()
    made: list[str] = []

    def slow() -> str:
        begun.set()
        assert go_on.wait(120)
        made.append("slow")
        return "slow"

    Thread(target=kept.get, args=(1, slow), daemon=True).start()
    assert begun.wait(120)
    end = Thread(target=kept.close)
    end.start()
    end.join(0.05)
    assert end.is_alive(), "it waits"
    go_on.set()
    end.join(10)
    assert made == ["slow"]
    later = Thread(target=kept.get, args=(2, lambda: made.append("later") or ""), daemon=True)
    later.start()
    later.join(0.05)
    assert made == ["slow"]
    assert kept.get(1, slow) == "slow", "what is kept is given"
