"""Open files for reading, and refuse pipes, sockets and devices, which may never end."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader

MEBIBYTE = 1 << 20

_FLAGS = os.O_RDONLY
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK"):  # not every system has each
    _FLAGS |= getattr(os, _name, 0)


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading bytes, without waiting.

    A pipe that nobody writes to, a socket or a terminal would block for ever, and ``/dev/zero`` has
    no end. The type is looked at before the file is opened, since opening alone may move a device
    (a tape), and again on the open file, which another process may have exchanged.

    Args:
        path: the file, or a link to it.

    Raises:
        OSError: the file is not a regular file (``EINVAL``; a folder: ``EISDIR``), or it cannot be
            opened.

    Example:
        >>> import os
        >>> open_regular(os.devnull)
        Traceback (most recent call last):
        OSError: [Errno 22] it is a pipe, a socket or a device, not a regular file
    """
    _check_regular(os.stat(path).st_mode)
    descriptor = os.open(path, _FLAGS)
    try:
        _check_regular(os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_regular(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """Return the content of a regular file that may be no longer than ``most_bytes``.

    Raises:
        OSError: as :func:`open_regular`; or the file is longer (``EFBIG``).

    Example:
        >>> read_regular(__file__, most_bytes=10)
        Traceback (most recent call last):
        OSError: [Errno 27] it is larger than 10 bytes
    """
    with open_regular(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        whole = most_bytes % MEBIBYTE == 0
        size = f"{most_bytes // MEBIBYTE} MiB" if whole else f"{most_bytes} bytes"
        raise OSError(errno.EFBIG, f"it is larger than {size}")
    return content


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a regular file")
