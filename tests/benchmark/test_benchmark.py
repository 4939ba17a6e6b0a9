"""The benchmarks measure what they say: small ones here, the whole ones by their commands."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from two_looks import PHANTOM_WINDOWS, two_looks
from typer.testing import CliRunner

from pancseg import write_scan
from pancseg.benchmark import patient
from pancseg.benchmark.changed import changed_by
from pancseg.benchmark.inference import AS_WRITTEN, Setup, gflop_per_slice, plan, time_networks
from pancseg.benchmark.machine import machine, peak_gflops
from pancseg.benchmark.table1 import against_fp32, markdown, times_frame
from pancseg.cli import app
from pancseg.cli.commands.benchmark import _changed_voxels, _command
from pancseg.phantom import Phantom
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint


@pytest.mark.parametrize(
    ("network", "gflop"), [("monet", 9.5), ("unet", 96.2), ("attention_unet", 100.5), ("unet16", 6)]
)
def test_operations_of_a_slice_are_counted(network: str, gflop: float) -> None:
    assert gflop_per_slice(network) == pytest.approx(gflop, abs=0.06)


def test_monet_as_written_is_always_measured_and_nothing_twice() -> None:
    setups = plan(["monet", "unet"], ["torch", "auto", engines.pick()], ["fp32"])
    assert setups[0] == Setup("monet", AS_WRITTEN)
    assert len(set(setups)) == len(setups)
    assert {s.engine for s in setups} == {AS_WRITTEN, "torch", engines.pick()}
    alone = plan(["unet"], ["torch"], ["fp32"])  # it is told in units of MoNet
    assert alone[1:] == [Setup("monet", "torch"), Setup("unet", "torch")]
    with pytest.raises(ValueError, match="unknown network 'vnet'"):
        plan(["vnet"], ["auto"], ["fp32"])
    with pytest.raises(ValueError, match="unknown precision 'fp8'"):
        plan(["monet"], ["torch"], ["fp8"])


def test_each_setup_is_timed_once_a_round_and_the_order_turns() -> None:
    setups = [Setup("monet", AS_WRITTEN), Setup("monet", "torch"), Setup("unet16", "torch")]
    lines: list[str] = []
    seconds = time_networks(setups, repeats=2, slices=1, threads=1, tell=lines.append)
    assert [len(spent) for spent in seconds.values()] == [2, 2, 2]
    assert all(s > 0 for spent in seconds.values() for s in spent)
    assert [re.split("[:,] ?", line)[1:3] for line in lines] == [
        *([s.network, f"{s.engine} fp32"] for s in setups),
        *([s.network, f"{s.engine} fp32"] for s in [*setups[1:], setups[0]]),
    ]


def test_two_looks_are_told_in_units_of_one() -> None:
    setups = plan(["monet_twice"], ["torch"], ["fp32"])
    assert [setup.network for setup in setups] == ["monet", "monet", "monet_twice"]
    assert gflop_per_slice("monet_twice") == pytest.approx(1.75 * gflop_per_slice("monet"))
    seconds = time_networks(setups, repeats=2, slices=2, threads=1)
    frame = times_frame(
        seconds,
        2,
        {name: gflop_per_slice(name) for name in ("monet", "monet_twice")},
        {(AS_WRITTEN, "fp32"): 200.0, ("torch", "fp32"): 200.0},
    )
    twice = frame.iloc[2]
    once = np.mean(seconds[Setup("monet", "torch")])
    assert twice["ratio_to_monet"] == pytest.approx(np.mean(seconds[setups[2]]) / once)
    assert np.isnan(twice["published_mean_s"])
    assert "| monet_twice | torch | fp32 |" in markdown(frame)


def test_patients_are_looked_at_as_often_as_by_the_default_weights(tmp_path: Path) -> None:
    assert patient.phantom_weights("monet_phantom", tmp_path) == (1, "monet_phantom")
    two_looks().save(tmp_path / "two.safetensors")
    looks, path = patient.phantom_weights(tmp_path / "two.safetensors", tmp_path)
    made = load_checkpoint(path)
    assert (looks, made.looks) == (2, 2)
    assert made.second is not None
    assert made.second.windows is not None
    assert made.second.windows.size == PHANTOM_WINDOWS.size


def test_table_has_ratios_tests_and_the_papers_numbers() -> None:
    seconds = {
        Setup("monet", AS_WRITTEN): [40.0, 42.0],
        Setup("monet", "torch"): [10.0, 10.5],
        Setup("unet", "torch"): [70.0, 71.0],
    }
    peak = {(AS_WRITTEN, "fp32"): 200.0, ("torch", "fp32"): 200.0}
    frame = times_frame(seconds, 150, {"monet": 9.5, "unet": 96.2}, peak)
    unet = frame.iloc[2]
    assert unet["ratio_to_monet"] == pytest.approx(70.5 / 10.25)
    assert 0 < unet["t_test_p"] < 0.001
    assert frame.iloc[1]["speedup_over_as_written"] == pytest.approx(41 / 10.25)
    assert unet["gflops"] == pytest.approx(96.2 * 150 / 70.5)
    assert unet["share_of_peak"] == pytest.approx(unet["gflops"] / 200)
    assert unet["published_ratio_to_monet"] == pytest.approx(3.05, abs=0.005)
    lines = markdown(frame).splitlines()
    assert len(lines) == 5
    assert "| unet | torch | fp32 | 70.50 ± 0.71 | 6.88 |" in lines[4]
    assert np.isnan(frame.iloc[1]["t_test_p"])


def test_int8_has_no_peak_and_is_compared_with_fp32_in_its_own_engine_or_another() -> None:
    """With a GPU, ``auto`` is cuda in fp32 and openvino in int8."""
    seconds = {
        Setup("monet", AS_WRITTEN): [40.0],
        Setup("monet", "cuda"): [1.0],
        Setup("monet", "openvino", "int8"): [4.0],
        Setup("unet", AS_WRITTEN): [99.0],
        Setup("unet", "openvino", "int8"): [9.0],
    }
    peak = {(AS_WRITTEN, "fp32"): 200.0, ("cuda", "fp32"): 900.0}
    gflop = {"monet": 9.5, "unet": 96.2}
    frame = times_frame(seconds, 150, gflop, peak)
    assert list(frame["share_of_peak"].isna()) == [False, False, True, False, True]
    cells = [cell.strip() for cell in markdown(frame).splitlines()[4].split("|")]
    assert (cells[3], cells[10]) == ("int8", "–")
    assert against_fp32(frame) == "monet, openvino int8: 0.25 times as fast as cuda fp32.\n"
    seconds[Setup("monet", "openvino")] = [8.0]
    frame = times_frame(seconds, 150, gflop, {**peak, ("openvino", "fp32"): 200.0})
    assert against_fp32(frame) == "monet, openvino int8: 2.00 times as fast as fp32.\n"


def test_only_floats_have_a_matrix_product_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    setups = [Setup("monet", AS_WRITTEN), Setup("monet", "openvino", "int8")]
    monkeypatch.setattr("pancseg.benchmark.inference.plan", lambda *_: setups)
    monkeypatch.setattr(
        "pancseg.benchmark.inference.time_networks",
        lambda *_, **__: {each: [2.0] for each in setups},
    )
    monkeypatch.setattr("pancseg.benchmark.machine.peak_gflops", lambda *_: 200.0)
    monkeypatch.setattr("pancseg.cli.commands.benchmark._changed_voxels", lambda *_: "")
    done = CliRunner().invoke(app, ["benchmark", "inference", "--threads", "1"])
    assert re.findall("Matrix-product peak, (.*):", done.stdout) == ["as-written fp32"]


def test_peak_and_machine_are_measured_and_hold_no_name() -> None:
    assert peak_gflops("torch", "fp32", 1, seconds=0.05) > 0.01  # also of a busy core
    about = machine(1)
    assert about["torch"] == torch.__version__
    assert platform.node() not in json.dumps(about)


def test_fp32_against_itself_changes_nothing(phantom: Phantom) -> None:
    found = changed_by("fp32", [phantom.image[:, :, 14:26]], "monet_phantom", "auto", 2)
    assert found.voxels > 100
    assert (found.share, found.least_dice) == (0, 1)


def test_a_scan_without_pancreas_is_left_out_and_told(
    phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    air = sitk.GetImageFromArray(np.full((4, 64, 64), -1000, np.int16))
    found = changed_by("fp32", [air, phantom.image[:, :, 14:26]], "monet_phantom", "torch", 1)
    assert (found.changed, found.empty) == (0, 1)
    assert found.voxels > 0
    monkeypatch.setattr("pancseg.benchmark.changed.changed_by", lambda *_: found)
    told = _changed_voxels([("torch", "fp32"), ("torch", "bf16")], [air], 1)
    assert told.strip().endswith("1.0000. No pancreas found in 1 of the scans.")
    assert told.count("monet_open, torch bf16: 0.000 % of") == 1


def test_inference_command_prints_and_writes_the_table(tmp_path: Path) -> None:
    options = ["--network", "monet", "--repeats", "2", "--slices", "1", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, ["benchmark", "inference", *options])
    assert result.exit_code == 0, result.output
    assert "as-written" in result.stdout
    frame = pd.read_csv(tmp_path / "inference.csv")
    assert frame["engine"].tolist() == [AS_WRITTEN, engines.pick()]
    assert {p.name for p in tmp_path.iterdir()} == {
        "inference.csv", "inference.md", "inference_machine.json", "inference_rounds.csv",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--scan", "gone.nii.gz"], "--scan counts voxels changed by another precision"),
        (["--scan", "gone.nii.gz", "--precision", "bf16"], "--scan: "),
        (["--out", "file"], "the output cannot be written"),
    ],
)
def test_what_cannot_be_measured_or_written_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pancseg.segmentation.engines.lacks", lambda *_: "")
    monkeypatch.setattr(
        "pancseg.benchmark.inference.time_networks", lambda *_, **__: pytest.fail("ran")
    )
    Path("file").write_text("in the way")
    result = CliRunner().invoke(app, ["benchmark", "inference", *options])
    assert (result.exit_code, problem in result.output) == (2, True), result.output
    assert result.output.count("\n") == 1


def test_a_run_is_measured_stage_by_stage(tmp_path: Path, phantom: Phantom) -> None:
    """A small scan stands in for the large one."""
    write_scan(phantom.image, tmp_path / "scan.nii.gz")
    words = _command({"threads": 2})
    run = patient.run_job(patient.WHOLE_PATIENT, tmp_path / "scan.nii.gz", words)
    expected = {"load the network", "read the scan", "prepare slices", "network", "smooth along z"}
    assert {*expected, "write the mask", "features", patient.REST} <= set(run.stages)
    assert sum(run.stages.values()) == pytest.approx(run.seconds)
    assert all(spent >= 0 for spent in run.stages.values())
    assert 0 < run.beside_the_network < 1
    peak_mb = patient.memory_of_job_mb(patient.WHOLE_PATIENT, tmp_path / "scan.nii.gz", words)
    assert 100 < peak_mb < 5000
    text = patient.report(patient.WHOLE_PATIENT, [run], peak_mb, 200.0)
    assert "| network |" in text
    assert f"Peak memory: {peak_mb:.0f} MB" in text
    assert 0 < run.showing < 0.8
    assert re.search(r"Pictures: \d+\.\d % of the wall time", text)
    with pytest.raises(RuntimeError, match=r"the command ended with 2"):
        patient.run_job(patient.SEGMENT, tmp_path / "gone.nii.gz", words)


def test_unknown_weights_of_a_patient_are_one_line() -> None:
    result = CliRunner().invoke(app, ["benchmark", "patient", "--weights", "nosuch"])
    assert result.exit_code == 2
    assert "there is no checkpoint 'nosuch'; name a shipped one (" in result.output
    assert result.output.count("\n") == 1
