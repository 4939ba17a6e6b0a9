"""Say in a few lines how long a run will take, and what it needs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.run_options import run_errors
from pancseg.system.durations import rounded, span
from pancseg.system.text.number_text import percent

if TYPE_CHECKING:
    from pancseg.cli.options import Measuring
    from pancseg.cohort.case import Case
    from pancseg.features.settings import FeatureSettings
    from pancseg.pipeline.estimation.estimate import RunEstimate
    from pancseg.running.options import RunOptions


def tell_estimate(
    cases: Sequence[Case],
    out: Path | None,
    settings: FeatureSettings,
    measuring: Measuring,
    options: RunOptions,
) -> None:
    """Estimate the run of a cohort, and print it.

    Args:
        cases: the cohort.
        out: output folder of an earlier run, or None.
        settings: of the features.
        measuring: the network.
        options: workers, threads and memory.
    """
    from rich.console import Console

    from pancseg.pipeline.estimation.estimate import estimate_run
    from pancseg.running.memory import free_bytes

    waiting = Console(stderr=True).status("measuring on made-up scans")
    with run_errors(), usage_errors(options.verbose), output_errors(), waiting:
        found = estimate_run(cases, out, settings=settings, **vars(measuring), options=options)
    free_disk = shutil.disk_usage(_existing(out or Path())).free
    for line in lines_of(found, options.memory_bytes or free_bytes(), free_disk):
        say(line, sys.stdout)


def lines_of(found: RunEstimate, free_memory: int, free_disk: int) -> list[str]:
    """Return what is printed of an estimate.

    Args:
        found: the estimate.
        free_memory: bytes of memory that the run may take.
        free_disk: free bytes where the output will be written.
    """
    lines = [f"{_count(found.rows, 'row')} of {_count(found.scans, 'scan')} to make{_kept(found)}"]
    if found.unreadable:
        them = "it is" if found.unreadable == 1 else "they are"
        lines.append(
            f"{_count(found.unreadable, 'scan')} without a header that can be read; {them} not "
            "counted"
        )
    if not found.scans:
        return lines
    shares = ", ".join(f"{name} {percent(share)}" for name, share in found.shares.items())
    where = _count(found.workers, "worker") if found.workers else "one process"
    lines += [
        f"time: {span(*found.seconds)} with {where} and {found.engine} ({shares}), as measured in "
        f"{rounded(found.measured_s)}",
        f"memory: up to {_size(found.memory_bytes)} of {_size(free_memory)} that are free; disk: "
        f"about {_size(found.disk_bytes)} of {_size(free_disk)} that are free",
    ]
    return lines


def _kept(found: RunEstimate) -> str:
    if not found.kept_rows:
        return ""
    return f"; {_count(found.kept_rows, 'row')} of an earlier run, if unchanged, will be kept"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def _existing(folder: Path) -> Path:
    """Return a folder, or else the first of the folders around it that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
