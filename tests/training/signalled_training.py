"""Trainings in this process that get signals; ``test_interruption.py`` runs these tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from command_line import call
from test_interruption import command
from test_training import ONE_THREAD, data_of, recipe, slice_set  # noqa: F401
from torch import Tensor

from pancseg.errors import RunStopped
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.training import processes
from pancseg.training.fit import train
from pancseg.training.module import SliceSegmentation


def signalled(monkeypatch: pytest.MonkeyPatch, number: int, epoch: int, index: int) -> None:
    """Send this process a signal in a batch of the next training."""

    def training_step(self: SliceSegmentation, batch: object, at: int) -> Tensor:
        if (self.current_epoch, at) == (epoch, index):
            os.kill(os.getpid(), number)
        return step(self, batch, at)

    step = SliceSegmentation.training_step
    monkeypatch.setattr(SliceSegmentation, "training_step", training_step)


def test_signals_end_a_training_that_then_goes_on_to_the_bit(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One after the other, each an epoch later."""
    data, plan = data_of(slice_set), recipe(epochs=4)
    whole = train(plan, data, tmp_path / "whole", hardware=ONE_THREAD)
    before = [signal.getsignal(number) for number in processes._SIGNALS]
    for epoch, name in enumerate(("SIGTERM", "SIGUSR1", "SIGUSR2"), start=1):
        with monkeypatch.context() as patch:
            signalled(patch, getattr(signal, name), epoch, 2)
            line = f"the training was stopped by {name}; run the same command again to go on"
            with pytest.raises(RunStopped, match=line):
                train(plan, data, tmp_path / "cut", hardware=ONE_THREAD)
        assert [signal.getsignal(number) for number in processes._SIGNALS] == before
        metrics = (tmp_path / "cut" / "metrics.csv").read_text()
        assert len(metrics.splitlines()) == 1 + epoch
    cut = train(plan, data, tmp_path / "cut", hardware=ONE_THREAD)
    for file in ("metrics.csv", "last.safetensors", "best.safetensors", "last.json", "best.json"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert load_checkpoint(cut).sha256 == load_checkpoint(whole).sha256


def test_the_command_says_how_to_go_on_and_fails(
    slice_set: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = command(tmp_path, "--out", str(tmp_path / "run"))[3:]
    with monkeypatch.context() as patch:
        signalled(patch, signal.SIGUSR1, 1, 0)
        code, out, err = call(*words)
    assert (code, err.count("\n")) == (130, 1)
    assert err.startswith("pancseg: the training was stopped by SIGUSR1; run the same command")
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    assert "epoch 2/2" in out
    assert "epoch 1/2" not in out
