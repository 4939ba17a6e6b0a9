"""Signals reach Python after engines are gone: OpenVINO changes the stack that handlers run on."""

from __future__ import annotations

import os
import subprocess
import sys

ENGINES_COME_AND_GO = """
import os, signal
import numpy as np
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint

checkpoint = load_checkpoint("monet_phantom")
first = engines.build(checkpoint, 1, "openvino", "fp32")
second = engines.build(checkpoint, 1, "openvino", "fp32")
for engine in (first, second):
    engine(np.zeros((1, 64, 64), np.float32))
del engine, first
del second
signal.signal(signal.SIGINT, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_signal_is_handled_after_two_engines_are_gone() -> None:
    """Ctrl-C in a notebook; the second of two ``Core`` put the freed stack of the first back."""
    ended = subprocess.run(
        [sys.executable, "-c", ENGINES_COME_AND_GO],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr
