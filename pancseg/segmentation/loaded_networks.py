"""Hold the networks of a checkpoint, loaded, for a program or one process of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import Checkpoint
from pancseg.segmentation.location_prior import look
from pancseg.segmentation.preprocess import Floats, SliceGrid
from pancseg.system.timing import Stopwatch, timed


class LoadedNetworks:
    """One network or two, ready to run.

    Threads may share them; a network then works on one batch at a time. They can be pickled
    (unpickling loads them again), but do not survive a fork.

    Attributes:
        checkpoint: the weights.
        looks: number of networks in use, 1 or 2.
        engine: what runs them, a key of ``ENGINES``.
        precision: ``fp32``, ``bf16`` or ``int8``.
        threads: CPU threads.
        at_once: number of slices that are best given at a time.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        threads: int,
        engine: str,
        precision: str,
        looks: int | None,
    ) -> None:
        """Load the networks.

        Args:
            checkpoint: the weights.
            threads: CPU threads.
            engine: a key of ``ENGINES``, or ``auto`` for the fastest that this machine has.
            precision: ``fp32``, ``bf16`` or ``int8``.
            looks: 1 or 2; by default as many as the checkpoint has networks for.

        Raises:
            ValueError: as :class:`.segmenter.Segmenter`.
        """
        require_whole_slices(checkpoint)
        self.checkpoint = checkpoint
        self.looks = _checked_looks(looks, checkpoint)
        self.engine = _engine_for(engine, checkpoint, self.looks, precision)
        self.precision = precision
        self.threads = threads
        self.at_once = engines.slices_at_once(self.engine, threads)
        self._load()

    def _load(self) -> None:
        with timed("load the network"):
            how = (self.threads, self.engine, self.precision)
            self._first = engines.build(self.checkpoint, *how)
            self._second = None
            if self.looks > 1 and self.checkpoint.second is not None:
                self._second = engines.build(self.checkpoint.second, *how)
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be passed to another process: loaded networks and their lock."""
        left_out = ("_first", "_second", "_lock", "_process")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the networks again."""
        self.__dict__.update(state)
        self._load()

    def first(
        self, slices_hu: NDArray[Any], grid: SliceGrid, watch: Stopwatch
    ) -> NDArray[np.float32]:
        """Return the first network's probabilities ``(n, size, size)`` of slices.

        Args:
            slices_hu: ``(n, y, x)``.
            grid: the maps between their pixels and the network's.
            watch: for the times of the steps.

        Raises:
            RuntimeError: this process was forked from the one that loaded the networks.
        """
        with watch.running("prepare slices"):
            slices = grid.to_network(slices_hu)
        return self._run(
            lambda ready: look(self.checkpoint.places, self._first, ready, grid.shown_columns),
            slices,
            watch,
        )

    def second(self, windows: Floats, watch: Stopwatch) -> Floats:
        """Return the second network's probabilities of windows ``(n, rows, columns)`` in 0..1.

        Args:
            windows: parts of slices, at full resolution.
            watch: for the times of the steps.

        Raises:
            RuntimeError: as :meth:`first`.
        """
        assert self._second is not None
        return self._run(self._second, windows, watch)

    def _run(self, network: Callable[[Floats], Floats], slices: Floats, watch: Stopwatch) -> Floats:
        if os.getpid() != self._process:
            raise RuntimeError(
                "this Segmenter was loaded before the process was forked, so its network would "
                "hang; start processes with multiprocessing's 'spawn', or load one in each process"
            )
        with watch.running("network"), self._lock:  # an engine's requests are shared
            return network(slices)


def require_whole_slices(checkpoint: Checkpoint) -> None:
    """Refuse weights that were trained on windows, alone.

    Raises:
        ValueError: they are those of a second look.
    """
    if checkpoint.windows is not None:
        raise ValueError(
            "the weights are those of a second look, which sees windows of "
            f"{checkpoint.windows.in_words} pixels around a pancreas and cannot find one; join "
            "them to weights of a first look"
        )


def _checked_looks(looks: int | None, checkpoint: Checkpoint) -> int:
    if looks is None:
        return checkpoint.looks
    if isinstance(looks, bool) or not isinstance(looks, Integral) or looks not in (1, 2):
        raise ValueError(f"`looks` is {looks!r} (expected 1 or 2)")
    if looks > checkpoint.looks:
        raise ValueError(
            "`looks` is 2, but the weights hold no network for a second look; give 1, or weights "
            "that two networks were joined into"
        )
    return int(looks)


def _engine_for(engine: str, checkpoint: Checkpoint, looks: int, precision: str) -> str:
    """Return the engine that runs all networks of a checkpoint."""
    networks = [checkpoint.network]
    if looks > 1 and checkpoint.second is not None:
        networks.append(checkpoint.second.network)
    picked = [engines.pick(engine, network=each, precision=precision) for each in networks]
    return "torch" if "torch" in picked else picked[0]
