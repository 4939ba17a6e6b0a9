"""Contours belong to the nearest slice, and those of the plane nearest to its centre count."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.contour_planes import pieces_of

SIZE = (9, 8, 7)


def box(z: float, first: float = 1.5, last: float = 5.5) -> NDArray[np.float64]:
    corners = ((first, first), (last, first), (last, last + 1), (first, last + 1))
    return np.array([(x, y, z) for x, y in corners])


def drawn(*contours: NDArray[np.float64], size: tuple[int, int, int] = SIZE) -> NDArray[np.bool_]:
    mask = np.zeros(size[::-1], bool)
    for where, inside in pieces_of(contours, size):
        mask[where] = inside
    return mask


def slices(*planes: float) -> list[int]:
    return np.flatnonzero(drawn(*map(box, planes)).any(axis=(1, 2))).tolist()


@pytest.mark.parametrize("off", [-0.49, -0.3, 0.0, 0.3, 0.49])
def test_contours_beside_the_slices_belong_to_the_nearest(off: float) -> None:
    assert slices(2 + off, 3 + off, 4 + off) == [2, 3, 4]


@pytest.mark.parametrize("noise", [-1e-9, 0.0, 1e-9])
def test_contours_halfway_between_slices_are_neither_lost_nor_doubled(noise: float) -> None:
    assert slices(1.5 + noise, 2.5, 3.5 - noise, 4.5) == [2, 3, 4, 5]


@pytest.mark.parametrize(("step", "nearest"), [(0.2, 3.0), (0.25, 3.1), (0.4, 2.8)])
def test_of_contours_closer_together_than_slices_the_nearest_count(
    step: float, nearest: float
) -> None:
    planes = np.arange(1.6, 4.6, step).round(9)
    widths = {plane: 3.5 + (plane == nearest) for plane in planes.tolist()}
    assert nearest in widths
    mask = drawn(*(box(plane, last=last) for plane, last in widths.items()))
    assert np.array_equal(mask[3], drawn(box(3, last=4.5))[3])


def test_planes_as_far_above_a_slice_as_below_are_decided_by_the_lower() -> None:
    for noise in (-1e-10, 0.0, 1e-10):
        mask = drawn(box(2.8 + noise, last=3.5), box(3.2, last=5.5))
        assert np.array_equal(mask, drawn(box(3, last=3.5)))


def test_contours_of_one_plane_are_one_region_although_positions_are_rounded() -> None:
    mask = drawn(box(3.0, 0.5, 6.5), box(3.04, 1.5, 4.5))
    assert np.array_equal(mask, drawn(box(3, 0.5, 6.5)) ^ drawn(box(3, 1.5, 4.5)))


def test_a_contour_that_is_there_twice_counts_once() -> None:
    assert np.array_equal(drawn(box(3), box(3)), drawn(box(3)))


def test_a_slice_that_was_left_out_stays_empty() -> None:
    assert slices(1, 2, 3, 5, 6) == [1, 2, 3, 5, 6]
    assert slices(1, 4) == [1, 4]


@pytest.mark.parametrize("axis", [0, 1])
def test_contours_may_lie_along_any_pair_of_axes(axis: int) -> None:
    order = [2, 1, 0] if axis == 0 else [0, 2, 1]
    planes = [box(z)[:, order] for z in (2, 3)]
    size = tuple(SIZE[n] for n in order)
    expected = drawn(box(2), box(3))
    turned = drawn(*planes, size=(size[0], size[1], size[2]))
    assert np.array_equal(turned.T.transpose(order).T, expected)


@pytest.mark.parametrize(
    ("contours", "code", "fact"),
    [
        ([], "empty_mask", "no contours"),
        (
            [box(3, 2.1, 2.3)],
            "empty_mask",
            r"no voxel.s centre is inside its contours \(1 in all\)",
        ),
        ([box(3), box(7.5)], "geometry", "1 of 2 contours lie above or below the scan's 7 slices"),
        ([box(-9)], "geometry", "1 of 1 contours lie above or below"),
        ([box(3, 90, 95)], "empty_mask", "no voxel's centre is inside"),
        ([box(0), box(2), box(4)], "geometry", "on 3 of 5 slices; interpolate"),
        ([box(1e300)], "geometry", "more than 1,000,000 voxels away"),
        (
            [box(3) @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])],
            "geometry",
            "run across up to 6 of the scan's slices",
        ),
    ],
)
def test_contours_that_cannot_be_used_say_why(
    contours: list[NDArray[np.float64]], code: str, fact: str
) -> None:
    with pytest.raises(UnusableCase, match=fact) as refused:
        pieces_of(contours, SIZE)
    assert refused.value.code == code
