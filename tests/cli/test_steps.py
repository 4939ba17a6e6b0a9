"""What a person sees of a command of unequal steps: how far it is, and how long it will take."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from rich.console import Console

from pancseg.cli.steps import StepsLeft, show_steps


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_time_left_is_by_work_and_not_by_the_number_of_steps() -> None:
    clock = Clock()
    left = StepsLeft([4, 1, 1, 2], clock)
    assert left.seconds is None
    found = []
    for passed_s in (40, 10, 10, 20):
        clock.now_s += passed_s
        left.end()
        found.append(left.seconds)
    assert found == [40, 30, 20, 0]
    left.end()
    assert (left.done, left.seconds) == (4, 0)


def test_steps_that_will_not_come_need_no_time() -> None:
    clock, work = Clock(), [1, 2, 5, 2]
    left = StepsLeft(lambda: work, clock)
    clock.now_s = 10
    left.end()
    assert left.seconds == 90
    work.remove(5)
    clock.now_s = 30
    left.end()
    assert (left.done, left.total, left.seconds) == (2, 3, 20)


def plain_lines(quiet: bool, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """A step every 20 s, ten of them."""
    clock = Clock()
    with show_steps([1] * 10, quiet, "steps", "nothing was written", clock=clock) as tell:
        for number in range(10):
            clock.now_s += 20
            tell(f"fold {number + 1}")
    told = capsys.readouterr()
    return told.out, told.err


def test_without_a_terminal_a_line_comes_at_once_and_then_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, err = plain_lines(False, capsys)
    assert out == ""
    assert err.splitlines() == [
        "1 of 10 steps, about 3 min left, fold 1",
        "3 of 10 steps, about 2 min left, fold 3",
        "5 of 10 steps, about 2 min left, fold 5",
        "7 of 10 steps, about 1 min left, fold 7",
        "9 of 10 steps, less than a minute left, fold 9",
    ]


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain_lines(True, capsys) == ("", "")


def test_on_a_terminal_the_bar_says_the_time_left() -> None:
    clock, screen = Clock(), io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with show_steps([1, 9], False, "steps", "", screen=console, clock=clock) as tell:
        clock.now_s += 20
        tell("repeat 1, fold 1")
    assert "1/2" in screen.getvalue()
    assert "about 3 min left" in screen.getvalue()
    assert "repeat 1, fold 1" in screen.getvalue()


def test_a_step_that_has_begun_is_shown_and_not_yet_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with show_steps([3, 1], False, "steps", "nothing was written", clock=clock) as tell:
        clock.now_s += 60
        tell("fold 1")
        clock.now_s += 31
        tell("writing the report", done=False)
        clock.now_s += 31
        tell("report written")
    assert capsys.readouterr().err.splitlines() == [
        "1 of 2 steps, less than a minute left, fold 1",
        "1 of 2 steps, less than a minute left, writing the report",
        "2 of 2 steps, report written",
    ]


def test_an_interruption_says_how_far_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        with show_steps([1, 1], True, "steps", "nothing was written") as tell:
            tell("fold 1")
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as stopped:
        stop()
    assert stopped.value.exit_code == 130
    assert capsys.readouterr().err == "pancseg: interrupted after 1 of 2; nothing was written\n"


@pytest.mark.parametrize("writing", [False, True])
def test_an_interruption_while_the_report_is_written_does_not_say_that_nothing_was(
    writing: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pancseg.cli.commands.model import _analyse
    from pancseg.cli.options import Printing

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    study = SimpleNamespace(
        joined=SimpleNamespace(notes=()),
        warnings=(),
        steps=[1, 1],
        analyse=(lambda *_: None) if writing else stop,
        write=stop,
    )
    with pytest.raises(typer.Exit):
        _analyse(study, tmp_path, 1, Printing(quiet=True, verbose=False))  # type: ignore[arg-type]
    said = "the report may be incomplete; run again" if writing else "nothing was written"
    assert capsys.readouterr().err == f"pancseg: interrupted after 0 of 2; {said}\n"


def test_after_a_leak_the_bootstrap_no_longer_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pancseg.cli.commands.model import _analyse
    from pancseg.cli.options import Printing

    def analyse(_: object, tell: Callable[[str], None], leaked: Callable[[], None]) -> None:
        tell("canary")
        leaked()
        raise KeyboardInterrupt

    study = SimpleNamespace(
        joined=SimpleNamespace(notes=()),
        warnings=(),
        steps=[1] * 52,
        steps_after_a_leak=[1] * 27,
        analyse=analyse,
    )
    with pytest.raises(typer.Exit):
        _analyse(study, tmp_path, 1, Printing(quiet=True, verbose=False))  # type: ignore[arg-type]
    assert "interrupted after 1 of 27;" in capsys.readouterr().err
