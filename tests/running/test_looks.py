"""Masks and rows of another number of looks are made anew; the provenance tells the looks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from two_looks import PHANTOM_WINDOWS, two_looks

import pancseg
from pancseg import CaseResult, RunOptions, RunRefused
from pancseg.phantom import Phantom
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.worker import Worker
from pancseg.segmentation.checkpoint import load_checkpoint

HERE = RunOptions(workers=0, threads=1)


@pytest.fixture
def folder(tmp_path: Path, phantom: Phantom) -> Path:
    pancseg.write_scan(phantom.image, tmp_path / "ct" / "a.nii.gz")
    pancseg.write_scan(phantom.image[:, :, 2:], tmp_path / "ct" / "b.nii.gz")
    two_looks().save(tmp_path / "two.safetensors")
    return tmp_path


@pytest.fixture(autouse=True)
def ct(tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()


def segment(folder: Path, **keywords: Any) -> list[CaseResult]:
    given: dict[str, Any] = {"weights": folder / "two.safetensors", "options": HERE}
    return pancseg.segment_cohort(folder / "ct", folder / "out", **given | keywords)


def reused(folder: Path) -> int:
    lines = (folder / "out" / "run.jsonl").read_text().splitlines()
    return sum(e["reused"] for line in lines if (e := json.loads(line))["event"] == "scan")


def test_masks_of_other_looks_are_made_anew(folder: Path) -> None:
    masks = [folder / "out" / "masks" / f"{name}.nii.gz" for name in "ab"]
    told: list[dict[str, Any]] = []
    rows = {}
    for looks, expected in ((None, 0), (2, 2), (1, 0), (1, 2)):
        results = segment(folder, looks=looks, started=told.append)
        assert reused(folder) == expected, looks
        rows[looks] = [r.values["qc_volume_ml"] for r in results], [m.read_bytes() for m in masks]
    assert rows[None] == rows[2]
    assert rows[1][0] != rows[2][0]
    assert rows[1][1] != rows[2][1]
    assert [one["inference"]["looks"] for one in told] == [2, 2, 1, 1]
    second = {"network": "monet", **PHANTOM_WINDOWS.model_dump(mode="json")}
    assert told[0]["weights"]["second_look"] == second
    assert "second_look" not in told[2]["weights"]
    record = json.loads((folder / "out" / "provenance.json").read_text())
    assert record["run"]["looks"] == record["inference"]["looks"] == 1


def test_the_agreement_is_in_the_row_and_stays_with_the_mask(folder: Path) -> None:
    """A mask whose row was lost keeps its agreement; other limits judge it without the network."""
    first, other = segment(folder)
    measured = [one.values["qc_looks_dice"] for one in (first, other)]
    agreement = float(measured[0])
    assert 0.5 < agreement < 1
    assert "uncertain" not in first.reason
    journal = folder / "out" / ".pancseg" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if not line.startswith(b'{"row"')))
    masks = sorted((folder / "out" / "masks").glob("*.nii.gz"))
    written = [mask.stat().st_mtime_ns for mask in masks]
    again = segment(folder)
    assert reused(folder) == 0
    assert written == [mask.stat().st_mtime_ns for mask in masks]
    assert [one.values["qc_looks_dice"] for one in again] == measured
    strict = folder / "strict.yaml"
    strict.write_text("pancseg:\n  quality:\n    looks_dice: {warn_below: 0.999}\n")
    warned, _ = segment(folder, settings=strict)
    assert reused(folder) == 2
    assert (warned.status, "uncertain" in warned.reason) == ("warn", True)
    assert f"with the first look's with a Dice of {100 * agreement:.3g} %" in warned.fact
    alone, _ = segment(folder, looks=1, settings=strict)
    assert "uncertain" not in alone.reason
    assert "qc_looks_dice" not in alone.values


def test_rows_of_other_looks_are_not_kept(folder: Path) -> None:
    segment(folder)
    segment(folder, only=["a"])
    with pytest.raises(RunRefused, match="b"):
        segment(folder, only=["a"], looks=1)


def test_the_command_says_how_many_looks_there_are(folder: Path) -> None:
    scan, out = folder / "ct" / "a.nii.gz", folder / "out"
    how = ["--out", out, "--workers", 0, "--threads", 1]
    code, told, _ = call("segment", scan, "--weights", folder / "two.safetensors", *how)
    assert code == 0
    assert "; looks: 2" in told
    code, told, _ = call(
        "segment", scan, "--weights", folder / "two.safetensors", "--looks", 1, *how
    )
    assert code == 0
    assert "looks:" not in told


def test_looks_that_the_weights_do_not_have_are_one_line(folder: Path) -> None:
    scan, out = folder / "ct" / "a.nii.gz", folder / "out"
    how = ["--out", out, "--workers", 0, "--weights", "monet_phantom"]
    code, _, errors = call("segment", scan, "--looks", 2, *how)
    assert code == 2
    assert "--looks is 2, but the weights hold no network for a second look; give 1" in errors
    code, _, errors = call("segment", scan, "--looks", 3, *how)
    assert code == 2


def test_weights_cannot_forge_their_hash_in_the_provenance(tmp_path: Path) -> None:
    forged = replace(
        load_checkpoint("monet_phantom"), provenance={"data": "x", "sha256": "0", "name": "mine"}
    )
    forged.save(tmp_path / "own.safetensors")
    plan = ProcessingPlan("segment", None, weights=str(tmp_path / "own.safetensors"))
    told = Worker(plan).network_info["weights"]
    assert told["sha256"] == load_checkpoint(tmp_path / "own.safetensors").sha256
    assert told["name"] != "mine"
    assert told["data"] == "x"
