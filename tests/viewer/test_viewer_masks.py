"""A mask that is drawn in the viewer is saved whole, and the next run measures it alone."""

from __future__ import annotations

import errno
import gzip
import json
import re
import shutil
import stat
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_seg import frames_of, write_seg
from viewed_output import EMPTY, FOUND, GIVEN, Client, limit_voxels, run, viewing

from pancseg import (
    CaseResult,
    RunOptions,
    extract_cohort,
    read_scan,
    segment_cohort,
    write_scan,
)
from pancseg.running.lock import locked
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import orient


def row_of(client: Client, n: int, query: str = "") -> dict:
    return client.get(f"api/row/{n}{query}").json["mask"]


def drawn_on(client: Client, n: int, folder: Path) -> np.ndarray:
    """Return the region as the page has it, with a block added to one of its slices."""
    voxels = client.voxels(f"api/mask/{n}", folder) == row_of(client, n)["label"]
    z = int(np.argwhere(voxels)[0][0]) if voxels.any() else 6
    voxels[z, 40:44, 41:46] = True
    return voxels


def upright(path: Path) -> np.ndarray:
    return voxel_array(orient(read_scan(path), "RAS")).copy()


def kept(out: Path) -> list[Path]:
    """Return the copies of masks as they were before they were changed."""
    return sorted((out / "masks" / ".original").iterdir())


def reused(out: Path) -> set[str]:
    """Return the scans of which the last run measured no row anew."""
    lines = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    scans = [line for line in lines if line["event"] == "scan"]
    return {line["case"] for line in scans if line["reused"] == len(line["rows"])}


def by_row(results: list[CaseResult]) -> dict[tuple[str, str], CaseResult]:
    return {(r.case.patient_id, r.case.roi): r for r in results}


def test_a_corrected_mask_is_measured_alone_and_the_networks_is_kept(folder: Path) -> None:
    out = folder / "out"
    path = out / "masks" / f"{FOUND}.nii.gz"
    network = path.read_bytes()
    with viewing(out) as client:
        n = client.number(FOUND)
        seen = row_of(client, n)
        assert (seen["editable"], seen["path"], seen["changed"]) == (True, "", False)
        voxels = drawn_on(client, n, folder)
        reply = client.put(f"api/mask/{n}", voxels, seen["sha256"])
        assert reply.status == 200, reply.body
        assert reply.json["voxels"] == voxels.sum()
        assert reply.json["volume_ml"] == pytest.approx(voxels.sum() * 3.6**2 * 15 / 1000, abs=1e-3)
        now = row_of(client, n)
        assert now["changed"]
        assert now["sha256"] == reply.json["sha256"]
        assert np.array_equal(client.voxels(f"api/mask/{n}", folder), voxels)
        voxels[0, 0, 0] = True
        assert client.put(f"api/mask/{n}", voxels, now["sha256"]).status == 200
        assert client.server.session.account.startswith("the viewer has stopped; 1 mask saved")
    assert [path.read_bytes() for path in kept(out)] == [network]
    assert re.fullmatch(rf"{FOUND}\.[0-9a-f]{{8}}\.nii\.gz", kept(out)[0].name)
    assert np.array_equal(upright(path), voxels)
    results = by_row(run(folder / "cohort.csv", out))
    assert results[FOUND, "pancreas"].values["qc_mask_source"] == "corrected"
    assert reused(out) == {GIVEN}
    assert np.array_equal(upright(path), voxels)
    run(folder / "cohort.csv", out)
    assert reused(out) == {FOUND, GIVEN}


def test_a_mask_drawn_from_nothing_is_measured_by_the_next_run(folder: Path) -> None:
    out = folder / "out"
    path = out / "masks" / f"{EMPTY}.nii.gz"
    with viewing(out) as client:
        n = client.number(EMPTY)
        assert client.get("api/cohort").json["rows"][n]["reasons"] == ["no_pancreas"]
        seen = row_of(client, n)
        assert (seen["exists"], seen["sha256"], seen["editable"]) == (False, "none", True)
        voxels = drawn_on(client, n, folder)
        assert client.put(f"api/mask/{n}", voxels & False, "none").status == 400
        assert not path.exists()
        assert client.put(f"api/mask/{n}", voxels, "none").status == 200
    assert not (out / "masks" / ".original").exists()
    results = by_row(run(folder / "cohort.csv", out))
    row = results[EMPTY, "pancreas"]
    assert row.values["qc_mask_source"] == "drawn"
    assert row.values["qc_volume_ml"] == pytest.approx(20 * 3.6**2 * 15 / 1000, rel=1e-4)
    assert reused(out) == {FOUND, GIVEN}
    assert np.array_equal(upright(path), voxels)
    run(folder / "cohort.csv", out)
    assert reused(out) == {FOUND, EMPTY, GIVEN}


