"""Choose where and how a training computes: Lightning's settings, resolved for this machine."""

from __future__ import annotations

import ctypes
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from pancseg.segmentation.engines.hardware import cpu_gains_from_bf16
from pancseg.training.callbacks import WholeFileIO
from pancseg.training.processes import environment_of, is_first


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute. The last bits of a result may depend on it.

    With several devices a step takes one batch per device, so the training is a different one.

    Attributes:
        threads: torch's CPU threads, for all processes on a machine together.
        precision: Lightning's ``precision``; ``auto``: bfloat16 where it is faster.
        accelerator, devices, nodes: Lightning's settings of these names.
        workers: number of processes that prepare slices; 0: the training's process does.
    """

    threads: int = 2
    precision: str = "auto"
    accelerator: str = "auto"
    devices: int | str = 1
    nodes: int = 1
    workers: int = 0


DEFAULT_HARDWARE = Hardware()


def is_first_process(hardware: Hardware) -> bool:
    """Return whether this is the process that writes files (of several, the first)."""
    return is_first(environment_of(hardware.devices, hardware.nodes))


def on_gpu(hardware: Hardware) -> bool:
    """Return whether an NVIDIA GPU is available and may be used."""
    return hardware.accelerator != "cpu" and torch.cuda.is_available()


def precision_of(hardware: Hardware) -> str:
    """Return the precision to use: for ``auto``, bfloat16 where it is faster than float32.

    Emulated bfloat16 is 50 times slower.
    """
    if hardware.precision != "auto":
        return hardware.precision
    if on_gpu(hardware):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if native else "16-mixed"
    return "bf16-mixed" if cpu_gains_from_bf16() else "32-true"


def layout(hardware: Hardware) -> torch.memory_format:
    """Return the memory layout: channels last, except on a CPU whose best vector unit is AVX2.

    With channels last, a step of U-Net takes 1.4 times as long there.
    """
    if on_gpu(hardware) or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return torch.channels_last
    return torch.contiguous_format


def prepare_cpu(hardware: Hardware, processes: int = 1) -> None:
    """Divide torch's threads among the processes; without a GPU, keep freed memory for reuse.

    Args:
        hardware: gives the number of threads.
        processes: number of this training's processes on this machine.
    """
    torch.set_num_threads(max(1, hardware.threads // processes))
    if not on_gpu(hardware):
        keep_freed_memory()


def check_hardware(hardware: Hardware) -> None:
    """Refuse hardware settings that Lightning does not know or this machine cannot provide.

    Raises:
        ValueError: Lightning refuses the settings.
    """
    try:
        trainer_on(hardware, enable_progress_bar=False)
    except (ImportError, MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(
            f"`accelerator` {hardware.accelerator}, `devices` {hardware.devices}, `precision` "
            f"{hardware.precision}: {reason}"
        ) from error


def trainer_on(hardware: Hardware, **settings: Any) -> Trainer:
    """Return Lightning's trainer, without its warnings about its own internals.

    It takes nothing from the environment or the working folder: neither defaults from variables
    (``PL_TRAINER_…``), nor ranks that are left over, nor a checkpoint that lies in its root. That
    root is a path without a folder, as Lightning has nothing to write there.
    """
    with warnings.catch_warnings(), _without_variables("PL_TRAINER_"):
        warnings.filterwarnings("ignore", module="lightning")
        return Trainer(
            default_root_dir=os.devnull,
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            precision=precision_of(hardware),  # type: ignore[arg-type]
            plugins=[WholeFileIO(), environment_of(hardware.devices, hardware.nodes)],
            logger=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            **settings,
        )


@contextmanager
def _without_variables(prefix: str) -> Iterator[None]:
    """Hide the environment variables whose names start with ``prefix``, for the block."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # from glibc's malloc.h
_LARGEST, _AHEAD = 2**31 - 1, 2**28


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next layer, instead of returning it to the system.

    Otherwise the system allocates fresh pages for each large tensor and has to zero them. Keeping
    them makes a training step on the CPU a seventh to a quarter faster (docs/log.md, 2026-11-28).

    Returns:
        Whether glibc accepted the settings; False with another C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _AHEAD))
    return all(libc.mallopt(name, value) == 1 for name, value in settings)
