"""A command with groups of options is to typer one with options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from pancseg.cli.flat import flat


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(min=1)]
    unit: str = "mm"


@dataclass(frozen=True)
class Deep(Size):
    depth: int = 3


def box(*, name: str, size: Deep, loud: bool = False) -> None:
    """Make a box."""
    print(name, size, loud)


app = typer.Typer()
app.command()(flat(box))


def test_the_fields_are_options_and_arrive_in_their_group() -> None:
    result = CliRunner().invoke(app, ["a", "--width", "2", "--depth", "9", "--loud"])
    assert result.output == f"a {Deep(2, 'mm', 9)} True\n"


@pytest.mark.parametrize(
    ("words", "problem"), [(["a"], "--width"), (["a", "--width", "0"], "--width")]
)
def test_required_fields_and_limits_hold(words: list[str], problem: str) -> None:
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, problem in result.output) == (2, True)


def test_the_help_is_the_command_s() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "Make a box." in shown
    assert shown.index("--width") < shown.index("--depth") < shown.index("--loud")
