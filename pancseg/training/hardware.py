"""Where and how a training computes: Lightning's flags, and what they mean on this machine."""

from __future__ import annotations

import ctypes
import platform
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from pancseg.segmentation.engines.hardware import cpu_gains_from_bf16
from pancseg.training.callbacks import WholeFileIO


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute; Lightning's own flags. The result may depend on it in last bits.

    With several devices a step takes as many batches: that is another training.

    Attributes:
        threads: torch's CPU threads, of all processes of a machine together.
        precision: Lightning's ``precision``; ``auto``: bfloat16 where it is faster.
        accelerator, devices, nodes: Lightning's.
        workers: processes that prepare slices.
    """

    threads: int = 2
    precision: str = "auto"
    accelerator: str = "auto"
    devices: int | str = 1
    nodes: int = 1
    workers: int = 0


DEFAULT_HARDWARE = Hardware()


def is_first_process() -> bool:
    """Return whether this is the one of several processes that writes."""
    return not getattr(rank_zero_only, "rank", 0)


def on_gpu(hardware: Hardware) -> bool:
    """Return whether an NVIDIA GPU is there and may be used."""
    return hardware.accelerator != "cpu" and torch.cuda.is_available()


def precision_of(hardware: Hardware) -> str:
    """Choose bfloat16 where it is faster; where it is emulated it is 50 times slower."""
    if hardware.precision != "auto":
        return hardware.precision
    if on_gpu(hardware):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if native else "16-mixed"
    return "bf16-mixed" if cpu_gains_from_bf16() else "32-true"


def layout(hardware: Hardware) -> torch.memory_format:
    """Channels last, but where only AVX2 is there: a U-Net's step takes 1.4 times as long in it."""
    if on_gpu(hardware) or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return torch.channels_last
    return torch.contiguous_format


def prepare_cpu(hardware: Hardware, processes: int = 1) -> None:
    """Share torch's threads among a machine's processes; without a GPU, keep memory that it frees.

    Args:
        hardware: whose threads.
        processes: of this training, on this machine.
    """
    torch.set_num_threads(max(1, hardware.threads // processes))
    if not on_gpu(hardware):
        keep_freed_memory()


def check_hardware(hardware: Hardware) -> None:
    """Refuse what is not there, or what Lightning does not know.

    Raises:
        ValueError: so it is.
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
    """Return Lightning's trainer, which says nothing about its own internals."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        return Trainer(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            precision=precision_of(hardware),  # type: ignore[arg-type]
            plugins=[WholeFileIO()],
            logger=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            **settings,
        )


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