def test_a_mask_drawn_on_another_scan_is_not_taken(folder: Path) -> None:
    out = folder / "out"
    with viewing(out) as client:
        n = client.number(EMPTY)
        assert client.put(f"api/mask/{n}", drawn_on(client, n, folder), "none").status == 200
    scan = read_scan(folder / f"{EMPTY}.nii.gz")
    scan[0, 0, 0] = 7
    write_scan(scan, folder / f"{EMPTY}.nii.gz")
    assert by_row(run(folder / "cohort.csv", out))[EMPTY, "pancreas"].reason == "mask_exists"


def test_a_damaged_note_refuses_the_mask_and_keeps_it(folder: Path) -> None:
    out = folder / "out"
    with viewing(out) as client:
        n = client.number(EMPTY)
        assert client.put(f"api/mask/{n}", drawn_on(client, n, folder), "none").status == 200
    (out / ".pancseg" / "drawn.json").write_text("[1, 2")
    mask = (out / "masks" / f"{EMPTY}.nii.gz").read_bytes()
    assert by_row(run(folder / "cohort.csv", out))[EMPTY, "pancreas"].reason == "mask_exists"
    assert (out / "masks" / f"{EMPTY}.nii.gz").read_bytes() == mask


def test_a_mask_edited_elsewhere_meanwhile_is_not_overwritten(folder: Path) -> None:
    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        seen, voxels = row_of(client, n)["sha256"], drawn_on(client, n, folder)
        mask = read_scan(path)
        mask[0, 0, 0] = 1
        write_scan(mask, path)
        other = path.read_bytes()
        reply = client.put(f"api/mask/{n}", voxels, seen)
        assert reply.status == 409
        assert "has been changed" in reply.json["error"]
        assert path.read_bytes() == other
        assert reply.json["sha256"] == row_of(client, n)["sha256"] != seen
        assert client.put(f"api/mask/{n}", voxels, reply.json["sha256"]).status == 200
        path.unlink()
        gone = client.put(f"api/mask/{n}", voxels, row_of(client, n)["sha256"] + "x")
        assert (gone.status, gone.json["sha256"]) == (409, "none")


def test_nothing_is_saved_while_a_run_writes(folder: Path) -> None:
    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    before = path.read_bytes()
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        seen, voxels = row_of(client, n)["sha256"], drawn_on(client, n, folder)
        with locked(folder / "out" / ".pancseg"):
            reply = client.put(f"api/mask/{n}", voxels, seen)
        assert (reply.status, path.read_bytes()) == (423, before)
        assert "a run is writing" in reply.json["error"]
        assert client.put(f"api/mask/{n}", voxels, seen).status == 200


def test_packed_voxels_are_the_same(folder: Path) -> None:
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        seen, voxels = row_of(client, n)["sha256"], drawn_on(client, n, folder)
        packed = gzip.compress(voxels.astype(np.uint8).tobytes())
        headers = {"X-Pancseg": "1", "If-Match": f'"{seen}"', "Content-Encoding": "gzip"}
        headers["X-Pancseg-Scan"] = client.scan_key(n)
        assert client.ask("PUT", f"api/mask/{n}", packed, headers).status == 200
        assert np.array_equal(client.voxels(f"api/mask/{n}", folder), voxels)
        bomb = gzip.compress(bytes(voxels.size + 1))
        headers["If-Match"] = row_of(client, n)["sha256"]
        refused = client.ask("PUT", f"api/mask/{n}", bomb, headers)
        assert (refused.status, refused.json["error"][:9]) == (400, "more than")


