"""Column names: feature names that R, SPSS and pandas take as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable


def safe_names(originals: Iterable[str]) -> dict[str, str]:
    """Map feature names to names of letters, digits and ``_`` only, one to one.

    >>> safe_names(["log-sigma-1-0-mm-3D_glcm_Idm"])
    {'log-sigma-1-0-mm-3D_glcm_Idm': 'log_sigma_1_0_mm_3D_glcm_Idm'}

    Raises:
        ValueError: two names would become one.
    """
    names = {name: re.sub(r"[^A-Za-z0-9_]", "_", name) for name in originals}
    seen: dict[str, str] = {}
    for original, safe in names.items():
        if safe in seen:
            raise ValueError(f"{seen[safe]!r} and {original!r} would both be named {safe!r}")
        seen[safe] = original
    return names
