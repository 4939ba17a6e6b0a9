"""Filters of mode ``ibsi``: Laplacian of Gaussian and separable wavelets.

Source: IBSI 2 reference manual, arXiv 2006.05470, sections 3.2 and 3.5. Arrays are mirrored at
their borders, with the edge voxel repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pywt
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float64]
TRUNCATE = 4.0
"""Gaussians are cut off after four standard deviations."""


NARROWEST_VOXELS = 0.75
"""Below this width a sampled Gaussian's second derivative no longer sums to zero: flat tissue of
100 HU would give -0.2 at 0.75 voxels, -7 at 0.6, -42 at 0.5 (in units of the filter's width)."""


def log_radius(sigma_mm: float, spacing_mm: Sequence[float]) -> tuple[int, ...]:
    """Return the reach of a Laplacian of Gaussian to either side, in voxels (z, y, x).

    >>> log_radius(2.0, (2.5, 1.0, 1.0))
    (3, 8, 8)
    """
    return tuple(int(TRUNCATE * sigma_mm / s + 0.5) for s in spacing_mm)


def laplacian_of_gaussian(
    image: Image,
    sigma_mm: float,
    spacing_mm: Sequence[float],
    core: tuple[slice, ...],
    *,
    planar: bool = False,
) -> Image:
    """Return the core of ``scipy.ndimage.gaussian_laplace(image, sigma_mm / spacing_mm)``.

    Seven one-dimensional filters do instead of nine, and each axis is cut to the core as soon as
    it has been filtered.

    Args:
        image: (z, y, x).
        sigma_mm: width of the Gaussian.
        spacing_mm: voxel size (z, y, x).
        core: the part of ``image`` to return.
        planar: filter each axial slice separately.
    """
    sigma = [sigma_mm / s for s in spacing_mm]

    def smooth(values: Image, axis: int, order: int) -> Image:
        part = [slice(None)] * 3
        part[axis] = core[axis]
        filtered: Image = ndimage.gaussian_filter1d(
            values, sigma[axis], axis, order, mode="reflect", truncate=TRUNCATE
        )
        return filtered[tuple(part)]

    if planar:
        plain = image[core[0]]
        bent = smooth(plain, 1, 2)
    else:
        plain = smooth(image, 0, 0)
        bent = smooth(smooth(image, 0, 2), 1, 0) + smooth(plain, 1, 2)
    return smooth(bent, 2, 0) + smooth(smooth(plain, 1, 0), 2, 2)


def wavelet_radius(wavelet: str) -> int:
    """Return the largest reach of a wavelet's filters to either side, in voxels."""
    return int(pywt.Wavelet(wavelet).dec_len)


def wavelets(image: Image, wavelet: str, core: tuple[slice, ...]) -> Iterator[tuple[str, Image]]:
    """Yield the eight responses of an undecimated wavelet's first level.

    Args:
        image: (z, y, x).
        wavelet: PyWavelets's name, such as ``coif1``.
        core: the part of ``image`` to return.

    Yields:
        The name, such as ``HHL`` (low or high pass along x, y and z), and the response.
    """
    bank = pywt.Wavelet(wavelet)
    filters = {"L": np.array(bank.dec_lo), "H": np.array(bank.dec_hi)}
    along_z = {k: along(image, taps, 0, core) for k, taps in filters.items()}
    along_y = {
        (k, z): along(along_z[z], taps, 1, core) for k, taps in filters.items() for z in along_z
    }
    for x, y, z in ("LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH", "LLL"):  # as pyradiomics
        yield f"{x}{y}{z}", along(along_y[y, z], filters[x], 2, core)


def along(values: Image, taps: NDArray[np.float64], axis: int, core: tuple[slice, ...]) -> Image:
    """Convolve along one axis, and cut that axis to the core.

    With an even number of taps, the one after the middle is on the voxel, as in PyWavelets.
    """
    part = [slice(None)] * 3
    part[axis] = core[axis]
    filtered: Image = ndimage.convolve1d(values, taps, axis, mode="reflect")
    return filtered[tuple(part)]