@pytest.mark.parametrize(
    ("body", "headers", "fact"),
    [
        (b"\0" * 7, {}, "7 voxels were sent, and the part shown has 96×96×12"),
        (b"\2" * 110592, {}, "a voxel is 2; 0 and 1 were expected"),
        (b"\0" * 110592, {"If-Match": ""}, "the header If-Match is missing"),
        (b"no gzip", {"Content-Encoding": "gzip"}, "the packed voxels are damaged"),
    ],
)
def test_a_wrong_body_is_refused_in_one_sentence(
    folder: Path, body: bytes, headers: dict[str, str], fact: str
) -> None:
    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    before = path.read_bytes()
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        own = {"X-Pancseg": "1", "If-Match": row_of(client, n)["sha256"]}
        own |= {"X-Pancseg-Scan": client.scan_key(n), **headers}
        reply = client.ask("PUT", f"api/mask/{n}", body, own)
        assert (reply.status, path.read_bytes()) == (400, before)
        assert fact in reply.json["error"]


def test_slices_that_are_not_shown_stay_as_they_are(folder: Path) -> None:
    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    before = upright(path)
    with viewing(folder / "out") as client:
        limit_voxels(client, 96 * 96 * 3)
        n = client.number(FOUND)
        shown = client.get(f"api/row/{n}").json["scan"]
        (x, y, z), (nx, ny, nz) = shown["part"]["start"], shown["part"]["size"]
        assert nx * ny * nz <= 96 * 96 * 3
        assert shown["note"] == (
            f"slices {z + 1}–{z + nz} of 12, counted from the feet; of each {nx}×{ny} of 96×96 "
            "voxels, around the mask"
        )
        around = np.s_[z : z + nz, y : y + ny, x : x + nx]
        assert before[around].sum() == before.sum() > 0
        before[0, 0, 0] = before[-1, -1, -1] = 1  # voxels that are not on show
        write_scan(image_like(before[:, ::-1, ::-1], read_scan(path)), path)
        for query, at in (("", around), ("?z=1", np.s_[0:3])):
            drawn = np.zeros_like(before[at])  # the part of a row does not move with its mask
            drawn[0, 5, 7] = 1
            seen = row_of(client, n)["sha256"]
            assert client.put(f"api/mask/{n}{query}", drawn, seen).status == 200
            before[at] = drawn
            assert np.array_equal(upright(path), before)
        whole = row_of(client, n, "?whole=1")
        assert not whole["editable"]
        assert "reduced" in whole["why_not"]
        size = client.get(f"api/row/{n}?whole=1").json["scan"]["part"]["size"]
        reply = client.put(f"api/mask/{n}?whole=1", np.zeros(size), whole["sha256"])
        assert reply.status == 403
        assert np.array_equal(upright(path), before)


def test_of_a_given_mask_the_rows_own_label_alone_changes(folder: Path) -> None:
    path = folder / "given_mask.nrrd"
    before, first = upright(path), path.read_bytes()
    with viewing(folder / "out") as client:
        n = client.number(GIVEN, "tumour")
        seen = row_of(client, n)
        assert (seen["given"], seen["label"], seen["editable"]) == (True, 2, True)
        assert seen["path"] == str(path)
        assert np.array_equal(client.voxels(f"api/mask/{n}", folder), before)
        tumour = np.zeros(before.shape, bool)
        tumour[5, :, :] = True
        reply = client.put(f"api/mask/{n}", tumour, seen["sha256"])
        assert reply.json["kept"] == np.count_nonzero(before[5] == 1)
        other = client.number(GIVEN)
        assert not client.get(f"api/row/{other}").json["mask"]["changed"]
    now = upright(path)
    assert np.array_equal(now == 1, before == 1)
    assert np.array_equal(now == 2, tumour & (before != 1))
    assert [path.read_bytes() for path in kept(folder / "out")] == [first]
    results = by_row(run(folder / "cohort.csv", folder / "out"))
    sources = {roi: results[GIVEN, roi].values["qc_mask_source"] for roi in ("pancreas", "tumour")}
    assert sources == {"pancreas": "given", "tumour": "corrected"}, "the row that was corrected"
    volume = results[GIVEN, "tumour"].values["qc_volume_ml"]
    assert volume == pytest.approx((now == 2).sum() * 3.6**2 * 15 / 1000, rel=1e-4)


