"""Open an output folder and serve it until the user stops the viewer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from pancseg.cohort.case import Case
from pancseg.report.rows import ReportRow
from pancseg.report.whereabouts import Whereabouts, in_cohort, noted
from pancseg.system.file_lock import file_lock
from pancseg.system.output_folder import STATE, check_output_folder
from pancseg.system.whole_files import check_writable
from pancseg.viewer.rows import Table
from pancseg.viewer.server import Server
from pancseg.viewer.session import Session

LOCK = "viewer.lock"
_OTHER = "another viewer has this output folder open; it may save, this one only shows"
_NO_LOCKS = "the file system of the output folder has no locks, so nothing can be saved"
_NOT_WRITABLE = "the output folder cannot be written, so nothing can be saved"


@contextmanager
def opened(
    out: str | os.PathLike[str],
    cases: Sequence[Case] | None = None,
    *,
    port: int = 0,
    words: Callable[[str], str] = str,
) -> Iterator[Server]:
    """Open an output folder in a viewer, and yield its server, which does not serve yet.

    Args:
        out: output folder of a run.
        cases: the cohort that the table was made of; None: the scans are where the run found them.
        port: of the loopback interface; 0 for any that is free.
        words: turns a text that names parameters in backticks into the caller's words.

    Raises:
        ValueError: the folder is not pancseg's, has no table, or is not of this cohort; or the port
            is taken.
        OSError: the folder cannot be read.

    Example:
        >>> from pancseg import extract_cohort
        >>> results = extract_cohort("cohort.csv", "results", masks="masks")
        >>> with opened("results") as server:
        ...     server.session.read_only
        ''
    """
    folder = Path(out)
    check_output_folder(folder)
    table = Table(folder)

    def look(rows: Sequence[ReportRow]) -> Whereabouts:
        if cases is None:
            return noted(folder, rows)
        return in_cohort(cases, rows, table.provenance)

    with _alone(folder) as read_only:
        session = Session(folder, table, look, read_only, words)
        try:
            server = Server(session, port)
        except OSError as error:
            raise ValueError(f"port {port} is taken; choose another `port`, or 0") from error
        try:
            with server:
                yield server
        finally:
            session.close()


@contextmanager
def _alone(folder: Path) -> Iterator[str]:
    """Keep other viewers from saving; yield why this one may not save, or an empty text."""
    lock = file_lock(folder / STATE / LOCK)
    try:
        check_writable(folder)
        check_writable(folder / STATE)
    except OSError:
        yield _NOT_WRITABLE
        return
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield _OTHER
        return
    except (OSError, NotImplementedError):
        yield _NO_LOCKS
        return
    try:
        yield ""
    finally:
        lock.release()
