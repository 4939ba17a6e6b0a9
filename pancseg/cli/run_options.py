"""What the commands over a cohort share: where it runs, what can go wrong, how it ends."""

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
    """Return where and how a cohort is run.

    Raises:
        ValueError: they do not go together, or a file says what cannot be.
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
    if running.scheduler and running.slurm:
        raise ValueError("--scheduler and --slurm both name a cluster; leave one out")
    if (running.scheduler or running.slurm) and running.workers is not None:
        raise ValueError("--workers is for this machine; the cluster has its own")
    return replace(
        options,
        retry=not running.no_retry,
        strict=running.strict,
        scheduler=running.scheduler,
        slurm=read_yaml_mapping(running.slurm, "--slurm") if running.slurm else {},
    )


@contextmanager
def run_errors() -> Iterator[None]:
    """Turn what stops a run before or between its scans into one line and an exit code."""
    from pancseg.errors import RunRefused, RunStopped

    try:
        yield
    except RunRefused as refusal:
        refuse([str(refusal)])
    except RunStopped:
        say(
            "pancseg: stopped at a row that is not usable (--strict); no table was written. The "
            "same command without --strict goes on from here",
            sys.stderr,
        )
        raise typer.Exit(1) from None


def tell_engine(quiet: bool) -> Callable[[Mapping[str, Any]], None]:
    """Return what says which engine was picked."""

    def tell(about: Mapping[str, Any]) -> None:
        if about and not quiet:
            used = about["inference"]
            say(f"engine {used['engine']}, {used['precision']}", sys.stdout)

    return tell


def finish(
    outcomes: Sequence[CaseResult], path: Path | None, quiet: bool, log: Path | None = None
) -> None:
    """Print the summary and leave with exit code 1 when some case is not usable."""
    if not quiet:
        say(summary(outcomes, path, log), sys.stdout)
    if not all(outcome.usable for outcome in outcomes):
        raise typer.Exit(1)