def test_a_region_of_several_labels_is_shown_and_not_changed(folder: Path) -> None:
    path = folder / "given_mask.nrrd"
    before = path.read_bytes()
    with viewing(folder / "out") as client:
        n = client.number(GIVEN, "whole")
        seen = row_of(client, n)
        assert not seen["editable"]
        assert seen["why_not"] == (
            "the region whole is made of several labels (1,2); correct pancreas, tumour instead"
        )
        shown = client.voxels(f"api/mask/{n}", folder)
        assert np.array_equal(shown == seen["label"], upright(path) > 0)
        assert client.put(f"api/mask/{n}", shown, seen["sha256"]).status == 403
    assert path.read_bytes() == before


def test_a_ring_is_shown_and_not_changed(folder: Path) -> None:
    noted = folder / "out" / ".pancseg" / "scans.json"
    noted.write_text(noted.read_text().replace('"1,2"', '"ring(1,2;8mm)"'))
    with viewing(folder / "out") as client:
        n = client.number(GIVEN, "whole")
        assert row_of(client, n)["why_not"] == (
            "the region whole lies around labels (ring(1,2;8mm)); correct pancreas, tumour instead"
        )
        shown = client.voxels(f"api/mask/{n}", folder)
        assert shown.any()
        assert not (shown[upright(folder / "given_mask.nrrd") > 0]).any()


@pytest.mark.parametrize(
    ("name", "fact"),
    [("mask.mhd", "two files"), ("gone.nrrd", "no longer")],
)
def test_files_that_cannot_be_written_back_are_not_changed(
    folder: Path, name: str, fact: str
) -> None:
    if name.endswith(".mhd"):
        sitk.WriteImage(read_scan(folder / "given_mask.nrrd"), str(folder / name))
    noted = folder / "out" / ".pancseg" / "scans.json"
    noted.write_text(noted.read_text().replace("given_mask.nrrd", name))
    with viewing(folder / "out") as client:
        seen = row_of(client, client.number(GIVEN))
        assert not seen["editable"]
        assert fact in seen["why_not"]


@pytest.mark.parametrize("name", ["mask.seg.nrrd", "mask.nrrd", "mask.nii.gz"])
def test_a_file_that_names_its_segments_itself_is_shown_and_not_changed(
    folder: Path, name: str
) -> None:
    mask = read_scan(folder / "given_mask.nrrd")
    if name.endswith(".nrrd"):
        for n, segment in enumerate(("pancreas", "tumour")):
            mask.SetMetaData(f"Segment{n}_Name", segment)
            mask.SetMetaData(f"Segment{n}_LabelValue", str(n + 1))
            mask.SetMetaData(f"Segment{n}_Layer", "0")
        sitk.WriteImage(mask, str(folder / name))
    else:
        write_scan(mask, folder / "plain.nii.gz")
        image = nib.load(folder / "plain.nii.gz")
        table = b'<LabelTable><Label Key="1">pancreas</Label></LabelTable>'
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, table))
        nib.save(image, folder / name)
    noted = folder / "out" / ".pancseg" / "scans.json"
    noted.write_text(noted.read_text().replace("given_mask.nrrd", name))
    before = (folder / name).read_bytes()
    with viewing(folder / "out") as client:
        n = client.number(GIVEN)
        seen = row_of(client, n)
        assert (seen["exists"], seen["editable"]) == (True, False)
        assert "names its segments" in seen["why_not"]
        voxels = client.voxels(f"api/mask/{n}", folder)
        assert client.put(f"api/mask/{n}", voxels == 1, seen["sha256"]).status == 403
    assert (folder / name).read_bytes() == before


def test_names_in_a_file_beside_a_mask_are_no_hindrance(folder: Path) -> None:
    names = '{"labels": {"background": 0, "pancreas": 1, "tumour": 2}}'
    (folder / "dataset.json").write_text(names)
    with viewing(folder / "out") as client:
        assert row_of(client, client.number(GIVEN))["editable"]


