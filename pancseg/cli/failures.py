"""Say in one line what the machine lacks when a command cannot go on, for all commands alike."""

from __future__ import annotations

import errno
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from pancseg.cli.console import output_fails, say

BUG_CODE = 3
"""Exit code of an error in pancseg itself."""
_KILLED = "a worker process was killed, most likely for lack of memory; use fewer workers"
_NO_SPACE = (
    "no space is left on the disk of the output folder or of the temporary files; free some, or "
    "set TMPDIR to another folder"
)
_NO_SHARED = (
    "the shared memory of the machine or container (/dev/shm) is too small or missing; enlarge it, "
    "or use fewer workers"
)
_NO_PROCESS = "the system allows no more processes or threads; use fewer workers, or see ulimit -u"
_NO_FILES = "too many files are open; use fewer workers, or raise the limit with ulimit -n"
_NO_TEMPORARY = "no folder takes temporary files; set TMPDIR to one with free space"
_NO_MEMORY = "there is not enough memory; use fewer workers, or a machine with more memory"
_NO_GPU_MEMORY = "the GPU has not enough memory; use smaller batches, or the CPU"
_BY_NUMBER = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EMFILE: _NO_FILES,
    errno.ENFILE: _NO_FILES,
    errno.EAGAIN: _NO_PROCESS,
    errno.ENOMEM: _NO_MEMORY,
}
_KILLED_TYPES = ("TerminatedWorkerError", "BrokenProcessPool")
_IN_WORDS = (
    (r"/dev/shm|shared memory|bus error|/torch_\d", _NO_SHARED),  # noqa: S108  words of messages
    (r"DataLoader worker .*(killed|exited|aborted)", _KILLED),
    (r"can't start new thread", _NO_PROCESS),
    (r"No usable temporary directory", _NO_TEMPORARY),
    (r"received \d+ items of ancdata|Too many open files", _NO_FILES),
    (r"No space left on device", _NO_SPACE),
    (r"(CUDA|HIP|MPS).*out of memory", _NO_GPU_MEMORY),
)


def lacking(error: BaseException) -> str | None:
    """Return what the machine lacks, with the remedy, if that is why an error was raised.

    Example:
        >>> lacking(MemoryError())
        'there is not enough memory; use fewer workers, or a machine with more memory'
        >>> lacking(KeyError("a mistake in the code"))
    """
    from pancseg.system.processes.memory_limit import is_out_of_memory

    cause: BaseException | None = error
    while cause is not None:
        if found := _said_by(cause):
            return found
        cause = cause.__cause__ or cause.__context__
    return _NO_MEMORY if is_out_of_memory(error) else None


def _said_by(error: BaseException) -> str | None:
    """Return what is lacking according to this error alone."""
    if any(kind.__name__ in _KILLED_TYPES for kind in type(error).__mro__):
        return _KILLED
    if isinstance(error, OSError | RuntimeError):
        for pattern, fact in _IN_WORDS:
            if re.search(pattern, str(error), re.DOTALL):
                return fact
    return _BY_NUMBER.get(error.errno or 0) if isinstance(error, OSError) else None


@contextmanager
def one_line_failures() -> Iterator[None]:
    """Report in one line what the machine lacks, and leave with exit code 2."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):  # it has been said, or will be
        raise
    except Exception as error:
        fact = lacking(error)
        if fact is None or (isinstance(error, OSError) and output_fails()):  # ``end_of`` says so
            raise
        logging.getLogger(__name__).debug("stopped", exc_info=True)
        say(f"pancseg: {fact}", sys.stderr)
        raise typer.Exit(2) from error


class Commands(TyperGroup):
    """The commands, with one line for what the machine lacks."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with one_line_failures():
            return super().invoke(ctx)


def run_program(program: Callable[[], None]) -> None:
    """Run a program; an error in it ends it with its own exit code.

    The error's text is shown with ``--verbose`` only, as it may name a patient's file.
    """
    try:
        program()
    except Exception as error:  # noqa: BLE001  the edge of the program
        if {"--verbose", "-v"} & set(sys.argv):
            traceback.print_exc()
        else:
            print("".join(traceback.format_tb(error.__traceback__)), file=sys.stderr, end="")
        name = type(error).__name__
        say(f"pancseg: an error in pancseg itself ({name}); please report it", sys.stderr)
        sys.exit(BUG_CODE)
