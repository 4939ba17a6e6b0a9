"""Find out what the CPU and GPU of this machine can do."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

_NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # x86, x86, Arm
_NVIDIA_DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # Linux, Windows


def has_nvidia_driver() -> bool:
    """Return whether NVIDIA's driver is installed, without which no CUDA GPU can be used."""
    for name in _NVIDIA_DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def cpu_has_bf16(flags: str | None = None) -> bool:
    """Return whether the CPU supports bfloat16 natively; emulated, it is far slower than fp32.

    Args:
        flags: the CPU's feature flags, separated by blanks; by default those that Linux reports.
            If none are reported, the answer is no.
    """
    return bool(_NATIVE_BF16 & set((_reported() if flags is None else flags).split()))


def cpu_gains_from_bf16(flags: str | None = None, vendor: str | None = None) -> bool:
    """Return whether the CPU is faster in bfloat16 than in fp32, judged by its flags.

    An Intel CPU with AVX-512 but without AMX multiplies as many bfloat16 values per cycle as fp32
    values, and has to convert them too (docs/log.md, 2026-11-28).

    Args:
        flags: as for :func:`cpu_has_bf16`.
        vendor: ``GenuineIntel``, ``AuthenticAMD``, …; by default what Linux reports.
    """
    known = set((_reported() if flags is None else flags).split())
    intel = (_field("vendor_id") if vendor is None else vendor) == "GenuineIntel"
    return bool((_NATIVE_BF16 - {"avx512_bf16"} if intel else _NATIVE_BF16) & known)


def cpu_is_x86() -> bool:
    """Return whether the CPU is a 64-bit x86 one, on which OpenVINO was seen to compute in int8."""
    return platform.machine().lower() in {"x86_64", "amd64"}


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
