"""Shared steps of the commands over a cohort: options of the run, errors, and the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import refuse
from pancseg.cli.options import Privacy, Resuming, Running
from pancseg.cli.summary import Written, summary, summary_of_run

if TYPE_CHECKING:
    from pancseg.features.settings import FeatureSettings
    from pancseg.processing.row import CaseResult
    from pancseg.running.executors.early import EarlyWorker
    from pancseg.running.options import RunOptions


@contextmanager
def early_worker(
    running: Running, verbose: bool, meanwhile: Callable[[], None] | None = None
) -> Iterator[EarlyWorker | None]:
    """Start a worker of the run, which imports while the block runs; end it if the block fails.

    None if the run has no workers, or has them on a cluster.

    Args:
        running: the options of the run.
        verbose: let the worker print.
        meanwhile: called while the run waits for its workers.
    """
    elsewhere = isinstance(running, Resuming) and (running.scheduler or running.slurm)
    if running.workers == 0 or elsewhere:
        yield None
        return
    from pancseg.running.executors.early import EarlyWorker
    from pancseg.system.threads import available_cores

    early = EarlyWorker(running.threads or available_cores(), verbose, meanwhile)
    try:
        yield early
    except BaseException:
        early.end()
        raise


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


def tell_plan(
    settings: FeatureSettings, quiet: bool, measured: bool = True
) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that prints, in one line, what a run computes and with which network.

    Args:
        settings: of the features and limits; named without any path.
        quiet: print nothing.
        measured: features are measured; otherwise the settings' limits alone count.
    """
    used = f"settings: {settings.described}"
    what = [f"{used}, mode {settings.mode}" if measured else f"{used} (limits alone)"]
    if measured and settings.not_followed:
        what.append(f"not followed: {', '.join(settings.not_followed)}")

    def tell(network_info: Mapping[str, Any]) -> None:
        if network_info:
            name, inference = network_info["weights"]["name"], network_info["inference"]
            what.append(f"weights: {'own' if name == 'custom' else name}")
            what.append(f"engine: {inference['engine']}, {inference['precision']}")
            if inference["looks"] > 1:
                what.append(f"looks: {inference['looks']}")
        if not quiet:
            say("; ".join(what), sys.stdout)

    return tell


def finish(
    results: Sequence[CaseResult],
    quiet: bool,
    *,
    table: str = "",
    written: Written | None = None,
) -> None:
    """Print the summary, and leave with exit code 1 if any case is not usable.

    Args:
        results: one per row.
        quiet: print nothing.
        table: name of the table, if one was written.
        written: what a run has written, instead of ``table``.
    """
    if not quiet:
        text = summary_of_run(results, written) if written else summary(results, table)
        say(text, sys.stdout)
    if not all(result.usable for result in results):
        raise typer.Exit(1)
