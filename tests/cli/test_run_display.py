"""What a person sees of a run: a bar with every scan in work, and how long it will take."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pancseg import Case, CaseResult, RunProgress
from pancseg.cli.run_bar import MOST_SCANS, RunBar, lines_of, words_of
from pancseg.cli.run_display import RunDisplay, run_display
from pancseg.system.stage import Stage

RESULT = CaseResult(Case("P1", Path("P1")), "pass", values={"qc_volume_ml": 81.26})


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def left(seconds: float | None) -> RunProgress:
    return RunProgress(1, 9, seconds, {})


def lines_with(says_left: bool) -> list[str]:
    """A row every 25 s of a run whose time left is not known at first."""
    clock, lines = Clock(), list[str]()
    display = RunDisplay(lambda line, _: lines.append(line), RunBar(True), says_left, clock)
    for seconds in (None, 2100.0, 2075.0, 2050.0, 2025.0, 59.0, 30.0, 0.0):
        display.watch(left(seconds))
        display.report(RESULT)
        clock.now_s += 25
    return lines


def test_plain_lines_say_the_time_left_once_a_minute() -> None:
    plain = "P1: pass, 81.3 mL"
    said = f"{plain} (about 35 min left)"
    assert lines_with(True) == [plain, said, plain, plain, said, plain, plain, plain]


def test_beside_a_bar_lines_do_not_say_it() -> None:
    assert set(lines_with(False)) == {"P1: pass, 81.3 mL"}


@pytest.mark.parametrize("quiet", [True, False])
def test_without_a_terminal_there_is_no_bar(
    quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_display(2, quiet) as shown:
        shown.watch(RunProgress(0, 2, 2100.0, {"P1": Stage("read")}))
        shown.report(RESULT)
        shown.report(CaseResult.of_one_reason(RESULT.case, "fail", "unreadable", "gone"))
    told = capsys.readouterr()
    left = "" if quiet else " (about 35 min left)"
    assert told.out == ("" if quiet else f"[1/2] P1: pass, 81.3 mL{left}\n")
    assert told.err == "[2/2] P1: fail (unreadable): gone\n"


def test_the_bar_shows_what_every_worker_does() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    bar = RunBar(False, screen)
    with bar:
        bar.add_task("patients", total=200, completed=12, left="")
        at_work = {
            "P017": Stage("segment", 120, 280),
            "[red]P018": Stage("features", 2, 3),
            "x" * 99: Stage("read"),
        }
        bar.show(RunProgress(12, 200, 2100.0, at_work))
        screen.print(bar.get_renderable())
    assert isinstance(screen.file, io.StringIO)
    lines = [line.rstrip() for line in screen.file.getvalue().splitlines()]
    at = next(i for i, line in enumerate(lines) if "12/200" in line and "35 min" in line)
    shown = lines[at + 1 : at + 4]
    assert shown[0].strip() == "P017: segment 120 of 280 slices"
    assert shown[1].strip() == "[red]P018: features of region 2 of 3"
    assert len(shown[2]) == 60
    assert shown[2].endswith("…")


def test_a_second_look_counts_the_slices_around_what_was_found() -> None:
    assert lines_of({"P1": Stage("look again", 12, 40)}) == ["P1: look again at 12 of 40 slices"]


def test_many_workers_do_not_fill_the_screen() -> None:
    lines = lines_of({f"P{n}": Stage("read") for n in range(MOST_SCANS + 5)})
    assert (len(lines), lines[-1]) == (MOST_SCANS + 1, "and 5 more")


def test_time_left_in_words() -> None:
    told = [words_of(seconds) for seconds in (None, 0.0, 20.0, 2050.0)]
    assert told == ["", "", "less than a minute left", "about 35 min left"]
