"""The synthetic patient: same seed, same bytes; plausible pancreas; one patient on every grid."""

from collections.abc import Sequence

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import label

from pancseg.phantom import ORGANS, PANCREAS_LABEL, TUMOUR_LABEL, Phantom, make_phantom

SEEDS = (0, 1, 2, 3)
COARSE_SIZE, COARSE_SPACING_MM = (60, 54, 24), (6.0, 6.6, 7.5)


@pytest.fixture(scope="module")
def patients() -> dict[int, Phantom]:
    """Default scans; the last seed has a tumour."""
    return {seed: make_phantom(seed, tumour=seed == SEEDS[-1]) for seed in SEEDS}


@pytest.fixture(scope="module")
def upright() -> Phantom:
    """A coarse scan in LPS."""
    return make_phantom(1, size=COARSE_SIZE, spacing_mm=COARSE_SPACING_MM)


def _arrays(phantom: Phantom) -> list[np.ndarray]:
    return [sitk.GetArrayFromImage(image) for image in phantom]


def _volume_ml(phantom: Phantom) -> float:
    voxels = np.count_nonzero(sitk.GetArrayFromImage(phantom.mask))
    return float(voxels * np.prod(phantom.mask.GetSpacing()) / 1000)


def _assert_same_grid(images: Sequence[sitk.Image], reference: sitk.Image) -> None:
    for image in images:
        assert image.GetSize() == reference.GetSize()
        assert image.GetDirection() == reference.GetDirection()
        assert image.GetSpacing() == reference.GetSpacing()
        np.testing.assert_allclose(image.GetOrigin(), reference.GetOrigin(), atol=1e-9)


def test_scan_has_the_promised_types_and_one_grid(patients: dict[int, Phantom]) -> None:
    phantom = patients[0]
    assert phantom.image.GetPixelID() == sitk.sitkInt16
    assert {phantom.mask.GetPixelID(), phantom.organs.GetPixelID()} == {sitk.sitkUInt8}
    assert phantom.image.GetSize() == (160, 160, 40)
    assert phantom.image.GetSpacing() == (2.2, 2.2, 5.0)
    _assert_same_grid(phantom, phantom.image)
    hu, _, organs = _arrays(phantom)
    assert hu.min() >= -1024
    assert hu.max() <= 3071
    assert np.median(hu[organs == ORGANS["air"]]) == pytest.approx(-1000, abs=5)


def test_same_seed_same_bytes_and_other_seed_differs(patients: dict[int, Phantom]) -> None:
    again = _arrays(make_phantom(1))
    for first, second in zip(_arrays(patients[1]), again, strict=True):
        assert first.tobytes() == second.tobytes()
    other = _arrays(patients[2])
    assert not any(np.array_equal(a, b) for a, b in zip(again, other, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_pancreas_is_one_piece_of_plausible_size_and_hu(
    patients: dict[int, Phantom], seed: int
) -> None:
    hu, mask, _ = _arrays(patients[seed])
    assert 40 < _volume_ml(patients[seed]) < 120
    assert label(mask > 0, np.ones((3, 3, 3)))[1] == 1
    assert 80 < np.median(hu[mask == PANCREAS_LABEL]) < 130
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    assert slices[0] >= 2
    assert slices[-1] < mask.shape[0] - 2


def test_tumour_is_hypodense_and_leaves_the_patient_alone(patients: dict[int, Phantom]) -> None:
    seed = SEEDS[-1]
    hu, mask, organs = _arrays(patients[seed])
    tumour = mask == TUMOUR_LABEL
    assert np.median(hu[tumour]) < np.median(hu[mask == PANCREAS_LABEL]) - 15
    diameter_mm = 2 * (3 * tumour.sum() * 2.2 * 2.2 * 5.0 / (4 * np.pi)) ** (1 / 3)
    assert 16 < diameter_mm < 36
    _, healthy_mask, healthy_organs = _arrays(make_phantom(seed))
    assert TUMOUR_LABEL not in healthy_mask
    assert np.mean(organs != healthy_organs) < 0.01
    assert np.array_equal(organs == ORGANS["tumour"], tumour)


@pytest.mark.parametrize("code", ["RAS", "LAS", "LPI", "SPL"])
def test_orientation_describes_the_same_patient(upright: Phantom, code: str) -> None:
    turned = make_phantom(1, size=COARSE_SIZE, spacing_mm=COARSE_SPACING_MM, orientation=code)
    finder = sitk.DICOMOrientImageFilter()
    assert finder.GetOrientationFromDirectionCosines(turned.image.GetDirection()) == code
    for image, reference in zip(turned, upright, strict=True):
        back = sitk.DICOMOrient(image, "LPS")
        _assert_same_grid([back], reference)
        assert np.array_equal(
            sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(reference)
        )


@pytest.mark.parametrize(
    ("size", "spacing_mm"),
    [((110, 110, 80), (3.0, 3.2, 2.5)), ((200, 200, 27), (1.7, 1.7, 7.5))],
)
def test_another_grid_shows_the_same_patient(
    patients: dict[int, Phantom], size: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> None:
    other = make_phantom(1, size=size, spacing_mm=spacing_mm)
    assert _volume_ml(other) == pytest.approx(_volume_ml(patients[1]), rel=0.1)
    seen = sitk.Resample(other.mask, patients[1].mask, sitk.Transform(), sitk.sitkNearestNeighbor)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(seen, patients[1].mask)
    assert overlap.GetDiceCoefficient() > 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_organs_lie_on_their_sides(patients: dict[int, Phantom], seed: int) -> None:
    organs = sitk.GetArrayFromImage(patients[seed].organs)

    def centre(*names: str) -> np.ndarray:  # fraction of the scan along z, y, x in LPS
        index = np.argwhere(np.isin(organs, [ORGANS[name] for name in names]))
        return np.asarray(index.mean(axis=0) / organs.shape)

    z, y, x = range(3)
    assert centre("liver")[x] < 0.45 < 0.55 < centre("spleen")[x]
    assert centre("spinal_canal")[y] > centre("artery")[y] > centre("stomach")[y]
    assert centre("lung")[z] > centre("liver")[z] > centre("duodenum")[z]
    assert centre("pancreas")[y] < centre("disc")[y]


def test_small_field_of_view_cuts_the_patient(patients: dict[int, Phantom]) -> None:
    inside = make_phantom(1, size=(64, 64, 1), spacing_mm=(2.2, 2.2, 5.0))
    assert ORGANS["air"] not in sitk.GetArrayFromImage(inside.organs)
    assert inside.image.GetSize() == (64, 64, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spacing_mm": (2.2, 0.0, 5.0)}, "spacing_mm"),
        ({"spacing_mm": (2.2, 2.2, float("nan"))}, "spacing_mm"),
        ({"size": (160, 0, 40)}, "size"),
        ({"orientation": "LPX"}, "orientation"),
        ({"orientation": "LRS"}, "orientation"),
        ({"orientation": "LP"}, "orientation"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_phantom(0, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="non-negative"):
        make_phantom(-1)
