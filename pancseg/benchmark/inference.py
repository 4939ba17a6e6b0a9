"""Measure the paper's Table 1 on this machine: seconds for 150 slices of 256×256.

There is one row per network and engine. Networks take turns, so that a slow minute of the machine
does not affect only one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import Checkpoint, Preprocessing, weights_of
from pancseg.segmentation.engines.interface import Probabilities
from pancseg.segmentation.networks import NETWORKS
from pancseg.system.optional import require_torch

AS_WRITTEN = "as-written"
"""Name of the reference: eager torch, channels first, nothing folded; not one of ``ENGINES``."""

TWICE = "monet_twice"
"""Name of two looks: MoNet on every slice, and MoNet again on a window of each; no network."""

SIDE = 256
_WINDOW_ROWS = slice(32, 224)
"""Of the second look's window, 192×256 pixels."""
_SEED = 0


class Setup(NamedTuple):
    """One row of the table.

    Attributes:
        network: a key of ``NETWORKS``, or ``monet_twice``.
        engine: a key of ``ENGINES``, or ``as-written``.
        precision: precision of the arithmetic, ``fp32``, ``bf16`` or ``int8``.
    """

    network: str
    engine: str
    precision: str = "fp32"


def plan(networks: Sequence[str], chosen: Sequence[str], precisions: Sequence[str]) -> list[Setup]:
    """Return the rows to measure.

    Ratios need MoNet: it is always measured as first written, and with each engine and precision.

    Raises:
        ValueError: an unknown network, an engine or precision that this machine lacks, or torch,
            which the reference runs in, is not installed.
    """
    require_torch("the comparison with the network as first written")
    known = [*NETWORKS, TWICE]
    if unknown := [name for name in networks if name not in known]:
        raise ValueError(f"unknown network {unknown[0]!r}; known: {', '.join(known)}")
    setups = [Setup("monet", AS_WRITTEN)]
    for asked in dict.fromkeys(chosen):
        for precision in dict.fromkeys(["fp32"] if asked == AS_WRITTEN else precisions):
            engine = asked if asked == AS_WRITTEN else engines.pick(asked, precision=precision)
            if engine != AS_WRITTEN and (missing := engines.lacks(engine, precision)):
                raise ValueError(f"engine {engine} with {precision} needs {missing}")
            names = networks if "monet" in networks else ["monet", *networks]
            setups += [Setup(network, engine, precision) for network in names]
    return list(dict.fromkeys(setups))


def untrained(network: str) -> Checkpoint:
    """Return a network with random initial weights, always the same ones."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        weights = weights_of(NETWORKS[network]())
    return Checkpoint(network, Preprocessing(window_hu=(0, 240), size=SIDE), {}, weights)


def gflop_per_slice(network: str) -> float:
    """Return the number of operations for one 256×256 slice in 10⁹, two per multiply-add."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    rows = [SIDE, len(range(SIDE)[_WINDOW_ROWS])] if network == TWICE else [SIDE]
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        built = NETWORKS["monet" if network == TWICE else network]().eval()
        for each in rows:
            built(torch.zeros(1, 1, each, SIDE))  # shapes only, nothing computed
    return float(counter.get_total_flops()) / 1e9


def time_networks(
    setups: Sequence[Setup],
    *,
    repeats: int,
    slices: int,
    threads: int,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[Setup, list[float]]:
    """Time all setups in turn, each round starting with another one, after one warm-up each.

    Args:
        setups: the setups to time.
        repeats: number of rounds.
        slices: number of slices per setup and round.
        threads: number of CPU threads.
        tell: called with one line for each measurement.

    Returns:
        Seconds of each round, per setup.
    """
    import torch

    stack = np.random.default_rng(_SEED).random((slices, SIDE, SIDE), dtype=np.float32)
    networks = {setup: _load(setup, threads) for setup in setups}
    at_once = {setup: engines.slices_at_once(setup.engine, threads) for setup in setups}
    for setup, network in networks.items():
        _run(network, stack[: at_once[setup]], at_once[setup])
    seconds: dict[Setup, list[float]] = {setup: [] for setup in setups}
    for round_ in range(repeats):
        for setup in _rotated(setups, round_):
            torch.set_num_threads(threads)
            spent = _run(networks[setup], stack, at_once[setup])
            seconds[setup].append(spent)
            done = f"round {round_ + 1} of {repeats}"
            tell(f"{done}: {setup.network}, {setup.engine} {setup.precision}: {spent:.2f} s")
    return seconds


def _load(setup: Setup, threads: int) -> Probabilities:
    if setup.network != TWICE:
        return _load_one(setup, threads)
    first, second = (_load_one(setup._replace(network="monet"), threads) for _ in range(2))

    def both_looks(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        second(np.ascontiguousarray(slices[:, _WINDOW_ROWS]))
        return first(slices)

    return both_looks


def _load_one(setup: Setup, threads: int) -> Probabilities:
    checkpoint = untrained(setup.network)
    if setup.engine == AS_WRITTEN:
        from pancseg.segmentation.engines.eager import as_written

        return as_written(checkpoint, threads)
    if setup.precision == "int8":
        from pancseg.segmentation.measured_ranges import measured_ranges

        noise = np.random.default_rng(_SEED).random((2, SIDE // 4, SIDE // 4), dtype=np.float32)
        checkpoint = replace(checkpoint, ranges=measured_ranges(checkpoint, noise))
    return engines.build(checkpoint, threads, setup.engine, setup.precision)


def _run(network: Probabilities, stack: NDArray[np.float32], at_once: int) -> float:
    start = time.perf_counter()
    for first in range(0, len(stack), at_once):
        network(stack[first : first + at_once])
    return time.perf_counter() - start


def _rotated(setups: Sequence[Setup], by: int) -> Iterator[Setup]:
    return (setups[(i + by) % len(setups)] for i in range(len(setups)))
