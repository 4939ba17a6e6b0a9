"""Shared steps of the commands over a cohort: options of the run, errors, and the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pancseg.cli.console import say, summary
from pancseg.cli.errors import refuse
from pancseg.cli.options import Privacy, Resuming, Running

if TYPE_CHECKING:
    from pancseg.processing.row import CaseResult
    from pancseg.running.options import RunOptions


def options_of(running: Running, privacy: Privacy, *, verbose: bool) -> RunOptions:
    """Return the library's options of a run.

    Raises:
        ValueError: options contradict each other, or have invalid values.
        OSError: the file of --slurm cannot be read.
    """
    from pancseg.running.memory import parse_size
    from pancseg.running.options import RunOptions
    from pancseg.system.yaml_file import read_yaml_mapping

    options = RunOptions(
        workers=running.workers,
        threads=running.threads,
        timeout_s=running.timeout,
        memory_bytes=parse_size(running.memory) if running.memory else None,
        verbose=verbose,
        pseudonyms=privacy.pseudonymise is not None,
    )
    if not isinstance(running, Resuming):
        return options
    return replace(
        options,
        retry=not running.no_retry,
        strict=running.strict,
        scheduler=running.scheduler,
        slurm=read_yaml_mapping(running.slurm, "--slurm") if running.slurm else {},
    )


@contextmanager
def run_errors() -> Iterator[None]:
    """Report in one line why a run was refused or stopped, and leave with an exit code."""
    from pancseg.errors import RunRefused, RunStopped

    try:
        yield
    except RunRefused as refusal:
        refuse([str(refusal)])
    except RunStopped:
        say(
            "pancseg: stopped at a row that is not usable (--strict); no table was written. Run "
            "the same command without --strict to resume",
            sys.stderr,
        )
        raise typer.Exit(1) from None


def tell_engine(quiet: bool) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that prints the engine in use."""

    def tell(network_info: Mapping[str, Any]) -> None:
        if network_info and not quiet:
            used = network_info["inference"]
            say(f"engine {used['engine']}, {used['precision']}", sys.stdout)

    return tell


def finish(
    results: Sequence[CaseResult], path: Path | None, quiet: bool, log: Path | None = None
) -> None:
    """Print the summary, and leave with exit code 1 if any case is not usable."""
    if not quiet:
        say(summary(results, path, log), sys.stdout)
    if not all(result.usable for result in results):
        raise typer.Exit(1)
