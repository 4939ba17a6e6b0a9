"""What a machine has decides how a training computes, within what was asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed

from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import weights_of
from pancseg.training import hardware
from pancseg.training.fit import ShareThreads
from pancseg.training.hardware import Hardware, check_hardware, layout, on_gpu, precision_of


def test_a_gpu_that_is_not_to_be_used_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, auto = Hardware(accelerator="cpu"), Hardware()
    here = precision_of(cpu), layout(cpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert (precision_of(cpu), layout(cpu), on_gpu(cpu)) == (*here, False)
    assert (precision_of(auto), layout(auto)) == ("bf16-mixed", torch.channels_last)
    monkeypatch.setattr(engines, "lacks", lambda name: "")
    assert (engines.pick(gpu=on_gpu(auto)), engines.pick(gpu=False)) == ("cuda", "openvino")


def test_bfloat16_is_taken_where_a_gpu_has_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation
    )
    assert precision_of(Hardware()) == "16-mixed"


def test_processes_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(hardware, "keep_freed_memory", lambda: True)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for processes in (1, 3, 16):
        _set_num_threads_if_needed(processes)  # as Lightning does in each process of several
        ShareThreads(Hardware(threads=8)).on_fit_start(
            SimpleNamespace(num_devices=processes), SimpleNamespace()
        )
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert asked.pop() == max(1, 8 // processes)


def test_weights_are_kept_in_single_precision_however_they_were_trained() -> None:
    for precision in (torch.bfloat16, torch.float64):
        network = torch.nn.BatchNorm2d(2).to(precision)
        kept = weights_of(network)
        assert {w.dtype.name for w in kept.values()} == {"float32", "int64"}


def test_a_package_that_a_precision_needs_is_named() -> None:
    with pytest.raises(ValueError, match="`precision` transformer-engine: "):
        check_hardware(Hardware(accelerator="cpu", precision="transformer-engine"))
