"""Freed memory is kept: the same block again costs no page faults."""

from __future__ import annotations

import inspect
import platform
import subprocess
import sys

import pytest

from pancseg.training import hardware

CODE = """
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
for keep in (False, True):
    assert not keep or keep_freed_memory()
    for turn in range(6):
        if turn == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = libc.malloc(64 << 20)
        libc.memset(block, 1, 64 << 20)
        libc.free(block)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept() -> None:
    """In a process that has no other memory to give back: torch alone would take seconds."""
    own = (hardware._TRIM_THRESHOLD, hardware._TOP_PAD, hardware._MMAP_MAX)
    code = f"import ctypes, platform, resource\n_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = {own}\n"
    code += f"_LARGEST, _AHEAD = {hardware._LARGEST}, {hardware._AHEAD}\n"
    code += inspect.getsource(hardware.keep_freed_memory) + CODE
    told = subprocess.check_output([sys.executable, "-c", code], text=True)
    plain, kept = map(int, told.split())
    assert kept < plain / 10
