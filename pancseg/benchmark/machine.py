"""Describe the machine that a timing was measured on: hardware and versions, never its name."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from pancseg.segmentation.engines.hardware import cpu_model
from pancseg.system.threads import available_cores

_PACKAGES = ("torch", "openvino", "numpy", "SimpleITK", "pyradiomics-bhklab")
_SIDE = 2048


def machine(threads: int) -> dict[str, str | int]:
    """Describe the machine, with the package versions that decide its speed."""
    about: dict[str, str | int] = {
        "cpu": cpu_model(),
        "cores": available_cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    if find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            about["gpu"] = torch.cuda.get_device_name()
    for package in _PACKAGES:
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            about[package] = "not installed"
    return about


def peak_gflops(engine: str, precision: str, threads: int, seconds: float = 2.0) -> float:
    """Measure the best rate of matrix products on an engine's hardware, in GFLOP/s.

    The products are torch's, of 2048×2048 matrices, with two operations per multiply-add, in
    ``fp32`` or ``bf16``: torch has none in ``int8`` to compare with.
    """
    import torch

    torch.set_num_threads(threads)
    device = "cuda" if engine == "cuda" else "cpu"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.ones(_SIDE, _SIDE, dtype=dtype, device=device) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        product = a @ b
        float(product[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * _SIDE**3 / best / 1e9
