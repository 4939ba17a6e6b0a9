"""The functions of the library have the defaults of the command line."""

from __future__ import annotations

import inspect

import pytest
import typer

import pancseg
from pancseg.cli import app


@pytest.mark.parametrize(
    ("command", "function", "renamed"),
    [
        ("segment", "segment_cohort", {"config": "settings"}),
        ("extract", "extract_cohort", {"config": "settings"}),
        ("run", "run_cohort", {"config": "settings"}),
        ("check", "check_cohort", {"config": "settings"}),
    ],
)
def test_functions_have_the_defaults_of_the_command_line(
    command: str, function: str, renamed: dict[str, str]
) -> None:
    options = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    keywords = inspect.signature(getattr(pancseg, function)).parameters
    compared = 0
    for option in options:
        name = renamed.get(str(option.name), str(option.name))
        if name in keywords and keywords[name].default is not inspect.Parameter.empty:
            assert option.default == keywords[name].default, name
            compared += 1
    assert compared >= 2
