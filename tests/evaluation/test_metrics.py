"""Measures against their definitions and MONAI's Dice; the rule for empty masks."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pancseg.evaluation.metrics import crop_to_both, mask_measures

Mask = NDArray[np.bool_]
SPACING = (2.5, 0.8, 0.7)


def blobs(seed: int, shape: tuple[int, int, int] = (6, 9, 10)) -> tuple[Mask, Mask]:
    """Two random masks that overlap in part; neither is empty."""
    rng = np.random.default_rng(seed)
    first = rng.random(shape) < rng.uniform(0.02, 0.7)
    second = first ^ (rng.random(shape) < rng.uniform(0.01, 0.3))
    first[tuple(rng.integers(0, shape))] = second[tuple(rng.integers(0, shape))] = True
    return first, second


def boundary_mm(mask: Mask, spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Centres of the voxels that have a face neighbour outside, by looking at each neighbour."""
    padded = np.pad(mask, 1)
    found = []
    for index in np.argwhere(padded):
        steps = np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
        if not all(padded[tuple(index + step)] for step in steps):
            found.append(index * np.array(spacing))
    return np.array(found, dtype=float)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 2.5, 5.0])] * 3),
)
def test_measures_are_what_they_are_defined_to_be(
    seed: int, spacing: tuple[float, float, float]
) -> None:
    prediction, reference = blobs(seed)
    found = mask_measures(prediction, reference, spacing)
    apart = cdist(boundary_mm(prediction, spacing), boundary_mm(reference, spacing))
    there, back = apart.min(axis=1), apart.min(axis=0)
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    near = (np.concatenate([there, back]) <= 2.0 + 1e-6).mean()
    overlap = 2 * (prediction & reference).sum() / (prediction.sum() + reference.sum())
    assert found.hd95_mm == pytest.approx(hd95, abs=1e-5)  # MONAI's distances are float32
    assert found.surface_dice_2mm == pytest.approx(near, abs=1e-6)
    assert found.dice == pytest.approx(overlap, abs=1e-12)
    assert found.volume_ml == pytest.approx(prediction.sum() * math.prod(spacing) / 1000)


@pytest.mark.parametrize("seed", range(5))
def test_dice_is_monais(seed: int) -> None:
    prediction, reference = blobs(seed)
    tensors = [torch.from_numpy(m)[None, None].float() for m in (prediction, reference)]
    theirs = compute_dice(*tensors, include_background=True)
    assert mask_measures(prediction, reference, SPACING).dice == pytest.approx(
        float(theirs), abs=1e-6
    )


def test_a_shifted_box_has_known_measures() -> None:
    reference = np.zeros((9, 20, 20), dtype=bool)
    reference[2:6, 5:15, 5:15] = True
    prediction = np.roll(reference, 2, axis=0)
    found = mask_measures(prediction, reference, (2.5, 0.8, 0.8))
    assert found.dice == pytest.approx(0.5)
    assert found.hd95_mm == pytest.approx(5.0)  # two slices of 2.5 mm
    assert found.volume_ml == pytest.approx(400 * 2.5 * 0.8 * 0.8 / 1000)
    assert found.volume_error_ml == found.volume_error_percent == 0.0


def test_volume_error_is_prediction_minus_reference() -> None:
    reference = np.zeros((4, 10, 10), dtype=bool)
    reference[1:3, :, :5] = True  # 100 voxels
    prediction = reference.copy()
    prediction[1, :, 0] = False  # 10 fewer
    found = mask_measures(prediction, reference, (5.0, 1.0, 1.0))
    assert found.volume_error_ml == pytest.approx(-0.05)
    assert found.volume_error_percent == pytest.approx(-10)
    assert found.reference_volume_ml == pytest.approx(0.5)


@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 2, 5), (14, 11, 10)])
def test_the_empty_space_around_the_masks_changes_nothing(offset: tuple[int, int, int]) -> None:
    small = blobs(7)
    large = []
    for mask in small:
        canvas = np.zeros((20, 20, 20), dtype=bool)
        canvas[tuple(slice(o, o + n) for o, n in zip(offset, mask.shape, strict=True))] = mask
        large.append(canvas)
    assert mask_measures(*large, SPACING) == mask_measures(*small, SPACING)
    assert max(m.size for m in crop_to_both(*large)) <= 8 * 11 * 12


def test_the_rule_for_empty_masks() -> None:
    full, empty = np.ones((3, 4, 5), dtype=bool), np.zeros((3, 4, 5), dtype=bool)
    both = mask_measures(empty, empty, SPACING)
    assert both[:3] == (1.0, 0.0, 1.0)
    assert both.volume_error_ml == 0.0
    assert math.isnan(both.volume_error_percent)
    missed = mask_measures(empty, full, SPACING)
    assert (missed.dice, missed.surface_dice_2mm, missed.volume_error_percent) == (0.0, 0.0, -100.0)
    assert math.isnan(missed.hd95_mm)
    invented = mask_measures(full, empty, SPACING)
    assert (invented.dice, invented.surface_dice_2mm) == (0.0, 0.0)
    assert math.isnan(invented.hd95_mm)
    assert math.isnan(invented.volume_error_percent)


def test_a_perfect_prediction_and_disjoint_masks() -> None:
    mask = blobs(3)[0]
    assert mask_measures(mask, mask, SPACING)[:3] == (1.0, 0.0, 1.0)
    other = np.zeros_like(mask)
    first, second = other.copy(), other.copy()
    first[0, 0, 0] = second[5, 0, 0] = True
    assert mask_measures(first, second, SPACING)[:3] == (0.0, 12.5, 0.0)


def test_shapes_must_agree_and_no_warning_escapes() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        mask_measures(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), SPACING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask_measures(*blobs(1), SPACING)
