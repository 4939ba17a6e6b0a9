"""Choose and load the engine that runs a network on this machine's hardware.

An engine is a function of a checkpoint, a number of CPU threads and a precision. It loads the
network once and returns a function from slices ``(n, H, W)``, float32 in 0..1, to probabilities of
the same shape and type. In fp32 every engine agrees with the plain network to 1e-5. OpenVINO alone
computes in int8, with ranges of activations that the checkpoint holds.
"""

from __future__ import annotations

from importlib import import_module

from pancseg.segmentation import DEFAULT_ENGINE as AUTO
from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.engines.hardware import cpu_has_bf16, cpu_is_x86, has_nvidia_driver
from pancseg.segmentation.engines.interface import PRECISIONS, Engine, Probabilities
from pancseg.segmentation.networks import is_outside
from pancseg.segmentation.networks.activation_ranges import rounded_steps
from pancseg.segmentation.networks.stored_graphs import graph_of
from pancseg.system.optional import missing

_LEAST_SLICES, _MOST_SLICES = 8, 32


def _lazily(module: str, name: str) -> Engine:
    def load(checkpoint: Checkpoint, threads: int, precision: str = "fp32") -> Probabilities:
        engine: Engine = getattr(import_module(f"{__name__}.{module}"), name)
        return engine(checkpoint, threads, precision)

    return load


ENGINES: dict[str, Engine] = {
    "torch": _lazily("torch_cpu", "torch_engine"),
    "openvino": _lazily("openvino_cpu", "openvino_engine"),
    "cuda": _lazily("cuda", "cuda_engine"),
}
"""To add an engine, write one file beside this one, add one entry here, and add one line to
:func:`lacks` if it needs something that not every machine has. The contract test compares it to the
plain network. An engine's module is imported only when it loads a network, because importing torch
takes seconds and torch need not be installed."""

_INSTALL = {"openvino": "openvino", "torch": "'pancseg[torch]'"}


def lacks(engine: str, precision: str = "fp32") -> str:
    """Return what this machine lacks to run an engine with a precision; empty when nothing.

    Raises:
        ValueError: unknown engine or precision.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; known: {AUTO}, {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if precision == "int8" and engine != "openvino":
        return "the engine openvino, which alone computes in int8; choose it, or fp32"
    if engine == "cuda":
        return _gpu_lacks(precision)
    if engine in _INSTALL and (lacking := missing(engine, _INSTALL[engine])):
        return lacking
    if precision == "bf16" and not cpu_has_bf16():
        return "a CPU with bfloat16 arithmetic (avx512_bf16 or amx_bf16); use fp32"
    if precision == "int8" and not cpu_is_x86():
        return "an x86 CPU; use fp32"
    return ""


def _gpu_lacks(precision: str) -> str:
    if has_nvidia_driver():  # checked first: importing torch takes seconds
        if lacking := missing("torch", _INSTALL["torch"]):
            return lacking
        import torch

        if torch.cuda.is_available():
            if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
                return "a GPU with bfloat16 arithmetic; use fp32"
            return ""
    return "a CUDA GPU that torch can use"


def pick(engine: str = AUTO, gpu: bool = True, network: str = "", precision: str = "fp32") -> str:
    """Return the engine that a name stands for: ``auto`` is the GPU, else OpenVINO, else torch.

    A network outside the package goes to torch if OpenVINO cannot represent it. In int8 ``auto`` is
    OpenVINO, which alone has it.

    Args:
        engine: a key of ``ENGINES``, or ``auto``.
        gpu: whether ``auto`` may be a GPU.
        network: the network to run, a key of ``NETWORKS`` or ``module:Class``.
        precision: a name of ``PRECISIONS``.

    Raises:
        ValueError: ``auto``, and neither OpenVINO nor torch is installed.
    """
    if engine != AUTO:
        return engine
    if precision == "int8":
        return "openvino"
    names = ("cuda", "openvino", "torch") if gpu else ("openvino", "torch")
    usable = [name for name in names if name != "openvino" or _has_graph(network)]
    if found := next((name for name in usable if not lacks(name)), ""):
        return found
    raise ValueError(f"no engine is installed: openvino needs {lacks('openvino')}")


def _has_graph(network: str) -> bool:
    """Return whether OpenVINO can run a network; the package's networks are stored as graphs."""
    if not is_outside(network):
        return True
    try:
        graph_of(network)
    except ValueError:
        return False
    return True


def slices_at_once(engine: str, threads: int) -> int:
    """Return the number of slices to give to an engine at once.

    OpenVINO gets two per thread, so that no thread waits for a slice. More than ``_MOST_SLICES``
    would take more memory than is estimated for a worker (:mod:`pancseg.running.memory`).
    """
    wanted = 2 * threads if engine == "openvino" else 0
    return min(max(_LEAST_SLICES, wanted), _MOST_SLICES)


def build(checkpoint: Checkpoint, threads: int, engine: str, precision: str) -> Probabilities:
    """Load a network into an engine.

    Raises:
        ValueError: unknown engine or precision, this machine lacks what it needs, or the
            checkpoint lacks ranges of activations for int8.
    """
    if lacking := lacks(engine, precision):
        raise ValueError(f"engine {engine} with {precision} needs {lacking}")
    if precision == "int8":
        _require_ranges(checkpoint)
    return ENGINES[engine](checkpoint, threads, precision)


def _require_ranges(checkpoint: Checkpoint) -> None:
    which = "the weights of the second look" if checkpoint.windows else "the weights"
    remedy = "measure them by `pancseg weights calibrate`, or set `precision` to fp32"
    if checkpoint.ranges is None:
        raise ValueError(f"{which} hold no ranges of activations, which int8 needs; {remedy}")
    needed = rounded_steps(graph_of(checkpoint.network))
    if absent := [name for name in needed if name not in checkpoint.ranges]:
        raise ValueError(
            f"{which} hold no ranges for {len(absent)} of the {len(needed)} activations that int8 "
            f"rounds; {remedy}"
        )


__all__ = [
    "AUTO",
    "ENGINES",
    "PRECISIONS",
    "Engine",
    "Probabilities",
    "build",
    "lacks",
    "pick",
    "slices_at_once",
]
