"""Which mask is compared with which, and the scores of what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_seg import frames_of, write_seg
from rtstruct_file import outlines, write_rtstruct

from pancseg import write_scan
from pancseg.evaluation import scores
from pancseg.evaluation.evaluate import labels_of
from pancseg.evaluation.pairing import MaskPair, find_pairs
from pancseg.evaluation.scores import score_pairs
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import orient


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def mask(spacing: tuple[float, float, float] = (0.8, 0.8, 2.5)) -> sitk.Image:
    voxels = np.zeros((6, 9, 10), dtype=np.uint8)
    voxels[1:4, 2:7, 3:8] = 1
    voxels[4, 2:4, 3:5] = 2
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetOrigin((-50.0, 20.0, -300.0))
    return image


def test_pairs_are_found_by_name_whatever_format_and_case(tmp_path: Path) -> None:
    reference = folder(tmp_path / "r", "p1.nii.gz", "P2.nrrd", "notes.txt", ".p9.nii.gz")
    a = folder(tmp_path / "a", "p1.mha", "p2.nii.gz", "sha256.txt")
    b = folder(tmp_path / "b", "p1.nii.gz", "p3.nii.gz")
    pairs = find_pairs({"A": a, "B": b}, reference)
    assert [(p.case_id, p.model, bool(p.prediction), bool(p.reference)) for p in pairs] == [
        ("p1", "A", True, True),
        ("p1", "B", True, True),
        ("P2", "A", True, True),
        ("P2", "B", False, True),
        ("p3", "B", True, False),
    ]


def test_folders_that_cannot_be_paired_are_refused(tmp_path: Path) -> None:
    good = folder(tmp_path / "good", "p1.nii.gz")
    empty = folder(tmp_path / "empty", "p1.txt")
    twice = folder(tmp_path / "twice", "p1.nii.gz", "P1.nrrd")
    with pytest.raises(ValueError, match="reference: the folder does not exist"):
        find_pairs({"A": good}, tmp_path / "gone")
    with pytest.raises(ValueError, match="prediction A: the folder contains no mask"):
        find_pairs({"A": empty}, good)
    with pytest.raises(ValueError, match="prediction A: the folder has two masks of 'p1'"):
        find_pairs({"A": twice}, good)


def score_one(
    prediction: Path, reference: Path, label: int | str | None = None
) -> scores.MaskScore:
    (score,) = score_pairs([MaskPair("A", "p1", prediction, reference)], labels_of(label))
    return score


@pytest.mark.parametrize("axes", ["RAS", "SLP", "PIR"])
def test_another_order_of_axes_is_put_right(tmp_path: Path, axes: str) -> None:
    write_scan(mask(), tmp_path / "r.nii.gz")
    write_scan(orient(mask(), axes), tmp_path / "p.nii.gz")
    found = score_one(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz")
    assert found.status == "pass"
    assert found.measures is not None
    assert found.measures[:3] == (1.0, 0.0, 1.0)


def test_spacing_belongs_to_its_axis(tmp_path: Path) -> None:
    image = mask((0.5, 1.0, 4.0))
    voxels = voxel_array(image)
    write_scan(image, tmp_path / "r.nii.gz")
    for axis, mm in ((0, 4.0), (1, 1.0), (2, 0.5)):
        moved = np.roll(voxels, 1, axis=axis)
        write_scan(image_like(moved, image), tmp_path / "p.nii.gz")
        found = score_one(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz").measures
        assert found is not None
        assert found.hd95_mm == pytest.approx(mm)


def test_what_cannot_be_compared_is_a_score_with_numbers_and_a_remedy(tmp_path: Path) -> None:
    reference, prediction = tmp_path / "secret_r.nii.gz", tmp_path / "secret_p.nii.gz"
    write_scan(mask(), reference)
    write_scan(mask((0.8, 0.8, 2.0)), prediction)
    found = score_one(prediction, reference)
    assert (found.status, found.reason) == ("fail", "geometry")
    assert "reference and prediction are on different grids" in found.fact
    assert "2.50 mm" in found.fact
    assert "2.00 mm" in found.fact
    assert found.fact.endswith("resample the prediction onto the reference")

    prediction.write_bytes(reference.read_bytes()[:-20])
    truncated = score_one(prediction, reference)
    assert (truncated.status, truncated.reason) == ("fail", "unreadable")
    assert truncated.fact.startswith("the prediction: ")
    assert score_one(reference, prediction).fact.startswith("the reference: ")

    write_scan(sitk.Cast(mask(), sitk.sitkFloat32) * 0.37, prediction)
    assert score_one(prediction, reference).reason == "not_labels"
    assert "secret" not in truncated.fact + found.fact


def test_missing_masks_are_scores_too() -> None:
    pairs = [MaskPair("A", "p1", None, Path("r")), MaskPair("A", "p2", Path("p"), None)]
    found = list(score_pairs(pairs))
    assert [(s.status, s.reason) for s in found] == [
        ("fail", "no_prediction"),
        ("fail", "no_reference"),
    ]
    assert all(s.measures is None and s.fact for s in found)


def test_everything_that_is_not_zero_counts_or_one_label(tmp_path: Path) -> None:
    write_scan(mask(), tmp_path / "r.nii.gz")
    write_scan(mask() > 0, tmp_path / "p.nii.gz")
    merged = score_one(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz").measures
    assert merged is not None
    assert merged.dice == 1.0
    single = score_one(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz", label=1).measures
    assert single is not None
    assert single.dice == pytest.approx(2 * 75 / (75 + 79))
    tumour = score_one(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz", label=2)
    assert (tumour.status, tumour.reason) == ("warn", "empty_prediction")


def test_many_labels_are_joined_with_a_warning(tmp_path: Path) -> None:
    organs = voxel_array(mask()).copy()
    organs[5] = 7
    write_scan(image_like(organs, mask()), tmp_path / "r.nii.gz")
    found = score_one(tmp_path / "r.nii.gz", tmp_path / "r.nii.gz")
    assert (found.status, found.reason) == ("warn", "several_labels")
    assert found.fact == "the reference has labels 1, 2, 7, all joined; name one with `label`"
    assert score_one(tmp_path / "r.nii.gz", tmp_path / "r.nii.gz", label=7).status == "pass"


def test_a_bug_is_an_error_row_and_the_next_case_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scan(mask(), tmp_path / "r.nii.gz")
    real, calls = scores.mask_measures, iter([True, False])

    def broken(*arguments: object) -> object:
        if next(calls):
            raise ZeroDivisionError
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scores, "mask_measures", broken)
    path = tmp_path / "r.nii.gz"
    found = list(score_pairs([MaskPair("A", "p1", path, path), MaskPair("B", "p1", path, path)]))
    assert [(s.status, s.reason) for s in found] == [("error", "ZeroDivisionError"), ("pass", "")]


def test_segments_are_compared_by_their_names(tmp_path: Path) -> None:
    """Prediction and reference number their segments differently."""
    for name, numbers in {"r": (1, 2), "p": (7, 3)}.items():
        voxels = voxel_array(mask()).copy()
        renumbered = np.choose(voxels, (0, *numbers)).astype(np.uint8)
        write_scan(image_like(renumbered, mask()), tmp_path / f"{name}.nii.gz")
        names = {str(numbers[0]): "Pancreas", str(numbers[1]): "PDAC", "9": "Duodenum"}
        (tmp_path / f"{name}.json").write_text(json.dumps(names))
    pair = tmp_path / "p.nii.gz", tmp_path / "r.nii.gz"
    for label in ("pancreas", "PDAC", "pancreas,pdac", None):
        found = score_one(*pair, label=label)
        assert (found.status, found.measures and found.measures.dice) == ("pass", 1.0)
    assert score_one(*pair, label="duodenum").reason == "both_empty"
    assert "no voxel of duodenum" in score_one(*pair, label="duodenum").fact
    (tmp_path / "p.json").write_text('{"7": "Stomach", "3": "Duodenum"}')
    stranger = score_one(*pair)
    assert (stranger.status, stranger.reason) == ("fail", "several_labels")
    assert stranger.fact.startswith("the prediction: ")
    assert "stomach (7), duodenum (3)" in stranger.fact


def test_dicom_segs_are_compared_whatever_they_leave_out(tmp_path: Path) -> None:
    image = mask()
    labels = voxel_array(image)
    for name in ("r", "p"):
        (tmp_path / name).mkdir()
    frames = [*frames_of(1, labels == 1), *frames_of(2, labels == 2)]
    write_seg(tmp_path / "r" / "a.dcm", image, frames, ("pancreas", "tumour"))
    write_scan(image, tmp_path / "p" / "a.nii.gz")
    write_scan(image, tmp_path / "r" / "b.nii.gz")
    (tmp_path / "p" / "b").mkdir()
    write_seg(tmp_path / "p" / "b" / "IM1", image, frames, ("pancreas", "tumour"))
    write_seg(tmp_path / "r" / "c.dcm", image, frames_of(1, labels == 1))
    write_seg(tmp_path / "p" / "c.dcm", image, frames_of(1, np.roll(labels, 2, 0) == 1))
    pairs = find_pairs({"A": tmp_path / "p"}, tmp_path / "r")
    assert [pair.case_id for pair in pairs] == ["a", "b", "c"]
    for label in (None, 1, 2):
        found = list(score_pairs(pairs[:2], labels_of(label)))
        assert [score.measures and score.measures.dice for score in found] == [1.0, 1.0]
        assert {score.status for score in found} == {"pass"}
    (moved,) = score_pairs(pairs[2:])
    assert moved.measures is not None
    assert moved.measures.dice == pytest.approx(1 / 3)  # 1 of 3 slices is shared


def test_contours_are_compared_on_the_grid_of_the_other_mask(tmp_path: Path) -> None:
    image = mask()
    labels = voxel_array(image)
    regions = {"pancreas": outlines(labels == 1, image), "tumour": outlines(labels == 2, image)}
    drawn = write_rtstruct(tmp_path / "drawn.dcm", regions | {"points": []})
    given = tmp_path / "given.nii.gz"
    write_scan(image, given)
    pairs = [MaskPair("A", "a", given, drawn), MaskPair("A", "b", drawn, given)]
    for label in (None, 1, 2):
        found = list(score_pairs(pairs, labels_of(label)))
        assert [(score.status, score.measures and score.measures.dice) for score in found] == [
            ("pass", 1.0)
        ] * 2
    (pointless,) = score_pairs(pairs[:1], labels_of(3))
    assert pointless.fact == "the reference: segment points: it has no contours; draw it"
    (both,) = score_pairs([MaskPair("A", "c", drawn, drawn)])
    assert both.fact.startswith("the prediction: an RTSTRUCT holds contours, but no grid")
