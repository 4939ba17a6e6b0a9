"""Serve slices as torch datasets: augmented windows for training, whole slices for validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pancseg.training.data.augment import build_augmentation
from pancseg.training.data.labelled_slice import UNKNOWN, LabelledSlice
from pancseg.training.recipe import Recipe

Item = tuple[Tensor, Tensor, str]
BODY = 25
"""Brighter pixels (of 0..255) are body; the others are air or fat."""


class Draw(NamedTuple):
    """The index of a slice, and the seed of its augmentation."""

    number: int
    seed: int


class Shuffled(Sampler[Draw]):
    """Draws slices in an order that depends only on ``seed`` and ``epoch``.

    Set ``epoch`` before each epoch. Only a share of each source's slices is drawn, and each epoch
    draws others.

    Args:
        sources: number of the source of each slice.
        shares: for each source, the share of its slices that an epoch draws.
        seed: seed of the order and of the augmentation.
    """

    def __init__(self, sources: Sequence[int], shares: Sequence[float], seed: int) -> None:
        self._members = [np.flatnonzero(np.array(sources) == s) for s in range(len(shares))]
        self._counts = [
            max(1, round(len(m) * share)) if len(m) else 0
            for m, share in zip(self._members, shares, strict=True)
        ]
        self._seed, self.epoch = seed, 0

    def __len__(self) -> int:
        """Return the number of draws in an epoch."""
        return sum(self._counts)

    def __iter__(self) -> Iterator[Draw]:
        """Yield the epoch's draws."""
        rng = np.random.default_rng((self._seed, self.epoch))
        chosen = np.concatenate(
            [rng.permutation(m)[:n] for m, n in zip(self._members, self._counts, strict=True)]
        )
        seeds = rng.integers(0, 2**32, len(chosen), dtype=np.uint32)
        for index, seed in zip(rng.permutation(chosen), seeds, strict=True):
            yield Draw(int(index), int(seed))


class TrainingSlices(Dataset[Item]):
    """Items are ``(image, mask, patient)``: augmented windows around the body.

    ``image`` is ``(1, H, W)`` float32 in 0..1; ``mask`` of the same shape is 0, 1 or ``UNKNOWN``.
    The same :class:`Draw` always gives the same item.
    """

    def __init__(self, slices: Sequence[LabelledSlice], recipe: Recipe) -> None:
        self._slices = slices
        self._recipe = recipe
        self._transform = build_augmentation(
            recipe.augmentation, recipe.crop or (recipe.size, recipe.size)
        )

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._slices)

    def __getitem__(self, draw: Draw) -> Item:
        """Return one item."""
        item = self._slices[draw.number]
        shift = self._shift(item, draw.seed)
        self._transform.set_random_state(draw.seed)
        changed = self._transform(
            {
                "image": _tensor(_shifted(item.image, shift)) / 255,
                "mask": _tensor(_shifted(item.mask, shift)),
            }
        )
        # MONAI's tensor class would double the time of a backward pass
        image, mask = (convert_to_tensor(changed[k], track_meta=False) for k in ("image", "mask"))
        return image.clamp(0, 1), mask, item.patient

    def _shift(self, item: LabelledSlice, seed: int) -> tuple[int, int]:
        """Return the shift (y, x) that brings the window's centre to the slice's centre."""
        if self._recipe.crop is None:
            return 0, 0
        if self._recipe.crop_around == "body":
            return _to_centre(item.image > BODY)
        return _to_window(item, np.random.default_rng(seed), self._recipe.elsewhere)


class LabelWindows(Dataset[Item]):
    """Items are ``(image, mask, patient)``: unchanged windows around the label, for validation.

    Slices without pancreas are cut around a point in the body that is the same in every epoch.

    Args:
        slices: the validation slices.
        window: rows and columns of the window.
    """

    def __init__(self, slices: Sequence[LabelledSlice], window: tuple[int, int]) -> None:
        self._slices, self._window = slices, window

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._slices)

    def __getitem__(self, index: int) -> Item:
        """Return one item."""
        item = self._slices[index]
        shift = _to_window(item, np.random.default_rng(index), elsewhere=0.0)
        image, mask = (
            _tensor(_middle(_shifted(pixels, shift), self._window))
            for pixels in (item.image, item.mask)
        )
        return image / 255, mask, item.patient


class WholeSlices(Dataset[Item]):
    """Items are ``(image, mask, patient)`` as in :class:`TrainingSlices`, whole and unchanged."""

    def __init__(self, slices: Sequence[LabelledSlice]) -> None:
        self._slices = slices

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._slices)

    def __getitem__(self, index: int) -> Item:
        """Return one item."""
        item = self._slices[index]
        return _tensor(item.image) / 255, _tensor(item.mask), item.patient


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32)[None])


def _to_centre(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the shift (y, x) that brings a region's centre of mass to the slice's centre."""
    total = max(int(inside.sum()), 1)
    y, x = (
        float(inside.sum(1 - axis) @ np.arange(n)) / total for axis, n in enumerate(inside.shape)
    )
    return round(inside.shape[0] / 2 - y), round(inside.shape[1] / 2 - x)


def _to_window(item: LabelledSlice, rng: np.random.Generator, elsewhere: float) -> tuple[int, int]:
    """Return the shift (y, x) of a window around the label, or around a random point in the body.

    Args:
        item: the slice.
        rng: draws whether the window lies elsewhere, and the point.
        elsewhere: share of the windows that do not look at the label.
    """
    inside = item.mask == 1
    if rng.random() >= elsewhere and inside.any():
        return _to_centre(inside)
    points = np.flatnonzero((item.image > BODY) & (item.mask != UNKNOWN))
    if not points.size:
        return 0, 0
    y, x = divmod(int(rng.choice(points)), item.image.shape[1])
    return item.image.shape[0] // 2 - y, item.image.shape[1] // 2 - x


def _middle(pixels: NDArray[np.uint8], window: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the middle of a slice, ``window`` rows and columns."""
    rows, columns = (
        slice((n - side) // 2, (n - side) // 2 + side)
        for n, side in zip(pixels.shape, window, strict=True)
    )
    return pixels[rows, columns]


def _shifted(pixels: NDArray[np.uint8], shift: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels moved by ``shift`` (y, x); pixels from outside are 0."""
    result = np.zeros_like(pixels)
    to, start = [], []
    for n, by in zip(pixels.shape, shift, strict=True):
        to.append(slice(max(by, 0), n + min(by, 0)))
        start.append(slice(max(-by, 0), n - max(by, 0)))
    result[tuple(to)] = pixels[tuple(start)]
    return result