def test_labels_above_255_are_shown_as_another_region_and_kept(folder: Path) -> None:
    path = folder / "given_mask.nrrd"
    labels = voxel_array(read_scan(path)).astype(np.int16)
    labels[2, 10:20, 10:20] = 300
    write_scan(image_like(labels, read_scan(path)), path)
    with viewing(folder / "out") as client:
        n = client.number(GIVEN)
        shown = client.voxels(f"api/mask/{n}", folder)
        assert np.count_nonzero(shown == 255) == 100
        voxels = (shown == 1) | (shown == 255)
        reply = client.put(f"api/mask/{n}", voxels, row_of(client, n)["sha256"])
        assert (reply.status, reply.json["kept"]) == (200, 100)
    assert np.count_nonzero(upright(path) == 300) == 100


@pytest.mark.parametrize("place", ["mask.dcm", "exported/IM1"])
def test_a_dicom_seg_is_shown_and_not_changed(folder: Path, place: str) -> None:
    given = read_scan(folder / "given_mask.nrrd")
    labels = voxel_array(given)
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    frames = [*frames_of(1, labels == 1), *frames_of(2, labels == 2)]
    write_seg(path, given, frames, ("pancreas", "tumour"))
    noted = folder / "out" / ".pancseg" / "scans.json"
    noted.write_text(noted.read_text().replace("given_mask.nrrd", place.partition("/")[0]))
    with viewing(folder / "out") as client:
        n = client.number(GIVEN)
        seen = row_of(client, n)
        assert not seen["editable"]
        assert "a DICOM mask cannot be changed here" in seen["why_not"]
        shown = client.voxels(f"api/mask/{n}", folder) == seen["label"]
        assert shown.sum() == (labels == 1).sum()


def test_a_mask_on_another_grid_is_shown_and_not_changed(folder: Path) -> None:
    path = folder / "given_mask.nrrd"
    mask = read_scan(path)
    write_scan(sitk.Expand(mask, [1, 1, 2], sitk.sitkNearestNeighbor), path)
    with viewing(folder / "out") as client:
        n = client.number(GIVEN)
        assert "another grid" in row_of(client, n)["why_not"]
        assert client.voxels(f"api/mask/{n}", folder).any()


def test_a_mask_that_cannot_be_read_is_told(folder: Path) -> None:
    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        seen = row_of(client, n)
        assert seen["exists"]
        assert seen["why_not"].startswith("the mask: ")
        assert client.put(f"api/mask/{n}", np.zeros(96 * 96 * 12), seen["sha256"]).status == 403


@pytest.mark.parametrize("name", [f"{FOUND}.nii.gz", f"{FOUND}.01234567.nii.gz"])
def test_every_version_that_the_viewer_did_not_write_is_kept(folder: Path, name: str) -> None:
    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    (folder / "out" / "masks" / ".original").mkdir()
    (folder / "out" / "masks" / ".original" / name).write_bytes(b"of an earlier network")
    versions = {b"of an earlier network", path.read_bytes()}
    for _ in range(2):
        with viewing(folder / "out") as client:
            n = client.number(FOUND)
            voxels = drawn_on(client, n, folder)
            for voxels[0, 0, 0] in (True, False):
                seen = row_of(client, n)["sha256"]
                assert client.put(f"api/mask/{n}", voxels, seen).status == 200
        assert {each.read_bytes() for each in kept(folder / "out")} == versions
        write_scan(image_like(np.roll(upright(path), 1), read_scan(path)), path)
        versions.add(path.read_bytes())


def test_the_first_copy_of_an_earlier_version_of_pancseg_counts(folder: Path) -> None:
    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    (folder / "out" / "masks" / ".original").mkdir()
    shutil.copy(path, folder / "out" / "masks" / ".original" / path.name)
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        voxels = drawn_on(client, n, folder)
        assert client.put(f"api/mask/{n}", voxels, row_of(client, n)["sha256"]).status == 200
    assert [each.name for each in kept(folder / "out")] == [path.name]


