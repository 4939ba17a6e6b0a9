"""Checkpoints of two looks for tests: the phantom's network, and the same for the second look."""

from __future__ import annotations

from dataclasses import replace

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.look_windows import LookWindows

PHANTOM_WINDOWS = LookWindows(size=(96, 128), pixel_mm=(1.2, 1.6), reach_mm=15, margin_mm=6)


def fine(windows: LookWindows | None = PHANTOM_WINDOWS) -> Checkpoint:
    """A network that has the phantom's scale in its windows."""
    return replace(load_checkpoint("monet_phantom"), windows=windows, places=None)


def two_looks() -> Checkpoint:
    """The phantom's network twice."""
    return replace(load_checkpoint("monet_phantom"), second=fine(), joined=("0" * 64, "1" * 64))
