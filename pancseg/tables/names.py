"""Turn feature names into column names that R, SPSS and pandas accept unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterable

NAMINGS = ("safe", "pyradiomics")


def column_names(originals: Iterable[str], naming: str = "safe") -> dict[str, str]:
    """Map feature names to column names, one to one.

    Args:
        originals: pyradiomics's names.
        naming: ``safe`` as :func:`safe_names`, or ``pyradiomics``, which leaves them unchanged.

    Raises:
        ValueError: an unknown naming, or two names would become the same.
    """
    if naming not in NAMINGS:
        raise ValueError(f"unknown `names` {naming!r}; known: {', '.join(NAMINGS)}")
    return safe_names(originals) if naming == "safe" else {name: name for name in originals}


def safe_names(originals: Iterable[str]) -> dict[str, str]:
    """Map feature names to names of letters, digits and ``_`` only, one to one.

    A name that does not begin with a letter is prefixed with ``x``, because R would add an ``X``.

    >>> safe_names(["log-sigma-1-0-mm-3D_glcm_Idm"])
    {'log-sigma-1-0-mm-3D_glcm_Idm': 'log_sigma_1_0_mm_3D_glcm_Idm'}

    Raises:
        ValueError: two names would become the same.
    """
    names = {name: _safe(name) for name in originals}
    seen: dict[str, str] = {}
    for original, safe in names.items():
        if safe in seen:
            raise ValueError(f"{seen[safe]!r} and {original!r} would both be named {safe!r}")
        seen[safe] = original
    return names


def _safe(name: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return safe if re.match("[A-Za-z]", safe) else f"x{safe}"
