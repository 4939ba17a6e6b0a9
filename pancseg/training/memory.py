"""Owns what the C library does with memory that torch gives back."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
_LARGEST, _AHEAD = 2**31 - 1, 2**28


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next layer, instead of returning it to the system.

    Large tensors otherwise come and go as pages, each of which the system empties anew: a training
    step on the CPU is a seventh to a quarter faster without (docs/log.md, 2026-11-28).

    Returns:
        Whether it does; False where the C library is another.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _AHEAD))
    return all(libc.mallopt(name, value) == 1 for name, value in settings)
