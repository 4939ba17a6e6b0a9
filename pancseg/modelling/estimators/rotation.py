"""Turn many columns into few without changing a ridge fit, which depends on distances alone."""

from __future__ import annotations

from typing import Any

import numpy as np

_KEY, _TINY = "rotation", 1e-10


def rotated(z: np.ndarray, shared: dict[str, Any] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, r) coordinates and the (p, r) basis with z = coordinates @ basis.T, r <= n.

    A ridge fit to the coordinates, multiplied by the basis, is the ridge fit to ``z``.

    Args:
        z: (n, p) centred columns.
        shared: where the result is kept for other fits to the same rows; None: nowhere.
    """
    if z.shape[1] <= z.shape[0]:
        return z, np.eye(z.shape[1])
    if shared is not None and _KEY in shared:
        found: tuple[np.ndarray, np.ndarray] = shared[_KEY]
        return found
    squares, left = np.linalg.eigh(z @ z.T)
    kept = squares > _TINY * max(squares[-1], _TINY)
    lengths = np.sqrt(squares[kept])
    coordinates = left[:, kept] * lengths
    basis = z.T @ (left[:, kept] / lengths)
    if shared is not None:
        shared[_KEY] = coordinates, basis
    return coordinates, basis
