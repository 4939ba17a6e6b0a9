"""The share of IBSI's reference values that this installation reproduces, computed once a build."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.system.json_file import read_json
from pancseg.system.version import __version__
from pancseg.system.whole_files import write_whole

_PACKAGES = ("SimpleITK", "numpy", "pyradiomics-bhklab", "scipy")


class IbsiScore(NamedTuple):
    """How many of the compared values agree."""

    agree: int
    compared: int


def ibsi_score(out: Path) -> IbsiScore:
    """Return the score on IBSI's digital phantom; it is kept in an output folder for the next time.

    Args:
        out: the output folder of a run.
    """
    build = " ".join([__version__, *(version(name) for name in _PACKAGES)])
    kept = out / STATE_FOLDER / "ibsi_score.json"
    try:
        record = read_json(kept)
        if record["build"] == build:
            return IbsiScore(int(record["agree"]), int(record["compared"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or of another build
    score = _computed()
    if kept.parent.is_dir():
        content = json.dumps({"build": build, **score._asdict()}).encode()
        write_whole({kept: content})
    return score


@cache
def _computed() -> IbsiScore:
    from pancseg.selftest import digital_phantom

    found = list(digital_phantom())
    return IbsiScore(sum(each.agree for each in found), sum(each.compared for each in found))
