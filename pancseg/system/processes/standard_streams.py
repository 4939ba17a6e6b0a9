"""Give a process whose standard streams are closed or missing streams that discard everything."""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """Open closed descriptors 0 to 2 on the null device, and replace missing Python streams.

    Otherwise the next file that is opened would get such a descriptor, and what libraries print
    would be written into it. For programs only, before they open anything.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free one, which is this
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  for the whole process
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