def test_a_given_masks_link_stays_a_link_and_its_rights_stay(folder: Path) -> None:
    link, path = folder / "given_mask.nrrd", folder / "store" / "mask.nrrd"
    path.parent.mkdir()
    link.rename(path)
    link.symlink_to(path)
    path.chmod(0o600)
    before = path.read_bytes()
    with viewing(folder / "out") as client:
        n = client.number(GIVEN)
        voxels = drawn_on(client, n, folder)
        assert client.put(f"api/mask/{n}", voxels, row_of(client, n)["sha256"]).status == 200
    assert link.is_symlink()
    assert path.read_bytes() != before
    (copy,) = kept(folder / "out")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, copy)] == [0o600, 0o600]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("patient", [FOUND, EMPTY, GIVEN])
def test_a_mask_drawn_on_a_scan_that_is_replaced_meanwhile_is_not_saved(
    folder: Path, patient: str
) -> None:
    scan = read_scan(folder / f"{patient}.nii.gz")
    scan[0, 0, 0] = 7
    masks = [*(folder / "out" / "masks").iterdir(), folder / "given_mask.nrrd"]
    before = {path: path.read_bytes() for path in masks}
    with viewing(folder / "out") as client:
        n = client.number(patient)
        row = client.get(f"api/row/{n}").json
        voxels, seen = drawn_on(client, n, folder), row["mask"]["sha256"]
        assert not row["scan"]["changed"]
        write_scan(scan, folder / f"{patient}.nii.gz")
        on_old = {"X-Pancseg-Scan": row["scan"]["key"]}
        reply = client.put(f"api/mask/{n}", voxels, seen, on_old)
        now = client.get(f"api/row/{n}").json["scan"]
        assert (reply.status, reply.json["scan"]) == (409, now["key"])
        assert "the scan has been replaced" in reply.json["error"]
        assert now["changed"]
    masks = [*(folder / "out" / "masks").iterdir(), folder / "given_mask.nrrd"]
    assert {path: path.read_bytes() for path in masks} == before


