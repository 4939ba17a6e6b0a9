"""How long a scan may take when nobody has set a limit: long enough for any scan of its size."""

from __future__ import annotations

LEAST_S = 3600.0
"""Seconds for a scan of any size."""
S_PER_MB = 4.0
"""Further seconds for each MB (10⁶ bytes) of memory, for each row and each pass of the network."""


def default_limit_s(memory_bytes: int, rows: int, passes: int = 0) -> float:
    """Return the seconds after which a scan is given up, because its worker must hang.

    The mask of one look and one row of 512×512×280 voxels, which take seconds to minutes, have 3.5
    hours.

    Args:
        memory_bytes: what the scan is expected to need, according to its header; 0 if not known.
        rows: number of its rows.
        passes: number of passes of a network; each look is one.

    Example:
        >>> default_limit_s(1_000_000_000, rows=1) / 3600
        2.111111111111111
    """
    return LEAST_S + S_PER_MB * memory_bytes / 1e6 * (rows + passes)
