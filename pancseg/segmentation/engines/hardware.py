"""Owns what is asked of the hardware itself."""

from __future__ import annotations

import ctypes
from pathlib import Path

_NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # x86, x86, Arm
_NVIDIA_DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # Linux, Windows


def has_nvidia_driver() -> bool:
    """Return whether NVIDIA's driver is there, without which no program finds a CUDA GPU."""
    for name in _NVIDIA_DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def cpu_has_bf16(flags: str | None = None) -> bool:
    """Return whether the CPU computes in bfloat16 itself; emulated, it is far slower than fp32.

    Args:
        flags: the CPU's feature flags, parted by blanks; by default those that Linux reports.
            Without a report the answer is no.
    """
    return bool(_NATIVE_BF16 & set((_reported() if flags is None else flags).split()))


def cpu_gains_from_bf16(flags: str | None = None, vendor: str | None = None) -> bool:
    """Return whether the CPU is faster in bfloat16 than in fp32, as far as its flags tell.

    With AVX-512 alone, without AMX, Intel's multiplies as many bfloat16 numbers in a tick as fp32
    ones, and has to convert them (docs/log.md, 2026-11-28).

    Args:
        flags: as of :func:`cpu_has_bf16`.
        vendor: ``GenuineIntel``, ``AuthenticAMD``, …; by default what Linux reports.
    """
    known = set((_reported() if flags is None else flags).split())
    intel = (_field("vendor_id") if vendor is None else vendor) == "GenuineIntel"
    return bool((_NATIVE_BF16 - {"avx512_bf16"} if intel else _NATIVE_BF16) & known)


def cpu_model() -> str:
    """Return the CPU's model name as Linux reports it, or ``unknown CPU``."""
    return _field("model name") or "unknown CPU"


def _reported() -> str:
    return _field("flags") or _field("Features")


def _field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
