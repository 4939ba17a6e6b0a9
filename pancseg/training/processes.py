"""The processes of a training: which of them writes files, and how a signal ends them."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import (
    LightningEnvironment,
    find_free_network_port,
)
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from pancseg.errors import ProcessDied, RunStopped
from pancseg.training.callbacks import DAMAGED

_STARTED_BY = "PANCSEG_TRAINING_STARTED_BY"
"""Variable with the id of the process that started this one for another device."""
_SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
]
_SLICES_LOST = (
    "a process that prepares slices died, probably for lack of memory; use fewer `workers`, or "
    "give the container more shared memory (/dev/shm); the same command then goes on from the last "
    "whole epoch"
)
_GO_ON = "run the same command again to go on from the last whole epoch"


class OwnProcesses(LightningEnvironment):
    """This process and those that it starts for more devices of this machine.

    Lightning would take its rank and the number of processes from variables such as ``RANK``, which
    are often left over from a job, a container or another program, and would then write nothing or
    wait for processes that do not exist. Here they count only in a process that a training started.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started = started_by_a_training()
        self._port = 0
        # Lightning sets it when it is imported, from the variables.
        vars(rank_zero_only)["rank"] = self.local_rank()

    @property
    def creates_processes_externally(self) -> bool:
        """Whether this process was started by another one of the same training."""
        return self._started

    @property
    def main_address(self) -> str:
        """This machine."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """A free port; that of the first process where that one started this one."""
        if not self._port:
            given = os.environ.get("MASTER_PORT", "") if self._started else ""
            self._port = int(given) if given.isdecimal() else find_free_network_port()
        return self._port

    def local_rank(self) -> int:
        """Return the number of this process; 0 is the first."""
        return int(os.environ["LOCAL_RANK"]) if self._started else 0

    def node_rank(self) -> int:
        """Return 0, because there is one machine."""
        return 0

    def teardown(self) -> None:
        """Leave the variables of the user's process as they are."""


def environment_of(devices: int | str, nodes: int) -> ClusterEnvironment:
    """Return how the processes of a training find each other.

    With several machines, something else starts the processes (torchrun, srun, or the user with
    ``NODE_RANK`` and ``MASTER_ADDR``). With one, a launcher counts only if it has started as many
    processes as there are devices; other variables are left over. SLURM's requeueing by Lightning
    is off, because it saves and looks for checkpoints outside the run folder.

    Args:
        devices: number of devices of a machine, or Lightning's text for them.
        nodes: number of machines.
    """
    wanted = str(devices * nodes if isinstance(devices, int) else "")
    if nodes == 1 and wanted in ("", "1"):
        return OwnProcesses()

    def started(variable: str) -> bool:
        return nodes > 1 or os.environ.get(variable) == wanted

    if TorchElasticEnvironment.detect() and started("WORLD_SIZE"):
        return TorchElasticEnvironment()
    in_step = "SLURM_STEP_ID" in os.environ and SLURMEnvironment.detect()
    if in_step and started("SLURM_NTASKS"):
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment() if nodes > 1 else OwnProcesses()


def is_first(environment: ClusterEnvironment) -> bool:
    """Return whether this is the first process of a training, which writes its files."""
    return environment.node_rank() == 0 and environment.local_rank() == 0


@contextmanager
def starting_processes() -> Iterator[None]:
    """Let processes that Lightning starts in the block know that this one has started them."""
    before = os.environ.get(_STARTED_BY)
    if not started_by_a_training():
        os.environ[_STARTED_BY] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(_STARTED_BY, None)
        if before is not None:
            os.environ[_STARTED_BY] = before


def started_by_a_training() -> bool:
    """Return whether another process of a training started this one, for another device."""
    starter = os.environ.get(_STARTED_BY)
    return starter == str(os.getppid()) and os.environ.get("LOCAL_RANK", "").isdecimal()


class StopOnSignal(Callback):
    """Ends a training between two batches after SIGTERM, SIGUSR1 or SIGUSR2.

    These announce the end of a job or of the machine. The files of the last whole epoch are on the
    disk by then, and a file that is being written is finished first. Handlers can be set in the
    main thread only; elsewhere this callback does nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._process = os.getpid()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Note these signals in the block, and restore the handlers afterwards."""
        with handled(self._note):
            yield

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Set the handlers again: Lightning replaces some with its own, which lose the signal."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._note)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Stop if a signal has arrived; see the class."""
        self._stop(trainer)

    def on_validation_batch_start(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Stop if a signal has arrived; see the class."""
        self._stop(trainer)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._process:  # processes that prepare slices end with this one
            self.received = number

    def _stop(self, trainer: Trainer) -> None:
        here = self.received is not None
        if trainer.strategy.reduce_boolean_decision(here, all=False):
            raise RunStopped(stopped_by(self.received))


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise :class:`pancseg.errors.RunStopped` at once when one of the signals arrives."""
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            raise RunStopped(stopped_by(number))

    with handled(stop):
        yield


def stopped_by(number: int | None) -> str:
    """Return the message on a training that a signal stopped; None: one of another process."""
    name = "a signal to another process"
    if number is not None:
        with suppress(ValueError):
            name = signal.Signals(number).name
    return f"the training was stopped by {name}; {_GO_ON}"


@contextmanager
def handled(handler: Any) -> Iterator[None]:
    """Set a handler of the signals for the block; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


@contextmanager
def errors_in_one_line(stop: StopOnSignal) -> Iterator[None]:
    """Turn errors of torch and Lightning that the user can mend into messages of one line.

    Raises:
        ValueError: the checkpoint to resume from does not fit.
        RunStopped: a signal arrived.
        ProcessDied: a process that prepares slices died.
        MemoryError: the memory of the GPU or of the machine is full.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        if isinstance(error, torch.cuda.OutOfMemoryError) or "can't allocate memory" in text:
            raise MemoryError(
                "the memory is full; lower the recipe's batch_size, or use another `accelerator`"
            ) from error
        if _while_restoring(error):
            raise ValueError(DAMAGED) from error
        if isinstance(error, RuntimeError) and _loader_died(text):
            if stop.received is not None:
                raise RunStopped(stopped_by(stop.received)) from error
            raise ProcessDied(_SLICES_LOST) from error
        raise


def _while_restoring(error: Exception) -> bool:
    """Return whether Lightning raised an error when it took over the state of a checkpoint."""
    return any(
        frame.name.lstrip("_").startswith(("restore", "resume"))
        and Path(frame.filename).stem == "checkpoint_connector"
        for frame in traceback.extract_tb(error.__traceback__)
    )


def _loader_died(text: str) -> bool:
    """Tell whether torch says that a process that prepares slices died or has no shared memory."""
    if "DataLoader worker " in text:
        return "exited unexpectedly" in text or "is killed by signal" in text
    shared = any(words in text for words in ("/torch_", "shared memory", "(shm)"))
    return shared and "No space left on device" in text
