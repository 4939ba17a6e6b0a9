"""Start Python in new processes that import what this process imports, never the working folder.

The working folder often holds data from elsewhere. Python would search it first for every module
when it is started with ``-m`` or ``-c``, so a file named ``numpy.py`` among the data would be run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PACKAGE_ROOT = str(Path(__file__).absolute().parents[3])
"""The folder that this process imports pancseg from."""
_SAFE_PATH = "PYTHONSAFEPATH"
JOB_LINES = (
    "export PYTHONSAFEPATH=1",
    # of PYTHONPATH, which jobs inherit, only absolute paths
    'PYTHONPATH="$(printf %s "${PYTHONPATH:-}" | tr ":" "\\n" | grep ^/ | paste -sd: -)"',
    "export PYTHONPATH",
)
"""Lines of a shell script after which Python leaves the working folder out."""
_INTERACTIVE = ("PYTHONSTARTUP", "PYTHONINSPECT")
_FOLDERS = ("PYTHONPYCACHEPREFIX", "PYTHONUSERBASE")
"""Variables with a folder that Python reads code from."""


def _working_folder() -> str:
    """Return the working folder; empty if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


_STARTED_IN = _working_folder()


def python_command(*arguments: str) -> list[str]:
    """Return a command line that starts this Python with arguments, without the working folder.

    Example:
        >>> python_command("-m", "json")[1:]
        ['-P', '-m', 'json']
    """
    without_user_site = ["-s"] if sys.flags.no_user_site else []
    return [sys.executable, "-P", *without_user_site, *arguments]


def import_path() -> list[str]:
    """Return this process's import path without entries that depend on the working folder.

    The working folder itself stays only if ``PYTHONPATH`` has its absolute path, or if this process
    imports pancseg from it.
    """
    trusted = {_resolved(_PACKAGE_ROOT)}
    trusted |= {_resolved(entry) for entry in _entries() if os.path.isabs(entry)}
    folders = {_resolved(folder) for folder in (_STARTED_IN, _working_folder()) if folder}
    relative = [entry for entry in _entries() if not os.path.isabs(entry)]
    untrusted = folders | {_resolved(os.path.join(f, entry)) for f in folders for entry in relative}
    found = []
    for entry in sys.path:
        resolved = _resolved(entry)
        if resolved in trusted or (os.path.isabs(entry) and resolved not in untrusted):
            found.append(entry if os.path.isabs(entry) else resolved)
    return found


def child_environment() -> dict[str, str]:
    """Return the environment variables for :func:`python_command`: this process's, with its path.

    Python processes that the child starts leave the working folder out as well.
    """
    return {
        **{name: value for name, value in os.environ.items() if _is_harmless(name, value)},
        "PYTHONPATH": os.pathsep.join(import_path()),
        _SAFE_PATH: "1",
    }


def leave_working_folder_out() -> None:
    """Take the working folder off this process's import path, and off those of all its children.

    For programs only, as it changes the whole process.
    """
    path = import_path()
    kept = [entry for entry in _entries() if os.path.isabs(entry)]
    if _resolved(_PACKAGE_ROOT) == _resolved(_working_folder() or os.sep):
        kept.insert(0, _PACKAGE_ROOT)  # its children find pancseg, too
    sys.path[:] = path
    os.environ[_SAFE_PATH] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(kept))
    for name in [name for name, value in os.environ.items() if not _is_harmless(name, value)]:
        del os.environ[name]
    if not os.environ["PYTHONPATH"]:
        del os.environ["PYTHONPATH"]


@contextmanager
def safe_children() -> Iterator[None]:
    """Make Python processes that libraries start in the block leave the working folder out.

    Example:
        >>> with safe_children():
        ...     os.environ["PYTHONSAFEPATH"]
        '1'
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is not None:
            os.environ[_SAFE_PATH] = before
        else:
            with suppress(KeyError):
                del os.environ[_SAFE_PATH]


def _entries() -> list[str]:
    """Return the entries of ``PYTHONPATH``; an empty one means the working folder."""
    given = os.environ.get("PYTHONPATH", "")
    return given.split(os.pathsep) if given else []


def _resolved(entry: str) -> str:
    return os.path.normcase(os.path.realpath(entry or os.curdir))


def _is_harmless(name: str, value: str) -> bool:
    if name in _FOLDERS:
        return os.path.isabs(value)
    return name not in _INTERACTIVE
