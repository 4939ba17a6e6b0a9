"""Calls the command line in this process."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from pancseg.cli import app


def call(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr
