"""Make a phantom from a randomly drawn patient: a noisy CT, a mask and a tissue map on one grid.

Of all organs, this module names only the pancreas with its tumour, which form the mask, and the
lungs, which fill the chest. The others are painted as listed in ``anatomy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pancseg.phantom.anatomy import Patient, draw_patient
from pancseg.phantom.shapes import ORGANS, TISSUES, Field, Layer, Part, Point, Solid

Window = tuple[slice, slice, slice]

PANCREAS_LABEL = 1
TUMOUR_LABEL = 2

_AXIS_OF_LETTER = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}
_MARGIN_MM = 9.0  # distances are valid up to here outside a part
_SLAB_SAMPLES = 2_500_000  # number of samples painted at once; limits the memory
_CAVITY_GAP_MM = 2.5  # fat between the abdominal wall or the diaphragm and the organs
_TEXTURE_HU = np.array([sd for _, _, sd in TISSUES.values()], np.float32)


class Phantom(NamedTuple):
    """One synthetic patient; the three images share one grid.

    Attributes:
        image: CT in HU, int16, within [-1024, 3071].
        mask: uint8; 0 background, 1 pancreas, 2 tumour.
        organs: uint8; the tissue of each voxel, with the values of ``ORGANS``.
    """

    image: sitk.Image
    mask: sitk.Image
    organs: sitk.Image


def make_phantom(
    seed: int,
    *,
    size: tuple[int, int, int] = (160, 160, 40),
    spacing_mm: tuple[float, float, float] = (2.2, 2.2, 5.0),
    orientation: str = "LPS",
    tumour: bool = False,
) -> Phantom:
    """Make a synthetic portal-venous abdominal CT with its pancreas.

    The seed decides the patient. Size, spacing and orientation only decide how that patient is
    scanned, and ``tumour`` adds a lesion to the same patient. The grid is centred on (0, 0, 0) mm,
    which is in front of the spine at the level of the pancreas.

    Args:
        seed: Non-negative seed of patient and noise; the same seed gives identical bytes.
        size: Number of voxels along x (to the left), y (posterior) and z (superior), at least 1.
        spacing_mm: Voxel size in mm along the same axes; slices have no gaps between them.
        orientation: DICOM orientation code of the returned images, whose axes are reordered and
            flipped accordingly.
        tumour: Whether to add a hypodense tumour of 20-35 mm in the head or the body.

    Returns:
        CT, mask and tissue map in ``orientation``, on one grid.

    Raises:
        ValueError: a size is below 1, a spacing is not positive, the orientation code is unknown
            or the seed is negative.
    """
    _check(size, spacing_mm, orientation)
    patient_seed, noise_seed = np.random.SeedSequence(seed).spawn(2)
    patient = draw_patient(patient_seed, tumour=tumour)
    x, y, z = (
        np.arange(n, dtype=np.float64) * s - (n - 1) * s / 2
        for n, s in zip(size, spacing_mm, strict=True)
    )
    hu, tissue = _scan(patient, np.random.default_rng(noise_seed), (z, y, x), spacing_mm)
    mask = np.zeros_like(tissue)
    mask[tissue == ORGANS["pancreas"]] = PANCREAS_LABEL
    mask[tissue == ORGANS["tumour"]] = TUMOUR_LABEL
    images = [sitk.GetImageFromArray(array) for array in (hu, mask, tissue)]
    for image in images:
        image.SetSpacing(spacing_mm)
        image.SetOrigin((float(x[0]), float(y[0]), float(z[0])))
    return Phantom(*(sitk.DICOMOrient(image, orientation) for image in images))


def _check(size: Sequence[int], spacing_mm: Sequence[float], orientation: str) -> None:
    if len(size) != 3 or any(n < 1 for n in size):
        raise ValueError(
            f"size must be three numbers of voxels, each at least 1, got {tuple(size)}"
        )
    if len(spacing_mm) != 3 or not all(0 < s < np.inf for s in spacing_mm):
        raise ValueError(f"spacing_mm must be three positive lengths, got {tuple(spacing_mm)}")
    if sorted(_AXIS_OF_LETTER.get(letter, -1) for letter in orientation) != [0, 1, 2]:
        raise ValueError(f"orientation must be a DICOM code such as 'LPS', got {orientation!r}")


def _scan(
    patient: Patient,
    noise: np.random.Generator,
    axes_mm: tuple[Point, Point, Point],
    spacing_mm: tuple[float, float, float],
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return HU and tissue of the voxels centred at ``axes_mm``; arrays and axes are (z, y, x)."""
    z, y, x = axes_mm
    noise_hu = noise.uniform(10, 15)
    parts = 2 * int(spacing_mm[2] / 4) + 1  # odd: the middle sub-slice gives the labels
    offsets = np.linspace(-0.5, 0.5, 2 * parts + 1)[1::2] * spacing_mm[2]
    edge_mm = float(np.hypot(max(spacing_mm[:2]), 1.8))  # width of a blurred boundary
    shape = (len(z), len(y), len(x))
    hu, tissue = np.empty(shape, np.int16), np.empty(shape, np.uint8)
    step = max(1, _SLAB_SAMPLES // (len(x) * len(y) * parts))
    for first in range(0, len(z), step):
        slices = slice(first, min(first + step, len(z)))
        slab = _Slab(patient, ((z[slices, None] + offsets).ravel(), y, x), edge_mm)
        slab.render()
        mean = slab.hu.reshape(-1, parts, len(y), len(x)).mean(1)
        mean += _scanner_noise(noise, mean.shape, spacing_mm[:2], noise_hu)
        hu[slices] = np.clip(np.rint(mean), -1024, 3071)
        tissue[slices] = slab.tissue[parts // 2 :: parts]
    return hu, tissue


def _scanner_noise(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    in_plane_mm: tuple[float, float],
    sd: float,
) -> Field:
    """Return noise in HU, (z, y, x), correlated within slices as after filtered back-projection."""
    impulse = np.zeros((1, 41, 41), np.float32)
    impulse[0, 20, 20] = 1

    def band(white: Field) -> Field:
        sigma = [(0, s / in_plane_mm[1], s / in_plane_mm[0]) for s in (0.7, 1.8)]
        high, low = (gaussian_filter(white, s, mode="wrap", truncate=3) for s in sigma)
        return np.asarray(high - np.float32(0.6) * low, np.float32)

    gain = sd / float(np.sqrt((band(impulse) ** 2).sum()))
    return band(rng.standard_normal(shape, dtype=np.float32)) * np.float32(gain)


def _smooth_field(lattice: Field, step_mm: float, axes_mm: Sequence[Point]) -> Field:
    """Return a periodic random field (z, y, x) of unit variance: B-splines on a noise lattice.

    Args:
        lattice: white noise of unit variance.
        step_mm: distance between the lattice's points.
        axes_mm: coordinates z, y, x of the field's samples.
    """
    field = lattice
    for axis, at_mm in enumerate(axes_mm):
        cell, t = np.divmod(at_mm / step_mm, 1.0)
        weights = np.zeros((len(at_mm), lattice.shape[axis]), np.float32)
        rows = np.arange(len(at_mm))
        basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        for k, value in enumerate(basis):
            weights[rows, (cell.astype(int) + k) % lattice.shape[axis]] = value / 6
        field = np.moveaxis(np.tensordot(weights, field, (1, axis)), 0, axis)
    # Interpolation multiplies the mean variance by 151/315 along each axis.
    return np.ascontiguousarray(field / np.float32((151 / 315) ** 1.5))


def _slices(low: NDArray[np.intp], high: NDArray[np.intp]) -> Window:
    """Return the slices from index ``low`` up to but excluding ``high``, both (z, y, x)."""
    (z0, y0, x0), (z1, y1, x1) = low, high
    return slice(z0, z1), slice(y0, y1), slice(x0, x1)


class _Slab:
    """A stack of some slices, on whose samples shapes are painted; arrays are (z, y, x)."""

    def __init__(self, patient: Patient, axes_mm: Sequence[Point], edge_mm: float) -> None:
        self.patient, self.axes_mm, self.edge_mm = patient, axes_mm, np.float32(edge_mm)
        z, y, x = (
            np.asarray(at - origin, np.float32)
            for at, origin in zip(axes_mm, patient.shift_mm[::-1], strict=True)
        )
        inverse = patient.turn.T.astype(np.float32)
        self.xyz = [r[0] * x + r[1] * y[:, None] + r[2] * z[:, None, None] for r in inverse]
        shape = self.xyz[0].shape
        self.hu, self.tissue = np.full(shape, -1000, np.float32), np.zeros(shape, np.uint8)
        self.fields = {k: _smooth_field(*v, axes_mm) for k, v in patient.lattices.items()}
        self.cavity_mm = np.full(shape, -np.inf, np.float32)  # unbounded until open_cavity

    def render(self) -> None:
        """Paint the whole patient, then the texture of each tissue."""
        for shape in self.patient.torso:
            self.paint(shape)
        self.open_cavity()
        for shape in self.patient.content:
            self.paint(shape)
        self.hu += self.fields["grain"] * _TEXTURE_HU[self.tissue]

    def open_cavity(self) -> None:
        """Compute the distance to the abdominal cavity, and fill the chest above it with lung."""
        everywhere: Window = (slice(None),) * 3
        wall, z = self.patient.cavity.distance(*self.xyz), self.xyz[2]
        domes = np.min([part.distance(*self.xyz) for part in self.patient.domes], 0)
        domes -= 2 * np.maximum(30 - z, 0)
        self.cavity_mm = np.maximum(wall, domes) + np.float32(_CAVITY_GAP_MM)
        lung = Layer("lung", TISSUES["lung"][0])
        self.fill(everywhere, np.maximum(wall + 3, np.float32(1.5) - domes), lung)

    def paint(self, shape: Solid) -> None:
        """Paint a shape over the shapes painted before it."""
        window = self.window(shape.parts)
        if window is None:
            return
        distance = self.union(shape.parts, window)
        for amount_mm, name in ((shape.roughness_mm, "rough"), (shape.lobule_mm, "lobule")):
            if amount_mm:
                distance += np.float32(amount_mm) * self.fields[name][window]
        if shape.carved:
            distance = np.maximum(distance, -self.union(shape.carved, window))
        if shape.in_cavity:
            distance = np.maximum(distance, self.cavity_mm[window])
        for layer in shape.layers:
            from_layer = distance + np.float32(layer.inset_mm)
            if layer.anterior_of_mm is not None:
                from_layer = np.maximum(
                    from_layer, self.xyz[1][window] - np.float32(layer.anterior_of_mm)
                )
            self.fill(window, from_layer, layer)

    def fill(self, window: Window, distance_mm: Field, layer: Layer) -> None:
        """Blend in one layer; ``distance_mm`` is the distance to it, negative inside."""
        coverage = np.clip(np.float32(0.5) - distance_mm / self.edge_mm, 0, 1)
        hu = self.hu[window]
        hu += coverage * (np.float32(layer.hu) - hu)
        self.tissue[window][distance_mm < 0] = ORGANS[layer.tissue]

    def union(self, parts: Sequence[Part], window: Window) -> Field:
        """Return the signed distance in mm to the nearest part; 1000 where no part is near."""
        distance = np.full(self.hu[window].shape, 1000, np.float32)
        start, stop = (np.array([getattr(w, end) for w in window]) for end in ("start", "stop"))
        for part, box in zip(parts, self.boxes(parts), strict=True):
            low, high = np.maximum(box[:, 0], start), np.minimum(box[:, 1], stop)
            if (high > low).all():
                near = part.distance(*(c[_slices(low, high)] for c in self.xyz))
                inner = _slices(low - start, high - start)
                distance[inner] = np.minimum(distance[inner], near)
        return distance

    def window(self, parts: Sequence[Part]) -> Window | None:
        """Return the window of samples around all parts, or None if none is in the slab."""
        boxes = self.boxes(parts)
        low, high = boxes[:, :, 0].min(0), boxes[:, :, 1].max(0)
        return _slices(low, high) if (high > low).all() else None

    def boxes(self, parts: Sequence[Part]) -> NDArray[np.intp]:
        """Return start and stop index of the samples around each part, as (part, zyx, 2)."""
        bounds = np.array([part.bounds_mm() for part in parts])
        turn = self.patient.turn
        middle = bounds.mean(1) @ turn.T + self.patient.shift_mm
        reach = (bounds[:, 1] - bounds[:, 0]) / 2 @ np.abs(turn).T + _MARGIN_MM
        low, high = (middle - reach)[:, ::-1], (middle + reach)[:, ::-1]
        ends = [
            np.searchsorted(axis, [low[:, i], high[:, i]]) for i, axis in enumerate(self.axes_mm)
        ]
        return np.stack(ends).transpose(2, 0, 1)