def test_a_scan_whose_replacement_leaves_no_trace_is_told_by_its_content(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a DICOM folder, whose own time does not change with its files."""
    with viewing(folder / "out") as client:
        n = client.number(EMPTY)
        voxels = drawn_on(client, n, folder)
        monkeypatch.setattr("pancseg.viewer.saving.scan_key_of", lambda _: "another")
        reply = client.put(f"api/mask/{n}", voxels, "none")
        assert (reply.status, reply.json["scan"]) == (409, "another")
    assert not (folder / "out" / "masks" / f"{EMPTY}.nii.gz").exists()


def test_a_mask_whose_note_cannot_be_written_is_not_saved(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = (folder / "given_mask.nrrd").read_bytes()
    monkeypatch.setattr("pancseg.viewer.saving.note_corrected", full)
    with viewing(folder / "out") as client:
        n = client.number(GIVEN)
        voxels = drawn_on(client, n, folder)
        reply = client.put(f"api/mask/{n}", voxels, row_of(client, n)["sha256"])
        assert reply.status == 507
        assert reply.json["error"] == "the mask was not saved: No space left on device"
    assert (folder / "given_mask.nrrd").read_bytes() == before


def test_originals_are_not_written_through_a_link(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        voxels = drawn_on(client, n, folder)
        (folder / "out" / "masks" / ".original").symlink_to(elsewhere)  # at first it is refused
        reply = client.put(f"api/mask/{n}", voxels, row_of(client, n)["sha256"])
        assert (reply.status, reply.json["error"]) == (409, "masks/.original is a link; remove it")
    assert not list(elsewhere.iterdir())


def test_a_scan_with_other_axes_gets_its_mask_on_its_own_grid(folder: Path) -> None:
    scan = orient(read_scan(folder / f"{EMPTY}.nii.gz"), "PIR")
    write_scan(scan, folder / f"{EMPTY}.nii.gz")
    with viewing(folder / "out") as client:
        n = client.number(EMPTY)
        voxels = drawn_on(client, n, folder)
        assert client.put(f"api/mask/{n}", voxels, "none").status == 200
    mask = read_scan(folder / "out" / "masks" / f"{EMPTY}.nii.gz")
    assert mask.GetSize() == scan.GetSize()
    assert np.allclose(mask.GetDirection(), scan.GetDirection(), atol=1e-5)
    ras = image_like(voxels.astype(np.uint8), orient(scan, "RAS"))
    assert np.array_equal(voxel_array(mask), voxel_array(orient(ras, "PIR")))


def test_on_a_full_disk_the_mask_stays_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = folder / "out" / "masks" / f"{FOUND}.nii.gz"
    before = path.read_bytes()
    with viewing(folder / "out") as client:
        n = client.number(FOUND)
        seen, voxels = row_of(client, n)["sha256"], drawn_on(client, n, folder)
        monkeypatch.setattr(sitk, "WriteImage", full)
        reply = client.put(f"api/mask/{n}", voxels, seen)
        assert (reply.status, path.read_bytes()) == (507, before)
        assert reply.json["error"] == "the mask was not saved: No space left on device"
        assert client.server.session.account.endswith("nothing was saved")
    assert by_row(run(folder / "cohort.csv", folder / "out"))[FOUND, "pancreas"].usable


def test_masks_of_segment_alone_are_corrected_too(folder: Path) -> None:
    out, manifest = folder / "segmented", folder / "cohort.csv"
    segment_cohort(manifest, out, weights="monet_phantom", options=RunOptions(workers=0))
    with viewing(out) as client:
        n = client.number(GIVEN)
        seen = row_of(client, n)
        assert (seen["given"], seen["editable"], seen["changed"]) == (False, True, False)
        voxels = drawn_on(client, n, folder)
        assert client.put(f"api/mask/{n}", voxels, seen["sha256"]).status == 200
    results = segment_cohort(manifest, out, weights="monet_phantom", options=RunOptions(workers=0))
    assert by_row(results)[GIVEN, "pancreas"].values["qc_mask_source"] == "corrected"


def test_where_only_given_masks_are_measured_none_is_drawn(folder: Path) -> None:
    out = folder / "extracted"
    extract_cohort(
        folder / "cohort.csv", out, settings=folder / "quick.yaml", options=RunOptions(workers=0)
    )
    with viewing(out) as client:
        n = client.number(EMPTY)
        assert "takes given masks only" in row_of(client, n)["why_not"]
        assert client.put(f"api/mask/{n}", np.ones((12, 96, 96)), "none").status == 403
        assert row_of(client, client.number(GIVEN))["editable"]
    assert not (out / "masks").exists()


def test_a_correction_beside_the_networks_mask_is_shown_and_changed(folder: Path) -> None:
    out = folder / "out"
    network = out / "masks" / f"{FOUND}.nii.gz"
    mask = read_scan(network)
    voxels = np.zeros(mask.GetSize()[::-1], np.uint8)
    voxels[4:8, 40:56, 40:56] = 1
    path = out / "masks" / f"{FOUND}_corrected.nii.gz"
    write_scan(image_like(voxels, mask), path)
    before = network.read_bytes()
    with viewing(out) as client:
        n = client.number(FOUND)
        assert client.voxels(f"api/mask/{n}", folder).sum() == voxels.sum()
        drawn = drawn_on(client, n, folder)
        assert client.put(f"api/mask/{n}", drawn, row_of(client, n)["sha256"]).status == 200
    assert np.array_equal(upright(path), drawn)
    assert network.read_bytes() == before
    assert [each.name.partition(".")[0] for each in kept(out)] == [f"{FOUND}_corrected"]


def test_the_mask_of_a_scan_with_a_name_like_a_corrections_is_that_scans_own(folder: Path) -> None:
    out, other = folder / "out", f"{FOUND}_corrected"
    masks = out / "masks"
    shutil.copy(masks / f"{FOUND}.nii.gz", masks / f"{other}.nii.gz")
    noted = out / ".pancseg" / "scans.json"
    for path in (noted, out / "features.csv"):
        path.write_text(path.read_text().replace(EMPTY, other))
    before = (masks / f"{other}.nii.gz").read_bytes()
    with viewing(out) as client:
        n = client.number(FOUND)
        voxels = drawn_on(client, n, folder)
        assert client.put(f"api/mask/{n}", voxels, row_of(client, n)["sha256"]).status == 200
    assert (masks / f"{other}.nii.gz").read_bytes() == before
    assert np.array_equal(upright(masks / f"{FOUND}.nii.gz"), voxels)
